package merge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ringway/membership"
)

// TestEvictAndWait lets the records of one site come slowly while its promises keep
// coming: for groups that wait nobody is left out, and for others the site is, after its
// time and no sooner.
func TestEvictAndWait(t *testing.T) {
	const after = time.Second
	for _, group := range []string{"waiting", "hasty"} {
		opt := plainOptions(3, 1)
		opt.timing = hasty
		opt.slowAfter = func(g string) time.Duration {
			if strings.HasPrefix(g, "hasty") {
				return after
			}
			return 0
		}
		w := newWorld(1, opt, nil)
		w.runUntil(10*time.Second, "sites meet", w.federated)
		for i, s := range w.sites {
			s.nodes[0].connect(fmt.Sprint("c", i)).join(group)
		}
		w.runUntil(10*time.Second, "joins", w.quiet)
		w.run(w.now + time.Second)
		w.stuck = map[[2]int]bool{{0, 2}: true, {1, 2}: true} // what is sent to site 2
		began := w.now
		for w.now < began+4*after && !w.inView(0, 0, 1) && len(w.faults) == 0 {
			w.sites[0].nodes[0].clients[0].send(membership.Agreed, group)
			w.run(w.now + 20*time.Millisecond)
		}
		gone := w.inView(0, 0, 1)
		if want := group == "hasty"; gone != want {
			w.fail("%s: left out after %v: %v, want %v", group, w.now-began, gone, want)
		} else if took := w.now - began; gone && took < after {
			w.fail("%s: left out after %v, sooner than %v", group, took, after)
		}
		w.stuck = nil
		w.runUntil(20*time.Second, "together again", func() bool { return w.federated() && w.quiet() })
		w.check.final()
		report(t, 1, w)
	}
}
