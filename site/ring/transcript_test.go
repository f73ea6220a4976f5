package ring

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringway/membership"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// TestTranscripts plays small scenes without jitter or loss and compares all
// that is sent and handed up with what is written in testdata.
func TestTranscripts(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		play  func(s *sim)
	}{
		{"two nodes start and form a ring", 2, func(s *sim) {
			s.startAll()
			s.run(50*time.Millisecond, s.settled)
		}},
		{"one frame wakes an idle ring and becomes stable", 3, func(s *sim) {
			s.quietly(func() { s.startAll(); s.run(time.Second, s.resting) })
			s.nodes[1].submit(1, membership.Agreed, 100)
			s.run(30*time.Millisecond, s.resting)
		}},
		{"a safe frame waits for the stable line", 2, func(s *sim) {
			s.quietly(func() { s.startAll(); s.run(time.Second, s.resting) })
			s.nodes[0].submit(1, membership.Safe, 50)
			s.nodes[0].submit(1, membership.Agreed, 50)
			s.run(30*time.Millisecond, s.resting)
		}},
		{"a node crashes with a frame that only one has", 3, func(s *sim) {
			s.quietly(func() { s.startAll(); s.run(time.Second, s.resting) })
			s.net.drop = func(from membership.NodeID, to *simNode, data []byte) bool {
				return from == 30 && to.id == 10 && kind(data[2]) == kindData
			}
			s.nodes[2].submit(1, membership.Agreed, 40)
			s.run(time.Second, func() bool { return s.nodes[1].m.ring.aru == 1 })
			s.nodes[2].crash()
			s.run(time.Second, s.settled)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(1, c.nodes)
			s.net.jitter = 0
			var log strings.Builder
			s.trace = func(format string, args ...any) {
				fmt.Fprintf(&log, "%8.3fms ", float64(s.now.Microseconds())/1000)
				fmt.Fprintf(&log, format+"\n", args...)
			}
			c.play(s)
			if err := s.check(s.settled()); err != nil {
				t.Error(err)
			}
			file := filepath.Join("testdata", strings.ReplaceAll(c.name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(log.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if log.String() != string(want) {
				t.Errorf("differs from %s (-update rewrites it):\n%s", file, log.String())
			}
		})
	}
}

func (s *sim) startAll() {
	for _, n := range s.nodes {
		n.start()
	}
}

func (s *sim) quietly(do func()) {
	trace := s.trace
	s.trace = nil
	do()
	s.trace = trace
}

// resting says whether the ring is settled and its token rests.
func (s *sim) resting() bool {
	return s.settled() && s.nodes[0].m.holding
}

func (s *sim) tracePacket(n *simNode, p Packet) {
	to := "*"
	if p.To != 0 {
		to = fmt.Sprint(uint32(p.To))
	}
	s.trace("%d -> %s %s", uint32(n.id), to, describePacket(n.m, p.Data))
}

func ids(nodes []membership.NodeID) string {
	var b strings.Builder
	for i, n := range nodes {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, uint32(n))
	}
	return b.String()
}

func (id ID) short() string {
	return fmt.Sprintf("%d.%d", uint32(id.Representative), id.Counter%1_000_000)
}

func describePacket(m *Machine, data []byte) string {
	switch kind(data[2]) {
	case kindData:
		text := fmt.Sprintf("data %s seq %d", idAt(data).short(), seqAt(data))
		if data[3]&flagSafe != 0 {
			text += " safe"
		}
		if data[3]&flagWrapped != 0 {
			sender, seq := wrapped(data)
			text += fmt.Sprintf(" wraps seq %d of %d", seq, uint32(sender))
		}
		return text
	case kindToken:
		var t token
		if err := decodeToken(data, &t); err != nil {
			return err.Error()
		}
		text := fmt.Sprintf("token %s hop %d seq %d aru %d", t.ring.short(), t.hop, t.seq, t.aru)
		if t.owner != 0 {
			text += fmt.Sprintf(" by %d", uint32(t.owner))
		}
		if t.backlog+t.pending > 0 {
			text += fmt.Sprintf(" backlog %d pending %d", t.backlog, t.pending)
		}
		for _, g := range t.missing {
			text += fmt.Sprintf(" missing %d-%d", g.first, g.last)
		}
		return text
	case kindCommit:
		c, err := decodeCommit(data)
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprintf("commit %s hop %d", c.ring.short(), c.hop)
		for _, r := range c.records {
			text += fmt.Sprintf(" [%d", uint32(r.node))
			if r.filled {
				text += fmt.Sprintf(" from %s aru %d high %d stable %d", r.old.short(), r.aru, r.high, r.stable)
			}
			text += "]"
		}
		return text
	case kindJoin:
		j, err := m.decodeJoin(data)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("join attempt %d proc %s fail %s", j.attempt, ids(m.nodesOf(j.proc)), ids(m.nodesOf(j.fail)))
	case kindHello:
		return "hello " + idAt(data).short()
	case kindWake:
		return "wake " + idAt(data).short()
	case kindProbe:
		return "probe " + idAt(data).short()
	}
	return "?"
}

func (s *sim) traceEvent(n *simNode, e *Event) {
	who := uint32(n.id)
	switch e.Kind {
	case Deliver:
		s.trace("%d    deliver %v at %d from %d, %d bytes", who, e.Service, e.Pos.Seq, uint32(e.From), len(e.Frame))
	case Arrive:
		s.trace("%d    arrive %v at %d from %d, %d bytes", who, e.Service, e.Pos.Seq, uint32(e.From), len(e.Frame))
	case Stable:
		s.trace("%d    stable %d", who, e.Pos.Seq)
	case Transitional:
		s.trace("%d    transitional to %s together %s", who, e.View.ID.short(), ids(e.View.Together))
	case Installed:
		s.trace("%d    installed %s members %s together %s", who, e.View.ID.short(), ids(e.View.Members), ids(e.View.Together))
	}
}
