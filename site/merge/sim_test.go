package merge

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

var (
	seedFlag  = flag.Uint64("merge.seed", 0, "run only this seed")
	firstFlag = flag.Uint64("merge.first", 1, "the first seed of TestTornRings; 0: others each time")
	seedsFlag = flag.Int("merge.seeds", 90, "how many seeds to run")
)

func plainOptions(sites, nodes int) options {
	return options{sites: sites, nodes: nodes, gateways: min(2, nodes), hop: 300 * time.Microsecond, jitter: 2 * time.Millisecond, loss: 0.05,
		delay: func(a, b int) time.Duration { return time.Duration(5+10*(a+b)) * time.Millisecond }}
}

var simGroups = []string{"a", "b", "c", "site-d"}

// aRun is one random life of a federation.
func aRun(seed uint64, off mutant, faults bool) *world {
	opt := plainOptions(2+int(seed%2), 2+int(seed/2%2))
	opt.scoped = func(g string) bool { return g == "site-d" }
	opt.bulk = seed%3 == 1
	w := newWorld(seed, opt, &hooks{off: off})
	early := seed%3 == 0 // clients that are there before the sites meet
	if early {
		w.populate(3)
		w.traffic(60 * time.Millisecond)
	}
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.populate(3)
	w.traffic(400 * time.Millisecond)
	if faults {
		w.crashes()
	}
	w.traffic(400 * time.Millisecond)
	w.settleDown()
	w.lastRound()
	w.check.final()
	return w
}

func (w *world) populate(n int) {
	for range n {
		for _, s := range w.sites {
			for _, x := range s.alive() {
				c := x.connect(fmt.Sprintf("c%d", len(w.check.clients)))
				if w.rng.IntN(2) == 0 {
					c.join(simGroups[w.rng.IntN(len(simGroups))])
				}
			}
		}
	}
}

func (w *world) living() (live []*simClient) {
	for _, c := range w.check.sorted() {
		if !c.dead && !c.gone {
			live = append(live, c)
		}
	}
	return live
}

// traffic lets clients do what they like for a while.
func (w *world) traffic(d time.Duration) {
	end := w.now + d
	for w.now < end && len(w.faults) == 0 {
		w.run(w.now + w.upTo(4*time.Millisecond))
		live := w.living()
		if len(live) == 0 {
			return
		}
		w.act(live[w.rng.IntN(len(live))], live)
	}
}

func (w *world) act(c *simClient, live []*simClient) {
	g := simGroups[w.rng.IntN(len(simGroups))]
	switch k := w.rng.IntN(100); {
	case k < 12:
		c.join(g)
	case k < 22:
		c.leave(g)
	case k < 24 && len(live) > 4:
		c.disconnect()
	case k < 28:
		to := live[w.rng.IntN(len(live))]
		c.send(membership.Agreed, "#"+to.name+"#"+to.node.name)
	case k < 38:
		if h := simGroups[w.rng.IntN(len(simGroups))]; h != g {
			c.send(membership.Agreed, g, h)
		}
	case k < 44 && w.opt.bulk:
		services := []membership.Service{membership.FIFO, membership.Agreed, membership.Safe}
		c.sendLarge(services[w.rng.IntN(3)], inlineMax+1+w.rng.IntN(5*pieceBytes), g)
	default:
		services := []membership.Service{membership.Reliable, membership.FIFO, membership.Causal, membership.Agreed, membership.Agreed, membership.Safe}
		for range 1 + w.rng.IntN(3) {
			c.send(services[w.rng.IntN(len(services))], g)
		}
	}
}

// crashes lets a node of a site die and come back while others work.
func (w *world) crashes() {
	s := w.sites[w.rng.IntN(len(w.sites))]
	n := s.nodes[w.rng.IntN(len(s.nodes))]
	n.crash()
	w.traffic(300 * time.Millisecond)
	n.restart()
	w.traffic(200 * time.Millisecond)
	w.runUntil(20*time.Second, "sites meet again", w.federated)
	for range 2 {
		n.connect(fmt.Sprintf("c%d", len(w.check.clients)))
	}
}

