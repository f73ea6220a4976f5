package ring

import (
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// ready starts a site and waits for one quiet ring of all.
func ready(t *testing.T, nodes int) *sim {
	t.Helper()
	s := newSim(1, nodes)
	s.startAll()
	s.must(t, time.Second, "one ring of all nodes", s.settled)
	return s
}

func (s *sim) must(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	from := s.now
	if !s.run(limit, done) {
		t.Fatalf("%s: not within %v\n%s%s", what, limit, s.fault, s.describe())
	}
	t.Logf("%s after %v", what, s.now-from)
}

func (s *sim) verify(t *testing.T) {
	t.Helper()
	if err := s.check(s.settled()); err != nil {
		t.Error(err)
	}
}

func (s *sim) cut(a, b *simNode) {
	s.net.blocked[[2]membership.NodeID{a.id, b.id}] = true
	s.net.blocked[[2]membership.NodeID{b.id, a.id}] = true
}

func (n *simNode) installed() uint64 { return n.m.Status().Installed }

func TestAloneIsServedSoon(t *testing.T) {
	s := newSim(1, 1)
	s.startAll()
	s.nodes[0].submit(1, membership.Safe, 100)
	s.nodes[0].submit(2, membership.Reliable, 5_000_000)
	s.must(t, 150*time.Millisecond, "a ring of one", func() bool { return s.settled() && len(s.lives[0].log) == 4 })
	s.verify(t)
	before := s.net.packets
	s.run(10*time.Second, nil)
	if n := s.net.packets - before; n > 0 {
		t.Errorf("%d packets to nobody", n)
	}
}

func TestManyStartAtOnce(t *testing.T) {
	s := ready(t, 12)
	for _, n := range s.nodes {
		if got := n.installed(); got != 1 {
			t.Errorf("node %v installed %d views", n.id, got)
		}
	}
}

func TestOneAfterTheOther(t *testing.T) {
	s := newSim(1, 4)
	for i, n := range s.nodes {
		n.start()
		s.must(t, 400*time.Millisecond, "in the ring", func() bool {
			return s.settled() && len(s.nodes[0].m.ring.members) == i+1
		})
	}
	s.verify(t)
}

func TestCrashIsNoticedInTime(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for victim := range 3 {
			s := ready(t, 3)
			if busy {
				for _, n := range s.nodes {
					for range 500 {
						n.submit(1, membership.Agreed, 700)
					}
				}
				s.run(500*time.Microsecond, nil)
			}
			s.nodes[victim].crash()
			s.must(t, 500*time.Millisecond, "a ring without the crashed node", s.settled)
			s.verify(t)
		}
	}
}

func TestHealedPartitionMergesInASecond(t *testing.T) {
	s := ready(t, 4)
	s.sides("0110")
	s.must(t, 500*time.Millisecond, "two rings", func() bool {
		return !slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.m.state != Operational || len(n.m.ring.members) != 2 })
	})
	s.run(5*time.Second, nil)
	clear(s.net.blocked)
	s.must(t, 1200*time.Millisecond, "one ring again", s.settled)
	s.verify(t)
}

func TestTwoRingsMergeWhileAThirdAppears(t *testing.T) {
	s := newSim(1, 5)
	s.sides("00011")
	s.cut(s.nodes[4], s.nodes[0])
	s.cut(s.nodes[4], s.nodes[2])
	s.cut(s.nodes[4], s.nodes[3])
	s.cut(s.nodes[4], s.nodes[1])
	for _, n := range s.nodes[:4] {
		n.start()
	}
	s.run(2*time.Second, nil)
	clear(s.net.blocked)
	s.at(700*time.Millisecond, s.nodes[4].start)
	s.must(t, 3*time.Second, "one ring of five", func() bool { return s.nodes[4].up() && s.settled() })
	s.verify(t)
}

func TestRestartUnderTheSameName(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		s := ready(t, 3)
		for _, n := range s.nodes {
			n.submit(1, membership.Safe, 100)
		}
		s.run(300*time.Microsecond, nil)
		s.nodes[1].crash()
		s.run(pause+1, nil)
		s.nodes[1].start()
		s.must(t, 400*time.Millisecond, "the new life is in the ring", s.settled)
		if v := s.nodes[0].life.view(); slices.Contains(v.Together, s.nodes[1].id) {
			t.Errorf("the new life counts as one that came along: %+v", v)
		}
		s.verify(t)
	}
}

