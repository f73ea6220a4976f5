package routing

import (
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

// TestDrainingCutsNobodyOff compares every site's tree with and without flags of
// draining on gateways that never lie within a path anyway.
func TestDrainingCutsNobodyOff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := network(t)
		reached := func() map[[2]membership.SiteInstance]bool {
			r, set := Compute(d), map[[2]membership.SiteInstance]bool{}
			for _, origin := range r.Instances() {
				for _, site := range r.Instances() {
					_, set[[2]membership.SiteInstance{origin, site}] = r.Importer(site, origin)
				}
			}
			return set
		}
		flag := func(f Flags) {
			for i, s := range d.All() {
				s.Flags = 0
				if i%3 == 0 {
					s.Flags = f
				}
			}
		}
		flag(NoTransit)
		before := reached()
		flag(Draining)
		for pair, ok := range reached() {
			if ok != before[pair] {
				t.Fatalf("site %v reached from %v: %v with draining, %v with no-transit", pair[1], pair[0], ok, before[pair])
			}
		}
		r := Compute(d)
		for _, origin := range r.Instances() {
			for i, id := range r.graph.ids {
				if importer, ok := r.Importer(r.graph.of[i], origin); ok && r.graph.drains[r.graph.index[importer]] &&
					!r.graph.drains[i] && r.trees[origin].distance[i] != unreachable {
					t.Fatalf("%v drains and imports, though %v could", importer, id)
				}
			}
		}
	})
}