// settleDown waits until all are in one view, and nothing has been under way for a second: a
// view that one site has and another waits for may be given up again, and everything then
// begins once more. A body takes its time where a quarter of all questions and answers is lost (its piece
// is asked for again after up to eight seconds, mostPatience), and the next one of its session waits for it;
// but it goes on.
func (w *world) settleDown() {
	since, moved, pieces := w.now, w.now, 0
	w.runUntil(5*time.Minute, "view is whole and nothing under way", func() bool {
		if !w.federated() || !w.quiet() {
			since = w.now
		}
		if n := w.pieces(); n != pieces {
			moved, pieces = w.now, n
		}
		limit := 40 * time.Second
		if !w.bodiless() {
			limit = 100 * time.Second
		}
		if w.now-moved >= limit {
			w.fail("for %v, views changed or something was under way, and no body came on", limit)
		}
		return w.now-since >= time.Second
	})
}

// pieces counts what is here of bodies, and who has said to hold one.
func (w *world) pieces() (n int) {
	for _, node := range w.nodes {
		if m := node.replica.m; node.up && m != nil {
			for _, list := range m.transfers {
				for _, t := range list {
					n += len(t.there) - t.lacks
				}
			}
			for _, h := range m.bodies {
				n += len(h.holds)
			}
		}
	}
	return n
}

// bodiless says whether nobody holds a body, of a client or of another site.
func (w *world) bodiless() bool {
	for _, n := range w.nodes {
		if m := n.replica.m; n.up && m != nil && len(m.bodies)+len(m.transfers) > 0 {
			return false
		}
	}
	return true
}

// lastRound sends to all groups when nothing changes any more: everybody gets
// everything.
func (w *world) lastRound() {
	if len(w.faults) > 0 {
		return
	}
	var sent []*message
	live := w.living()
	for _, c := range live {
		for _, g := range simGroups {
			for service := membership.Reliable; service <= membership.Safe; service++ {
				sent = append(sent, c.send(service, g))
			}
		}
	}
	w.runUntil(20*time.Second, "last round", w.quiet)
	w.run(w.now + time.Second)
	// An Offer may come late. Whoever then asks for that body is told that it is gone; it asks again
	// after up to eight seconds (mostPatience), and a harsh WAN loses a quarter of questions and answers.
	w.runUntil(time.Minute, "bodies are let go", w.bodiless)
	for _, m := range sent {
		for _, c := range live {
			scopedOut := m.groups[0] == "site-d" && c.node.site != m.sender.node.site
			if want := c.in[m.groups[0]] && !scopedOut; want != c.got[m.id] {
				w.fail("message %d (%v to %s of %s) at %s: got %v, should be %v", m.id, m.service, m.groups[0], m.sender.name, c.name, c.got[m.id], want)
			}
		}
	}
	for _, n := range w.nodes {
		if n.up && n.replica.Status().Held > 8 {
			w.fail("%s still holds %d records", n.name, n.replica.Status().Held)
		}
	}
}

func report(t *testing.T, seed uint64, w *world) {
	t.Helper()
	for _, f := range w.faults {
		t.Errorf("seed %d: %s", seed, f)
	}
	if len(w.faults) > 0 {
		for _, line := range w.dump() {
			t.Log(line)
		}
		t.Fatalf("reproduce: go test ./site/merge -run '^%s$' -merge.seed=%d", t.Name(), seed)
	}
}

func seeds() (list []uint64) {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	for s := range (*seedsFlag + raceShare - 1) / raceShare {
		list = append(list, uint64(s+1))
	}
	return list
}

// drawn are seeds from -merge.first on, behind those in which something was wrong before.
func drawn(t *testing.T, before []uint64) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	first := *firstFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	list := slices.Clone(before)
	for s := range max(0, (*seedsFlag+raceShare-1)/raceShare-len(before)) {
		list = append(list, first+uint64(s))
	}
	// At once, so that it is known however the test ends.
	fmt.Printf("%s: seeds %v and from %d on; again: go test ./site/merge -run '^%s$' -merge.first=%d -merge.seeds=%d\n", t.Name(), before, first, t.Name(), first, *seedsFlag)
	return list
}

func TestRandomFederations(t *testing.T) {
	delivered := 0
	for _, seed := range seeds() {
		w := aRun(seed, 0, seed%4 == 3)
		report(t, seed, w)
		delivered += len(w.check.latency)
	}
	t.Logf("%d ordered deliveries", delivered)
}
