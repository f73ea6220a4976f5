package sim

import "time"

// A Map says how sites are linked.
type Map uint8

// The maps.
const (
	Mesh    Map = iota + 1 // every site with every other
	Circle                 // each with the next
	Hub                    // all with the first
	Web                    // each with one before it, and some more
	Regions                // all with all, by measured delays
)

// connect draws the links between the sites, and how the overlay works.
func (a *artist) connect() {
	a.WAN = WAN{Detect: 300 * time.Millisecond, Hints: float64(a.site.IntN(3) * 10)}
	if a.shape.Rough && a.site.percent(70) {
		a.WAN.PromiseLoss, a.WAN.Duplicate, a.WAN.Late = float64(a.site.IntN(12)), float64(a.site.IntN(5)), float64(a.site.IntN(5))
		a.WAN.LateBy = a.site.between(0, 2*time.Second).Truncate(time.Millisecond)
	}
	// A federation of one country, of one continent or of the world.
	far := []time.Duration{8 * time.Millisecond, 40 * time.Millisecond, 120 * time.Millisecond}[a.site.IntN(3)]
	n := len(a.Sites)
	kind := a.shape.Map[a.site.IntN(len(a.shape.Map))]
	switch kind {
	case Mesh, Regions:
		for j := range n {
			for i := range j {
				a.link(i, j, far, kind)
			}
		}
	case Circle:
		for i := range n {
			if j := (i + 1) % n; n > 2 || i < j {
				a.link(min(i, j), max(i, j), far, kind)
			}
		}
	case Hub:
		for j := 1; j < n; j++ {
			a.link(0, j, far, kind)
		}
	case Web:
		for j := 1; j < n; j++ {
			i := a.site.IntN(j)
			a.link(i, j, far, kind)
			if k := a.site.IntN(j); k != i && a.site.percent(50) {
				a.link(k, j, far, kind)
			}
		}
	}
}

// link draws one. Regions are as they were measured.
func (a *artist) link(i, j int, far time.Duration, kind Map) {
	d := a.site.between(far/20, far)
	k := Link{A: i, B: j, Delay: [2]time.Duration{d, d + a.site.between(0, d/10)}, Jitter: a.site.between(0, d/20)}
	if a.shape.Rough && a.site.percent(40) {
		k.Jitter, k.Loss = a.site.between(0, d/4), float64(a.site.IntN(4))
	}
	if kind == Regions {
		d = regions[i][j]
		k.Delay, k.Jitter = [2]time.Duration{d, d}, d/50
	}
	for _, t := range []*time.Duration{&k.Delay[0], &k.Delay[1], &k.Jitter} {
		*t = t.Truncate(time.Microsecond)
	}
	a.Links = append(a.Links, k)
}

// regions are one-way delays between six regions of a cloud, as measured: Australia
// East, East Asia, US East 2, France Central, Southeast Asia and US West 2. They are
// those of examples/topologies/six-regions.toml.
var regions = delays(6, map[[2]int]float64{
	{0, 1}: 58.66, {0, 2}: 97.98, {0, 3}: 116.90, {0, 4}: 43.41, {0, 5}: 87.41,
	{1, 2}: 98.16, {1, 3}: 92.65, {1, 4}: 17.62, {1, 5}: 70.56,
	{2, 3}: 40.03, {2, 4}: 107.22, {2, 5}: 33.77,
	{3, 4}: 74.67, {3, 5}: 68.19,
	{4, 5}: 81.30,
})

// delays fills a symmetric table from milliseconds.
func delays(n int, ms map[[2]int]float64) [][]time.Duration {
	table := make([][]time.Duration, n)
	for i := range table {
		table[i] = make([]time.Duration, n)
	}
	for pair, d := range ms {
		t := time.Duration(d * float64(time.Millisecond))
		table[pair[0]][pair[1]], table[pair[1]][pair[0]] = t, t
	}
	return table
}
