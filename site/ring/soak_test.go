package ring

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"ringway/membership"
)

// TestSoak runs five nodes through ten virtual minutes of work and faults without a
// break. Nothing may grow: every structure stays within its bound, and the heap
// after five minutes is the heap after ten.
func TestSoak(t *testing.T) {
	s := newSim(4711, 5)
	s.unchecked = true
	s.startAll()
	s.chatter()
	var heap []uint64
	const rounds = 20 / raceShare
	for round := range uint64(rounds) {
		s.soakRound(round)
		s.run(30*time.Second, func() bool {
			for _, n := range s.nodes {
				n.checkBounds(t)
			}
			return t.Failed()
		})
		s.healed = 0
		s.lives = s.lives[:0]
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = append(heap, m.HeapAlloc)
	}
	s.heal()
	if !s.run(patience, s.joined) {
		t.Fatalf("no common ring in the end\n%s%s", s.fault, s.describe())
	}
	var sum Counters
	for _, n := range s.nodes {
		c := n.m.Status().Counters
		sum.Installed += c.Installed
		sum.Gathers += c.Gathers
		sum.FramesDelivered += c.FramesDelivered
	}
	half := heap[len(heap)/2]
	t.Logf("%d rounds of 30 s: %d views and %d gatherings in the last lives, heap %d KiB half way, %d KiB at the end", rounds, sum.Installed, sum.Gathers, half>>10, heap[len(heap)-1]>>10)
	if last := heap[len(heap)-1]; last > half+half/2+16<<20 {
		t.Errorf("the heap grew from %d KiB half way to %d KiB", half>>10, last>>10)
	}
}

// soakRound strews half a minute of trouble, all of which ends within it.
func (s *sim) soakRound(round uint64) {
	d := dice{rand.New(rand.NewPCG(round, 0x736f616b))}
	plan := &schedule{seed: round, nodes: len(s.nodes), length: 30 * time.Second}
	for range 60 {
		plan.talk(d, d.upTo(plan.length), d.IntN(plan.nodes))
	}
	for range 6 {
		plan.trouble(d, d.upTo(plan.length/2))
	}
	plan.add(d.upTo(plan.length), "say", d.IntN(plan.nodes), 7, int(membership.Agreed), 2_000_000, 2)
	for i := range plan.steps {
		step := &plan.steps[i]
		s.at(step.at, func() { s.apply(step, plan) })
	}
	s.at(29*time.Second, func() {
		for _, n := range s.nodes {
			n.resume()
			n.start()
		}
	})
}

// joined says whether all nodes are in one ring and have nothing waiting.
func (s *sim) joined() bool {
	for _, n := range s.nodes {
		if len(n.source.queue) > 20 {
			return false
		}
	}
	return s.ringOfJust(s.nodes...)
}

// checkBounds holds every list of a machine against its limit.
func (n *simNode) checkBounds(t *testing.T) {
	if !n.up() {
		return
	}
	m := n.m
	for _, c := range []struct {
		name        string
		have, limit int
	}{
		{"slots of the window", len(m.ring.slots) + len(m.next.slots), 2 * windowSlots},
		{"packets beyond the stable line", int(m.ring.high - m.ring.base), windowSlots},
		{"partial frames", len(m.ring.assembler.partial), MaxLarge * len(m.cfg.Members)},
		{"bytes claimed by partial frames", m.ring.assembler.claimed, MaxLargeBytes + MaxFrameBytes},
		{"frames being cut", len(m.out.cuts), MaxLarge},
		{"frames that wait", len(m.out.waiting), maxWaiting + MaxLarge},
		{"frames that are ready", len(m.out.ready), maxWaiting + 1},
		{"packets of a visit", cap(m.batch), 4 * m.cfg.Windows.Personal},
		{"ranges asked for", max(cap(m.token.missing), cap(m.late.missing)), 2 * MaxRanges},
		{"spans", cap(m.spans), 2 * windowSlots},
		{"packets to send again", cap(m.rec.queue), 2 * windowSlots},
		{"senders of recovery", len(m.rec.senders) + len(m.obliged), 2 * len(m.cfg.Members)},
		{"records", len(m.commit.records), len(m.cfg.Members)},
		{"packets of a step", cap(n.fx.Send), 8 * windowSlots},
		{"events of a step", cap(n.fx.Events), 64 * windowSlots},
	} {
		if c.have > c.limit {
			t.Errorf("node %v: %d %s, at most %d", n.id, c.have, c.name, c.limit)
		}
	}
}
