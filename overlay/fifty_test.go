package overlay

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

var fiftyGateways = flag.Int("fifty.gateways", 1, "gateways in each of fifty sites; two take a minute")

// fiftySites returns fifty sites, spread over a rectangle of light's 80 ms by 40, and
// links from each to its four nearest and to one that may be anywhere.
func fiftySites() (names []string, links map[string]time.Duration) {
	count, near := 50, 4
	if underRace {
		count = 12 // fifty would take minutes
	}
	random := rand.New(rand.NewPCG(50, 0))
	x, y := make([]float64, count), make([]float64, count)
	for i := range count {
		names = append(names, fmt.Sprintf("s%02d", i))
		x[i], y[i] = 80*random.Float64(), 40*random.Float64()
	}
	delay := func(i, j int) time.Duration {
		return time.Duration((0.5 + math.Hypot(x[i]-x[j], y[i]-y[j])) * float64(time.Millisecond))
	}
	links = map[string]time.Duration{}
	link := func(i, j int) {
		links[names[min(i, j)]+"-"+names[max(i, j)]] = delay(i, j)
	}
	for i := range count {
		others := make([]int, 0, count)
		for j := range count {
			if j != i {
				others = append(others, j)
			}
		}
		slices.SortFunc(others, func(a, b int) int { return int(delay(i, a) - delay(i, b)) })
		for _, j := range others[:near] {
			link(i, j)
		}
		link(i, others[random.IntN(len(others))])
	}
	return names, links
}

// TestFiftySites measures in fifty sites what a change of a gateway's state takes to be
// known everywhere, what an idle link carries, and what a gateway keeps in memory.
func TestFiftySites(t *testing.T) {
	names, links := fiftySites()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	inMeshOf(t, names, *fiftyGateways, links, func(m *mesh) {
		m.all().converged()
		time.Sleep(5 * time.Second)

		diameter := time.Duration(0)
		for _, g := range m.gate {
			for _, other := range m.node {
				answer := make(chan time.Duration, 1)
				g.post(func(c *core) { d, _ := c.routes.Delay(other.ID); answer <- d })
				diameter = max(diameter, <-answer)
			}
		}
		longest := time.Duration(0)
		for k, i := range []int{0, 1, len(names) / 2, len(names) - 2, len(names) - 1} {
			name := names[i] + "-1"
			state := State{Instance: instanceOf(m.node[name].Site.ID), View: testView, Epoch: uint64(100 + k)}
			m.gate[name].Announce(state)
			knows := func(g *Gateway) bool {
				answer := make(chan bool, 1)
				g.post(func(c *core) {
					s, ok := c.db.Get(m.node[name].ID)
					answer <- ok && s.Epoch == state.Epoch
				})
				return <-answer
			}
			longest = max(longest, m.until("all know", time.Second, func() bool {
				for _, g := range m.gate {
					if !knows(g) {
						return false
					}
				}
				return true
			}))
			time.Sleep(time.Second)
		}
		t.Logf("%d gateways, %d links of sites: a change is known everywhere after %v; the farthest pair is %v apart", len(m.gate), len(links), longest, diameter)
		if longest >= diameter+20*time.Millisecond {
			t.Errorf("a change is known everywhere after %v, want less than %v", longest, diameter+20*time.Millisecond)
		}

		m.idle(5)

		var after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept := (after.HeapAlloc - before.HeapAlloc - m.wire.memory()) / uint64(len(m.gate))
		t.Logf("a gateway keeps %d KiB, for %.1f connections on average", kept>>10, float64(len(m.wire.used()))/float64(len(m.gate)))
		if kept > 16<<20 {
			t.Errorf("an idle gateway keeps %d KiB", kept>>10)
		}
	})
}
