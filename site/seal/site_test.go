package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A testSite is the ring's machines of a site in virtual time, on a network that carries
// sealed packets only.
type testSite struct {
	t       *testing.T
	now     time.Duration
	random  *rand.ChaCha8
	ids     []membership.NodeID
	nodes   map[membership.NodeID]*testNode
	air     []flying
	sealed  bool
	cut     func(from, to membership.NodeID) bool
	heard   [][]byte // every sealed packet, for whoever listens
	counted map[usedNonce]bool
	lives   uint64
	faults  map[Fault]int
}

type flying struct {
	at   time.Duration
	from membership.NodeID
	to   membership.NodeID
	data []byte
}

type testNode struct {
	id        membership.NodeID
	m         *ring.Machine
	keys      *Keyring
	work      Work
	queue     []ring.Frame
	view      *ring.View
	delivered []string
	fx        ring.Effects
}

func (n *testNode) Backlog() int {
	total := 0
	for _, f := range n.queue {
		total += len(f.Data)
	}
	return total
}

func (n *testNode) Next(time.Duration, int) (ring.Frame, bool) {
	if len(n.queue) == 0 {
		return ring.Frame{}, false
	}
	f := n.queue[0]
	n.queue = n.queue[1:]
	return f, true
}

const hop = 100 * time.Microsecond

func newSite(t *testing.T, n int, sealed bool) *testSite {
	s := &testSite{
		t: t, sealed: sealed, nodes: map[membership.NodeID]*testNode{}, random: rand.NewChaCha8([32]byte{1}),
		counted: map[usedNonce]bool{}, faults: map[Fault]int{},
	}
	for i := range n {
		s.ids = append(s.ids, membership.NodeID(i+1))
	}
	for _, id := range s.ids {
		s.start(id)
	}
	for _, a := range s.ids {
		for _, b := range s.ids {
			s.introduce(a, b)
		}
	}
	for _, id := range s.ids {
		s.begin(id)
	}
	return s
}

// start begins a life of a node: with new keys, which nobody knows yet.
func (s *testSite) start(id membership.NodeID) *testNode {
	n := &testNode{id: id}
	var err error
	if n.keys, err = NewKeyring(id, s.ids, s.random); err != nil {
		s.t.Fatal(err)
	}
	s.lives++
	n.m = ring.New(ring.Config{
		Self: id, Members: s.ids, Incarnation: 1e18 + s.lives, Label: 7, MaxPacket: 1400, Timing: ring.DefaultTiming(len(s.ids)),
	}, n)
	s.nodes[id] = n
	return n
}

// begin lets a node look for the others.
func (s *testSite) begin(id membership.NodeID) {
	n := s.nodes[id]
	n.m.Start(s.now, &n.fx)
	s.carry(n)
}

// introduce does what site/keys does: b learns a's share.
func (s *testSite) introduce(a, b membership.NodeID) {
	if share, ok := s.nodes[a].keys.ShareFor(b); ok {
		s.nodes[b].keys.Learn(a, &share)
	}
}

func (s *testSite) carry(n *testNode) {
	for _, p := range n.fx.Send {
		data := p.Data
		if s.sealed {
			out, err := n.keys.Next(p)
			if err != nil {
				continue
			}
			data = out.Seal(nil, &n.work)
			s.once(&out)
			s.heard = append(s.heard, data)
		}
		for _, id := range s.ids {
			if id != n.id && (p.To == 0 || p.To == id) && (s.cut == nil || !s.cut(n.id, id)) {
				s.air = append(s.air, flying{s.now + hop, n.id, id, data})
			}
		}
	}
	for _, e := range n.fx.Events {
		switch e.Kind {
		case ring.Installed:
			n.view = e.View
			n.keys.Installed(e.View.ID)
		case ring.Deliver:
			n.delivered = append(n.delivered, string(e.Frame))
		}
	}
	n.fx.Reset()
}

// A usedNonce is one use of a key. It has the key itself: the memory of one that was forgotten
// would soon be another's.
type usedNonce struct {
	key     cipher.AEAD
	sender  membership.NodeID
	counter uint64
}

