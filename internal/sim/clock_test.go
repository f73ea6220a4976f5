package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/evs"
)

// latenciesOf are, for each message to the group of all, how long it took to get to the
// last of its receivers, in the order in which they were sent.
func latenciesOf(traces []evs.Trace) (latencies []time.Duration) {
	sent, last := map[evs.Message]time.Duration{}, map[evs.Message]time.Duration{}
	var order []evs.Message
	for _, kind := range []evs.Kind{evs.Submit, evs.Dlv} {
		for i := range traces {
			for j := range traces[i].Events {
				e := &traces[i].Events[j]
				at := time.Duration(traces[i].Start + e.At)
				switch {
				case e.Kind != kind:
				case kind == evs.Submit && e.Groups[0] == "g0":
					sent[e.Msg] = at
					order = append(order, e.Msg)
				case kind == evs.Dlv && sent[e.Msg] > 0:
					last[e.Msg] = max(last[e.Msg], at)
				}
			}
		}
	}
	slices.SortStableFunc(order, func(a, b evs.Message) int { return int(sent[a] - sent[b]) })
	for _, m := range order {
		latencies = append(latencies, last[m]-sent[m])
	}
	return latencies
}

// TestWrongClocks sets the wall clocks of a site ten minutes ahead, and lets the clocks that
// its nodes measure time by leap by an hour, as when a machine was suspended. Nothing is
// lost. Wrong wall clocks, and a leap at the node that leads, cost nobody 50 ms. A leap
// elsewhere is a silent token to that node: the site's ring re-forms, which its own messages
// and those to it wait for, and no longer.
func TestWrongClocks(t *testing.T) {
	const little, reforms = 50 * time.Millisecond, 600 * time.Millisecond
	play := func(ahead time.Duration, trouble ...string) []time.Duration {
		s := threeSites(1, trouble...)
		s.Sites[1].Ahead = ahead
		r := Play(s)
		if !judge(t, r) {
			t.FailNow()
		}
		return latenciesOf(r.Traces)
	}
	calm := slices.Max(play(0))
	for _, c := range []struct {
		what    string
		ahead   time.Duration
		trouble string
		most    time.Duration
	}{
		{"a site ten minutes ahead, its gateway leaps an hour", 10 * time.Minute, "7s jump n2 1h0m0s", little},
		{"a node that does not lead leaps an hour", 0, "7s jump n3 1h0m0s", reforms},
		{"a whole site leaps ten minutes, twice", 10 * time.Minute,
			strings.Join([]string{"7s jump n2 10m0s", "7s jump n3 10m0s", "9s jump n2 10m0s", "9s jump n3 10m0s"}, "\n"), reforms},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := play(c.ahead, c.trouble)
			slowest := slices.Max(got)
			slices.Sort(got)
			t.Logf("slowest of %d messages %v (median %v), with good clocks %v", len(got), slowest, got[len(got)/2], calm)
			if slowest > calm+c.most {
				t.Errorf("that is %v more, at most %v may be", slowest-calm, c.most)
			}
		})
	}
}
