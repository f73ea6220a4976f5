package ring

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"ringway/membership"
)

// A sim is a site in virtual time: machines, their sources, and a network that
// loses, doubles, reorders and delays. The same seed gives the same run.

type simEvent struct {
	at    time.Duration
	order uint64
	node  *simNode // packet or turn
	life  uint64
	data  []byte // of a packet
	do    func()
}

func (e *simEvent) before(f *simEvent) bool {
	return e.at < f.at || e.at == f.at && e.order < f.order
}

// A simHeap is a binary heap of events. container/heap would allocate for each.
type simHeap []simEvent

func (h *simHeap) push(e simEvent) {
	*h = append(*h, e)
	s, i := *h, len(*h)-1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&s[up]) {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = e
}

func (h *simHeap) pop() simEvent {
	s := *h
	first, last := s[0], s[len(s)-1]
	s[len(s)-1] = simEvent{}
	s = s[:len(s)-1]
	*h = s
	i := 0
	for 2*i+1 < len(s) {
		down := 2*i + 1
		if down+1 < len(s) && s[down+1].before(&s[down]) {
			down++
		}
		if !s[down].before(&last) {
			break
		}
		s[i] = s[down]
		i = down
	}
	if len(s) > 0 {
		s[i] = last
	}
	return first
}

type simNet struct {
	loss, double float64
	delay        time.Duration
	jitter       time.Duration
	blocked      map[[2]membership.NodeID]bool // from, to
	muffled      map[membership.NodeID]bool    // gets no data
	drop         func(from membership.NodeID, to *simNode, data []byte) bool
	packets      int
}

type sim struct {
	rng       *rand.Rand
	now       time.Duration
	order     uint64
	events    simHeap
	net       simNet
	nodes     []*simNode
	lives     []*life
	config    Config // of all nodes
	trace     func(format string, args ...any)
	processes time.Duration // what it takes a node to read a packet
	healed    time.Duration // when the last fault ended
	unchecked bool          // nothing is recorded
	refuses   bool          // the host of a dead node lives, and says that nobody listens
	fault     string
}

// showSim prints all that happens in runs of schedules.
var showSim bool

// A simNode is a place where one life follows another.
type simNode struct {
	sim    *sim
	id     membership.NodeID
	m      *Machine
	fx     Effects
	source *simSource
	life   *life
	lives  uint64
	paused bool
	busy   bool
	data   [][]byte // the data socket
	tokens [][]byte // the token socket
	wake   time.Duration

	processes   time.Duration // what it takes to read a packet
	incarnation uint64        // of the next life, if not by the clock

	secondFrom  time.Duration // see checkCalm
	gathersThen uint64
}

// socketPackets is how many packets wait in a socket until more are dropped.
const socketPackets = 1024

// A life is what one incarnation of a node did.
type life struct {
	node        membership.NodeID
	incarnation uint64
	crashed     bool // or left
	left        bool // in order
	log         []logEntry
	taken       []frameKey
	views       []*View
	number      map[uint64]uint32 // per stream
	delivered   int               // ordered frames in this ring
	parts       map[ID]*part      // see check
}

type frameKey struct {
	node        membership.NodeID
	incarnation uint64
	stream      uint64
	number      uint32
}

type logEntry struct {
	kind    EventKind
	service membership.Service
	ring    ID
	late    bool // after Transitional
	pos     Position
	key     frameKey
	after   int // so many ordered frames of this ring its sender had delivered
	view    *View
	at      time.Duration // of Installed
}

// A simSource hands out frames in rounds over its streams.
type simSource struct {
	node  *simNode
	queue []simFrame
	bytes int
}

type simFrame struct {
	key     frameKey
	service membership.Service
	size    int
	ring    uint64 // in which its sender took it,
	after   int    // having delivered so many frames there
}

func (s *simSource) Backlog() int { return s.bytes }

func (s *simSource) Next(now time.Duration, room int) (Frame, bool) {
	if len(s.queue) == 0 {
		return Frame{}, false
	}
	f := s.queue[0]
	s.queue = s.queue[1:]
	s.bytes -= f.size
	if !s.node.sim.unchecked {
		s.node.life.taken = append(s.node.life.taken, f.key)
	}
	if v := s.node.life.view(); v != nil && v.ID == s.node.m.ring.id {
		f.ring, f.after = v.ID.Counter, s.node.life.delivered
	}
	return Frame{Stream: f.key.stream, Service: f.service, Data: f.encode()}, true
}

