package sim

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/evs"
)

var flagSites = flag.Int("sim.sites", 16, "sites of TestManySites; fifty take some minutes")

// manySites is a federation of so many sites of three nodes, spread over a rectangle of
// light's 80 ms by 40, with links from each to its four nearest and to one that may be
// anywhere. One node of every fourth site has a client in g0.
func manySites(n int, length time.Duration, steps ...string) *Schedule {
	random := rand.New(rand.NewPCG(50, 0))
	x, y := make([]float64, n), make([]float64, n)
	for i := range n {
		x[i], y[i] = 80*random.Float64(), 40*random.Float64()
	}
	delay := func(i, j int) time.Duration {
		return time.Duration((500 + 1000*math.Hypot(x[i]-x[j], y[i]-y[j]))) * time.Microsecond
	}
	links := map[[2]int]bool{}
	var b strings.Builder
	fmt.Fprintf(&b, "schedule 2 profile figures seed 1 answers 0 length %v\n", length)
	for i := range n {
		fmt.Fprintf(&b, "site s%d nodes 3 gateways 1 ahead 0s\n", i)
	}
	b.WriteString("lan delay 40µs 120µs jitter 20µs loss 0 double 0 late 0 0s\nwan detect 300ms hints 0 promises loss 0 double 0 late 0 0s\n")
	link := func(i, j int) {
		if k := [2]int{min(i, j), max(i, j)}; !links[k] {
			links[k] = true
			fmt.Fprintf(&b, "link s%d s%d delay %v %v jitter %v loss 0\n", k[0], k[1], delay(i, j), delay(i, j), (delay(i, j) / 50).Truncate(time.Microsecond))
		}
	}
	for i := range n {
		var others []int
		for j := range n {
			if j != i {
				others = append(others, j)
			}
		}
		slices.SortFunc(others, func(a, b int) int { return int(delay(i, a) - delay(i, b)) })
		for _, j := range others[:4] {
			link(i, j)
		}
		link(i, others[random.IntN(len(others))])
	}
	for k := range 3 * n {
		fmt.Fprintf(&b, "%v start n%d\n", time.Duration(k%17)*5*time.Millisecond, k)
		if k%12 == 1 {
			fmt.Fprintf(&b, "600ms connect n%d.0 g0\n", k)
		}
	}
	s, err := ParseSchedule(b.String() + strings.Join(steps, "\n"))
	if err != nil {
		panic(err) // it is this file's
	}
	return s
}

// TestManySites plays a whole federation of many sites: all come into one view; when
// nobody sends, the promises that cross a link cost less than 50 kB/s, whichever link it
// is; the first message after that pays once for the quiet, with one way there and back;
// and what a node keeps in memory is printed and bounded.
func TestManySites(t *testing.T) {
	n := *flagSites
	if raceShare > 1 {
		n = min(n, 8)
	}
	const quiet, asked, length = 5 * time.Second, 8 * time.Second, 9 * time.Second
	s := manySites(n, length, fmt.Sprintf("%v say n1.0 agreed g0 100B x1 1ms", asked))
	p := newPlay(s)
	var before, during, then Stats
	var traffic linkTraffic
	var kept uint64
	base := heap()
	p.f.at(quiet, func() { before = p.f.stats })
	p.f.at(asked-time.Millisecond, func() {
		during = p.f.stats
		kept = (heap() - base) / uint64(len(p.f.places))
		traffic = p.f.wan.promiseTraffic(during.Promises-before.Promises, during.PromiseBytes-before.PromiseBytes, asked-quiet)
	})
	p.run()
	then = p.f.stats
	r := p.f.result()
	if !judge(t, r) {
		return
	}
	whole, views := time.Duration(0), 0
	var said time.Duration
	var took []time.Duration
	for i := range r.Traces {
		members, at := siteViews(&r.Traces[i], 0)
		if members[len(members)-1] != n {
			t.Errorf("%s is in a view of %d sites", r.Traces[i].Node, members[len(members)-1])
		}
		whole, views = max(whole, at[len(at)-1]), max(views, len(at))
		for _, e := range r.Traces[i].Events {
			switch at := time.Duration(r.Traces[i].Start + e.At); {
			case e.Kind == evs.Submit && at >= asked:
				said = at
			case e.Kind == evs.Dlv && at >= asked:
				took = append(took, at-asked)
			}
		}
	}
	across := p.f.wan.diameter()
	t.Logf("%d sites of 3 nodes, %d links: all in one view after %v, %d views at most; %d promises, %d records, %d packets in all",
		n, len(s.Links), whole, views, then.Promises, then.Records, then.Packets)
	t.Logf("idle: a site makes %.1f promises/s of %d bytes; a link carries those of %.1f sites, at most %d: %.1f kB/s in each direction, at most %.1f",
		traffic.rate, traffic.size, traffic.sites, traffic.most, traffic.load(traffic.sites), traffic.load(float64(traffic.most)))
	t.Logf("the first message after quiet came after %v to %d members; the farthest sites are %v apart", slices.Max(took), len(took), across)
	t.Logf("a node keeps %d KiB, with the trace of its run", kept>>10)
	if load := traffic.load(float64(traffic.most)); load >= 50 || traffic.rate == 0 {
		t.Errorf("idle, a link carries %.1f kB/s of promises, want less than 50", load)
	}
	if limit := 2*across + 50*time.Millisecond; len(took) != (3*n+10)/12 || slices.Max(took) > limit || said == 0 {
		t.Errorf("the first message after quiet came to %d members after %v, want less than %v", len(took), slices.Max(took), limit)
	}
	if kept > 8<<20 {
		t.Errorf("a node keeps %d KiB", kept>>10)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// diameter is the longest of the shortest ways between two gateways.
func (w *wan) diameter() (far time.Duration) {
	for i := range w.real.dist {
		far = max(far, slices.Max(w.real.dist[i]))
	}
	return far
}

// linkTraffic is what promises cost the links of a federation whose sites are all alike.
type linkTraffic struct {
	rate  float64 // of a site's promises, in a second
	size  int     // of one, as it travels
	sites float64 // whose promises cross a link in one direction, on average
	most  int     // and at most
}

// travels is what a promise costs beside its data: the overlay's head with its signature
// (103 bytes), QUIC's, UDP's and IP's in two packets (100), an acknowledgement.
const travels = 250

// load is in kB/s.
func (l *linkTraffic) load(sites float64) float64 { return sites * l.rate * float64(l.size) / 1000 }

// promiseTraffic works out what so many copies of promises in some time cost the links, if
// each goes once over each link of its origin's tree, as in the real overlay.
func (w *wan) promiseTraffic(copies, bytes int, in time.Duration) linkTraffic {
	loads := map[[2]int]int{}
	links := 0
	for i := range w.gates {
		edges := map[[2]int]bool{}
		for j := range w.gates {
			for at := i; at != j; at = w.real.next[at][j] {
				edges[[2]int{at, w.real.next[at][j]}] = true
			}
			if _, linked := w.hop(i, j); linked {
				links++
			}
		}
		for e := range edges {
			loads[e]++
		}
	}
	l := linkTraffic{rate: float64(copies) / float64((len(w.gates)-1)*len(w.gates)) / in.Seconds()}
	for _, n := range loads {
		l.sites += float64(n) / float64(links)
		l.most = max(l.most, n)
	}
	if copies > 0 {
		l.size = bytes/copies + travels
	}
	return l
}
