package routing

import (
	"cmp"
	"slices"
	"time"

	"ringway/membership"
)

// LANCost is the cost of the edge between two gateways of one site.
const LANCost = 200 * time.Microsecond

// Routes are the paths that follow from a database, seen from one gateway. Routes
// never change and are safe for concurrent use.
type Routes struct {
	graph *graph
	self  int // -1: not in the database
	own   tree
	trees map[membership.SiteInstance]*originTree
}

// An originTree is the tree of one instance's log.
type originTree struct {
	tree
	children [][]int
	importer map[membership.SiteInstance]int
}

// Compute finds all paths. Its cost is one shortest-path run for each instance.
func Compute(d *Database) *Routes {
	g := newGraph(living(d.All()))
	r := &Routes{graph: g, self: -1, trees: map[membership.SiteInstance]*originTree{}}
	if i, ok := g.index[d.self]; ok {
		r.self = i
		r.own = g.shortest([]int{i}, nil)
	}
	for _, origin := range r.Instances() {
		r.trees[origin] = g.originTree(origin)
	}
	return r
}

// living leaves out the gateways that one of their site calls dead (rule 6).
func living(all []*Signed) []*Signed {
	var dead map[membership.NodeID]bool
	for _, s := range all {
		for _, d := range s.Dead {
			i, ok := slices.BinarySearchFunc(all, d.Gateway, func(x *Signed, id membership.NodeID) int { return cmp.Compare(x.Gateway, id) })
			if ok && all[i].Site == s.Site && all[i].Incarnation <= d.Incarnation {
				if dead == nil {
					dead = map[membership.NodeID]bool{}
				}
				dead[d.Gateway] = true
			}
		}
	}
	if dead == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(s *Signed) bool { return dead[s.Gateway] })
}

// Instances returns every instance that a gateway advertises, ascending by site, then
// by instance.
func (r *Routes) Instances() []membership.SiteInstance {
	all := slices.Clone(r.graph.of)
	all = slices.DeleteFunc(all, func(x membership.SiteInstance) bool { return x.Instance == 0 })
	slices.SortFunc(all, func(a, b membership.SiteInstance) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Instance, b.Instance))
	})
	return slices.Compact(all)
}

func (g *graph) originTree(origin membership.SiteInstance) *originTree {
	var roots []int
	for i, of := range g.of {
		if of == origin {
			roots = append(roots, i)
		}
	}
	t := &originTree{tree: g.shortest(roots, nil), importer: map[membership.SiteInstance]int{}}
	t.children = make([][]int, len(g.ids))
	for i, p := range t.parent {
		if p >= 0 {
			t.children[p] = append(t.children[p], i)
		}
		if g.of[i].Instance == 0 {
			continue // it belongs to no ring that could take the log in
		}
		best, known := t.importer[g.of[i]]
		if !known {
			best = -1
		}
		if g.speaks(&t.tree, i, best) {
			t.importer[g.of[i]] = i
		}
	}
	return t
}

// NextHop returns the neighbour over which this gateway reaches another.
func (r *Routes) NextHop(to membership.NodeID) (membership.NodeID, bool) {
	path := r.Path(to)
	if len(path) < 2 {
		return 0, false
	}
	return path[1], true
}

// Path returns the gateways from this one to another, both included, or nil.
func (r *Routes) Path(to membership.NodeID) []membership.NodeID {
	i, ok := r.graph.index[to]
	if !ok || r.self < 0 {
		return nil
	}
	return r.graph.names(r.own.path(i))
}

func (g *graph) names(path []int) []membership.NodeID {
	var ids []membership.NodeID
	for _, i := range path {
		ids = append(ids, g.ids[i])
	}
	return ids
}

// Distance returns the cost from this gateway to another.
func (r *Routes) Distance(to membership.NodeID) (time.Duration, bool) {
	i, ok := r.graph.index[to]
	if !ok || r.self < 0 || r.own.distance[i] == unreachable {
		return 0, false
	}
	return r.own.distance[i], true
}

// Delay returns what the links on the path to another gateway take one way, as
// measured, whatever they cost.
func (r *Routes) Delay(to membership.NodeID) (time.Duration, bool) {
	i, ok := r.graph.index[to]
	if !ok || r.self < 0 || r.own.distance[i] == unreachable {
		return 0, false
	}
	delay := time.Duration(0)
	for at := i; r.own.parent[at] >= 0; at = r.own.parent[at] {
		up := r.own.parent[at]
		k, _ := slices.BinarySearchFunc(r.graph.edges[up], at, func(e halfEdge, to int) int { return cmp.Compare(e.to, to) })
		delay += r.graph.edges[up][k].delay
	}
	return delay, true
}

// Nearest returns the gateway of an instance that this one reaches at the least cost;
// one that drains only if there is no other.
func (r *Routes) Nearest(of membership.SiteInstance) (membership.NodeID, bool) {
	best := -1
	for i, x := range r.graph.of {
		if x == of && r.self >= 0 && r.graph.speaks(&r.own, i, best) {
			best = i
		}
	}
	if best < 0 {
		return 0, false
	}
	return r.graph.ids[best], true
}

// tree returns the tree of origin's log and the index of g in it.
func (r *Routes) tree(origin membership.SiteInstance, g membership.NodeID) (*originTree, int, bool) {
	t, ok := r.trees[origin]
	i, known := r.graph.index[g]
	return t, i, ok && known
}

// Parent returns the gateway from which g gets origin's log. Gateways of origin have
// no parent.
func (r *Routes) Parent(origin membership.SiteInstance, g membership.NodeID) (membership.NodeID, bool) {
	t, i, ok := r.tree(origin, g)
	if !ok || t.parent[i] < 0 {
		return 0, false
	}
	return r.graph.ids[t.parent[i]], true
}

// Children returns the gateways that get origin's log from g, by id.
func (r *Routes) Children(origin membership.SiteInstance, g membership.NodeID) []membership.NodeID {
	t, i, ok := r.tree(origin, g)
	if !ok {
		return nil
	}
	return r.graph.names(t.children[i])
}

// Depth returns the cost from origin's gateways to g, over origin's tree.
func (r *Routes) Depth(origin membership.SiteInstance, g membership.NodeID) (time.Duration, bool) {
	t, i, ok := r.tree(origin, g)
	if !ok || t.distance[i] == unreachable {
		return 0, false
	}
	return t.distance[i], true
}

// Importer returns the gateway of an instance that imports origin's log.
func (r *Routes) Importer(of, origin membership.SiteInstance) (membership.NodeID, bool) {
	t, ok := r.trees[origin]
	if !ok {
		return 0, false
	}
	i, ok := t.importer[of]
	if !ok {
		return 0, false
	}
	return r.graph.ids[i], true
}

// Table returns the cost from this gateway to every other that it reaches, with the
// path, by cost.
func (r *Routes) Table() []Route {
	var table []Route
	for i, id := range r.graph.ids {
		if i == r.self || r.self < 0 || r.own.distance[i] == unreachable {
			continue
		}
		table = append(table, Route{To: id, Site: r.graph.of[i].Site, Path: r.Path(id), Cost: r.own.distance[i]})
	}
	slices.SortFunc(table, func(a, b Route) int { return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(a.To, b.To)) })
	return table
}

// A Route is a line of the routing table.
type Route struct {
	To   membership.NodeID
	Site membership.SiteID
	Path []membership.NodeID // from this gateway to To, both included
	Cost time.Duration
}
