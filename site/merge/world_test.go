package merge

import (
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A world is a federation in virtual time: sites of a few nodes, each with a ring
// that is only a list, and a wide area network. One seed is one run.
type world struct {
	rng     *rand.Rand
	now     time.Duration
	events  agenda
	count   int
	opt     options
	sites   []*simSite
	nodes   map[membership.NodeID]*simNode
	cut     map[[2]int]bool
	links   map[[2]int]*simLink
	stuck   map[[2]int]bool // from one site to another: records do not come
	faults  []string
	check   *checker
	hooks   *hooks
	torn    int  // frames handed up behind gaps
	outputs int  // given to clients, if unchecked
	blames  bool // faults that machines report are expected
	// dropControl, if not nil, says of a control message from one site to another whether
	// it gets lost.
	dropControl   func(from, to int, kind controlKind) bool
	lostDatagrams int
}

type options struct {
	sites, nodes, gateways int
	delay                  func(a, b int) time.Duration // one way
	jitter                 time.Duration
	loss                   float64            // of promises
	rate                   func(a, b int) int // bytes of records and controls a second; zero, nil: any
	hop                    time.Duration      // longest way of a packet in a ring
	scoped                 func(string) bool
	timing                 Timing
	slowAfter              func(string) time.Duration
	holes                  float64 // of what is sent in a ring: comes later, if at all
	bulk                   bool    // bodies go ahead of their records
	datagrams              bool
	lost                   float64 // of them
	byTheLast              bool    // controls come to the last gateway of an instance: the first leads
	unchecked              bool    // nobody looks at what machines and clients say, which takes most of the time
}

type agenda []appointment

type appointment struct {
	at time.Duration
	n  int
	f  func()
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (w *world) after(d time.Duration, f func()) {
	w.count++
	heap.Push(&w.events, appointment{w.now + d, w.count, f})
}

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until && len(w.faults) == 0 {
		e := heap.Pop(&w.events).(appointment)
		w.now = e.at
		e.f()
	}
	w.now = max(w.now, until)
}

// runUntil runs until a condition holds, at most for d.
func (w *world) runUntil(d time.Duration, what string, ok func() bool) {
	end := w.now + d
	for !ok() {
		if w.now >= end || len(w.faults) > 0 {
			w.fail("waited in vain: %s", what)
			return
		}
		w.run(min(end, w.now+10*time.Millisecond))
	}
}

func (w *world) fail(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
	}
}

func (w *world) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

type simSite struct {
	w       *world
	index   int
	id      membership.SiteID
	nodes   []*simNode
	rings   uint64
	sides   int
	logs    map[membership.LogID]*simLog
	feeds   map[feedKey]*feed
	digests map[[2]uint64]string
}

type simRing struct {
	id      ring.ID
	members []*simNode
	entries []entry
	dead    bool
	token   int // the side of the site that may go on with this ring after a split
}

type entry struct {
	from    membership.NodeID
	service membership.Service
	data    []byte
}

type simNode struct {
	w        *world
	site     *simSite
	id       membership.NodeID
	name     string
	boot     uint64
	up       bool
	side     int // of the site, when it has fallen apart
	replica  *Replica
	fx       Effects
	ring     *simRing
	recv     int          // entries here, without a gap
	ahead    map[int]bool // and behind one
	handed   int          // entries handed up
	stable   int
	saw      membership.ViewID // the newest that its clients saw
	ends     [2]int            // of the step's outputs, those behind the signal of a view and before the next one
	tail     bool              // the present output is one of them
	visiting bool
	wakeAt   time.Duration
	state    *State
	clients  []*simClient
	sessions uint64
	from     ring.ID  // the ring before
	twin     *Replica // gets the same frames
}

func newWorld(seed uint64, opt options, h *hooks) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), opt: opt, nodes: map[membership.NodeID]*simNode{}, cut: map[[2]int]bool{}, links: map[[2]int]*simLink{}}
	w.check = newChecker(w)
	if h == nil {
		h = &hooks{}
	}
	h.broken = func(what string) { w.fail("invariant: %s", what) }
	w.hooks = h
	for i := range opt.sites {
		s := &simSite{w: w, index: i, id: membership.SiteIDOf(fmt.Sprintf("s%d", i)), logs: map[membership.LogID]*simLog{}, feeds: map[feedKey]*feed{}, digests: map[[2]uint64]string{}}
		w.sites = append(w.sites, s)
		for j := range opt.nodes {
			name := fmt.Sprintf("n%d-%d", i, j)
			n := &simNode{w: w, site: s, id: membership.NodeIDOf(name), name: name}
			s.nodes = append(s.nodes, n)
			w.nodes[n.id] = n
		}
	}
	for _, s := range w.sites {
		for _, n := range s.nodes {
			n.start()
		}
		s.reform(s.alive())
		w.after(w.upTo(50*time.Millisecond), s.reachLoop)
		w.after(0, s.feedLoop)
	}
	return w
}

func (s *simSite) alive() (up []*simNode) {
	for _, n := range s.nodes {
		if n.up {
			up = append(up, n)
		}
	}
	return up
}

