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
	if !s.run(limit, done) {
		t.Fatalf("%s: not within %v\n%s%s", what, limit, s.fault, s.describe())
	}
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