const simFrameBytes = 41

func (f *simFrame) encode() []byte {
	if f.size > MaxFrameBytes {
		return make([]byte, f.size)
	}
	b := make([]byte, 0, max(f.size, simFrameBytes))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.key.node))
	b = binary.LittleEndian.AppendUint64(b, f.key.incarnation)
	b = binary.LittleEndian.AppendUint64(b, f.key.stream)
	b = binary.LittleEndian.AppendUint32(b, f.key.number)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.size))
	b = append(b, byte(f.service))
	b = binary.LittleEndian.AppendUint64(b, f.ring)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.after))
	for len(b) < f.size {
		b = append(b, filler(len(b), f.size, f.key.number)...)
	}
	return b
}

// fillings is what frames are filled with.
var fillings = func() []byte {
	b := make([]byte, 1<<16+251)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}()

// filler is what stands at place i of a frame of that size, or the beginning of it.
func filler(i, size int, number uint32) []byte {
	from := int(number) % 251
	return fillings[from:][:min(size-i, 1<<16)]
}

func decodeSimFrame(b []byte) (simFrame, error) {
	if len(b) < simFrameBytes {
		return simFrame{}, fmt.Errorf("frame of %d bytes", len(b))
	}
	f := simFrame{key: frameKey{
		node: membership.NodeID(binary.LittleEndian.Uint32(b)), incarnation: binary.LittleEndian.Uint64(b[4:]),
		stream: binary.LittleEndian.Uint64(b[12:]), number: binary.LittleEndian.Uint32(b[20:]),
	}, size: int(binary.LittleEndian.Uint32(b[24:])), service: membership.Service(b[28]),
		ring: binary.LittleEndian.Uint64(b[29:]), after: int(binary.LittleEndian.Uint32(b[37:]))}
	whole := f.size == len(b)
	for i := simFrameBytes; i < len(b) && whole; {
		want := filler(i, len(b), f.key.number)
		whole = bytes.Equal(want, b[i:i+len(want)])
		i += len(want)
	}
	if !whole {
		return f, fmt.Errorf("frame %v has other bytes than were sent", f.key)
	}
	return f, nil
}

func newSim(seed uint64, nodes int) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 0x72696e67)), processes: 3 * time.Microsecond}
	s.net = simNet{delay: 100 * time.Microsecond, jitter: 50 * time.Microsecond, blocked: map[[2]membership.NodeID]bool{}, muffled: map[membership.NodeID]bool{}}
	s.config = Config{Label: 7, MaxPacket: 1400, Windows: DefaultWindows(), Timing: DefaultTiming(nodes)}
	for i := range nodes {
		s.config.Members = append(s.config.Members, membership.NodeID(10*(i+1)))
	}
	for _, id := range s.config.Members {
		s.nodes = append(s.nodes, &simNode{sim: s, id: id, wake: never, processes: s.processes})
	}
	if showSim {
		s.trace = func(format string, args ...any) {
			fmt.Printf("%10.3fms ", float64(s.now.Microseconds())/1000)
			fmt.Printf(format+"\n", args...)
		}
	}
	return s
}

func (s *sim) at(d time.Duration, do func()) { s.push(simEvent{at: s.now + d, do: do}) }

func (s *sim) push(e simEvent) {
	s.order++
	e.order = s.order
	s.events.push(e)
}

func (n *simNode) up() bool { return n.m != nil }

func (n *simNode) start() {
	if n.up() {
		return
	}
	n.lives++
	c := n.sim.config
	c.Self = n.id
	c.Incarnation = n.incarnation
	if c.Incarnation == 0 {
		c.Incarnation = 1_000_000 + uint64(n.sim.now) + n.lives - 1 // a clock never shows the same twice
	}
	n.life = &life{node: n.id, incarnation: c.Incarnation, number: map[uint64]uint32{}}
	n.sim.lives = append(n.sim.lives, n.life)
	n.source = &simSource{node: n}
	n.m = New(c, n.source)
	n.data, n.tokens, n.busy, n.paused = nil, nil, false, false
	n.m.Start(n.sim.now, &n.fx)
	n.flush()
}

func (n *simNode) crash() {
	if n.up() {
		n.life.crashed = true
		n.m, n.wake = nil, never
	}
}

