package sim

import (
	"slices"
	"time"
)

// A wan stands for the overlay. Its vertices are gateways; those of one site hear each
// other over their LAN, those of linked sites over the link. Along the shortest ways
// that routing knows of, it carries what link state advertises (advert.go), records
// (stream.go), promises and controls (carry.go). What really is there changes at once,
// what routing knows of it a while later, and at each gateway at a time of its own.
type wan struct {
	f     *federation
	spec  WAN
	rand  chance
	gates []*place
	gate  map[*place]int
	wires [][]*wire // by site; nil: no link
	mute  [][]float64
	hold  [][]time.Duration
	blind [][]bool
	deaf  []bool // by site

	real  *routes // as it is
	known *routes // as routing has it
}

// A wire is one direction of a link.
type wire struct {
	base   Link // both ways
	delay  time.Duration
	jitter time.Duration
	loss   float64
	cut    bool
}

// noPath is the delay between gateways that have no way to each other.
const noPath = time.Duration(1 << 60)

func newWAN(f *federation, s *Schedule, rand chance) *wan {
	n := len(f.sites)
	w := &wan{f: f, spec: s.WAN, rand: rand, gate: map[*place]int{}, deaf: make([]bool, n)}
	for range n {
		w.wires = append(w.wires, make([]*wire, n))
		w.mute = append(w.mute, make([]float64, n))
		w.hold = append(w.hold, make([]time.Duration, n))
		w.blind = append(w.blind, make([]bool, n))
	}
	for _, k := range s.Links {
		w.wires[k.A][k.B] = &wire{base: k, delay: k.Delay[0]}
		w.wires[k.B][k.A] = &wire{base: k, delay: k.Delay[1]}
	}
	for _, at := range f.places {
		if at.gateway {
			w.gate[at] = len(w.gates)
			w.gates = append(w.gates, at)
		}
	}
	w.weather(nil)
	w.real = w.findRoutes()
	w.known = w.real
	return w
}

// weather puts together what the ongoing faults do to links.
func (w *wan) weather(ongoing []*Step) {
	for a := range w.wires {
		clear(w.mute[a])
		clear(w.hold[a])
		clear(w.blind[a])
		for b, x := range w.wires[a] {
			if x != nil {
				x.delay, x.jitter, x.loss, x.cut = x.base.Delay[0], x.base.Jitter, x.base.Loss, false
				if x.base.B == a {
					x.delay = x.base.Delay[1]
				}
				for _, s := range ongoing {
					x.suffer(s, a, b)
				}
			}
		}
	}
	was := slices.Clone(w.deaf)
	clear(w.deaf)
	for _, s := range ongoing {
		switch s.Verb {
		case Mute:
			w.mute[s.Site][s.Far] = either(w.mute[s.Site][s.Far], s.Percent)
		case Hold:
			w.hold[s.Site][s.Far] = max(w.hold[s.Site][s.Far], s.By)
		case Blind:
			w.blind[s.Site][s.Far] = true
		case Deaf:
			w.deaf[s.Site] = true
		}
	}
	for i, now := range w.deaf {
		if was[i] && !now {
			w.eachGateway(func(l *life) {
				if l.site.index == i {
					l.adopt()
				}
			})
		}
	}
}

// suffer takes in one fault of the link from a to b.
func (x *wire) suffer(s *Step, a, b int) {
	here := s.Site == a && s.Far == b || s.Site == b && s.Far == a
	switch {
	case s.Verb == Split:
		x.cut = x.cut || side(s.Sides, a) != side(s.Sides, b)
	case !here:
	case s.Verb == Cut:
		x.cut = true
	case s.Verb == Stretch:
		x.delay += s.By
	case s.Verb == Shake:
		x.jitter += s.By
	case s.Verb == Spoil:
		x.loss = either(x.loss, s.Percent)
	}
}

// routes are the shortest ways between gateways.
type routes struct {
	dist [][]time.Duration
	next [][]int // hop
}