func (n *simNode) start() {
	w := n.w
	n.boot = w.rng.Uint64() | 1
	cfg := Config{Self: n.id, Site: n.site.id, Boot: n.boot, Nodes: map[membership.NodeID]membership.SiteID{}, StartUnix: 1_700_000_000,
		SiteScoped: w.opt.scoped, Timing: w.opt.timing, SlowAfter: w.opt.slowAfter, Bulk: w.opt.bulk, Datagrams: w.opt.datagrams,
		Trace: func(e *TraceEvent) { w.check.trace(n, e) }, hooks: w.hooks}
	for _, s := range w.sites {
		cfg.Sites = append(cfg.Sites, s.id)
		for _, x := range s.nodes {
			cfg.Nodes[x.id] = s.id
		}
	}
	for _, g := range n.site.nodes[:w.opt.gateways] {
		cfg.Gateways = append(cfg.Gateways, g.id)
	}
	if w.opt.unchecked {
		cfg.Trace = nil
	}
	n.replica, n.up, n.ring, n.from, n.clients, n.sessions = New(cfg), true, nil, ring.ID{}, nil, 0
	n.state, n.saw = nil, membership.ViewID{}
}

// crash ends a node; the rest of its site forms a ring a little later.
func (n *simNode) crash() {
	n.up = false
	n.ring = nil
	for _, c := range n.clients {
		c.dead = true
	}
	n.site.w.after(100*time.Millisecond, n.site.regroup)
}

func (n *simNode) restart() {
	n.start()
	n.site.regroup()
}

// split lets the nodes of a site hear only those of their own side, from now on. The
// token stays at one of the sides.
func (s *simSite) split(side func(*simNode) int) {
	token := side(s.nodes[s.w.rng.IntN(len(s.nodes))])
	for _, n := range s.nodes {
		n.side = side(n)
		if n.ring != nil {
			n.ring.token = token
		}
	}
	s.w.after(50*time.Millisecond+s.w.upTo(100*time.Millisecond), s.regroup)
}

// regroup makes a ring of each side whose nodes are not in one.
func (s *simSite) regroup() {
	sides := map[int][]*simNode{}
	most := 0
	for _, n := range s.alive() {
		sides[n.side] = append(sides[n.side], n)
		most = max(most, n.side)
	}
	for side := 0; side <= most; side++ {
		nodes := sides[side]
		whole := len(nodes) > 0 && nodes[0].ring != nil && len(nodes[0].ring.members) == len(nodes)
		for _, n := range nodes {
			whole = whole && n.ring == nodes[0].ring
		}
		if !whole {
			s.reform(nodes)
		}
	}
}

// reform makes a ring of nodes. What any of a ring's survivors holds without gap, all
// of them process first.
func (s *simSite) reform(nodes []*simNode) {
	if len(nodes) == 0 {
		return
	}
	s.rings++
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b *simNode) int { return int(int64(a.id) - int64(b.id)) })
	r := &simRing{id: ring.ID{Representative: nodes[0].id, Counter: s.rings}, members: nodes, token: nodes[0].side}
	ids := idsOf(nodes)
	together := map[*simRing][]*simNode{}
	most, line := map[*simRing]int{}, map[*simRing]int{}
	for _, n := range nodes {
		if n.ring != nil {
			together[n.ring] = append(together[n.ring], n)
			most[n.ring] = max(most[n.ring], n.recv)
			line[n.ring] = max(line[n.ring], n.stable)
		}
	}
	behind := map[*simRing][]int{}
	for old, mates := range together {
		most[old], behind[old] = old.recovered(mates, most[old])
	}
	for _, n := range nodes {
		mates := []*simNode{n}
		previous := ring.ID{}
		if old := n.ring; old != nil {
			mates, previous = together[old], old.id
			n.recv = most[old]
			if n.stable < line[old] {
				n.stableTo(line[old])
			}
			n.handUp()
			n.event(&ring.Event{Kind: ring.Transitional, View: &ring.View{ID: r.id, Previous: previous, Members: ids, Together: idsOf(mates)}})
			n.handAll()
			for _, seq := range behind[old] {
				n.handTorn(seq)
			}
		}
		n.ring, n.recv, n.ahead, n.handed, n.stable = r, 0, map[int]bool{}, 0, 0
		n.event(&ring.Event{Kind: ring.Installed, View: &ring.View{ID: r.id, Previous: previous, Members: ids, Together: idsOf(mates)}})
	}
	s.w.after(0, func() { r.rotate(s.w) })
}

func idsOf(nodes []*simNode) (ids []membership.NodeID) {
	for _, n := range nodes {
		ids = append(ids, n.id)
	}
	slices.Sort(ids)
	return ids
}

func (n *simNode) stableTo(line int) {
	n.stable = line
	n.event(&ring.Event{Kind: ring.Stable, Pos: ring.Position{Counter: n.ring.id.Counter, Seq: ring.Seq(line)}})
}

// handUp delivers in order, but no safe frame before it is stable.
func (n *simNode) handUp() {
	for r := n.ring; n.ring == r && n.handed < n.recv; {
		if r.entries[n.handed].service == membership.Safe && n.stable <= n.handed {
			return
		}
		n.handOne()
	}
}

