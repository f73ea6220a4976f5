package ring

import (
	"testing"
)

// TestRandomReaches makes sure that the random runs come to the places that
// matter: a schedule that never recovers anything proves nothing.
func TestRandomReaches(t *testing.T) {
	var sum Counters
	var late, together, large uint64
	runs := uint64(80 / raceShare)
	for seed := uint64(1); seed <= runs; seed++ {
		s, err := randomSchedule(seed, shortShape).play(0)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, l := range s.lives {
			for _, e := range l.log {
				if e.late && e.kind == Deliver {
					late++
				}
				if e.kind == Installed && len(e.view.Together) > 1 {
					together++
				}
			}
		}
		for _, n := range s.nodes {
			c := n.m.Status().Counters
			sum.Retransmitted += c.Retransmitted
			sum.Recovered += c.Recovered
			sum.TokensLost += c.TokensLost
			sum.TokensResent += c.TokensResent
			sum.NeighboursLost += c.NeighboursLost
			sum.Naps += c.Naps
			sum.Holds += c.Holds
			sum.Wakes += c.Wakes
			sum.Installed += c.Installed
			sum.Expelled += c.Expelled
			large += uint64(n.m.out.number)
		}
	}
	for name, n := range map[string]uint64{
		"frames delivered after a transitional event": late, "views entered together": together, "large frames": large,
		"packets retransmitted": sum.Retransmitted, "packets recovered": sum.Recovered, "tokens resent": sum.TokensResent, "neighbours lost": sum.NeighboursLost, "naps": sum.Naps, "receivers expelled": sum.Expelled, "holds": sum.Holds, "wakes": sum.Wakes,
	} {
		if n < runs/8 {
			t.Errorf("%s: %d in %d runs", name, n, runs)
		}
		t.Logf("%s: %d", name, n)
	}
	t.Logf("tokens lost: %d, installed: %d", sum.TokensLost, sum.Installed)
}