// once holds K1: no nonce twice under a key.
func (s *testSite) once(out *Outgoing) {
	use := usedNonce{out.key.aead, out.header.sender, out.header.counter}
	if s.counted[use] {
		s.t.Fatalf("nonce used twice: %+v", out.header)
	}
	s.counted[use] = true
}

// receive gives a node what came from the air.
func (s *testSite) receive(n *testNode, data []byte) Fault {
	if s.sealed {
		in, fault := n.keys.Find(data)
		if fault != None {
			s.faults[fault]++
			return fault
		}
		plain, ok := in.Open(nil, data, &n.work)
		if !ok {
			s.faults[Forged]++
			return Forged
		}
		if data, fault = n.keys.Accept(&in, plain); fault != None {
			s.faults[fault]++
			return fault
		}
	}
	n.m.Receive(s.now, data, &n.fx)
	s.carry(n)
	return None
}

// run lets time pass until the condition holds, and says whether it did.
func (s *testSite) run(patience time.Duration, done func() bool) bool {
	end := s.now + patience
	for !done() {
		if s.now >= end {
			return false
		}
		next := end
		for i := range s.air {
			next = min(next, s.air[i].at)
		}
		for _, n := range s.nodes {
			if d, ok := n.m.Deadline(); ok {
				next = min(next, max(d, s.now))
			}
		}
		s.now = next
		if i := slices.IndexFunc(s.air, func(f flying) bool { return f.at <= s.now }); i >= 0 {
			f := s.air[i]
			s.air = slices.Delete(s.air, i, i+1)
			if n := s.nodes[f.to]; n != nil {
				s.receive(n, f.data)
			}
			continue
		}
		for _, id := range s.ids {
			n := s.nodes[id]
			if n == nil {
				continue
			}
			if d, ok := n.m.Deadline(); ok && d <= s.now {
				n.m.Wake(s.now, &n.fx)
				s.carry(n)
			}
		}
	}
	return true
}

// together says whether the nodes are in one ring of just them.
func (s *testSite) together(ids ...membership.NodeID) func() bool {
	return func() bool {
		for _, id := range ids {
			n := s.nodes[id]
			if n.m.Status().State != ring.Operational || n.view == nil || !slices.Equal(n.view.Members, ids) || n.view.ID != s.nodes[ids[0]].view.ID {
				return false
			}
		}
		return true
	}
}

func (s *testSite) mustRun(patience time.Duration, what string, done func() bool) {
	s.t.Helper()
	if !s.run(patience, done) {
		for _, id := range s.ids {
			if n := s.nodes[id]; n != nil {
				s.t.Logf("node %v: %+v, view %+v", id, n.m.Status(), n.view)
			}
		}
		s.t.Fatalf("not within %v: %s; faults %v", patience, what, s.faults)
	}
}

func (s *testSite) say(id membership.NodeID, text string) {
	n := s.nodes[id]
	n.queue = append(n.queue, ring.Frame{Stream: 1, Service: membership.Agreed, Data: []byte(text)})
	n.m.Kick(s.now, &n.fx)
	s.carry(n)
}

func (s *testSite) delivered(text string, ids ...membership.NodeID) func() bool {
	return func() bool {
		return !slices.ContainsFunc(ids, func(id membership.NodeID) bool { return !slices.Contains(s.nodes[id].delivered, text) })
	}
}

// TestSealingCostsNoRound forms the same rings with and without seals: at the same time,
// to the nanosecond, because the key comes with the commit token.
func TestSealingCostsNoRound(t *testing.T) {
	var formed [2]time.Duration
	var packets [2]int
	for i, sealed := range []bool{false, true} {
		s := newSite(t, 5, sealed)
		s.mustRun(2*time.Second, "a ring of five", s.together(s.ids...))
		formed[i] = s.now
		s.say(3, "hello")
		s.mustRun(time.Second, "hello everywhere", s.delivered("hello", s.ids...))
		if formed[i] == 0 || len(s.faults) > 0 {
			t.Errorf("sealed %v: formed after %v, faults %v", sealed, formed[i], s.faults)
		}
		packets[i] = len(s.heard)
	}
	if formed[0] != formed[1] {
		t.Errorf("a ring takes %v without seals and %v with them", formed[0], formed[1])
	}
	if packets[1] == 0 {
		t.Error("nothing was sealed")
	}
}