func (n *simNode) handAll() {
	for n.handed < n.recv {
		n.handOne()
	}
}

func (n *simNode) handOne() {
	e := n.ring.entries[n.handed]
	n.handed++
	n.event(&ring.Event{Kind: ring.Deliver, Service: e.service, From: e.from, Pos: ring.Position{Counter: n.ring.id.Counter, Seq: ring.Seq(n.handed)}, Frame: e.data})
	n.site.compare(n)
}

// compare holds Z8: nodes of an instance at one position are equal.
func (s *simSite) compare(n *simNode) {
	m := n.replica.m
	if s.w.opt.unchecked || m == nil || n.handed%64 != 0 || m.closing {
		return
	}
	key := [2]uint64{n.ring.id.Counter<<32 | uint64(n.handed), uint64(m.instance)}
	digest := string(m.snapshot()) + m.bulkDigest()
	if other, ok := s.digests[key]; ok && other != digest {
		s.w.fail("Z8: nodes of site %d differ at %d/%d", s.index, n.ring.id.Counter, n.handed)
	}
	s.digests[key] = digest
	if len(s.digests) > 256 {
		clear(s.digests)
	}
}

// bulkDigest tells what of bodies nodes have to have alike, which no snapshot has.
func (m *machine) bulkDigest() string {
	var b strings.Builder
	for _, x := range m.view.Members {
		for _, t := range m.transfers[x.Instance] {
			fmt.Fprint(&b, t.bodyKey, t.size, t.order, t.there, t.lacks, t.pos)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(m.bodies), membership.ClientID.Compare) {
		h := m.bodies[id]
		fmt.Fprint(&b, id, h.seq, h.groups, len(h.data), h.pos, h.holds)
	}
	return b.String()
}

func (n *simNode) event(e *ring.Event) {
	if n.twin != nil && e.Kind == ring.Deliver && len(e.Frame) > 0 {
		n.twin.begin(n.w.now, &Effects{})
		n.twin.apply(e)
	}
	n.replica.Ring(n.w.now, e, &n.fx)
	n.carry()
}

// carry does what a step wants done.
func (n *simNode) carry() {
	w := n.w
	fx := n.fx
	n.fx = Effects{}
	if fx.State != nil {
		n.state = fx.State
		n.site.stateChanged(n)
	}
	w.check.goesOn(n)
	for i := range fx.Outputs {
		if w.opt.unchecked {
			w.outputs++
			continue
		}
		n.tail = n.ends[0] <= i && i < n.ends[1]
		w.check.output(n, &fx.Outputs[i])
	}
	n.ends, n.tail = [2]int{}, false
	if len(fx.Records) > 0 {
		n.site.append(n, fx.Records)
	}
	for _, p := range fx.Promises {
		w.check.promised(n)
		n.site.broadcast(n, p)
	}
	for _, c := range fx.Controls {
		w.check.told(n, &c)
		n.site.control(n.state.Instance, c)
	}
	for _, d := range fx.Datagrams {
		n.site.datagram(n, d)
	}
	for _, f := range fx.Faults {
		if w.blames {
			break
		}
		w.fail("fault at %s: %s", n.name, f.What)
	}
	if fx.Kick && !n.visiting {
		n.visiting = true
		w.after(w.upTo(w.opt.hop), n.visit)
	}
	if at, ok := n.replica.Deadline(); ok && (n.wakeAt <= w.now || at < n.wakeAt) {
		n.wakeAt = max(at, w.now+time.Microsecond)
		at := n.wakeAt
		w.after(at-w.now, func() {
			if n.up && n.wakeAt == at {
				n.wakeAt = 0
				n.replica.Wake(w.now, &n.fx)
				n.carry()
			}
		})
	}
}

// visit is the token at this node.
func (n *simNode) visit() {
	n.visiting = false
	r := n.ring
	if r == nil || !n.up || n.side != r.token {
		return
	}
	for k := 0; k < 32; k++ {
		f, ok := n.replica.Next(n.w.now, 1400)
		if !ok {
			break
		}
		if f.Service < membership.FIFO {
			n.spread(f)
			continue
		}
		r.entries = append(r.entries, entry{n.id, f.Service, f.Data})
		seq := len(r.entries)
		for _, x := range r.members {
			d := n.w.upTo(n.w.opt.hop)
			if x == n {
				d = 0
			} else if n.w.opt.holes > 0 && n.w.rng.Float64() < n.w.opt.holes {
				continue
			}
			n.w.after(d, func() {
				if x.side == n.side {
					x.receive(r, seq)
				}
			})
		}
	}
	if n.replica.Backlog() > 0 {
		n.visiting = true
		n.w.after(n.w.opt.hop/2, n.visit)
	}
}

func (n *simNode) spread(f ring.Frame) {
	r := n.ring
	for _, x := range r.members {
		n.w.after(n.w.upTo(n.w.opt.hop), func() {
			if x.up && x.ring == r && x.side == n.side {
				x.event(&ring.Event{Kind: ring.Arrive, Service: f.Service, From: n.id, Frame: f.Data})
			}
		})
	}
}
