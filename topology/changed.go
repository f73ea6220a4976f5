package topology

import (
	"reflect"
	"slices"
)

// Changed returns which parts of a topology differ from another's, by the names of their
// tables: federation, site, link, group, access, timing.
func Changed(a, b *Topology) []string {
	var changed []string
	for _, part := range []struct {
		name string
		same bool
	}{
		{"federation", a.Name == b.Name && a.Certs == b.Certs && a.Primary == b.Primary},
		{"site", reflect.DeepEqual(a.Sites, b.Sites)},
		{"link", slices.EqualFunc(a.Links, b.Links, sameLink)},
		{"group", reflect.DeepEqual(a.Groups, b.Groups)},
		{"access", reflect.DeepEqual(a.Access, b.Access)},
		{"timing", a.Timing == b.Timing},
	} {
		if !part.same {
			changed = append(changed, part.name)
		}
	}
	return changed
}

// sameLink compares what a file says of a link; of its sites that is their names.
func sameLink(a, b *Link) bool {
	return a.Between[0].Name == b.Between[0].Name && a.Between[1].Name == b.Between[1].Name && a.Cost == b.Cost && a.WAN == b.WAN
}
