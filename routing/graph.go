package routing

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"ringway/membership"
)

// A graph is the part of a database that counts: gateways by dense index, edges that
// both ends advertise.
type graph struct {
	ids    []membership.NodeID // ascending
	index  map[membership.NodeID]int
	of     []membership.SiteInstance // whose gateway; instance 0: of none yet
	closed []bool                    // lets nothing through but what begins or ends in its site
	drains []bool
	edges  [][]halfEdge // by target
}

type halfEdge struct {
	to    int
	cost  time.Duration
	delay time.Duration // one way
}

// newGraph keeps the edges of both ends' consent (rule 1).
func newGraph(all []*Signed) *graph {
	g := &graph{index: make(map[membership.NodeID]int, len(all))}
	for i, s := range all {
		g.ids = append(g.ids, s.Gateway)
		g.index[s.Gateway] = i
		g.of = append(g.of, membership.SiteInstance{Instance: s.Instance, Site: s.Site})
		g.closed = append(g.closed, s.Flags&NoTransit != 0)
		g.drains = append(g.drains, s.Flags&Draining != 0)
	}
	said := make([]map[int]*Edge, len(all))
	for i, s := range all {
		said[i] = make(map[int]*Edge, len(s.Edges))
		for k := range s.Edges {
			e := &s.Edges[k]
			if j, ok := g.index[e.To]; ok && j != i {
				said[i][j] = e
			}
		}
	}
	g.edges = make([][]halfEdge, len(all))
	for i := range all {
		for j, e := range said[i] {
			if back, ok := said[j][i]; ok {
				g.edges[i] = append(g.edges[i], halfEdge{j, max(e.Cost, back.Cost), max(e.RTT, back.RTT) / 2})
			}
		}
		slices.SortFunc(g.edges[i], func(a, b halfEdge) int { return cmp.Compare(a.to, b.to) })
	}
	return g
}

// unreachable is the distance of what no path leads to.
const unreachable = time.Duration(1<<63 - 1)

// A tree is the result of one shortest-path run.
type tree struct {
	distance []time.Duration
	parent   []int // -1 at roots and what is out of reach
}

// shortest runs Dijkstra's algorithm from the roots. avoid, if not nil, names
// gateways that may not lie within a path. Among paths of equal cost, the parent with
// the lower id wins (rule 3). Roots that drain begin only paths to what the others do
// not reach (rule 4).
func (g *graph) shortest(roots []int, avoid []bool) tree {
	s := search{
		tree: tree{make([]time.Duration, len(g.ids)), make([]int, len(g.ids))},
		root: make([]bool, len(g.ids)), done: make([]bool, len(g.ids)), avoid: avoid,
	}
	for i := range s.distance {
		s.distance[i], s.parent[i] = unreachable, -1
	}
	for _, r := range roots {
		s.distance[r], s.root[r] = 0, true
	}
	for _, draining := range []bool{false, true} {
		for _, r := range roots {
			if g.drains[r] == draining {
				heap.Push(&s.queue, queued{r, 0})
			}
		}
		s.run(g)
	}
	return s.tree
}

// A search is a shortest-path run under way.
type search struct {
	tree
	root, done, avoid []bool
	queue             nodeQueue
}

// run settles what can be reached from the queue.
func (s *search) run(g *graph) {
	for s.queue.Len() > 0 {
		at := heap.Pop(&s.queue).(queued)
		if s.done[at.node] {
			continue
		}
		s.done[at.node] = true
		if !s.root[at.node] && (g.drains[at.node] || s.avoid != nil && s.avoid[at.node]) {
			continue // a path may end here, not go on (rule 2)
		}
		for _, e := range g.edges[at.node] {
			if !s.passes(g, at.node, e.to) {
				continue
			}
			d := at.distance + e.cost
			better := d < s.distance[e.to] || d == s.distance[e.to] && s.parent[e.to] > at.node
			if !s.done[e.to] && better {
				s.distance[e.to], s.parent[e.to] = d, at.node
				heap.Push(&s.queue, queued{e.to, d})
			}
		}
	}
}

// passes says whether a path may go on from a gateway to a neighbour, as far as the
// gateway's site lets others through (rule 2).
func (s *search) passes(g *graph, at, to int) bool {
	if g.of[at].Site == g.of[to].Site {
		return true
	}
	closed := g.closed[at]
	for !s.root[at] {
		up := s.parent[at]
		if g.of[up].Site != g.of[at].Site {
			return !closed // from another site to a third
		}
		at = up
		closed = closed || g.closed[at]
	}
	return true
}

// speaks says whether gateway i rather than j stands for their instance: one that stays
// rather than one that drains, then the nearer one. Ties are for the lower id, which
// the caller offers first as j; a j below zero is no gateway.
func (g *graph) speaks(t *tree, i, j int) bool {
	switch {
	case t.distance[i] == unreachable:
		return false
	case j < 0:
		return true
	case g.drains[i] != g.drains[j]:
		return !g.drains[i]
	}
	return t.distance[i] < t.distance[j]
}

// path returns the gateways from a root to the target, or nil.
func (t *tree) path(to int) []int {
	if t.distance[to] == unreachable {
		return nil
	}
	var reversed []int
	for at := to; at >= 0; at = t.parent[at] {
		reversed = append(reversed, at)
	}
	slices.Reverse(reversed)
	return reversed
}

type queued struct {
	node     int
	distance time.Duration
}

// A nodeQueue is a heap by distance, then id.
type nodeQueue []queued

func (q nodeQueue) Len() int { return len(q) }
func (q nodeQueue) Less(i, j int) bool {
	return q[i].distance < q[j].distance || q[i].distance == q[j].distance && q[i].node < q[j].node
}
func (q nodeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *nodeQueue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *nodeQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
