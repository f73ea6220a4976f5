package site

import (
	"cmp"
	"strings"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/topology"
)

// memberOrder sorts members as clients expect it: by their nodes' places in the
// topology file, then by name.
func memberOrder(t *topology.Topology) func(a, b merge.Member) int {
	place := map[membership.NodeID]int{}
	for _, s := range t.Sites {
		for _, n := range s.Nodes {
			place[n.ID] = len(place)
		}
	}
	return func(a, b merge.Member) int {
		return cmp.Or(
			cmp.Compare(place[a.Client.Node], place[b.Client.Node]),
			strings.Compare(a.Name, b.Name),
			a.Client.Compare(b.Client),
		)
	}
}

// nodeNames returns the function from a node's id to its name.
func nodeNames(t *topology.Topology) func(membership.NodeID) string {
	names := map[membership.NodeID]string{}
	for _, s := range t.Sites {
		for _, n := range s.Nodes {
			names[n.ID] = n.Name
		}
	}
	return func(id membership.NodeID) string { return names[id] }
}