// TestOldKeysOpenNothing lets a node be cut off: what the others say afterwards it
// cannot open, and each ring has a key of its own.
func TestOldKeysOpenNothing(t *testing.T) {
	s := newSite(t, 3, true)
	s.mustRun(2*time.Second, "a ring of three", s.together(1, 2, 3))
	s.cut = func(from, to membership.NodeID) bool { return from == 3 || to == 3 }
	gone := s.nodes[3]
	keys := gone.keys // with all it knows now
	s.mustRun(3*time.Second, "a ring of two", s.together(1, 2))
	s.heard = nil
	s.say(1, "not for 3")
	s.mustRun(time.Second, "delivered", s.delivered("not for 3", 1, 2))
	for _, packet := range s.heard {
		in, fault := keys.Find(packet)
		if fault == None && in.view != nil {
			t.Fatalf("a node that left has the key of a packet of the next ring: %+v", in.header)
		}
	}
	for _, id := range []membership.NodeID{1, 2} {
		if n := len(s.nodes[id].keys.views); n != 1 {
			t.Errorf("node %v keeps the keys of %d rings", id, n)
		}
	}
	// And they come together again, with keys that they know.
	s.cut = nil
	s.mustRun(10*time.Second, "three again", s.together(1, 2, 3))
}

// TestRestartUnderTheSameName starts a node again 10 ms after it died: it gets into a new
// ring as soon as it was introduced, and no nonce comes twice (testSite.once).
func TestRestartUnderTheSameName(t *testing.T) {
	for _, victim := range []membership.NodeID{1, 2, 3} {
		s := newSite(t, 3, true)
		s.mustRun(2*time.Second, "a ring of three", s.together(1, 2, 3))
		before := s.heard
		s.heard = nil
		delete(s.nodes, victim)
		s.run(10*time.Millisecond, func() bool { return false })
		s.start(victim)
		for _, id := range s.ids {
			s.introduce(victim, id)
			s.introduce(id, victim)
		}
		s.begin(victim)
		// Whatever its former life was sent, or sent itself, is of no use to anybody.
		for _, packet := range before {
			for _, id := range s.ids {
				if fault := s.receive(s.nodes[id], packet); fault == None {
					h, _ := parseHeader(packet)
					t.Fatalf("node %v took a packet of before the restart of %v: %+v", id, victim, h)
				}
			}
		}
		s.mustRun(2*time.Second, "three again", s.together(1, 2, 3))
		s.say(victim, "back")
		s.mustRun(time.Second, "delivered", s.delivered("back", 1, 2, 3))
	}
}