func TestStoppedForTenSeconds(t *testing.T) {
	s := ready(t, 3)
	s.nodes[0].pause()
	s.must(t, 500*time.Millisecond, "a ring without the stopped node", func() bool { return len(s.nodes[1].m.ring.members) == 2 })
	s.at(4*time.Second, func() { s.nodes[1].submit(1, membership.Safe, 100) })
	s.run(10*time.Second, nil)
	s.nodes[0].resume()
	s.must(t, 2*time.Second, "one ring again", s.settled)
	s.verify(t)
	if n := s.nodes[0].m.Status().Naps; n == 0 {
		t.Error("the stopped node did not notice")
	}
}

func TestLostTokenIsSentAgain(t *testing.T) {
	s := ready(t, 3)
	lost := 0
	s.net.drop = func(_ membership.NodeID, _ *simNode, data []byte) bool {
		if IsToken(data) && lost == 0 {
			lost++
			return true
		}
		return false
	}
	s.nodes[1].submit(1, membership.Agreed, 100)
	s.must(t, 150*time.Millisecond, "settled in spite of a lost token", func() bool { return lost == 1 && s.settled() })
	for _, n := range s.nodes {
		if n.installed() != 1 {
			t.Errorf("node %v changed its view", n.id)
		}
	}
	s.verify(t)
}

// A token with the only copy of a retransmission request gets lost.
func TestLostRequest(t *testing.T) {
	s := ready(t, 3)
	data, requests := 0, 0
	s.net.drop = func(_ membership.NodeID, to *simNode, b []byte) bool {
		switch kind(b[2]) {
		case kindData:
			data++
			return data == 1 // one copy of the first packet
		case kindToken:
			var tok token
			if decodeToken(b, &tok) == nil && len(tok.missing) > 0 {
				requests++
				return requests == 1
			}
		}
		return false
	}
	s.nodes[2].submit(1, membership.Agreed, 100)
	s.must(t, 200*time.Millisecond, "settled", func() bool { return requests > 0 && s.settled() })
	s.verify(t)
}

func TestIdleRingRestsAndWakesAtOnce(t *testing.T) {
	s := ready(t, 3)
	s.must(t, 200*time.Millisecond, "at rest", s.resting)
	before := s.net.packets
	s.run(10*time.Second, nil)
	if perSecond := (s.net.packets - before) / 10; perSecond > 250 {
		t.Errorf("an idle ring sends %d packets a second", perSecond)
	}
	for _, n := range s.nodes {
		s.must(t, 200*time.Millisecond, "at rest", s.resting)
		from := s.now
		n.submit(1, membership.Agreed, 100)
		seq := n.m.ring.high + 1
		if n.m.ring.me == 0 {
			seq = n.m.ring.high
		}
		s.must(t, 2*time.Millisecond, "stable everywhere, a hop taking 0.13 ms", func() bool {
			return !slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.m.ring.stable < seq })
		})
		if d := s.now - from; d > 2*time.Millisecond {
			t.Errorf("took %v", d)
		}
	}
	s.verify(t)
}

// A node cannot hear one other: no ring with both is possible, but the rest must
// not be torn down time and again.
func TestOneWayLossDoesNotSpin(t *testing.T) {
	s := ready(t, 3)
	s.net.blocked[[2]membership.NodeID{s.nodes[0].id, s.nodes[1].id}] = true
	s.run(60*time.Second, nil)
	for _, n := range s.nodes {
		if got := n.installed(); got > 40 {
			t.Errorf("node %v installed %d views in a minute", n.id, got)
		}
		t.Logf("node %v installed %d views, gathered %d times", n.id, n.installed(), n.m.Status().Gathers)
	}
	clear(s.net.blocked)
	s.must(t, 32*time.Second, "one ring again", s.settled)
	s.verify(t)
}

