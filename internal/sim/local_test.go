package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ringway/internal/evs"
)

// localLatencies are, for each of three sites, how long messages to its group took to get to the
// last of its own clients, of those sent within a time, ascending.
func localLatencies(traces []evs.Trace, group string, from, until time.Duration) [3][]time.Duration {
	type sent struct {
		at, last time.Duration
		site     int
	}
	messages := map[evs.Message]*sent{}
	for _, kind := range []evs.Kind{evs.Submit, evs.Dlv} {
		for i := range traces {
			for j := range traces[i].Events {
				e := &traces[i].Events[j]
				at := time.Duration(traces[i].Start + e.At)
				switch {
				case e.Kind != kind:
				case kind == evs.Submit && at >= from && at < until && e.Groups[0] == strings.ReplaceAll(group, "*", strconv.Itoa(i/2)):
					messages[e.Msg] = &sent{at: at, site: i / 2}
				case kind == evs.Dlv && messages[e.Msg] != nil:
					messages[e.Msg].last = max(messages[e.Msg].last, at)
				}
			}
		}
	}
	var latencies [3][]time.Duration
	for _, m := range messages {
		latencies[m.site] = append(latencies[m.site], m.last-m.at)
	}
	for _, l := range latencies {
		slices.Sort(l)
	}
	return latencies
}

// localGroups are the groups of each site that have members in no other: those that never leave
// it, by scope, and those that others might join, which the directory alone says of them.
var localGroups = []string{"s*g#s*", "own*"}

// TestLocalBesideBrokenLinks: what is sent within a site takes as long as ever while the
// links to others are cut and healed, or slow and lossy, in virtual time, where no other
// work is in the way: to a group with scope = "site", and to one that is federated and has all
// its members in one site. docs/performance.md has real processes.
func TestLocalBesideBrokenLinks(t *testing.T) {
	const from, until, most = 6 * time.Second, 14 * time.Second, 1.2
	play := func(trouble ...string) []evs.Trace {
		for n := range 6 {
			trouble = append(trouble, fmt.Sprintf("500ms connect n%d.2 own%d\n3s say n%d.2 agreed own%d 100B x300 41ms", n, n/2, n, n/2))
		}
		r := Play(threeSites(1, trouble...))
		if !judge(t, r) {
			t.FailNow()
		}
		return r.Traces
	}
	at := func(l []time.Duration, percent int) time.Duration { return l[len(l)*percent/100] }
	calm := play()
	for _, c := range []struct{ what, trouble string }{
		{"cut and healed", "6s split aab 1500ms\n9s split abc 1s\n12s split aba 1500ms"},
		{"overloaded", strings.Join([]string{
			"6s stretch s0 s1 300ms 7s", "6s stretch s1 s2 400ms 7s", "6s stretch s0 s2 500ms 7s",
			"6s spoil s0 s1 20% 7s", "6s spoil s1 s2 20% 7s", "6s spoil s0 s2 20% 7s",
		}, "\n")},
	} {
		traces := play(c.trouble)
		for _, group := range localGroups {
			undisturbed := localLatencies(calm, group, from, until)
			for site, l := range localLatencies(traces, group, from, until) {
				quiet := undisturbed[site]
				if len(l) < 300 || len(quiet) < 300 {
					t.Fatalf("only %d and %d messages of site %d to %s", len(l), len(quiet), site, group)
				}
				t.Logf("%s, %s, s%d: p50 %v and %v, p99 %v and %v, longest %v and %v", c.what, group, site, at(quiet, 50), at(l, 50), at(quiet, 99), at(l, 99), quiet[len(quiet)-1], l[len(l)-1])
				for _, p := range []int{50, 99} {
					if float64(at(l, p)) > most*float64(at(quiet, p)) {
						t.Errorf("%s, %s, s%d: %d %% of local messages take %v, without %v", c.what, group, site, p, at(l, p), at(quiet, p))
					}
				}
			}
		}
	}
}
