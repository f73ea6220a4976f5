package routing

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/graph/path"
	"gonum.org/v1/gonum/graph/simple"
	"pgregory.net/rapid"

	"ringway/membership"
)

// instance is the one of a site that is in one piece.
func instance(site int) membership.SiteInstance {
	return membership.SiteInstance{Instance: membership.InstanceID(10 * site), Site: membership.SiteID(site)}
}

// network draws gateways of a few sites and edges between them; some edges are
// advertised by one end only.
func network(t *rapid.T) *Database {
	return networkOf(t, rapid.IntRange(2, 40).Draw(t, "gateways"))
}

func networkOf(t *rapid.T, n int) *Database {
	sites := rapid.IntRange(1, n).Draw(t, "sites")
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	edges := make([][]Edge, n)
	for i := range n {
		for j := range i {
			if random.Float64() < 3/float64(n) {
				cost := time.Duration(1+random.IntN(20)) * time.Millisecond
				edges[i] = append(edges[i], Edge{To: membership.NodeID(j + 1), Cost: cost})
				if random.Float64() < 0.9 {
					edges[j] = append(edges[j], Edge{To: membership.NodeID(i + 1), Cost: cost + time.Duration(random.IntN(2))*time.Millisecond})
				}
			}
		}
	}
	d := NewDatabase(1)
	closed := make([]bool, sites)
	for i := range closed {
		closed[i] = random.Float64() < 0.1
	}
	for i := range n {
		in := instance(i%sites + 1)
		if random.Float64() < 0.1 {
			in.Instance++ // a site may be split
		}
		a := Advertisement{Gateway: membership.NodeID(i + 1), Site: in.Site, Instance: in.Instance, Counter: 1, Edges: edges[i]}
		if closed[i%sites] {
			a.Flags = NoTransit
		}
		d.entries[a.Gateway] = entry{signed: &Signed{Advertisement: a}}
	}
	return d
}

// oracle returns gonum's distances from a gateway, for a database without flags.
func oracle(d *Database, from membership.NodeID) func(to membership.NodeID) time.Duration {
	g := simple.NewWeightedDirectedGraph(0, math.Inf(1))
	for _, s := range d.All() {
		g.AddNode(simple.Node(s.Gateway))
	}
	for _, s := range d.All() {
		for _, e := range s.Edges {
			other, ok := d.Get(e.To)
			if !ok {
				continue
			}
			i := slices.IndexFunc(other.Edges, func(b Edge) bool { return b.To == s.Gateway })
			if i < 0 {
				continue
			}
			cost := float64(max(e.Cost, other.Edges[i].Cost))
			g.SetWeightedEdge(g.NewWeightedEdge(simple.Node(s.Gateway), simple.Node(e.To), cost))
		}
	}
	shortest := path.DijkstraFrom(simple.Node(from), g)
	return func(to membership.NodeID) time.Duration {
		weight := shortest.WeightTo(int64(to))
		if math.IsInf(weight, 1) {
			return unreachable
		}
		return time.Duration(weight)
	}
}

func TestDistancesAreShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := network(t)
		for id, e := range d.entries {
			e.signed.Flags = 0
			d.entries[id] = e
		}
		r, distance := Compute(d), oracle(d, 1)
		for _, s := range d.All() {
			got, ok := r.Distance(s.Gateway)
			if !ok {
				got = unreachable
			}
			if want := distance(s.Gateway); got != want {
				t.Fatalf("distance to %v is %v, want %v", s.Gateway, got, want)
			}
		}
	})
}

// TestLargeNetworksHaveShortestDistances is the same at the size of a whole federation.
func TestLargeNetworksHaveShortestDistances(t *testing.T) {
	for _, seed := range []int{1, 2, 3} {
		d := rapid.Custom(func(t *rapid.T) *Database { return networkOf(t, 200) }).Example(seed)
		for id, e := range d.entries {
			e.signed.Flags = 0
			d.entries[id] = e
		}
		r, distance := Compute(d), oracle(d, 1)
		for _, s := range d.All() {
			got, ok := r.Distance(s.Gateway)
			if !ok {
				got = unreachable
			}
			if want := distance(s.Gateway); got != want {
				t.Fatalf("distance to %v is %v, want %v", s.Gateway, got, want)
			}
		}
	}
}

func TestTreesAreLoopFreeAndShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := network(t)
		r := Compute(d)
		for _, origin := range r.Instances() {
			tree := r.trees[origin]
			covered := map[membership.SiteInstance]int{}
			for i, id := range r.graph.ids {
				steps := 0
				for at := id; ; steps++ {
					up, ok := r.Parent(origin, at)
					if !ok {
						break
					}
					if steps > len(r.graph.ids) {
						t.Fatalf("tree of %v has a loop above %v", origin, id)
					}
					if !slices.Contains(r.Children(origin, up), at) {
						t.Fatalf("%v has parent %v, which does not have it as child", at, up)
					}
					j, k := r.graph.index[up], r.graph.index[at]
					if tree.distance[j] >= tree.distance[k] {
						t.Fatalf("%v is no farther from %v than its parent", at, origin)
					}
					if site := r.graph.of[j].Site; r.graph.closed[j] && r.graph.of[k].Site != site && origin.Site != site {
						t.Fatalf("%v lies within a path to another site and lets nobody through", up)
					}
					at = up
				}
				for _, e := range r.graph.edges[i] {
					through := !r.graph.closed[e.to] || r.graph.of[e.to] == origin
					if through && tree.distance[e.to] != unreachable && tree.distance[i] > tree.distance[e.to]+e.cost {
						t.Fatalf("%v could be nearer to %v through %v", id, origin, r.graph.ids[e.to])
					}
				}
				if importer, ok := r.Importer(r.graph.of[i], origin); ok && importer == id {
					covered[r.graph.of[i]]++
				}
			}
			for i, of := range r.graph.of {
				if tree.distance[i] != unreachable && covered[of] != 1 {
					t.Fatalf("%v has %d importers of %v's log", of, covered[of], origin)
				}
			}
		}
	})
}

// TestFloodingConverges floods advertisements in any order, with repetitions, and
// wants equal databases.
func TestFloodingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*Signed
		for g := range 8 {
			for c := range rapid.IntRange(1, 5).Draw(t, "versions") {
				all = append(all, &Signed{Advertisement: Advertisement{Gateway: membership.NodeID(g + 10), Site: 1, Incarnation: uint64(c / 2), Counter: uint64(c)}})
			}
		}
		a, b := NewDatabase(1), NewDatabase(2)
		for _, d := range []*Database{a, b} {
			for _, i := range rapid.Permutation(seq(len(all))).Draw(t, "order") {
				d.Put(0, all[i])
				if rapid.Bool().Draw(t, "again") && d.Put(0, all[i]) == Newer {
					t.Fatal("the same advertisement was newer twice")
				}
			}
		}
		if !slices.Equal(a.Digest(), b.Digest()) {
			t.Fatalf("%v and %v", a.Digest(), b.Digest())
		}
		if len(a.Missing(b.Digest())) > 0 {
			t.Fatal("something is missing between equal databases")
		}
	})
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func TestPutSaysWhatItDid(t *testing.T) {
	d := NewDatabase(1)
	at := func(g membership.NodeID, incarnation, counter uint64) *Signed {
		return &Signed{Advertisement: Advertisement{Gateway: g, Site: 1, Incarnation: incarnation, Counter: counter}}
	}
	d.PutOwn(0, at(1, 5, 5))
	for _, c := range []struct {
		ad   *Signed
		want Verdict
	}{
		{at(2, 1, 1), Newer}, {at(2, 1, 1), Same}, {at(2, 1, 0), Older}, {at(2, 2, 0), Newer}, {at(2, 1, 9), Older},
		{at(1, 5, 5), Same}, {at(1, 5, 4), Older}, {at(1, 5, 6), OwnNewer},
	} {
		if got := d.Put(0, c.ad); got != c.want {
			t.Errorf("Put(%v) = %v, want %v", c.ad.Summary(), got, c.want)
		}
	}
	if own, _ := d.Get(1); own.Counter != 5 {
		t.Error("somebody replaced the own advertisement")
	}
	for g := membership.NodeID(10); len(d.entries) < MaxGateways; g++ {
		d.Put(time.Hour, at(g, 1, 1))
	}
	if got := d.Put(0, at(9999, 1, 1)); got != Full {
		t.Errorf("a full database says %v", got)
	}
	if dropped := d.Expire(time.Minute); dropped != 1 { // gateway 2
		t.Errorf("expired %d", dropped)
	}
}

