package routing

import (
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/graph/path"
	"gonum.org/v1/gonum/graph/simple"
	"pgregory.net/rapid"

	"ringway/membership"
)

// A flooder is a gateway as package overlay has it, with nothing but its database.
type flooder struct {
	id                   membership.NodeID
	incarnation, counter uint64
	db                   *Database
	flags                Flags
}

// A field is a network of flooders whose links come and go, and whose messages wait until
// they are delivered, in the order of their link and in any order between links.
type field struct {
	random *rand.Rand
	nodes  []*flooder
	cost   map[[2]int]time.Duration // of the links there may be; the lower index first
	up     map[[2]int]bool
	queue  map[[2]int][]any // by sender and receiver: *Signed or []Summary
	sent   int
}

func newField(random *rand.Rand, n int) *field {
	f := &field{random: random, cost: map[[2]int]time.Duration{}, up: map[[2]int]bool{}, queue: map[[2]int][]any{}}
	for i := range n {
		id := membership.NodeID(i + 1)
		f.nodes = append(f.nodes, &flooder{id: id, incarnation: 5, db: NewDatabase(id)})
		for j := range i {
			if i-j == 1 || random.Float64() < 2/float64(n) {
				f.cost[[2]int{j, i}] = time.Duration(1+random.IntN(30)) * time.Millisecond
			}
		}
	}
	for i := range f.nodes {
		f.say(i)
	}
	return f
}

// say advertises what a gateway has to say of itself.
func (f *field) say(i int) {
	n := f.nodes[i]
	n.counter++
	s := &Signed{Advertisement: Advertisement{Gateway: n.id, Site: membership.SiteID(n.id), Instance: membership.InstanceID(n.id), Incarnation: n.incarnation, Counter: n.counter, Flags: n.flags}}
	for j := range f.nodes {
		if k := link(i, j); f.up[k] {
			s.Edges = append(s.Edges, Edge{To: f.nodes[j].id, Cost: f.cost[k]})
		}
	}
	n.db.PutOwn(0, s)
	f.flood(i, -1, s)
}

func link(i, j int) [2]int { return [2]int{min(i, j), max(i, j)} }

func (f *field) flood(from, but int, s *Signed) {
	for to := range f.nodes {
		if to != but {
			f.send(from, to, s)
		}
	}
}

func (f *field) send(from, to int, what any) {
	if f.up[link(from, to)] {
		k := [2]int{from, to}
		f.queue[k] = append(f.queue[k], what)
	}
}

// set brings a link up or down. What is under way over one that goes down is lost.
func (f *field) set(k [2]int, up bool) {
	if f.up[k] == up {
		return
	}
	f.up[k] = up
	if !up {
		delete(f.queue, k)
		delete(f.queue, [2]int{k[1], k[0]})
	}
	for _, ends := range [][2]int{k, {k[1], k[0]}} {
		f.say(ends[0])
		if up {
			f.send(ends[0], ends[1], f.nodes[ends[0]].db.Digest())
		}
	}
}

// restart lets a gateway lose everything and come back, perhaps with its clock behind.
func (f *field) restart(i int) {
	for k := range f.cost {
		if k[0] == i || k[1] == i {
			f.set(k, false)
		}
	}
	n := f.nodes[i]
	n.db, n.counter = NewDatabase(n.id), 0
	n.incarnation = uint64(max(1, int(n.incarnation)+[]int{-2, 1, 1, 3}[f.random.IntN(4)])) // clocks do not show years before 1970
	f.say(i)
}

// deliver takes one message off some link; false: there is none.
func (f *field) deliver() bool {
	keys := slices.SortedFunc(maps.Keys(f.queue), func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	if len(keys) == 0 {
		return false
	}
	k := keys[f.random.IntN(len(keys))]
	what := f.queue[k][0]
	if f.queue[k] = f.queue[k][1:]; len(f.queue[k]) == 0 {
		delete(f.queue, k)
	}
	f.sent++
	from, to := k[0], k[1]
	n := f.nodes[to]
	switch what := what.(type) {
	case []Summary:
		for _, s := range n.db.Missing(what) {
			f.send(to, from, s)
		}
	case *Signed:
		switch n.db.Put(0, what) {
		case Newer:
			f.flood(to, from, what)
		case Older:
			ours, _ := n.db.Get(what.Gateway)
			f.send(to, from, ours)
		case OwnNewer:
			if what.Incarnation > n.incarnation {
				n.incarnation = what.Incarnation + 1
			}
			n.counter = max(n.counter, what.Counter)
			f.say(to)
		}
	}
	return true
}

// component returns the gateways that a gateway can reach over links that are up.
func (f *field) component(of int) (all []int) {
	seen := map[int]bool{of: true}
	for queue := []int{of}; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		for j := range f.nodes {
			if f.up[link(queue[0], j)] && !seen[j] {
				seen[j] = true
				queue = append(queue, j)
			}
		}
	}
	return all
}

