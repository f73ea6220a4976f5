package sim

import (
	"slices"
	"testing"
	"time"

	"ringway/internal/evs"
)

// siteViews are the numbers of sites in the views that a node came into from a time on,
// and when each began.
func siteViews(t *evs.Trace, from time.Duration) (members []int, at []time.Duration) {
	for _, e := range t.Events {
		if when := time.Duration(t.Start + e.At); e.Kind == evs.View && when >= from {
			members, at = append(members, len(e.Members)), append(at, when)
		}
	}
	return members, at
}

// TestSlowSite lets a site's promises come 900 ms late for a while, which is less than
// what makes it silent. A group that waits, waits; one that does not has the site taken
// out of the view after its time, and everybody is together again when the site is as
// quick as before.
func TestSlowSite(t *testing.T) {
	const begin = 5 * time.Second
	slow := []string{"5s hold s2 s0 900ms 8s", "5s hold s2 s1 900ms 8s"}
	const seed = 1
	waits := Play(threeSitesIn("g0", seed, slow...))
	if !judge(t, waits) {
		return
	}
	for i := range waits.Traces {
		if views, _ := siteViews(&waits.Traces[i], begin); len(views) > 0 {
			t.Errorf("seed %d, %s: the group waits, but there are views of %v sites", seed, waits.Traces[i].Node, views)
		}
	}
	evicts := Play(threeSitesIn("e0", seed, slow...))
	if !judge(t, evicts) {
		return
	}
	if evicts.Stats.Covered["sites taken out of the view for being slow (B6)"] == 0 {
		t.Errorf("seed %d: the summary of the run does not count that", seed)
	}
	for i := range evicts.Traces {
		views, at := siteViews(&evicts.Traces[i], begin)
		want := [][]int{{2, 3}}
		if i >= 4 {
			want = [][]int{{1, 3}} // the slow one itself
		}
		if !slices.ContainsFunc(want, func(w []int) bool { return slices.Equal(w, views) }) {
			t.Errorf("seed %d, %s: views of %v sites at %v, want %v", seed, evicts.Traces[i].Node, views, at, want)
			continue
		}
		if wait := at[0] - begin; wait < impatience || wait > impatience+2*time.Second {
			t.Errorf("seed %d, %s: the site was taken out after %v, want a little more than %v", seed, evicts.Traces[i].Node, wait, impatience)
		}
	}
}
