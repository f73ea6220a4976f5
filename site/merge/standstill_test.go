package merge

import (
	"testing"
	"time"

	"ringway/membership"
)

// standStill lets the ring of a site do nothing for a while: no frame is ordered there. Its
// gateways live on, and take what comes from other sites.
func (s *simSite) standStill(d time.Duration) {
	r := s.nodes[0].ring
	side := r.token
	r.token = -1
	s.w.after(d, func() {
		r.token = side
		for _, n := range s.alive() {
			if !n.visiting {
				n.visiting = true
				s.w.after(0, n.visit)
			}
		}
	})
}

// TestNobodyIsBlamedForAStandstill: a site whose ring stood still for longer than anybody may
// be ahead has a clock that is behind, until its Ticks have made up for it. Nobody waits for
// it meanwhile, as fifo messages are not ordered, so nobody has taken it out of the view. The
// others' promises and records are far ahead of that clock, and they are honest: the world
// fails if they are blamed. What was sent meanwhile arrives.
func TestNobodyIsBlamedForAStandstill(t *testing.T) {
	for _, sends := range []bool{false, true} {
		w := newWorld(1, plainOptions(2, 2), nil)
		w.runUntil(10*time.Second, "sites meet", w.federated)
		a, b := w.sites[0].nodes[1].connect("a"), w.sites[1].nodes[1].connect("b")
		a.join("g")
		b.join("g")
		w.runUntil(10*time.Second, "joins", func() bool { return w.quiet() && w.now > 3*time.Second })
		view := w.sites[0].nodes[0].replica.m.view.ID
		w.sites[0].standStill(12 * time.Second)
		for range 120 {
			w.run(w.now + 100*time.Millisecond)
			if sends {
				b.send(membership.FIFO, "g")
			}
		}
		w.settleDown()
		w.lastRound()
		w.check.final()
		report(t, 1, w)
		if now := w.sites[0].nodes[0].replica.m.view.ID; now != view {
			t.Errorf("sends %v: the view has changed, which this test is not about", sends)
		}
		if late := time.Duration(w.sites[1].nodes[0].replica.m.clock - w.sites[0].nodes[0].replica.m.clock); late > time.Second {
			t.Errorf("sends %v: the site's clock is still %v behind", sends, late)
		}
	}
}