// TestAfterChangesStop: links come and go, gateways restart, drain and move their costs,
// while what they flood is under way. When changes stop and the last message has arrived,
// all databases of those who reach each other are equal, whoever computes finds the same
// trees, and distances are gonum's.
func TestAfterChangesStop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		f := newField(random, rapid.IntRange(2, 24).Draw(t, "gateways"))
		keys := slices.SortedFunc(maps.Keys(f.cost), func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
		for _, k := range keys {
			f.set(k, true)
		}
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			switch k, i := keys[random.IntN(len(keys))], random.IntN(len(f.nodes)); random.IntN(10) {
			case 0:
				f.restart(i)
			case 1:
				f.nodes[i].flags ^= Draining
				f.say(i)
			case 2:
				f.cost[k] = time.Duration(1+random.IntN(30)) * time.Millisecond
				f.say(k[0])
				f.say(k[1])
			default:
				f.set(k, !f.up[k])
			}
			for range random.IntN(20) {
				f.deliver()
			}
		}
		limit := f.sent + 4000*len(f.nodes)
		for f.deliver() {
			if f.sent > limit {
				t.Fatal("flooding does not end")
			}
		}
		for i := range f.nodes {
			f.judge(t, i)
		}
	})
}

// judge holds what a gateway knows against what the first of its component knows, and its
// distances against gonum's.
func (f *field) judge(t *rapid.T, i int) {
	component := f.component(i)
	first, n := f.nodes[slices.Min(component)], f.nodes[i]
	if !slices.Equal(first.db.Digest(), n.db.Digest()) {
		t.Fatalf("%v knows %v, %v knows %v", first.id, first.db.Digest(), n.id, n.db.Digest())
	}
	a, b := Compute(first.db), Compute(n.db)
	for _, origin := range a.Instances() {
		if !reflect.DeepEqual(a.trees[origin], b.trees[origin]) {
			t.Fatalf("%v and %v have different trees of %v", first.id, n.id, origin)
		}
	}
	if len(component) < 2 || slices.ContainsFunc(n.db.All(), func(s *Signed) bool { return s.Flags != 0 }) {
		return // gonum knows of no flags
	}
	distance := oracle(n.db, n.id)
	for j := range f.nodes {
		got, ok := b.Distance(f.nodes[j].id)
		if !ok {
			got = unreachable
		}
		if want := distance(f.nodes[j].id); slices.Contains(component, j) && got != want {
			t.Fatalf("distance from %v to %v is %v, want %v", n.id, f.nodes[j].id, got, want)
		}
		if ok != slices.Contains(component, j) {
			t.Fatalf("%v reaches %v: %v", n.id, f.nodes[j].id, ok)
		}
	}
}

// pairOracle returns how long the shortest two paths between two gateways are together
// that share no gateway in between: the same flow of two, by gonum's Bellman and Ford.
func pairOracle(g *graph, from, to int) time.Duration {
	in, out := func(i int) int64 { return int64(2 * i) }, func(i int) int64 { return int64(2*i + 1) }
	residual := simple.NewWeightedDirectedGraph(0, math.Inf(1))
	set := func(a, b int64, cost float64) {
		residual.SetWeightedEdge(residual.NewWeightedEdge(simple.Node(a), simple.Node(b), cost))
	}
	for i := range g.ids {
		residual.AddNode(simple.Node(in(i)))
		residual.AddNode(simple.Node(out(i)))
	}
	for i := range g.ids {
		if i != from && i != to {
			set(in(i), out(i), 0)
		}
		for _, e := range g.edges[i] {
			set(out(i), in(e.to), float64(e.cost))
		}
	}
	total := 0.0
	for range 2 {
		shortest, ok := path.BellmanFordFrom(simple.Node(out(from)), residual)
		nodes, cost := shortest.To(in(to))
		if !ok || len(nodes) == 0 {
			return unreachable
		}
		total += cost
		for i, at := range nodes[1:] {
			before := nodes[i]
			w, _ := residual.Weight(before.ID(), at.ID())
			residual.RemoveEdge(before.ID(), at.ID())
			set(at.ID(), before.ID(), -w)
		}
	}
	return time.Duration(total)
}

// TestShortestPairInLargeNetworks holds pairs against gonum's in random networks of up to
// 200 gateways, and what DisjointPaths makes of them.
func TestShortestPairInLargeNetworks(t *testing.T) {
	pairs, trapped := 0, 0
	for seed, n := range []int{10, 50, 100, 200} {
		d := rapid.Custom(func(t *rapid.T) *Database { return networkOf(t, n) }).Example(seed + 1)
		for id, e := range d.entries {
			e.signed.Flags = 0
			d.entries[id] = e
		}
		r := Compute(d)
		for to := 1; to < n; to += max(n/60, 1) {
			want, got := pairOracle(r.graph, r.self, to), unreachable
			pair := r.graph.shortestPair(r.self, to)
			if pair != nil {
				got = r.graph.length(pair[0]) + r.graph.length(pair[1])
			}
			if got != want {
				t.Fatalf("%d gateways: the pair to %v takes %v, want %v", n, r.graph.ids[to], got, want)
			}
			paths := r.DisjointPaths(r.graph.ids[to])
			if two := len(paths) == 2; two != (pair != nil) {
				t.Fatalf("%d gateways: %d paths to %v, a pair: %v", n, len(paths), r.graph.ids[to], pair)
			}
			if pair != nil {
				pairs++
				if !slices.Equal(paths[0], r.Path(r.graph.ids[to])) {
					trapped++
				}
			}
		}
	}
	t.Logf("%d pairs, %d without the shortest path", pairs, trapped)
	if pairs < 20 {
		t.Error("too few pairs to judge by")
	}
}
