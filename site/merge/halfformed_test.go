package merge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/membership"
)

// halfFormedLife has a ring of two nodes that breaks when one of them knows that it is formed
// and the other one does not. The other one meets the third node, which is the lowest or the
// highest of the site, and they go on. What the two had of the ring before, the third has not.
// The first may have let it out by then, and the other one must have it still; what its own
// ring made the first do, the other one does not do.
func halfFormedLife(seed uint64, off mutant, lowest bool) *world {
	opt := plainOptions(2, 3)
	opt.gateways = 3
	opt.scoped = func(g string) bool { return g == "site-d" }
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	s := w.sites[0]
	nodes := slices.Clone(s.nodes)
	slices.SortFunc(nodes, func(a, b *simNode) int { return int(int64(a.id) - int64(b.id)) })
	third, pair := nodes[2], nodes[:2]
	if lowest {
		third, pair = nodes[0], nodes[1:]
	}
	w.sites[1].nodes[0].connect("far").join("a")
	one, here := pair[0].connect("one"), third.connect("third")
	one.join("a")
	here.join("a")
	w.runUntil(20*time.Second, "all are in", func() bool { return w.quiet() && one.in["a"] && here.in["a"] })

	third.side = 1 // does not hear what comes now, nor that its ring ends
	before := third.replica.m.outN
	one.send(membership.Agreed, "a")
	w.runUntil(time.Second, "both have accepted", func() bool {
		return pair[0].replica.m.outN > before && pair[1].replica.m.outN > before
	})
	s.reform(pair)
	first, second := w.oneDecides(pair)
	if first.replica.gateway.released <= before {
		w.fail("nothing has left the site")
	}
	first.side, second.side = 2, 1
	s.reform([]*simNode{third, second})
	here.send(membership.Agreed, "a")
	w.traffic(300 * time.Millisecond)
	first.side, second.side, third.side = 0, 0, 0
	s.reform(s.nodes)
	w.settleDown()
	w.lastRound()
	w.check.final()
	return w
}

// oneDecides runs until one of two nodes has decided who goes on, and the other one has not.
func (w *world) oneDecides(pair []*simNode) (first, second *simNode) {
	first, second = pair[0], pair[1]
	knows := func(n *simNode) bool { return n.replica.descent.decided }
	for end := w.now + time.Second; !knows(first) && !knows(second) && w.now < end; {
		w.run(w.now + time.Microsecond)
	}
	if knows(second) {
		first, second = second, first
	}
	if !knows(first) || knows(second) {
		w.fail("both have decided, or none")
	}
	return first, second
}

// TestAHalfFormedRing: who has not got what others may have gone on with is no heir (N3), and
// what a lineage causes leaves the site when all have decided by it (S2).
func TestAHalfFormedRing(t *testing.T) {
	for _, c := range []struct {
		name   string
		off    mutant
		lowest bool
	}{{"outsideHeir", outsideHeir, true}, {"earlyLineage", earlyLineage, false}} {
		t.Run(c.name, func(t *testing.T) {
			noticed := ""
			for seed := uint64(1); seed <= 8; seed++ {
				report(t, seed, halfFormedLife(seed, 0, c.lowest))
				if w := halfFormedLife(seed, c.off, c.lowest); len(w.faults) > 0 && noticed == "" {
					noticed = w.faults[0]
				}
			}
			if t.Logf("without the rule: %s", noticed); !strings.Contains(noticed, "two gateways of site 0 differ in record") {
				t.Error("nothing notices that the rule is off")
			}
		})
	}
}