func TestCostsAreSaidWhenTheyStay(t *testing.T) {
	var p Publisher
	ad := func(ms float64) Advertisement {
		return Advertisement{Gateway: 1, Edges: []Edge{{To: 2, Cost: time.Duration(ms * float64(time.Millisecond))}}}
	}
	steps := []struct {
		at   time.Duration
		ad   Advertisement
		want bool
	}{
		{0, ad(20), true},
		{1 * time.Second, ad(21.9), false},                         // within 2 ms
		{2 * time.Second, ad(30), false},                           // moved, but does it stay?
		{2500 * time.Millisecond, ad(20), false},                   // no
		{3 * time.Second, ad(30), false},                           // again
		{4 * time.Second, ad(31), true},                            // it stayed
		{4100 * time.Millisecond, Advertisement{Gateway: 1}, true}, // down at once
		{4200 * time.Millisecond, Advertisement{Gateway: 1}, false},
		{4*time.Second + refreshEvery + time.Second, Advertisement{Gateway: 1}, true},
	}
	counter := uint64(0)
	for i, s := range steps {
		said, ok := p.Next(s.at, s.ad)
		if ok != s.want {
			t.Fatalf("step %d: said = %v, want %v", i, ok, s.want)
		}
		if ok {
			if counter++; said.Counter != counter {
				t.Fatalf("step %d: counter %d, want %d", i, said.Counter, counter)
			}
		}
	}
	p.Outnumber(100)
	if said, ok := p.Next(steps[len(steps)-1].at, Advertisement{Gateway: 1}); !ok || said.Counter != 101 {
		t.Fatalf("after out-numbering: %v %v", said.Counter, ok)
	}
}

// TestCostsThatSwing: a cost that rises and falls again and again is told ever more seldom,
// one that only rises is not, and calm makes up for it. Doubt is always told at once.
func TestCostsThatSwing(t *testing.T) {
	var p Publisher
	cost := func(d time.Duration) Advertisement {
		return Advertisement{Gateway: 1, Edges: []Edge{{To: 2, Cost: d}, {To: 3, Cost: 30 * time.Millisecond}}}
	}
	now := time.Duration(0)
	p.Next(now, cost(20*time.Millisecond))
	// takes moves the cost and returns after how long it is told.
	takes := func(d time.Duration) time.Duration {
		for began := now; ; now += 100 * time.Millisecond {
			if said, ok := p.Next(now, cost(d)); ok {
				if said.Edges[0].Cost != d || said.Edges[1].Cost != 30*time.Millisecond {
					t.Fatalf("told %v", said.Edges)
				}
				return now - began
			}
			if now-began > time.Minute {
				t.Fatalf("%v is never told", d)
			}
		}
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 32} {
		d := 20 * time.Millisecond
		if i%2 == 0 {
			d *= 2
		}
		if got := takes(d); got != want*time.Second {
			t.Fatalf("move %d is told after %v, want %d s", i, got, want)
		}
	}
	if got := takes(Doubt + 40*time.Millisecond); got != 0 {
		t.Errorf("doubt is told after %v", got)
	}
	if got := takes(40 * time.Millisecond); got != changeHold {
		t.Errorf("the end of a doubt is told after %v", got)
	}
	for d := 60 * time.Millisecond; d < 200*time.Millisecond; d += 20 * time.Millisecond {
		if got := takes(d); got != changeHold {
			t.Errorf("a cost that goes on rising is told after %v", got)
		}
	}
	now += (swingMost + 1) * swingDecay
	if got := takes(20 * time.Millisecond); got != changeHold {
		t.Errorf("after calm, a cost is told after %v", got)
	}
	// What has not moved enough is not told with what has.
	ad := cost(20 * time.Millisecond)
	ad.Edges[1].Cost += time.Millisecond
	ad.Flags = Draining
	if said, ok := p.Next(now, ad); !ok || said.Edges[1].Cost != 30*time.Millisecond {
		t.Errorf("told %v: %v", ok, said.Edges)
	}
}

