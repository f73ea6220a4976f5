package routing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ringway/membership"
)

// gateway describes one gateway of a test network by what it says of itself.
type gateway struct {
	id    membership.NodeID
	site  membership.SiteID
	flags Flags
	edges map[membership.NodeID]int // cost in ms
}

func databaseOf(self membership.NodeID, gateways ...gateway) *Database {
	d := NewDatabase(self)
	for _, g := range gateways {
		a := Advertisement{Gateway: g.id, Site: g.site, Instance: instance(int(g.site)).Instance, Flags: g.flags, Incarnation: 1, Counter: 1}
		for to, ms := range g.edges {
			a.Edges = append(a.Edges, Edge{To: to, Cost: time.Duration(ms) * time.Millisecond})
		}
		d.entries[g.id] = entry{signed: &Signed{Advertisement: a}}
	}
	return d
}

// square is two sites of two gateways: 1 and 2 of site 1, 3 and 4 of site 2; 1–3 is
// the short link, 2–4 the long one.
func square(flags map[membership.NodeID]Flags) *Database {
	return databaseOf(1,
		gateway{1, 1, flags[1], map[membership.NodeID]int{2: 1, 3: 10}},
		gateway{2, 1, flags[2], map[membership.NodeID]int{1: 1, 4: 20}},
		gateway{3, 2, flags[3], map[membership.NodeID]int{4: 1, 1: 10}},
		gateway{4, 2, flags[4], map[membership.NodeID]int{3: 1, 2: 20}})
}

func TestDrainingGatewaysHandOver(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    map[membership.NodeID]Flags
		importer membership.NodeID // of site 1's log in site 2
		parent   membership.NodeID // of that importer
		distance time.Duration
	}{
		{"nobody drains", nil, 3, 1, 10 * time.Millisecond},
		{"the importer drains", map[membership.NodeID]Flags{3: Draining}, 4, 2, 20 * time.Millisecond},
		{"its root drains", map[membership.NodeID]Flags{1: Draining}, 4, 2, 20 * time.Millisecond},
		{"both gateways of the origin drain", map[membership.NodeID]Flags{1: Draining, 2: Draining}, 3, 1, 10 * time.Millisecond},
		{"both gateways of the site drain", map[membership.NodeID]Flags{3: Draining, 4: Draining}, 3, 1, 10 * time.Millisecond},
		{"no transit is no draining", map[membership.NodeID]Flags{1: NoTransit, 3: NoTransit}, 3, 1, 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Compute(square(c.flags))
			importer, ok := r.Importer(instance(2), instance(1))
			if !ok || importer != c.importer {
				t.Fatalf("importer is %v (%v), want %v", importer, ok, c.importer)
			}
			if parent, ok := r.Parent(instance(1), importer); !ok || parent != c.parent {
				t.Errorf("parent is %v (%v), want %v", parent, ok, c.parent)
			}
			if d, ok := r.Depth(instance(1), importer); !ok || d != c.distance {
				t.Errorf("distance is %v (%v), want %v", d, ok, c.distance)
			}
			for _, root := range []membership.NodeID{1, 2} {
				if up, ok := r.Parent(instance(1), root); ok {
					t.Errorf("gateway %v of the origin has parent %v", root, up)
				}
			}
		})
	}
}

func TestOnlyPathThroughADrainingRootStays(t *testing.T) {
	// Gateway 1 alone has a link out of the site, and drains.
	r := Compute(databaseOf(2,
		gateway{1, 1, Draining, map[membership.NodeID]int{2: 1, 3: 10}},
		gateway{2, 1, 0, map[membership.NodeID]int{1: 1}},
		gateway{3, 2, 0, map[membership.NodeID]int{1: 10}}))
	if parent, ok := r.Parent(instance(1), 3); !ok || parent != 1 {
		t.Fatalf("parent of 3 is %v (%v): the site is cut off before its gateway went", parent, ok)
	}
	if path := r.Path(3); path != nil {
		t.Fatalf("path %v leads through a gateway that drains", path)
	}
}

// TestDrainingCutsNobodyOff holds every site's tree with draining gateways against one in
// which the same gateways do not drain and just lie within no path.
func TestDrainingCutsNobodyOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := network(t)
		within := make([]bool, len(d.All()))
		for i, s := range d.All() {
			s.Flags, within[i] = 0, i%3 == 0
		}
		before := newGraph(d.All())
		for i, s := range d.All() {
			if within[i] {
				s.Flags = Draining
			}
		}
		r := Compute(d)
		for _, origin := range r.Instances() {
			var roots []int
			for i, of := range before.of {
				if of == origin {
					roots = append(roots, i)
				}
			}
			want := before.shortest(roots, within)
			for _, site := range r.Instances() {
				reached := slices.ContainsFunc(want.reached(), func(i int) bool { return before.of[i] == site })
				if _, ok := r.Importer(site, origin); ok != reached {
					t.Fatalf("site %v reached from %v: %v with draining, want %v", site, origin, ok, reached)
				}
			}
			for i, id := range r.graph.ids {
				if importer, ok := r.Importer(r.graph.of[i], origin); ok && r.graph.drains[r.graph.index[importer]] &&
					!r.graph.drains[i] && r.trees[origin].distance[i] != unreachable {
					t.Fatalf("%v drains and imports, though %v could", importer, id)
				}
			}
		}
	})
}

// reached returns what a path leads to.
func (t *tree) reached() (all []int) {
	for i, d := range t.distance {
		if d != unreachable {
			all = append(all, i)
		}
	}
	return all
}

// TestNoTransit: gateways 3 and 4 of a site that lets nobody through are the short way
// between 1 and 5, and 4 reaches the rest by 3 only.
func TestNoTransit(t *testing.T) {
	for _, flags := range []Flags{0, NoTransit} {
		r := Compute(databaseOf(1,
			gateway{1, 1, 0, map[membership.NodeID]int{3: 1, 5: 50}},
			gateway{3, 2, flags, map[membership.NodeID]int{1: 1, 4: 1, 5: 1}},
			gateway{4, 2, flags, map[membership.NodeID]int{3: 1}},
			gateway{5, 3, 0, map[membership.NodeID]int{1: 50, 3: 1}}))
		want := []membership.NodeID{1, 3, 5}
		if flags != 0 {
			want = []membership.NodeID{1, 5}
		}
		if path := r.Path(5); !slices.Equal(path, want) {
			t.Errorf("flags %v: the path to 5 is %v, want %v", flags, path, want)
		}
		if path := r.Path(4); !slices.Equal(path, []membership.NodeID{1, 3, 4}) {
			t.Errorf("flags %v: the path to 4 is %v: it ends in the site", flags, path)
		}
		for _, site := range []int{1, 3} {
			if importer, ok := r.Importer(instance(site), instance(2)); !ok {
				t.Errorf("flags %v: site %d does not get site 2's log", flags, site)
			} else if parent, _ := r.Parent(instance(2), importer); parent != 3 {
				t.Errorf("flags %v: site %d gets site 2's log from %v, want 3", flags, site, parent)
			}
		}
		from4 := Compute(databaseOf(4,
			gateway{1, 1, 0, map[membership.NodeID]int{3: 1}},
			gateway{3, 2, flags, map[membership.NodeID]int{1: 1, 4: 1}},
			gateway{4, 2, flags, map[membership.NodeID]int{3: 1}}))
		if path := from4.Path(1); !slices.Equal(path, []membership.NodeID{4, 3, 1}) {
			t.Errorf("flags %v: the path from 4 is %v: it begins in the site", flags, path)
		}
	}
}
