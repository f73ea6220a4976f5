package routing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ringway/membership"
)

func TestDisjointPathsShareNothingBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := network(t)
		r := Compute(d)
		for _, s := range d.All() {
			paths := r.DisjointPaths(s.Gateway)
			if len(paths) < 2 {
				continue
			}
			first, second := paths[0], paths[1]
			if slices.Equal(first, second) {
				t.Fatalf("the same path twice: %v", first)
			}
			for _, at := range first[1 : len(first)-1] {
				if slices.Contains(second, at) {
					t.Fatalf("%v and %v share %v", first, second, at)
				}
			}
		}
	})
}

// TestTrapHasAPair: the shortest path from 1 to 6 lies across both ways round, so that
// nothing is left for a second one without it.
func TestTrapHasAPair(t *testing.T) {
	r := Compute(databaseOf(1,
		gateway{1, 1, 0, map[membership.NodeID]int{2: 1, 3: 5}},
		gateway{2, 2, 0, map[membership.NodeID]int{1: 1, 5: 1, 4: 5}},
		gateway{3, 3, 0, map[membership.NodeID]int{1: 5, 5: 1}},
		gateway{4, 4, 0, map[membership.NodeID]int{2: 5, 6: 1}},
		gateway{5, 5, 0, map[membership.NodeID]int{2: 1, 3: 1, 6: 1}},
		gateway{6, 6, 0, map[membership.NodeID]int{4: 1, 5: 1}}))
	if path := r.Path(6); !slices.Equal(path, []membership.NodeID{1, 2, 5, 6}) {
		t.Fatalf("the shortest is %v", path)
	}
	paths := r.DisjointPaths(6)
	if len(paths) != 2 || !slices.Equal(paths[0], []membership.NodeID{1, 2, 4, 6}) && !slices.Equal(paths[0], []membership.NodeID{1, 3, 5, 6}) {
		t.Fatalf("the pair is %v", paths)
	}
}

// every lists all paths between two gateways that meet no gateway twice.
func (g *graph) every(path []int, to int, each func([]int)) {
	at := path[len(path)-1]
	if at == to {
		each(slices.Clone(path))
		return
	}
	for _, e := range g.edges[at] {
		if !slices.Contains(path, e.to) {
			g.every(append(path, e.to), to, each)
		}
	}
}

// TestShortestPairIsShortest holds it against all pairs of paths in small networks.
func TestShortestPairIsShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 7).Draw(t, "gateways")
		d := NewDatabase(1)
		edges := make([][]Edge, n)
		for i := range n {
			for j := range i {
				if cost := rapid.IntRange(0, 6).Draw(t, "cost"); cost > 0 {
					edges[i] = append(edges[i], Edge{To: membership.NodeID(j + 1), Cost: time.Duration(cost) * time.Millisecond})
					edges[j] = append(edges[j], Edge{To: membership.NodeID(i + 1), Cost: time.Duration(cost) * time.Millisecond})
				}
			}
		}
		for i := range n {
			d.entries[membership.NodeID(i+1)] = entry{signed: &Signed{Advertisement: Advertisement{
				Gateway: membership.NodeID(i + 1), Site: membership.SiteID(i + 1), Instance: membership.InstanceID(i + 1), Edges: edges[i],
			}}}
		}
		g := newGraph(d.All())
		var all [][]int
		g.every([]int{0}, n-1, func(path []int) { all = append(all, path) })
		best := unreachable
		for i, a := range all {
			for _, b := range all[i+1:] {
				shared := slices.ContainsFunc(a[1:len(a)-1], func(at int) bool { return slices.Contains(b, at) })
				if !shared {
					best = min(best, g.length(a)+g.length(b))
				}
			}
		}
		got := unreachable
		if pair := g.shortestPair(0, n-1); pair != nil {
			got = g.length(pair[0]) + g.length(pair[1])
		}
		if got != best {
			t.Fatalf("the shortest pair takes %v, want %v", got, best)
		}
	})
}