func TestThrottleSpacesComputations(t *testing.T) {
	var th Throttle
	th.Took(time.Second)
	now := time.Second
	for i, want := range []time.Duration{10, 50, 100, 200, 400, 500, 500} {
		th.Change(now)
		at, ok := th.Deadline()
		if !ok || at-now != want*time.Millisecond {
			t.Fatalf("wait %d is %v, want %v ms", i, at-now, want)
		}
		if th.Take(at-1) || !th.Take(at) || th.Take(at) {
			t.Fatalf("wait %d: taken at the wrong time", i)
		}
		now = at
	}
	th.Took(time.Millisecond)
	th.Change(now)
	if at, _ := th.Deadline(); at-now != throttleNext || !th.Take(at) {
		t.Fatalf("what is quick to compute waits %v", at-now)
	}
	now += throttleNext
	th.Change(now + 2*calm)
	if at, _ := th.Deadline(); at-now-2*calm != throttleFirst {
		t.Fatal("calm does not reset the throttle")
	}
}

func TestEncodingsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, s := range network(t).All() {
			s.Body = s.Advertisement.Append(nil)
			s.Certificate, s.Signature = []byte{1, 2}, []byte{3}
			got, err := DecodeSigned(s.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			same := slices.EqualFunc(got.Edges, s.Edges, func(a, b Edge) bool { return a == b })
			if got.Summary() != s.Summary() || !same || got.Flags != s.Flags || string(got.Signature) != string(s.Signature) {
				t.Fatalf("got %+v, want %+v", got, s)
			}
		}
		digest := network(t).Digest()
		back, err := DecodeDigest(AppendDigest(nil, digest))
		if err != nil || !slices.Equal(back, digest) {
			t.Fatalf("digest: %v %v", back, err)
		}
	})
}

func TestGoldenAdvertisement(t *testing.T) {
	a := Advertisement{
		Gateway: 0x01020304, Site: 0x0a0b0c0d, Incarnation: 7, Counter: 9, Flags: Draining, Instance: 0x1122,
		View: membership.ViewID{Epoch: 3, Proposer: 4}, Epoch: 5, Wanted: 6,
		Edges: []Edge{{To: 0x55, Cost: time.Millisecond, RTT: 2 * time.Millisecond, LossPPM: 1000, Lanes: 1}},
		Dead:  []Death{{7, 8}, {9, 10}},
	}
	want := "\x03\x04\x03\x02\x01\x0d\x0c\x0b\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x22\x11\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x55\x00\x00\x00\x40\x42\x0f\x00\x00\x00\x00\x00\x80\x84\x1e\x00\x00\x00\x00\x00\xe8\x03\x00\x00\x01" +
		"\x02\x07\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00"
	if got := string(a.Append(nil)); got != want {
		t.Fatalf("the encoding changed, so must codecVersion:\n%x\n%x", got, want)
	}
}

func FuzzDecodeSigned(f *testing.F) {
	a := Advertisement{Gateway: 1, Site: 2, Edges: []Edge{{To: 3, Cost: 1}}}
	s := Signed{Body: a.Append(nil)}
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeSigned(data)
		if err != nil {
			return
		}
		if again := s.Advertisement.Append(nil); string(again) != string(s.Body) {
			t.Fatalf("%x decodes and encodes as %x", s.Body, again)
		}
	})
}

func FuzzDecodeDigest(f *testing.F) {
	f.Add(AppendDigest(nil, []Summary{{1, 2, 3}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if digest, err := DecodeDigest(data); err == nil && string(AppendDigest(nil, digest)) != string(data) {
			t.Fatal("a digest decodes and encodes differently")
		}
	})
}

func BenchmarkCompute(b *testing.B) {
	d := NewDatabase(1)
	const sites, perSite = 50, 2
	for i := range sites * perSite {
		a := Advertisement{Gateway: membership.NodeID(i + 1), Site: membership.SiteID(i/perSite + 1), Instance: membership.InstanceID(i/perSite + 1)}
		for j := range sites * perSite {
			if i != j {
				a.Edges = append(a.Edges, Edge{To: membership.NodeID(j + 1), Cost: time.Duration(1+(i*j)%97) * time.Millisecond})
			}
		}
		slices.SortFunc(a.Edges, func(x, y Edge) int { return cmp.Compare(x.To, y.To) })
		d.entries[a.Gateway] = entry{signed: &Signed{Advertisement: a}}
	}
	for b.Loop() {
		Compute(d)
	}
}
