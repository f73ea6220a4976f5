package routing

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ringway/membership"
)

// TestEdgesNeedBothEnds is rule 1, and the dearer end's cost.
func TestEdgesNeedBothEnds(t *testing.T) {
	r := Compute(databaseOf(1,
		gateway{1, 1, 0, map[membership.NodeID]int{2: 1, 3: 5, 9: 1, 1: 1}}, // 2 does not hear 1, 9 is unknown
		gateway{2, 2, 0, map[membership.NodeID]int{3: 1}},
		gateway{3, 3, 0, map[membership.NodeID]int{1: 7, 2: 1}}))
	for to, want := range map[membership.NodeID]time.Duration{1: 0, 3: 7 * time.Millisecond, 2: 8 * time.Millisecond} {
		if d, ok := r.Distance(to); !ok || d != want {
			t.Errorf("distance to %v is %v (%v), want %v", to, d, ok, want)
		}
	}
	if path := r.Path(2); !slices.Equal(path, []membership.NodeID{1, 3, 2}) {
		t.Errorf("path %v", path)
	}
	if hop, ok := r.NextHop(2); !ok || hop != 3 {
		t.Errorf("next hop %v %v", hop, ok)
	}
	if _, ok := r.NextHop(1); ok {
		t.Error("a next hop to oneself")
	}
	want := []Route{{3, 3, []membership.NodeID{1, 3}, 7 * time.Millisecond}, {2, 2, []membership.NodeID{1, 3, 2}, 8 * time.Millisecond}}
	if table := r.Table(); !reflect.DeepEqual(table, want) {
		t.Errorf("table %v, want %v", table, want)
	}
	for _, ok := range []bool{second(r.Distance(9)), second(r.Parent(instance(9), 1)), second(r.Importer(instance(9), instance(1))), second(r.Importer(instance(1), instance(9))), second(r.Depth(instance(1), 9)), second(r.Nearest(instance(9)))} {
		if ok {
			t.Error("something is known of what nobody advertises")
		}
	}
}

func second[T any](_ T, ok bool) bool { return ok }

// TestPathsFollowEdges holds what DisjointPaths and Path return against the graph.
func TestPathsFollowEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Compute(network(t))
		for _, to := range r.graph.ids {
			paths := r.DisjointPaths(to)
			if _, ok := r.Distance(to); ok && to != 1 {
				shortest := r.own.path(r.graph.index[to])
				if len(paths) == 0 || !slices.Equal(paths[0], r.Path(to)) && r.graph.around(shortest) != nil {
					t.Fatalf("first of the disjoint paths to %v is %v, the shortest is %v", to, paths, r.Path(to))
				}
			}
			for _, path := range paths {
				if path[0] != 1 || path[len(path)-1] != to {
					t.Fatalf("path %v from 1 to %v", path, to)
				}
				for i := range path[1:] {
					from, next := r.graph.index[path[i]], r.graph.index[path[i+1]]
					if !slices.ContainsFunc(r.graph.edges[from], func(e halfEdge) bool { return e.to == next }) {
						t.Fatalf("no edge %v–%v in %v", path[i], path[i+1], path)
					}
					if i == 0 || !r.graph.closed[from] {
						continue
					}
					elsewhere := func(id membership.NodeID) bool { return r.graph.of[r.graph.index[id]].Site != r.graph.of[from].Site }
					if slices.ContainsFunc(path[:i], elsewhere) && slices.ContainsFunc(path[i+1:], elsewhere) {
						t.Fatalf("%v leads through %v, whose site lets nobody through", path, path[i])
					}
				}
			}
		}
	})
}