// TestIslandsMerge has two pairs that know nothing of each other, each with a ring of its
// own, and then introduces them.
func TestIslandsMerge(t *testing.T) {
	s := newSite(t, 4, true)
	for id := range s.nodes {
		for other := range s.nodes {
			if (id <= 2) != (other <= 2) {
				if err := s.nodes[id].keys.Forget(other); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, n := range s.nodes {
		if err := n.keys.Rotate(); err != nil {
			t.Fatal(err)
		}
		n.keys.Switch()
	}
	for _, pair := range [][2]membership.NodeID{{1, 2}, {3, 4}} {
		s.introduce(pair[0], pair[1])
		s.introduce(pair[1], pair[0])
	}
	s.mustRun(3*time.Second, "two rings", func() bool { return s.together(1, 2)() && s.together(3, 4)() })
	if s.faults[UnknownKey] == 0 {
		t.Error("no packet under an unknown key: who would introduce the islands?")
	}
	for _, a := range s.ids {
		for _, b := range s.ids {
			s.introduce(a, b)
		}
	}
	s.mustRun(5*time.Second, "one ring", s.together(1, 2, 3, 4))
}

// TestForgottenNodeIsOut forgets a node everywhere, as after its certificate was revoked:
// the others form a ring without it, though it goes on as before.
func TestForgottenNodeIsOut(t *testing.T) {
	s := newSite(t, 3, true)
	s.mustRun(2*time.Second, "a ring of three", s.together(1, 2, 3))
	for _, id := range []membership.NodeID{1, 3} {
		if err := s.nodes[id].keys.Forget(2); err != nil {
			t.Fatal(err)
		}
		if err := s.nodes[id].keys.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	s.introduce(1, 3)
	s.introduce(3, 1)
	s.nodes[1].keys.Switch()
	s.nodes[3].keys.Switch()
	began := s.now
	s.mustRun(3*time.Second, "a ring without the forgotten", s.together(1, 3))
	t.Logf("out after %v", s.now-began)
	revoked := s.nodes[2].keys
	s.heard = nil
	s.say(1, "among ourselves")
	s.mustRun(time.Second, "delivered", s.delivered("among ourselves", 1, 3))
	s.run(2*time.Second, func() bool { return false })
	for _, packet := range s.heard {
		h, _ := parseHeader(packet)
		if _, fault := revoked.Find(packet); fault == None && h.sender != 2 {
			t.Fatalf("the revoked node has the key of %+v", h)
		}
	}
	if !s.together(1, 3)() {
		t.Error("the forgotten node broke the ring")
	}
}

// TestHostileNetwork replays, changes, cuts and invents packets all the time while three
// nodes form rings and talk: nothing comes of it.
func TestHostileNetwork(t *testing.T) {
	s := newSite(t, 3, true)
	random := rand.New(rand.NewPCG(1, 2))
	hostile := func() {
		if len(s.heard) == 0 {
			return
		}
		packet := slices.Clone(s.heard[random.IntN(len(s.heard))])
		to := s.nodes[s.ids[random.IntN(len(s.ids))]]
		switch random.IntN(6) {
		case 0: // as it was: who has had it does not take it again
		case 1:
			packet[random.IntN(len(packet))] ^= 1 << random.IntN(8)
		case 2:
			packet = packet[:random.IntN(len(packet))]
		case 3:
			packet = append(packet, byte(random.Uint32()))
		case 4:
			for i := HeaderBytes; i < len(packet); i++ {
				packet[i] = byte(random.Uint32())
			}
		case 5: // the counter of another day
			binary.LittleEndian.PutUint64(packet[12:], random.Uint64())
		}
		before := to.m.Status()
		if s.receive(to, packet) == None && !slices.ContainsFunc(s.heard, func(b []byte) bool { return string(b) == string(packet) }) {
			t.Fatalf("a packet that nobody sealed was handed up")
		}
		if after := to.m.Status(); after.Installed != before.Installed {
			t.Fatal("a view changed")
		}
	}
	s.run(2*time.Second, func() bool {
		hostile()
		return s.together(1, 2, 3)()
	})
	if !s.together(1, 2, 3)() {
		t.Fatal("no ring")
	}
	installed := s.nodes[1].m.Status().Installed
	for i := range 200 {
		s.say(s.ids[i%3], fmt.Sprint("text ", i))
		s.run(3*time.Millisecond, func() bool { hostile(); return false })
	}
	s.mustRun(time.Second, "all texts", s.delivered("text 199", 1, 2, 3))
	for _, id := range s.ids {
		n := s.nodes[id]
		if len(n.delivered) != 200 || n.m.Status().Installed != installed {
			t.Errorf("node %v delivered %d texts of 200, views %d before and %d after", id, len(n.delivered), installed, n.m.Status().Installed)
		}
	}
	t.Logf("faults %v", s.faults)
	for _, f := range []Fault{Forged, Malformed, UnknownKey} {
		if s.faults[f] == 0 {
			t.Errorf("no fault %d among %v", f, s.faults)
		}
	}
}