// findRoutes finds the shortest ways over what works at present.
func (w *wan) findRoutes() *routes {
	n := len(w.gates)
	r := &routes{}
	for i := range n {
		dist, next := make([]time.Duration, n), make([]int, n)
		for j := range n {
			dist[j], next[j] = noPath, -1
			if i == j {
				dist[j] = 0
			} else if d, ok := w.hop(i, j); ok {
				dist[j], next[j] = d, j
			}
		}
		r.dist, r.next = append(r.dist, dist), append(r.next, next)
	}
	for k := range n {
		for i := range n {
			if r.dist[i][k] == noPath || i == k {
				continue
			}
			for j := range n {
				if d := r.dist[i][k] + r.dist[k][j]; d < r.dist[i][j] {
					r.dist[i][j], r.next[i][j] = d, r.next[i][k]
				}
			}
		}
	}
	return r
}

// hopCost is what routing adds for each hop: of two ways as long as each other it takes
// the one with fewer.
const hopCost = 100 * time.Microsecond

// hop is the delay between two gateways that hear each other without a third.
func (w *wan) hop(i, j int) (time.Duration, bool) {
	a, b := w.gates[i], w.gates[j]
	if !a.relays() || !b.relays() {
		return 0, false
	}
	if a.site == b.site {
		lan := a.site.lan
		return hopCost, lan.loss[a.index][b.index] < 100 && lan.loss[b.index][a.index] < 100
	}
	x := w.wires[a.site.index][b.site.index]
	if x == nil || x.cut {
		return 0, false
	}
	return x.delay + hopCost, true
}

// relays says whether the place has a gateway whose links are up.
func (at *place) relays() bool {
	return at.life != nil && at.life.links.up && at.life.asleep <= at.site.f.now
}

// changed looks at what there is now, and tells everybody after routing has noticed.
// What comes up has to prove itself, which takes longer.
func (w *wan) changed() {
	if len(w.f.sites) < 2 {
		return
	}
	w.real = w.findRoutes()
	wait := w.detection()
	if w.better() {
		wait += w.detection()
	}
	w.f.after(wait, func() {
		w.known = w.real
		w.eachGateway(func(l *life) { w.f.after(w.rand.between(0, floodTime), l.adopt) })
	})
}

// better says whether some way is there that routing does not know of.
func (w *wan) better() bool {
	for i := range w.real.dist {
		for j, d := range w.real.dist[i] {
			if d < noPath && w.known.dist[i][j] == noPath {
				return true
			}
		}
	}
	return false
}

// floodTime is how much later than others a gateway may hear of a change.
const floodTime = 60 * time.Millisecond

// detection is how long routing takes this time to notice something.
func (w *wan) detection() time.Duration { return w.rand.between(w.spec.Detect/3, w.spec.Detect) }

// eachGateway calls f for all gateways whose links are up.
func (w *wan) eachGateway(f func(*life)) {
	for _, at := range w.gates {
		if at.life != nil && at.life.links.up {
			f(at.life)
		}
	}
}

// trip is how long something takes this time along the ways that r knows from one
// gateway to another, and whether all links on it work.
func (w *wan) trip(r *routes, from, to *place) (wait time.Duration, ok bool) {
	i, j := w.gate[from], w.gate[to]
	if r.dist[i][j] == noPath {
		return 0, false
	}
	for i != j {
		next := r.next[i][j]
		d, works := w.hop(i, next)
		if !works {
			return 0, false
		}
		wait += d
		if x := w.wires[w.gates[i].site.index][w.gates[next].site.index]; x != nil && x.jitter > 0 {
			wait += w.rand.about(x.jitter / 3)
		}
		i = next
	}
	return wait, true
}

// resend is how much later something comes that is sent again until it gets through
// all links on its way.
func (w *wan) resend(r *routes, from, to *place) time.Duration {
	var wait time.Duration
	for i, j := w.gate[from], w.gate[to]; i != j; i = r.next[i][j] {
		if x := w.wires[w.gates[i].site.index][w.gates[r.next[i][j]].site.index]; x != nil && x.loss > 0 {
			for range 8 {
				if !w.rand.percent(x.loss) {
					break
				}
				wait += 2*x.delay + 2*x.delay/4
			}
		}
	}
	return wait
}

// survives says whether a datagram gets through all links on the way.
func (w *wan) survives(r *routes, from, to *place) bool {
	for i, j := w.gate[from], w.gate[to]; i != j; i = r.next[i][j] {
		if x := w.wires[w.gates[i].site.index][w.gates[r.next[i][j]].site.index]; x != nil && w.rand.percent(x.loss) {
			return false
		}
	}
	return true
}