// One node receives no data of another although tokens come through.
func TestSlowestReceiverIsAskedToLeave(t *testing.T) {
	s := ready(t, 3)
	s.net.drop = func(_ membership.NodeID, to *simNode, b []byte) bool {
		return to == s.nodes[2] && kind(b[2]) == kindData
	}
	s.nodes[0].submit(1, membership.Safe, 100)
	s.must(t, time.Second, "delivered by the rest", func() bool {
		return s.nodes[0].m.state == Operational && len(s.nodes[0].m.ring.members) == 2 && s.nodes[1].m.Status().FramesDelivered == 1
	})
	s.net.drop = nil
	s.must(t, 10*time.Second, "one ring again", s.settled)
	s.verify(t)
}

func TestJoinsThatBreakNothing(t *testing.T) {
	s := ready(t, 3)
	m := s.nodes[0].m
	ringID := m.ring.id
	forge := func(from int, change func(f *Machine)) []byte {
		f := *s.nodes[from].m
		f.state = Gather
		f.gather = gathering{proc: m.setOf(m.ring.members)}
		change(&f)
		var fx Effects
		f.sendJoin(s.now, &fx)
		return fx.Send[0].Data
	}
	for name, p := range map[string][]byte{
		"lists this node as failed": forge(1, func(f *Machine) { f.attempt++; f.gather.fail.add(m.self) }),
		"from before the ring":      forge(1, func(f *Machine) { f.attempt++; f.highest = ringID.Counter - 1 }),
		"repeated":                  forge(1, func(f *Machine) {}),
		"earlier attempt":           forge(2, func(f *Machine) { f.attempt-- }),
		"older incarnation":         forge(2, func(f *Machine) { f.attempt++; f.cfg.Incarnation-- }),
		"other federation":          forge(2, func(f *Machine) { f.attempt++; f.cfg.Label++ }),
		"stranger":                  forge(2, func(f *Machine) { f.attempt++; f.cfg.Self = 99 }),
	} {
		var fx Effects
		m.Receive(s.now, p, &fx)
		if m.state != Operational || m.ring.id != ringID {
			t.Errorf("a join that is %s broke the ring", name)
		}
	}
	var fx Effects
	m.Receive(s.now, forge(1, func(f *Machine) { f.attempt += 2 }), &fx)
	if m.state != Gather {
		t.Error("a good join was not heeded")
	}
}

// Everything of a failed recovery binds its members: node 0 installs the ring
// and hands up a safe frame beyond a gap; the others, who fail to install it,
// must hand it up too, though its sender does not come along with them.
func TestObligation(t *testing.T) {
	s := ready(t, 4)
	s.must(t, time.Second, "at rest", s.resting)
	a, d := s.nodes[0], s.nodes[3]
	s.net.drop = func(from membership.NodeID, to *simNode, b []byte) bool {
		return from == d.id && kind(b[2]) == kindData
	}
	d.submit(1, membership.Agreed, 50)
	s.must(t, 5*time.Millisecond, "d has numbered its packet", func() bool { return d.m.ring.high == 1 })
	a.submit(1, membership.Safe, 60)
	s.must(t, 5*time.Millisecond, "all have a's packet", func() bool { return s.nodes[2].m.ring.holds(2) && s.nodes[1].m.ring.holds(2) })
	d.crash()
	s.net.drop = func(from membership.NodeID, to *simNode, b []byte) bool {
		return a.installed() > 1 && (from == a.id || to == a)
	}
	s.must(t, time.Second, "b and c in a ring of two", func() bool {
		return s.nodes[1].m.state == Operational && len(s.nodes[1].m.ring.members) == 2 && s.nodes[2].m.state == Operational
	})
	key := frameKey{a.id, a.life.incarnation, 1, 1}
	if first := s.nodes[1].life.views[1]; first.ID == a.life.views[1].ID {
		t.Fatal("b has installed a's ring: the scene is not the one meant")
	}
	for _, n := range s.nodes[:3] {
		if !slices.ContainsFunc(n.life.log, func(e logEntry) bool { return e.kind == Deliver && e.key == key }) {
			t.Errorf("node %v did not hand up the safe frame", n.id)
		}
	}
	s.net.drop = nil
	d.start()
	s.must(t, 3*time.Second, "one ring again", s.settled)
	s.verify(t)
}