// leave begins a node's orderly end.
func (n *simNode) leave() {
	if n.up() && !n.paused {
		n.m.Leave(n.sim.now, &n.fx)
		n.flush()
	}
}

func (n *simNode) pause() { n.paused = true }

func (n *simNode) resume() {
	n.paused = false
	n.turn()
	if n.up() && len(n.source.queue) > 0 {
		n.m.Kick(n.sim.now, &n.fx)
		n.flush()
	}
}

// submit queues a frame and tells the machine.
func (n *simNode) submit(stream uint64, service membership.Service, size int) {
	if !n.up() {
		return
	}
	n.life.number[stream]++
	f := simFrame{key: frameKey{n.id, n.life.incarnation, stream, n.life.number[stream]}, service: service, size: max(size, simFrameBytes)}
	n.source.queue = append(n.source.queue, f)
	n.source.bytes += f.size
	if !n.paused {
		n.m.Kick(n.sim.now, &n.fx)
		n.flush()
	}
}

// flush carries out the effects of a step.
func (n *simNode) flush() {
	s := n.sim
	for _, p := range n.fx.Send {
		if s.trace != nil {
			s.tracePacket(n, p)
		}
		if len(p.Data) > s.config.MaxPacket && kind(p.Data[2]) == kindData {
			s.fail("node %v sends %d bytes", n.id, len(p.Data))
		}
		for _, to := range s.nodes {
			if p.To == 0 && to != n || p.To == to.id {
				s.transmit(n.id, to, p.Data)
			}
		}
	}
	for _, id := range n.fx.Knock {
		s.knock(n, id)
	}
	for i := range n.fx.Events {
		n.record(&n.fx.Events[i])
	}
	n.fx.Reset()
	n.checkCalm()
	n.wake = never
	if d, ok := n.m.Deadline(); ok {
		n.wake = d
	}
	if n.m.Left() {
		n.life.crashed, n.life.left = true, true
		n.m, n.wake = nil, never
	}
}

// spin and spinANode bound how often a node may gather in a second, whatever happens
// around it. Many rings of one that merge do so in steps, up to one for each; what
// feeds itself gathers hundreds of times in a millisecond.
const (
	spin      = 30
	spinANode = 3
)

func (n *simNode) checkCalm() {
	if n.sim.now-n.secondFrom > time.Second || n.m.count.Gathers < n.gathersThen {
		n.secondFrom, n.gathersThen = n.sim.now, n.m.count.Gathers
	}
	if most := uint64(spin + spinANode*len(n.sim.nodes)); n.m.count.Gathers > n.gathersThen+most {
		n.sim.fail("node %v gathered %d times since %v", n.id, most, n.secondFrom)
	}
}

func (s *sim) transmit(from membership.NodeID, to *simNode, data []byte) {
	s.net.packets++
	if s.net.blocked[[2]membership.NodeID{from, to.id}] || s.net.muffled[to.id] && kind(data[2]) == kindData || s.net.drop != nil && s.net.drop(from, to, data) {
		return
	}
	copies := 1
	if s.net.loss > 0 && s.rng.Float64() < s.net.loss {
		copies = 0
	} else if s.net.double > 0 && s.rng.Float64() < s.net.double {
		copies = 2
	}
	for range copies {
		d := s.net.delay
		if s.net.jitter > 0 {
			d += time.Duration(s.rng.Int64N(int64(s.net.jitter)))
		}
		s.push(simEvent{at: s.now + d, node: to, life: to.lives, data: data})
	}
}

// turn reads one packet, as a shell with two sockets does.
func (n *simNode) turn() {
	if n.paused || !n.up() || n.busy || len(n.data)+len(n.tokens) == 0 {
		return
	}
	n.busy = true
	n.sim.push(simEvent{at: n.sim.now + n.processes, node: n, life: n.lives})
}

func (n *simNode) read() {
	n.busy = false
	if n.paused {
		return
	}
	queue := &n.data
	if len(n.data) == 0 || len(n.tokens) > 0 && n.m.PreferToken() {
		queue = &n.tokens
	}
	p := (*queue)[0]
	*queue = (*queue)[1:]
	n.m.Receive(n.sim.now, p, &n.fx)
	n.flush()
	n.turn() // unless it has left
}

