package ring

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// samples gathers packets of every kind from a busy little site.
func samples() [][]byte {
	s := newSim(3, 3)
	s.net.loss = 0.05
	var out [][]byte
	seen := map[kind]int{}
	s.net.drop = func(_ membership.NodeID, _ *simNode, data []byte) bool {
		if k := kind(data[2]); seen[k] < 6 {
			seen[k]++
			out = append(out, data)
		}
		return false
	}
	s.startAll()
	s.at(200*time.Millisecond, func() {
		for _, n := range s.nodes {
			n.submit(1, membership.Safe, 80)
			n.submit(2, membership.Reliable, 90)
			n.submit(3, membership.Agreed, 3000)
		}
	})
	s.at(201*time.Millisecond, s.nodes[2].crash)
	s.at(1400*time.Millisecond, s.nodes[1].leave)
	s.run(1500*time.Millisecond, nil)
	return out
}

// FuzzReceive gives an operational machine whatever comes: as it is, and dressed
// as a packet of a neighbour's. Nothing may make it panic or break its invariants,
// and what does not parse changes nothing.
func FuzzReceive(f *testing.F) {
	for _, p := range samples() {
		f.Add(p, uint8(0))
		f.Add(p, p[2])
	}
	f.Fuzz(func(t *testing.T, data []byte, dress uint8) {
		s := newSim(3, 3)
		s.startAll()
		s.run(time.Second, s.settled)
		n := s.nodes[1]
		m := n.m
		id := m.ring.id
		if dress > 0 && len(data) >= ringBytes {
			data = bytes.Clone(data)
			neighbour := s.nodes[dress%3].m
			head := appendID(neighbour.appendHeader(nil, kind(dress%uint8(kindEnd)), data[3]), id)
			copy(data, head)
		}
		_, parses := parseHeader(data)
		for range 3 {
			m.Receive(s.now, bytes.Clone(data), &n.fx)
			n.checkInvariants(t)
			n.fx.Reset()
		}
		if !parses && (m.state != Operational || m.ring.id != id) {
			t.Fatal("garbage changed an operational ring")
		}
		for range 200 {
			if d, ok := m.Deadline(); ok {
				s.now = max(s.now, d)
			}
			m.Wake(s.now, &n.fx)
			m.Kick(s.now, &n.fx)
			n.checkInvariants(t)
			n.fx.Reset()
		}
		if m.state != Operational {
			t.Fatalf("does not come to rest: %+v", m.Status())
		}
	})
}

// checkInvariants checks R1, W1, W3, M2 and that there is always something to
// wait for.
func (n *simNode) checkInvariants(t *testing.T) {
	t.Helper()
	m := n.m
	for _, r := range []*ring{m.ring, m.next} {
		if r.base > r.aru || r.aru > r.high || r.high > r.base+windowSlots || r.delivered > r.high || m.state == Operational && r == m.ring && r.stable > r.aru {
			t.Fatalf("window base %d aru %d high %d delivered %d stable %d", r.base, r.aru, r.high, r.delivered, r.stable)
		}
	}
	if m.ring.id != (ID{}) && !m.ring.has(n.id) {
		t.Fatalf("not in its own ring %v", m.ring.members)
	}
	for _, member := range m.ring.members {
		if !slices.Contains(n.sim.config.Members, member) {
			t.Fatalf("stranger %v in the ring", member)
		}
	}
	if _, ok := m.Deadline(); !ok {
		t.Fatal("waits for nothing")
	}
	for _, p := range n.fx.Send {
		if _, ok := parseHeader(p.Data); !ok {
			t.Fatalf("sends what does not parse: %x", p.Data)
		}
	}
}

// FuzzDecode gives every decoder whatever comes; what it accepts must come out
// the same when encoded again.
func FuzzDecode(f *testing.F) {
	for _, p := range samples() {
		f.Add(p)
	}
	c := newSim(1, 3).config
	c.Self = c.Members[0]
	f.Fuzz(func(t *testing.T, data []byte) {
		h, ok := parseHeader(data)
		if !ok {
			return
		}
		c.Label, c.Incarnation = h.label, 1
		m := New(c, &endlessSource{})
		m.cfg.Self, m.cfg.Incarnation = h.sender, h.incarnation
		switch h.kind {
		case kindToken:
			var tok token
			if decodeToken(data, &tok) == nil && !bytes.Equal(m.encodeToken(&tok), data) {
				t.Fatalf("token %+v does not come back", tok)
			}
		case kindCommit:
			if c, err := decodeCommit(data); err == nil && !bytes.Equal(m.encodeCommit(&c), data) {
				t.Fatalf("commit %+v does not come back", c)
			}
		case kindJoin:
			_, _ = m.decodeJoin(data)
		case kindData:
			if len(data) > dataBytes {
				checkBody(data[dataBytes:])
			}
		}
	})
}

func TestEveryKindIsSampled(t *testing.T) {
	seen := map[kind]bool{}
	for _, p := range samples() {
		seen[kind(p[2])] = true
		if _, ok := parseHeader(p); !ok {
			t.Errorf("own packet does not parse: %x", p)
		}
	}
	for k := kindData; k < kindEnd; k++ {
		if !seen[k] {
			t.Errorf("no packet of kind %d", k)
		}
	}
}

// Pieces that do not fit together are refused alike everywhere and cost no
// memory.
func TestAssemblerRefuses(t *testing.T) {
	piece := func(frame, offset, size uint32, n int) *entry {
		return &entry{service: membership.Agreed, piece: true, frame: frame, offset: offset, size: size, data: make([]byte, n)}
	}
	var a assembler
	for _, c := range []struct {
		name  string
		e     *entry
		ok    bool
		whole bool
	}{
		{"begins in the middle", piece(1, 10, 100, 10), false, false},
		{"begins", piece(1, 0, 100, 10), true, false},
		{"leaves a hole", piece(1, 20, 100, 10), false, false},
		{"goes on after a refusal", piece(1, 10, 100, 10), false, false},
		{"begins again", piece(2, 0, 20, 10), true, false},
		{"changes its size", piece(2, 10, 30, 10), false, false},
		{"third", piece(3, 0, 20, 10), true, false},
		{"third whole", piece(3, 10, 20, 10), true, true},
		{"a", piece(4, 0, 20, 1), true, false},
		{"b", piece(5, 0, 20, 1), true, false},
		{"c", piece(6, 0, 20, 1), true, false},
		{"d", piece(7, 0, 20, 1), true, false},
		{"one too many", piece(8, 0, 20, 1), false, false},
	} {
		frame, ok := a.add(1, c.e)
		if ok != c.ok || (frame != nil) != c.whole {
			t.Errorf("%s: %v, %v", c.name, frame, ok)
		}
	}
	a.reset()
	for sender := membership.NodeID(1); ; sender++ {
		if _, ok := a.add(sender, piece(1, 0, MaxFrameBytes, 1)); !ok {
			break
		}
		if a.claimed > MaxLargeBytes+MaxFrameBytes {
			t.Fatalf("claims of %d bytes were accepted", a.claimed)
		}
	}
}