// Small frames do not wait for the whole of a large one.
func TestLargeFramesAreInterleaved(t *testing.T) {
	s := ready(t, 2)
	n := s.nodes[0]
	n.submit(1, membership.Agreed, 20_000_000)
	n.submit(1, membership.Agreed, 100) // behind it, same stream
	n.submit(2, membership.Agreed, 100)
	s.must(t, 5*time.Millisecond, "the other stream's frame", func() bool { return s.nodes[1].m.Status().FramesDelivered == 1 })
	s.must(t, 10*time.Second, "all", s.settled)
	s.verify(t)
}

// orderOf tells data from token in what a visit sends.
func orderOf(fx *Effects) (before, after int) {
	token := false
	for _, p := range fx.Send {
		switch {
		case IsToken(p.Data):
			token = true
		case token:
			after++
		default:
			before++
		}
	}
	return before, after
}

func TestAcceleratedWindow(t *testing.T) {
	for _, c := range []struct{ frames, before, after int }{
		{1, 1, 0}, {promptPackets, promptPackets, 0}, {12, 0, 12}, {30, 10, 20}, {500, 24, 20},
	} {
		s := ready(t, 2)
		s.must(t, time.Second, "at rest", s.resting)
		n := s.nodes[0]
		for i := range c.frames {
			n.source.queue = append(n.source.queue, simFrame{key: frameKey{n.id, n.life.incarnation, 1, uint32(i)}, service: membership.Agreed, size: 1000})
			n.source.bytes += 1000
		}
		var fx Effects
		n.m.Kick(s.now, &fx)
		if before, after := orderOf(&fx); before != c.before || after != c.after {
			t.Errorf("%d frames: %d packets before the token and %d after, want %d and %d", c.frames, before, after, c.before, c.after)
		}
		for _, p := range fx.Send {
			if len(p.Data) > s.config.MaxPacket {
				t.Errorf("packet of %d bytes", len(p.Data))
			}
		}
		if c.after == 0 {
			continue
		}
		// The successor reads the token first once it sees what follows it.
		successor, sink := s.nodes[1].m, Effects{}
		for i, p := range fx.Send {
			if IsToken(p.Data) {
				if successor.PreferToken() {
					t.Error("prefers the token before a packet that follows it has come")
				}
				successor.Receive(s.now, fx.Send[i+1].Data, &sink)
				if !successor.PreferToken() {
					t.Error("does not prefer a token that must be there")
				}
				successor.Receive(s.now, p.Data, &sink)
				if successor.PreferToken() {
					t.Error("prefers the token after having read it")
				}
				break
			}
			successor.Receive(s.now, p.Data, &sink)
		}
	}
}

func TestFlowControl(t *testing.T) {
	s := ready(t, 3)
	m := s.nodes[0].m
	s.nodes[0].source.bytes = 1 << 20
	mine := int(m.backlog())
	r := m.ring
	for _, c := range []struct {
		name string
		tok  token
		want int
	}{
		{"nobody sends", token{}, 44},
		{"the others use the global window", token{fcc: 170}, 34},
		{"the rotation is full", token{fcc: 400}, 0},
		{"others have much more waiting", token{backlog: uint32(mine * 9)}, 16},
		{"others have endless work", token{backlog: 1 << 24}, 1},
		{"far beyond the stable line", token{seq: r.stable + MaxOutstanding - 5}, 5},
		{"too far beyond the stable line", token{seq: r.stable + MaxOutstanding}, 0},
	} {
		if got := m.allowance(r, &c.tok); got != c.want {
			t.Errorf("%s: %d packets, want %d", c.name, got, c.want)
		}
	}
}

func TestConfigIsCheckedAndRepaired(t *testing.T) {
	good := Config{Self: 1, Members: []membership.NodeID{1, 2}, Incarnation: 5, MaxPacket: 1400, Windows: DefaultWindows(), Timing: DefaultTiming(2)}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	var empty Config
	if err := empty.Validate(); err == nil {
		t.Error("an empty configuration passes")
	}
	if err := empty.repaired().Validate(); err == nil {
		t.Error("node 0 passes")
	}
	many := good
	many.Members = nil
	for i := range 300 {
		many.Members = append(many.Members, membership.NodeID(i+2))
	}
	if err := many.repaired().Validate(); err != nil {
		t.Error(err)
	}
}
