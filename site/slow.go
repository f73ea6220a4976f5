package site

import (
	"slices"
	"time"

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
