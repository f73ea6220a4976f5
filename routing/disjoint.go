package routing

import (
	"slices"
	"time"

	"ringway/membership"
)

// DisjointPaths returns up to two paths from this gateway to another that share no
// gateway in between, the shorter first. Where the shortest of all has a partner, they are
// it and the shortest that avoids it: what is urgent should not pay for being sent twice.
// Where it has none, they are the pair that is shortest together, if there is one; then
// neither is the shortest. Without a pair there is the shortest alone. (Decision 0027.)
func (r *Routes) DisjointPaths(to membership.NodeID) [][]membership.NodeID {
	i, ok := r.graph.index[to]
	if !ok || r.self < 0 || i == r.self {
		return nil
	}
	first := r.own.path(i)
	if first == nil {
		return nil
	}
	pair := [][]int{first}
	if second := r.graph.around(first); second != nil {
		pair = append(pair, second)
	} else if both := r.graph.shortestPair(r.self, i); both != nil {
		pair = both
	}
	var paths [][]membership.NodeID
	for _, path := range pair {
		paths = append(paths, r.graph.names(path))
	}
	return paths
}

// around returns the shortest path between the ends of another that shares no gateway in
// between with it, and no edge; or nil.
func (g *graph) around(first []int) []int {
	from, to := first[0], first[len(first)-1]
	if len(first) == 2 { // adjacent: the second path must not take the same edge
		g = g.withoutEdge(from, to)
	}
	avoid := make([]bool, len(g.ids))
	for _, at := range first[1 : len(first)-1] {
		avoid[at] = true
	}
	second := g.shortest([]int{from}, avoid)
	return second.path(to)
}

// withoutEdge returns the graph less one edge, in both directions.
func (g *graph) withoutEdge(a, b int) *graph {
	less := *g
	less.edges = slices.Clone(g.edges)
	drop := func(from, to int) {
		less.edges[from] = slices.DeleteFunc(slices.Clone(g.edges[from]), func(e halfEdge) bool { return e.to == to })
	}
	drop(a, b)
	drop(b, a)
	return &less
}

// shortestPair returns the two paths that share no gateway in between and are shortest
// together, or nil. It is Suurballe's problem (Networks 4, 1974), solved as a flow of two
// at the least cost: each gateway is two vertices with an arc of capacity one between
// them, and the second path may take back arcs of the first.
func (g *graph) shortestPair(from, to int) [][]int {
	f := g.flow(from, to)
	for range 2 {
		if !f.augment(2*from+1, 2*to) {
			return nil
		}
	}
	pair := [][]int{f.follow(from, to), f.follow(from, to)}
	if g.length(pair[1]) < g.length(pair[0]) {
		slices.Reverse(pair)
	}
	return pair
}

// length adds up the costs along a path.
func (g *graph) length(path []int) (total time.Duration) {
	for i, at := range path[1:] {
		k := slices.IndexFunc(g.edges[path[i]], func(e halfEdge) bool { return e.to == at })
		total += g.edges[path[i]][k].cost
	}
	return total
}

// A flow is a network of arcs that carry one path each: arc k and its reverse k^1.
type flow struct {
	arcs []arc
	out  [][]int // arcs by the vertex where they begin
}

type arc struct {
	from, to int
	cost     time.Duration
	free     bool
}

// flow makes the network. Gateway i is entered at vertex 2i and left at 2i+1. What
// refuses transit, for whatever reason, is left out: this is the second choice already.
func (g *graph) flow(from, to int) *flow {
	f := &flow{out: make([][]int, 2*len(g.ids))}
	for i := range g.ids {
		if i != from && i != to && !g.drains[i] && !g.closed[i] {
			f.add(2*i, 2*i+1, 0)
		}
		for _, e := range g.edges[i] {
			f.add(2*i+1, 2*e.to, e.cost)
		}
	}
	return f
}

func (f *flow) add(from, to int, cost time.Duration) {
	f.out[from] = append(f.out[from], len(f.arcs))
	f.out[to] = append(f.out[to], len(f.arcs)+1)
	f.arcs = append(f.arcs, arc{from, to, cost, true}, arc{to, from, -cost, false})
}

// augment sends one more path along the free arcs that cost least. Arcs that are taken
// back cost less than nothing, so it is Bellman and Ford's algorithm, with a queue.
func (f *flow) augment(from, to int) bool {
	distance, via, waits := make([]time.Duration, len(f.out)), make([]int, len(f.out)), make([]bool, len(f.out))
	for v := range distance {
		distance[v] = unreachable
	}
	distance[from] = 0
	for queue := []int{from}; len(queue) > 0; {
		at := queue[0]
		queue, waits[at] = queue[1:], false
		for _, k := range f.out[at] {
			a := f.arcs[k]
			if d := distance[at] + a.cost; a.free && d < distance[a.to] {
				distance[a.to], via[a.to] = d, k
				if !waits[a.to] {
					queue, waits[a.to] = append(queue, a.to), true
				}
			}
		}
	}
	if distance[to] == unreachable {
		return false
	}
	for at := to; at != from; at = f.arcs[via[at]].from {
		f.arcs[via[at]].free, f.arcs[via[at]^1].free = false, true
	}
	return true
}

// follow takes one path out of the flow.
func (f *flow) follow(from, to int) []int {
	path := []int{from}
	for at := 2*from + 1; at != 2*to; {
		for _, k := range f.out[at] {
			if k%2 == 0 && !f.arcs[k].free {
				f.arcs[k].free = true
				at = f.arcs[k].to
				break
			}
		}
		if at%2 == 0 {
			path = append(path, at/2)
		}
	}
	return path
}
