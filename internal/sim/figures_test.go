package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/evs"
)

// threeSites is a federation of three sites of two nodes, 20 ms apart, in which
// everybody talks to all and, in each site, to a group of that site.
func threeSites(seed uint64, trouble ...string) *Schedule {
	return threeSitesIn("g0", seed, trouble...)
}

// threeSitesIn is the same with another group for all.
func threeSitesIn(group string, seed uint64, trouble ...string) *Schedule {
	var b strings.Builder
	fmt.Fprintf(&b, "schedule 2 profile figures seed %d answers 0 length 16s\n", seed)
	for i := range 3 {
		fmt.Fprintf(&b, "site s%d nodes 2 gateways 2 ahead 0s\n", i)
	}
	b.WriteString("lan delay 40µs 120µs jitter 20µs loss 0 double 0 late 0 0s\nwan detect 300ms hints 0 promises loss 0 double 0 late 0 0s\n")
	for i := range 3 {
		fmt.Fprintf(&b, "link s%d s%d delay 20ms 20ms jitter 400µs loss 0\n", min(i, (i+1)%3), max(i, (i+1)%3))
	}
	for n := range 6 {
		fmt.Fprintf(&b, "0s start n%d\n500ms connect n%d.0 %s\n500ms connect n%d.1 s%dg\n", n, n, group, n, n/2)
		fmt.Fprintf(&b, "3s say n%d.0 agreed %s 100B x650 20ms\n3s say n%d.1 agreed s%dg 100B x300 43ms\n", n, group, n, n/2)
	}
	s, err := ParseSchedule(b.String() + strings.Join(trouble, "\n"))
	if err != nil {
		panic(err) // it is this file's
	}
	return s
}

// TestFigures measures, in virtual time, what a cut of the WAN costs: from the cut until
// both sides deliver again, from the heal until all are in one view; and that local
// messages do not notice.
func TestFigures(t *testing.T) {
	const cut, heal, roundTrip = 6 * time.Second, 11 * time.Second, 40 * time.Millisecond
	var views, again, merged []time.Duration
	for seed := uint64(1); seed <= 3; seed++ {
		r := Play(threeSites(seed, "6s split aab 5s"))
		if !judge(t, r) {
			return
		}
		for i := range r.Traces {
			v, d := afterCut(&r.Traces[i], cut, heal)
			views, again = append(views, v), append(again, d)
			merged = append(merged, whole(&r.Traces[i], heal))
		}
		calm := Play(threeSites(seed))
		if !judge(t, calm) {
			return
		}
		for _, v := range evs.Check(r.Traces, evs.Options{OneClock: true, Facts: &evs.Facts{Connected: calm.Traces}}) {
			t.Error(v)
		}
	}
	t.Logf("three sites, %v one way, seen by each node:", roundTrip/2)
	t.Logf("from the cut to the new view: %s", spread(views))
	t.Logf("from the cut to a new message of the own side: %s", spread(again))
	t.Logf("from the heal to the merged view: %s", spread(merged))
	if most := slices.Max(again); most > time.Second+2*roundTrip {
		t.Errorf("a node got nothing for %v after the cut, want less than a second and two round trips", most)
	}
	if most := slices.Max(merged); most > 3*time.Second {
		t.Errorf("a node was in the merged view only %v after the heal, want less than 3 s", most)
	}
}

// afterCut is when, after a cut of the third site, a node came into a view without the
// other side, and got a message that was sent after the cut to g0.
func afterCut(t *evs.Trace, cut, heal time.Duration) (view, message time.Duration) {
	var in evs.ViewID
	far := map[string]bool{} // clients of g0
	for _, e := range t.Events {
		if e.Kind == evs.Ask && e.Group == "g0" {
			far[e.Client] = true
		}
		switch at := time.Duration(t.Start + e.At); {
		case at < cut || at >= heal:
		case e.Kind == evs.View && view == 0:
			view, in = at-cut, e.View
		case e.Kind == evs.Dlv && far[e.Client] && view > 0 && message == 0 && e.View == in:
			message = at - cut
		}
	}
	if view == 0 || message == 0 {
		return time.Hour, time.Hour
	}
	return view, message
}

// whole is when, after a heal, a node came into a view of all three sites.
func whole(t *evs.Trace, heal time.Duration) time.Duration {
	for _, e := range t.Events {
		if at := time.Duration(t.Start + e.At); at >= heal && e.Kind == evs.View && len(e.Members) == 3 {
			return at - heal
		}
	}
	return time.Hour
}
