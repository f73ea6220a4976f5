package topology

import (
	"slices"
	"time"
)

// unmeasuredHop is what a link counts in the path tables if the file says nothing
// about it: running gateways measure, a file cannot.
const unmeasuredHop = time.Millisecond

// planned returns what a link counts in the path tables: its fixed cost, or the delay
// that the lab would emulate, or one unmeasured hop.
func (l *Link) planned() (cost time.Duration, source string) {
	switch {
	case l.Cost > 0:
		return l.Cost, "fixed"
	case l.WAN.Delay > 0:
		return l.WAN.Delay, "wan delay"
	}
	return unmeasuredHop, "1ms a hop until measured"
}

// A Path is the cheapest way from one site to another over the links of the file.
type Path struct {
	To   *Site
	Cost time.Duration
	Via  []*Site // from the first site to To, both included
}

// Paths returns the cheapest path from a site to each other one, in the order of the
// file. Of paths that cost the same it takes the one with fewer links, then the one
// whose last site but one comes first in the file. Sites that no link reaches are
// left out.
func (t *Topology) Paths(from *Site) []Path {
	g := t.graph()
	source := slices.Index(t.Sites, from)
	if source < 0 {
		return nil
	}
	nodes := g.shortest(source)
	var paths []Path
	for i, site := range t.Sites {
		if i == source || !nodes[i].reached {
			continue
		}
		path := Path{To: site, Cost: nodes[i].cost}
		for at := i; at != source; at = nodes[at].previous {
			path.Via = append(path.Via, t.Sites[at])
		}
		path.Via = append(path.Via, from)
		slices.Reverse(path.Via)
		paths = append(paths, path)
	}
	return paths
}

// A graph has the sites by their places in the file.
type graph struct {
	cost   [][]time.Duration // of links; negative: there is none
	closed []bool            // sites that let nobody through
}

func (t *Topology) graph() graph {
	g := graph{make([][]time.Duration, len(t.Sites)), make([]bool, len(t.Sites))}
	place := map[*Site]int{}
	for i, site := range t.Sites {
		place[site] = i
		g.cost[i], g.closed[i] = slices.Repeat([]time.Duration{-1}, len(t.Sites)), site.NoTransit
	}
	for _, l := range t.Links {
		a, b := place[l.Between[0]], place[l.Between[1]]
		cost, _ := l.planned()
		g.cost[a][b], g.cost[b][a] = cost, cost
	}
	return g
}

// A vertex is what Dijkstra's algorithm knows about a site.
type vertex struct {
	cost     time.Duration
	hops     int
	previous int
	reached  bool
	done     bool
}

// shortest is Dijkstra's algorithm without a heap: with 64 sites at most, looking for
// the next vertex is cheap.
func (g graph) shortest(source int) []vertex {
	v := make([]vertex, len(g.cost))
	v[source] = vertex{previous: source, reached: true}
	for {
		at := -1
		for i := range v {
			if v[i].reached && !v[i].done && (at < 0 || v[i].nearer(v[at])) {
				at = i
			}
		}
		if at < 0 {
			return v
		}
		v[at].done = true
		if at != source && g.closed[at] {
			continue // it lets nobody through
		}
		for next, cost := range g.cost[at] {
			if cost < 0 || v[next].done {
				continue
			}
			found := vertex{cost: v[at].cost + cost, hops: v[at].hops + 1, previous: at, reached: true}
			if !v[next].reached || found.nearer(v[next]) {
				v[next] = found
			}
		}
	}
}

func (a vertex) nearer(b vertex) bool {
	switch {
	case a.cost != b.cost:
		return a.cost < b.cost
	case a.hops != b.hops:
		return a.hops < b.hops
	}
	return a.previous < b.previous
}
