package merge

import (
	"testing"
	"time"
)

// aHarshRun is aWildRun on a WAN that loses half of all promises and delays packets by
// as much again as their way: sites part with different knowledge of each other.
func aHarshRun(seed uint64, off mutant) *world {
	opt := plainOptions(3+int(seed%2), 1+int(seed/2%2))
	opt.timing, opt.loss, opt.jitter = hasty, 0.5, 60*time.Millisecond
	opt.scoped = func(g string) bool { return g == "site-d" }
	opt.bulk = seed%2 == 0
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.populate(2)
	w.traffic(200 * time.Millisecond)
	for range 4 {
		letters := ""
		for range w.sites {
			letters += string(rune('a' + w.rng.IntN(2)))
		}
		w.partsSlowly(letters)
		w.traffic(time.Duration(30+w.rng.IntN(300)) * time.Millisecond)
	}
	w.run(w.now + 150*time.Millisecond) // the last cut
	w.heal()
	w.traffic(300 * time.Millisecond)
	w.settleDown()
	w.lastRound()
	w.check.final()
	return w
}

// partsSlowly cuts one link after the other, and mends likewise: some hear longer of a
// lost site than others.
func (w *world) partsSlowly(letters string) {
	for a := range w.sites {
		for b := range w.sites[:a] {
			w.after(w.upTo(120*time.Millisecond), func() {
				if delete(w.cut, [2]int{b, a}); letters[a] != letters[b] {
					w.cut[[2]int{b, a}] = true
				}
			})
		}
	}
}

func TestHarshWAN(t *testing.T) {
	all := seeds()
	for _, seed := range all[:max(1, len(all)/6)] {
		report(t, seed, aHarshRun(seed, 0))
	}
}