// step does the next thing; it says false when there is nothing before end.
func (s *sim) step(end time.Duration) bool {
	var waker *simNode
	for _, n := range s.nodes {
		if n.up() && !n.paused && n.wake != never && (waker == nil || n.wake < waker.wake) {
			waker = n
		}
	}
	if waker != nil && (len(s.events) == 0 || waker.wake <= s.events[0].at) {
		if waker.wake > end {
			return false
		}
		s.now = max(s.now, waker.wake)
		waker.m.Wake(s.now, &waker.fx)
		waker.flush()
		return true
	}
	if len(s.events) == 0 || s.events[0].at > end {
		return false
	}
	e := s.events.pop()
	s.now = e.at
	switch {
	case e.do != nil:
		e.do()
	case !e.node.up() || e.life != e.node.lives && e.data == nil:
	case e.data == nil:
		e.node.read()
	default:
		socket := &e.node.data
		if IsToken(e.data) {
			socket = &e.node.tokens
		}
		if len(*socket) < socketPackets {
			*socket = append(*socket, e.data)
			e.node.turn()
		}
	}
	return true
}

func (s *sim) fail(format string, args ...any) {
	if s.fault == "" {
		s.fault = fmt.Sprintf("at %v: ", s.now) + fmt.Sprintf(format, args...)
	}
}

// run goes on until done says so, or until the time is over.
func (s *sim) run(limit time.Duration, done func() bool) bool {
	end := s.now + limit
	next := s.now
	every := time.Millisecond
	if limit < 100*time.Millisecond {
		every = 0
	}
	for s.fault == "" {
		if s.now >= next {
			if done != nil && done() {
				return true
			}
			next = s.now + every
		}
		if !s.step(end) {
			s.now = end
			break
		}
	}
	return done != nil && done()
}

// record writes an event into the life's log and checks what can be checked at
// once.
func (n *simNode) record(e *Event) {
	s, l := n.sim, n.life
	if s.trace != nil {
		s.traceEvent(n, e)
	}
	if s.unchecked {
		return
	}
	entry := logEntry{kind: e.Kind, service: e.Service, pos: e.Pos, view: e.View}
	if v := l.view(); v != nil {
		entry.ring = v.ID
	}
	if len(l.log) > 0 && e.Kind != Installed {
		last := &l.log[len(l.log)-1]
		entry.late = last.kind == Transitional || last.late
	}
	switch e.Kind {
	case Deliver, Arrive:
		f, err := decodeSimFrame(e.Frame)
		if err != nil {
			s.fail("node %v: %v", n.id, err)
		}
		if f.key.node != e.From || f.service != e.Service {
			s.fail("node %v: frame %v came as from %v with %v", n.id, f.key, e.From, e.Service)
		}
		entry.key = f.key
		if f.ring == entry.ring.Counter {
			entry.after = f.after
		}
		if e.Kind == Deliver {
			l.delivered++
		}
	case Installed:
		l.views = append(l.views, e.View)
		l.delivered = 0
		entry.ring, entry.at = e.View.ID, s.now
	case Stable:
		for _, other := range s.nodes {
			if r := other.ringOf(entry.ring); r != nil && r.aru < e.Pos.Seq && other != n {
				s.fail("node %v: %v is stable, but node %v holds only up to %d", n.id, e.Pos, other.id, r.aru)
			}
		}
	}
	l.log = append(l.log, entry)
}

// ringOf returns what a running node keeps of that ring.
func (n *simNode) ringOf(id ID) *ring {
	switch {
	case n.up() && n.m.ring.id == id:
		return n.m.ring
	case n.up() && n.m.state == Recovery && n.m.next.id == id:
		return n.m.next
	}
	return nil
}

func (l *life) view() *View {
	if len(l.views) == 0 {
		return nil
	}
	return l.views[len(l.views)-1]
}

// settled says whether all running nodes are in one ring of just them, with
// nothing left to do.
func (s *sim) settled() bool {
	var id ID
	running := 0
	for _, n := range s.nodes {
		if n.up() {
			running++
		}
	}
	for _, n := range s.nodes {
		if !n.up() {
			continue
		}
		r := n.m.ring
		if n.m.state != Operational || len(r.members) != running || n.paused || len(n.source.queue) > 0 || !n.m.out.empty() ||
			r.delivered != r.high || r.stable != r.high {
			return false
		}
		if id == (ID{}) {
			id = r.id
		}
		if id != r.id {
			return false
		}
	}
	return true
}
