package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/internal/evs"
)

// primaryViews are the views that a node came into from a time on: the number of sites, and
// a star for a primary one.
func primaryViews(t *evs.Trace, from time.Duration) (views []string) {
	for _, e := range t.Events {
		if e.Kind == evs.View && time.Duration(t.Start+e.At) >= from {
			text := fmt.Sprint(len(e.Members))
			if e.Primary {
				text += "*"
			}
			views = append(views, text)
		}
	}
	return views
}

// weigh lets a schedule ask for primary views: one or two, by turns.
func weigh(s *Schedule) {
	for i := range s.Sites {
		s.Sites[i].Weight = 1 + i%2
	}
}

// TestPrimary cuts a site off, and then one of the other two from the other: the side with
// most of the weight of the last primary view is primary, and so is the whole.
func TestPrimary(t *testing.T) {
	s := threeSites(1, "6s split aab 2s", "11s split abb 2s")
	weigh(s)
	for i := range s.Steps {
		if x := &s.Steps[i]; x.Verb == Start && x.Node == 5 {
			x.At = 2 * time.Second // when the sites are together already
		}
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return int(a.At - b.At) })
	r := Play(s)
	if !judge(t, r) {
		return
	}
	for i := range r.Traces {
		// Weights are 1, 2 and 1.
		want := [][]string{{"2*", "3*", "1", "3*"}, {"2*", "3*", "2*", "3*"}, {"1", "3*", "2*", "3*"}}[i/2]
		if got := primaryViews(&r.Traces[i], 5*time.Second); !slices.Equal(got, want) {
			t.Errorf("%s: views %v, want %v", r.Traces[i].Node, got, want)
		}
	}
}
