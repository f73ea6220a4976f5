package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// hasty is a Timing for worlds: what takes seconds with real gateways takes less.
var hasty = Timing{Unreachable: 60 * time.Millisecond, Silent: 300 * time.Millisecond, Slow: 150 * time.Millisecond, Stuck: 500 * time.Millisecond,
	Meet: 50 * time.Millisecond, Rejoin: 200 * time.Millisecond, MaxRejoin: time.Second, FlapWindow: 2 * time.Second}

// parts cuts the WAN between sites of different letters: "aab" leaves the first two
// together.
func (w *world) parts(letters string) {
	clear(w.cut)
	for a := range w.sites {
		for b := range w.sites[:a] {
			if letters[a] != letters[b] {
				w.cut[[2]int{b, a}] = true
			}
		}
	}
}

func (w *world) heal() { clear(w.cut) }

// alone says whether a site's nodes are all in a view with exactly the given sites.
func (w *world) inView(site int, sites ...int) bool {
	for _, n := range w.sites[site].alive() {
		m := n.replica.m
		if m == nil || m.frozen() || len(m.view.Members) != len(sites) {
			return false
		}
		for _, s := range sites {
			if _, ok := m.view.Site(w.sites[s].id); !ok {
				return false
			}
		}
	}
	return true
}

// TestPartitionAndHeal is the plain story: a site is cut off, both sides go on, each
// sees who is left, and after healing all are together again.
func TestPartitionAndHeal(t *testing.T) {
	opt := plainOptions(3, 1)
	opt.timing = hasty
	w := newWorld(1, opt, nil)
	w.runUntil(10*time.Second, "sites meet", w.federated)
	var clients []*simClient
	for i, s := range w.sites {
		c := s.nodes[0].connect(fmt.Sprint("c", i))
		c.join("g")
		clients = append(clients, c)
	}
	w.runUntil(10*time.Second, "joins", func() bool { return w.quiet() && clients[0].view["g"] != "" })
	for _, c := range clients {
		c.told = nil
	}
	w.parts("aab")
	for _, c := range clients {
		c.send(membership.Agreed, "g")
	}
	w.runUntil(10*time.Second, "two views", func() bool { return w.inView(0, 0, 1) && w.inView(1, 0, 1) && w.inView(2, 2) })
	for _, c := range clients {
		c.send(membership.Safe, "g")
	}
	w.runUntil(10*time.Second, "both go on", w.quiet)
	w.heal()
	w.runUntil(10*time.Second, "together again", w.federated)
	last := clients[2].send(membership.Safe, "g")
	w.runUntil(10*time.Second, "nothing under way", w.quiet)
	w.run(w.now + time.Second)
	// The sets are in the order of the views that they come from: in the same at all.
	together := "g: network, c0 c1 c2 [c0 c1] [c2]"
	if other := "g: network, c0 c1 c2 [c2] [c0 c1]"; slices.Contains(clients[0].told, other) {
		together = other
	}
	for i, want := range [][]string{
		{"g: signal", "g: network, c0 c1 [c0 c1]", together},
		{"g: signal", "g: network, c0 c1 [c0 c1]", together},
		{"g: signal", "g: network, c2 [c2]", together},
	} {
		if got := fmt.Sprint(clients[i].told); got != fmt.Sprint(want) {
			w.fail("c%d is told %s, not %v", i, got, want)
		}
		if !clients[i].got[last.id] {
			w.fail("c%d lacks the last message", i)
		}
	}
	w.check.final()
	report(t, 1, w)
}

// aWildRun is a random life with partitions of the WAN and of sites, crashes, and
// everything at once.
func aWildRun(seed uint64, off mutant) *world {
	opt := plainOptions(2+int(seed%3), 1+int(seed/3%3))
	opt.timing = hasty
	opt.scoped = func(g string) bool { return g == "site-d" }
	opt.bulk = seed%2 == 0
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.populate(2)
	w.traffic(200 * time.Millisecond)
	for range 3 + w.rng.IntN(4) {
		w.trouble()
		w.traffic(time.Duration(50+w.rng.IntN(500)) * time.Millisecond)
	}
	w.heal()
	for _, s := range w.sites {
		s.split(func(*simNode) int { return 0 })
		for _, n := range s.nodes {
			if !n.up {
				n.restart()
			}
		}
	}
	w.traffic(300 * time.Millisecond)
	w.settleDown()
	w.populate(1)
	w.runUntil(20*time.Second, "nothing under way", w.quiet)
	w.lastRound()
	w.check.final()
	return w
}

// trouble is one random fault, or the end of some.
func (w *world) trouble() {
	s := w.sites[w.rng.IntN(len(w.sites))]
	n := s.nodes[w.rng.IntN(len(s.nodes))]
	switch k := w.rng.IntN(10); {
	case k < 5:
		letters := ""
		for range w.sites {
			letters += string(rune('a' + w.rng.IntN(3)))
		}
		w.parts(letters)
	case k < 6:
		w.heal()
	case k < 8:
		of := map[*simNode]int{}
		for _, x := range s.nodes {
			of[x] = w.rng.IntN(2)
		}
		s.split(func(x *simNode) int { return of[x] })
	case k < 9:
		if n.up {
			n.crash()
		}
	default:
		if !n.up {
			n.restart()
		}
	}
}

func TestRandomPartitions(t *testing.T) {
	all := seeds()
	for _, seed := range all[:max(1, len(all)/3)] { // a third: each takes as long as three calm ones
		report(t, seed, aWildRun(seed, 0))
	}
}
