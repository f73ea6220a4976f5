package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"ringway/internal/evs"
)

// regionNames are those of examples/topologies/six-regions.toml, in the order of regions.
var regionNames = []string{"australiaeast", "eastasia", "eastus2", "francecentral", "southeastasia", "westus2"}

// A regionGroup is a group with one member in each of some regions, who all talk.
type regionGroup struct {
	name  string
	sites []int
}

var regionGroups = []regionGroup{
	{"g0", []int{0, 1, 2, 3, 4, 5}},
	{"g1", []int{1, 4}},
	{"g2", []int{2, 5}},
	{"g3", []int{2, 3}},
}

func (g regionGroup) text() string {
	var names []string
	for _, s := range g.sites {
		names = append(names, regionNames[s])
	}
	return strings.Join(names, " ")
}

// farthest is the delay from a region to the farthest other one in the group.
func (g regionGroup) farthest(from int) (far time.Duration) {
	for _, s := range g.sites {
		far = max(far, regions[from][s])
	}
	return far
}

// sixRegions is a federation of the six regions, two nodes each, with the measured delays
// and 2 % jitter, whose groups are all busy: that of all with messages of one service, the
// pairs with those of another.
func sixRegions(seed uint64, world, pairs string, every time.Duration) *Schedule {
	var b strings.Builder
	fmt.Fprintf(&b, "schedule 2 profile figures seed %d answers 0 length 12s\n", seed)
	for i := range regionNames {
		fmt.Fprintf(&b, "site s%d nodes 2 gateways 1 ahead 0s\n", i)
	}
	b.WriteString("lan delay 40µs 120µs jitter 20µs loss 0 double 0 late 0 0s\nwan detect 300ms hints 0 promises loss 0 double 0 late 0 0s\n")
	for j := range regionNames {
		for i := range j {
			d := regions[i][j]
			fmt.Fprintf(&b, "link s%d s%d delay %v %v jitter %v loss 0\n", i, j, d, d, (d / 50).Truncate(time.Microsecond))
		}
	}
	for n := range 2 * len(regionNames) {
		fmt.Fprintf(&b, "0s start n%d\n", n)
	}
	for i, g := range regionGroups {
		service := pairs
		if i == 0 {
			service = world
		}
		for _, s := range g.sites {
			fmt.Fprintf(&b, "500ms connect n%d.%d %s\n", 2*s+1, i, g.name)
			fmt.Fprintf(&b, "4s say n%d.%d %s %s 100B x%d %v\n", 2*s+1, i, service, g.name, 7*time.Second/every, every)
		}
	}
	s, err := ParseSchedule(b.String())
	if err != nil {
		panic(err) // it is this file's
	}
	return s
}

// regionLatencies are, for each group, how long its messages took to each other member
// from when they were sent, as shares of the one-way delay from the sender to the farthest member,
// ascending. Messages of the first seconds do not count: leads grow slowly.
func regionLatencies(t *testing.T, r *Result) [][]float64 {
	type sent struct {
		at    time.Duration
		site  int
		group int
	}
	messages := map[evs.Message]sent{}
	each := func(kind evs.Kind, f func(site int, at time.Duration, e *evs.Event)) {
		for i := range r.Traces {
			for j := range r.Traces[i].Events {
				if e := &r.Traces[i].Events[j]; e.Kind == kind {
					f(i/2, time.Duration(r.Traces[i].Start+e.At), e)
				}
			}
		}
	}
	each(evs.Submit, func(site int, at time.Duration, e *evs.Event) {
		if at > 7*time.Second {
			i := slices.IndexFunc(regionGroups, func(g regionGroup) bool { return g.name == e.Groups[0] })
			messages[e.Msg] = sent{at, site, i}
		}
	})
	ratios := make([][]float64, len(regionGroups))
	each(evs.Dlv, func(site int, at time.Duration, e *evs.Event) {
		if m, ok := messages[e.Msg]; ok && site != m.site {
			ratios[m.group] = append(ratios[m.group], float64(at-m.at)/float64(regionGroups[m.group].farthest(m.site)))
		}
	})
	for i := range ratios {
		if len(ratios[i]) < 100 {
			t.Fatalf("only %d deliveries in %s", len(ratios[i]), regionGroups[i].name)
		}
		slices.Sort(ratios[i])
	}
	return ratios
}

// regionLimits are what medians are held to: for a group of the whole world, and for
// pairs while that is busy. Safe pairs beside a safe world wait for the world's deliveries, which
// are farther apart than the pairs are from each other: they have no limit of their own.
var regionLimits = map[string]float64{
	"agreed g0": 1.2, "agreed g1": 1.7, "safe g0": 2.4, "agreed beside safe g0": 1.2,
	"safe beside agreed g1": 2.4, "safe beside agreed g2": 2.4, "safe beside agreed g3": 2.4,
}

// TestRegions prints the table of latencies of docs/performance.md: six regions, in
// virtual time.
//
//	go test ./internal/sim -run TestRegions -v
func TestRegions(t *testing.T) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "service\tgroup\tp50\tp90\tp99")
	for _, c := range []struct{ world, pairs string }{{"agreed", "agreed"}, {"safe", "safe"}, {"fifo", "fifo"}, {"agreed", "safe"}} {
		r := Play(sixRegions(1, c.world, c.pairs, 40*time.Millisecond))
		if !judge(t, r) {
			return
		}
		for i, ratios := range regionLatencies(t, r) {
			service := c.pairs
			switch {
			case i > 0 && c.pairs != c.world:
				service = c.pairs + " beside " + c.world
			case c.pairs != c.world:
				service = c.world + " beside " + c.pairs
			}
			at := func(percent int) float64 { return ratios[len(ratios)*percent/100] }
			if limit, ok := regionLimits[service+" "+regionGroups[i].name]; ok && at(50) > limit {
				t.Errorf("%s %s: median %.3f of the delay, want at most %.2f", service, regionGroups[i].name, at(50), limit)
			}
			fmt.Fprintf(w, "%s\t%s\t%.3f\t%.3f\t%.3f\n", service, regionGroups[i].text(), at(50), at(90), at(99))
		}
	}
	w.Flush()
	t.Logf("as shares of the one-way delay from the sender to the farthest member:\n%s", text.String())
}
