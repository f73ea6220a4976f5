package routing

import (
	"testing"

	"ringway/membership"
)

// TestDeadGatewaysDoNotCount: only those of their own site are believed, and only of lives that
// are over.
func TestDeadGatewaysDoNotCount(t *testing.T) {
	for _, c := range []struct {
		name  string
		site  membership.SiteID // of who tells
		of    uint64            // the life that is told to be over
		lives bool
	}{
		{"its own site", 1, 5, false},
		{"a later life was over", 1, 6, false},
		{"an earlier life was over", 1, 4, true},
		{"another site", 2, 5, true},
	} {
		all := []*Signed{
			{Advertisement: Advertisement{Gateway: 10, Site: 1, Incarnation: 5}},
			{Advertisement: Advertisement{Gateway: 20, Site: c.site, Dead: []Death{{10, c.of}, {30, 1}}}},
		}
		left := living(all)
		if lives := left[0].Gateway == 10; lives != c.lives || len(all) != 2 {
			t.Errorf("%s: lives %v", c.name, lives)
		}
	}
}
