package merge

import (
	"cmp"
	"maps"
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// A machine is the state that all nodes of an instance share: a function of the
// prefix of the ring's order that it has processed. It is not safe for concurrent
// use.
//
// What it must keep (the numbers are those of the sequencing page, section 13):
//
//	Z1   T is carried and never changed.
//	Z4   After a released promise P to X, no record to X has T ≤ P.
//	Z5   When H ≥ t, all records to this instance with T ≤ t are in hand.
//	Z8   Machines of one instance at one position are equal.
//	Z12  What lies between a join and a leave has this instance in D.
//	Z13  Nothing is taken in twice.
//
// Asserted all the time: clock, floors, H, V and W only grow; V ≤ H; the index of an
// import is the next one; T of an import lies above the source's promise; delivered
// keys increase.
type machine struct {
	cfg      *Config
	names    *interner
	fx       *Effects // of the present step
	pos      ring.Position
	instance membership.InstanceID

	viewState
	exportState
	importState
	orderState
	primaryState

	groups    map[string]*group
	preparing map[*group]bool                  // those with a preparation
	where     map[membership.ClientID]groupSet // delivered memberships, own and remote
	clients   map[membership.ClientID]*ownClient
	nodes     map[membership.NodeID]attached
	downT     map[membership.NodeID]int64 // of the NodeDown of a node that was lost in this view
	lost      map[lostNode]losses         // NodeDown not delivered yet
	leaving   membership.Set              // while a view ends: members that do not go on with this site
	tail      uint64                      // likewise: names who goes on, for ids of group views that others do not see
	mourning  bool                        // likewise: a group that has a view now may have lost somebody, as others know
	lostLater []lostNode                  // lost while frozen: their records follow the install
	bodies    map[membership.ClientID]*heldBody
	transfers map[membership.InstanceID][]*transfer // by source

	voters   []membership.NodeID          // the electorate, ascending
	present  map[membership.NodeID]uint64 // the ring's members and their boots
	from     ring.ID                      // the ring that the heirs come from
	arriving []arrival                    // nodes that wait for others to attach
	salt     uint64                       // tells group views apart that parted nodes make
	parted   map[membership.NodeID]bool   // gone, as the ring says, but not ordered out yet
	epoch    uint64                       // highest known
	wanted   uint64                       // epoch that a node waits for; 0: none does
	ticks    uint64

	// Not replicated.
	lookup  func(name string) (membership.ClientID, bool) // of this node's clients
	ended   []membership.ClientID                         // clients of this node whose end has gone round
	closing bool                                          // the ring ends
	torn    bool                                          // what is processed lies behind a gap of it
	skipT   int64                                         // what this node's clients have seen of this view elsewhere lies at or below
	skipD   membership.Set                                // the instance where they saw it
	skipPos ring.Position                                 // where they came in
	samples []heard                                       // promises whose records have come since the gateway last looked
	broke   []SiteInstance                                // who broke the protocol, since the Replica last looked
	applied uint64                                        // federated activity: grows with every accept and import
	counters
}

// viewState is the view and its change.
type viewState struct {
	view      membership.SiteView
	self      int // own place
	tag       uint64
	local     uint32        // numbers group views that only this site sees
	installed ring.Position // the Tick that installed the view
	// lostBefore were lost while the change to this view was under way: a Ready that
	// somebody still lacks names them.
	lostBefore []lostNode
	doubled    bool   // a site has two instances in the view, so that a client may be listed twice
	flush      *flush // frozen: the change under way
	cut        *cut   // how the view ends; once computed it is final
}

// exportState is what goes out.
type exportState struct {
	clock  int64
	floor  []int64 // highest T ruled out for each member
	leads  []int64
	outIdx []uint64
	outN   uint64
	held   []*record // own, not stable everywhere, by n; done ones stay until all below are
	trim   uint64
	given  []int // bytes that were ever under way to each member, as far as this node knows
	owed   []int // bytes under way to each member, as of the last sweep and later exports
	// owedBulk is likewise what went ahead of its records.
	owedBulk []int
	maxT     int64 // highest accepted
}

// importState is what comes in.
type importState struct {
	inNext  []uint64
	logNext []uint64 // the source's n behind the last import
	prom    []int64
	w       []int64
	waiting [][]heard
	heldIn  [][]*record          // of each source: not known stable everywhere; for Fills
	ahead   []map[uint64]*record // what Fills brought above inNext, by index; nil: acted on already
	late    []int64              // how late each member gets ours, by its latest report
	reading []int64              // latest of each member
}

// orderState is the merge.
type orderState struct {
	line         ring.Position // L
	horizons     []horizon
	snaps        []snap
	h, v, wself  int64
	pend         []*record // ordered by key
	fifoWait     []*record
	pending      map[membership.ClientID]int // undelivered ordered records of each client
	delivered    record                      // key of the latest ordered delivery
	maxDelivered int64                       // highest T of what is delivered by T
	maxArrived   int64                       // and of what was delivered on arrival
	maxMoved     int64                       // highest T of what changed groups
}

// A horizon counts when the act line covers its Tick.
type horizon struct {
	pos ring.Position
	h   int64
}

// A snap is what a promise may say once its Tick is ring-safe.
type snap struct {
	pos     ring.Position
	floor   []int64
	outIdx  []uint64
	inNext  []uint64
	w       int64
	reading int64
}

// attached is a node whose clients use the instance.
type attached struct {
	boot uint64
	min  int64 // what its clients send must lie above (N8)
}

// lostNode is a run of a node; boot is what its clients' ids carry.
type lostNode struct {
	node membership.NodeID
	boot uint32
}

func (l lostNode) owns(c membership.ClientID) bool {
	return c.Node == l.node && uint32(c.Session>>32) == l.boot
}

// An ownClient is a client of this site that has spoken.
type ownClient struct {
	id     membership.ClientID
	name   string
	next   uint64 // seq expected
	last   int64  // T of its latest ordered record
	groups groupSet
	enters []string   // groups for which its joins wait, or have waited
	away   []sentAway // what a local message to the same groups may wait for; strict sessions have their joins and leaves there only
}

type counters struct {
	broken, imported, duplicate, dropped, deliveredCount, badFrames uint64
}

// here says whether a client is one of this run of this node, and hears this
// instance.
func (m *machine) here(c membership.ClientID) bool {
	return c.Node == m.cfg.Self && uint32(c.Session>>32) == uint32(m.cfg.Boot) && m.hears()
}

// hears says whether this node's clients are to get what the instance delivers (N5).
// A node that left its ring and came back finds memberships of its clients in the
// snapshot; they do not count, neither before the node is attached anew nor until the
// NodeDown that ends them is delivered.
func (m *machine) hears() bool {
	at, ok := m.nodes[m.cfg.Self]
	return ok && at.boot == m.cfg.Boot && !m.lost[lostNode{m.cfg.Self, uint32(m.cfg.Boot)}].at(m.self)
}

func newMachine(cfg *Config, names *interner, instance membership.InstanceID, view membership.SiteView) *machine {
	m := &machine{
		cfg: cfg, names: names, instance: instance,
		groups: map[string]*group{}, preparing: map[*group]bool{}, where: map[membership.ClientID]groupSet{},
		clients: map[membership.ClientID]*ownClient{}, nodes: map[membership.NodeID]attached{},
		bodies: map[membership.ClientID]*heldBody{}, present: map[membership.NodeID]uint64{}, parted: map[membership.NodeID]bool{},
		transfers: map[membership.InstanceID][]*transfer{},
	}
	m.reset(view)
	return m
}

// reset begins a view: view time is zero and all streams start anew.
func (m *machine) reset(view membership.SiteView) {
	n := len(view.Members)
	self, _ := view.Index(m.instance)
	m.viewState = viewState{view: view, self: self, tag: tagOf(view.ID, m.instance), doubled: doubled(&view)}
	m.exportState = exportState{floor: lows(n), leads: make([]int64, n), outIdx: make([]uint64, n), given: make([]int, n), owed: make([]int, n), owedBulk: make([]int, n), maxT: -1}
	m.importState = importState{inNext: make([]uint64, n), logNext: make([]uint64, n), prom: lows(n), w: lows(n),
		waiting: make([][]heard, n), heldIn: make([][]*record, n), ahead: make([]map[uint64]*record, n), late: make([]int64, n), reading: make([]int64, n)}
	m.orderState = orderState{line: m.line, h: -1, v: -1, wself: -1, maxDelivered: -1, maxArrived: -1, maxMoved: -1, delivered: record{t: -1},
		pending: map[membership.ClientID]int{}}
	m.downT, m.lost = map[membership.NodeID]int64{}, map[lostNode]losses{}
	m.epoch = max(m.epoch, view.ID.Epoch)
	if m.wanted <= view.ID.Epoch {
		m.wanted = 0
	}
	m.skipT, m.samples = -1, nil
	m.forgetTransfers()
	for _, c := range m.clients {
		c.last, c.away = -1, nil
	}
	for id, a := range m.nodes {
		a.min = -1
		m.nodes[id] = a
	}
}

func doubled(v *membership.SiteView) bool {
	sites := map[membership.SiteID]bool{}
	for _, x := range v.Members {
		sites[x.Site] = true
	}
	return len(sites) < len(v.Members)
}

func lows(n int) []int64 {
	low := make([]int64, n)
	for i := range low {
		low[i] = -1
	}
	return low
}

func (m *machine) solo() bool   { return len(m.view.Members) == 1 }
func (m *machine) frozen() bool { return m.flush != nil }

// state is what the overlay advertises.
func (m *machine) state(site membership.SiteID) *State {
	s := &State{Instance: m.instance, View: m.view.ID, Epoch: m.epoch, Wanted: m.wanted, Members: m.view.Members, Primary: m.primary}
	if m.wanted != 0 && m.off(risingWish) {
		s.Wanted = m.epoch + 1
	}
	for i, x := range m.view.Members {
		if i != m.self {
			s.Logs = append(s.Logs, membership.LogID{Site: x.Site, Instance: x.Instance, View: m.view.ID})
		}
	}
	return s
}

// nextT is the lowest T that may be accepted for destinations d.
func (m *machine) nextT(d membership.Set) int64 {
	t := m.clock + 1
	for rest := d; rest != 0; rest &= rest - 1 {
		t = max(t, m.floor[rest.First()]+1)
	}
	return t
}

// export gives an accepted record its numbers and puts it into the order (P3).
func (m *machine) export(r *record) {
	r.src, r.n, r.pos = m.self, m.outN, m.pos
	if m.off(stampAtMachine) {
		r.t = m.nextT(r.dests)
	}
	m.outN++
	others := r.dests.Without(m.self)
	r.idx = make([]uint64, 0, others.Len())
	for rest := others; rest != 0; rest &= rest - 1 {
		i := rest.First()
		r.idx = append(r.idx, m.outIdx[i])
		m.outIdx[i]++
		m.given[i] += m.owe(i, r)
		m.hold(r.t > m.floor[i] || m.off(noFloor), "Z4: T of an export is not above the floor")
	}
	m.maxT = max(m.maxT, r.t)
	m.applied++
	m.held = append(m.held, r)
	m.place(r)
}

// place puts a record where its kind waits.
func (m *machine) place(r *record) {
	switch {
	case r.kind >= kindPrepare:
	case r.ordered():
		at, _ := slices.BinarySearchFunc(m.pend, r, func(p, r *record) int {
			if p.less(r) {
				return -1
			}
			return 1
		})
		m.pend = slices.Insert(m.pend, at, r)
		if r.ofClient() {
			m.pending[r.client]++
		}
	case r.service == membership.FIFO && (m.pending[r.client] > 0 || len(m.fifoWait) > 0) && !m.off(noFIFOWait):
		m.fifoWait = append(m.fifoWait, r)
		m.releaseFIFO()
	default:
		m.deliver(r)
	}
}

// releaseFIFO delivers what waits for nothing any more (D4). A client's joins and leaves
// count: what it sends to a group behind its join reaches itself.
func (m *machine) releaseFIFO() {
	for again := true; again; {
		again = false
		for i, r := range m.fifoWait {
			if !m.mustWait(r, m.fifoWait[:i]) {
				m.fifoWait = slices.Delete(m.fifoWait, i, i+1)
				m.deliver(r)
				again = true
				break
			}
		}
	}
}

// mustWait says whether an earlier record of r's sender is not delivered yet.
func (m *machine) mustWait(r *record, before []*record) bool {
	earlier := func(o *record) bool {
		if o.client != r.client || !o.ofClient() {
			return false
		}
		if o.src == r.src { // a join that waited gets its place behind what was asked for later
			return o.n < r.n
		}
		return o.seq < r.seq && !o.rejoin
	}
	return slices.ContainsFunc(before, earlier) || m.pending[r.client] > 0 && slices.ContainsFunc(m.pend, earlier)
}

// sortedGroups returns the groups that f picks, by name: maps have no order, and
// every node must do things in the same one.
func (m *machine) sortedGroups(f func(*group) bool) []*group {
	var found []*group
	for _, g := range m.groups {
		if f(g) {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, byName)
	return found
}

func sortedKeys[K cmp.Ordered, V any](of map[K]V) []K {
	return slices.Sorted(maps.Keys(of))
}

func (m *machine) sortedClients() []membership.ClientID {
	return slices.SortedFunc(maps.Keys(m.clients), membership.ClientID.Compare)
}
