package site

import (
	"slices"
	"time"

	"ringway/membership"
	"ringway/topology"
)

// slowAfter is for how long a group waits for a site that is behind. Nil: all wait.
func slowAfter(t *topology.Topology) func(string) time.Duration {
	if !slices.ContainsFunc(t.Groups, func(g topology.Group) bool { return g.EvictSlow }) {
		return nil
	}
	return func(group string) time.Duration {
		if p := t.GroupPolicy(group); p.EvictSlow && !p.SiteScope {
			return p.SlowAfter
		}
		return 0
	}
}

// weights are those of all sites. Nil: no view is primary.
func weights(t *topology.Topology) map[membership.SiteID]uint32 {
	if !t.Primary {
		return nil
	}
	all := map[membership.SiteID]uint32{}
	for _, s := range t.Sites {
		all[s.ID] = uint32(s.Weight)
	}
	return all
}

// siteScoped says which groups never leave their site.
func siteScoped(t *topology.Topology) func(string) bool {
	return func(group string) bool { return t.GroupPolicy(group).SiteScope }
}
