package sim

import (
	"time"

	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
)

// A wan stands for the overlay: between any two sites that have a way to each
// other it carries records in order, controls in order, promises as datagrams, and
// what link state advertises.
type wan struct {
	f      *federation
	rand   chance
	delay  [][]time.Duration // of the direct link
	extra  [][]time.Duration // on top, while a link takes a longer way
	cut    [][]bool
	loss   [][]float64       // of promises, percent, above that of the profile
	path   [][]time.Duration // of the shortest way; noPath: none
	epoch  [][]int           // grows when the way between two sites breaks
	latest [][]time.Duration // arrival of the latest control, to keep their order
}

// noPath is the delay between sites that have no way to each other.
const noPath = time.Duration(1 << 60)

func newWAN(f *federation, rand chance) *wan {
	n := len(f.sites)
	w := &wan{f: f, rand: rand}
	for i := range n {
		w.delay = append(w.delay, make([]time.Duration, n))
		w.extra = append(w.extra, make([]time.Duration, n))
		w.cut = append(w.cut, make([]bool, n))
		w.loss = append(w.loss, make([]float64, n))
		w.path = append(w.path, make([]time.Duration, n))
		w.epoch = append(w.epoch, make([]int, n))
		w.latest = append(w.latest, make([]time.Duration, n))
		for j := range i {
			d := rand.between(f.profile.WAN.Delay[0], f.profile.WAN.Delay[1])
			w.delay[i][j], w.delay[j][i] = d, d+rand.between(0, d/10)
			w.cut[i][j], w.cut[j][i] = f.profile.Islands, f.profile.Islands
		}
	}
	w.findPaths()
	return w
}

// findPaths finds the shortest ways. A way that changed is broken: what was under
// way on its streams is lost and asked for again.
func (w *wan) findPaths() {
	n := len(w.delay)
	next := make([][]time.Duration, n)
	for i := range n {
		next[i] = make([]time.Duration, n)
		for j := range n {
			switch {
			case i == j:
			case w.cut[i][j]:
				next[i][j] = noPath
			default:
				next[i][j] = w.delay[i][j] + w.extra[i][j]
			}
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				if next[i][k] < noPath && next[k][j] < noPath {
					next[i][j] = min(next[i][j], next[i][k]+next[k][j])
				}
			}
		}
	}
	for i := range n {
		for j := range n {
			if next[i][j] != w.path[i][j] {
				w.epoch[i][j]++
			}
		}
	}
	w.path = next
}

// changed tells everybody, after routing has noticed, that ways have changed.
func (w *wan) changed() {
	w.findPaths()
	w.f.after(w.detection(), func() {
		for _, s := range w.f.sites {
			for _, at := range s.places {
				if at.life != nil && at.life.up {
					at.life.flood()
					at.life.tellReach()
				}
			}
		}
	})
}

// heal mends all links.
func (w *wan) heal() {
	if w.f.profile.Islands {
		return
	}
	for i := range w.cut {
		clear(w.cut[i])
		clear(w.extra[i])
		clear(w.loss[i])
	}
	w.changed()
}

// detection is how long routing takes this time to notice something.
func (w *wan) detection() time.Duration {
	d := w.f.profile.WAN.Detect
	return w.rand.between(d/3, d)
}

// reachable says whether there is a way from one site to the other.
func (w *wan) reachable(from, to *site) bool { return w.path[from.index][to.index] < noPath }

// trip is how long something takes from one site to the other.
func (w *wan) trip(from, to *site) time.Duration {
	return w.path[from.index][to.index] + w.rand.about(w.f.profile.WAN.Jitter/3)
}

// carry delivers something after one trip to the gateway that receives for a site,
// unless the way breaks meanwhile. keepOrder lets nothing overtake.
func (w *wan) carry(from, to *site, wait time.Duration, keepOrder bool, deliver func(*life)) {
	if !w.reachable(from, to) {
		return
	}
	epoch := w.epoch[from.index][to.index]
	arrival := w.f.now + wait
	if keepOrder {
		last := &w.latest[from.index][to.index]
		arrival = max(arrival, *last)
		*last = arrival
	}
	w.f.at(arrival, func() {
		if w.epoch[from.index][to.index] == epoch && to.importer != nil && to.importer.alive() {
			deliver(to.importer)
		}
	})
}

// promise sends a datagram to all other sites: lost, late, twice or in time.
func (w *wan) promise(from *life, data []byte) {
	p := w.f.profile.WAN
	for _, to := range w.f.sites {
		if to == from.site {
			continue
		}
		w.f.stats.Promises++
		copies := 1
		if w.rand.percent(p.Duplicate) {
			copies = 2
		}
		for range copies {
			if w.rand.percent(p.PromiseLoss) || w.rand.percent(w.loss[from.site.index][to.index]) {
				continue
			}
			wait := w.trip(from.site, to)
			if w.rand.percent(p.Late) {
				wait += w.rand.between(0, p.LateBy)
			}
			w.carry(from.site, to, wait, false, func(l *life) {
				l.step(func(now time.Duration, fx *core.Effects) { l.core.PromiseIn(now, data, fx) })
			})
		}
	}
}

// control sends a control message to one site.
func (w *wan) control(from *life, c merge.Control) {
	to := w.f.siteOf[c.To.Site]
	if to == nil {
		w.f.report("control", "node %s sends a control to unknown site %v", from.name, c.To.Site)
		return
	}
	w.f.stats.Controls++
	of := merge.SiteInstance{Instance: from.state.Instance, Site: from.site.id}
	w.carry(from.site, to, w.trip(from.site, to), true, func(l *life) {
		l.step(func(now time.Duration, fx *core.Effects) { l.core.ControlIn(now, of, c.Data, fx) })
	})
}

// gatewayUp lets a gateway that started take part after its links have come up.
func (w *wan) gatewayUp(l *life) {
	w.f.after(w.rand.between(20*time.Millisecond, 200*time.Millisecond), func() {
		if !l.alive() {
			return
		}
		if l.site.importer == nil {
			l.site.importer = l
		}
		for _, s := range w.f.sites {
			for _, at := range s.places {
				if other := at.life; other != nil && other.said.from != nil && s != l.site {
					l.learn(other.said)
				}
			}
		}
		l.up = true
		l.flood()
		l.tellReach()
		w.tend(l)
	})
}

// gatewayDown lets routing notice that a gateway is gone, and another one of its
// site take its streams.
func (w *wan) gatewayDown(l *life) {
	if !l.gateway {
		return
	}
	w.f.after(w.detection(), func() {
		if l.site.importer == l {
			l.site.importer = nil
			for _, at := range l.site.places {
				if at.life != nil && at.life.up {
					l.site.importer = at.life
					break
				}
			}
		}
		for _, s := range w.f.sites {
			for _, at := range s.places {
				if at.life != nil && at.gateway {
					at.life.forget(l)
				}
			}
		}
	})
}

// An advert is what link state carries of a gateway's site. Counters order those
// of one gateway.
type advert struct {
	from    *life
	counter uint64
	state   merge.State
}

// advertise floods a gateway's new state.
func (l *life) advertise(state *merge.State) {
	l.noteState(state)
	if l.gateway {
		l.said = advert{l, l.said.counter + 1, *state}
		l.flood()
	}
}

// flood sends what a gateway advertises to the gateways of all sites in reach.
func (l *life) flood() {
	said := l.said
	for _, s := range l.f.sites {
		if s == l.site || !l.f.wan.reachable(l.site, s) || said.from == nil {
			continue
		}
		for _, at := range s.places {
			if !at.gateway {
				continue
			}
			l.f.after(l.f.wan.trip(l.site, s), func() {
				if to := at.life; to != nil && to.up && l.alive() {
					to.learn(said)
					to.tellReach()
				}
			})
		}
	}
}

// learn takes in an advert, unless a newer one of that gateway is known.
func (l *life) learn(a advert) {
	for i := range l.known {
		if l.known[i].from == a.from {
			if l.known[i].counter < a.counter {
				l.known[i] = a
			}
			return
		}
	}
	l.known = append(l.known, a)
}

// forget takes out what a dead gateway said.
func (l *life) forget(dead *life) {
	for i := range l.known {
		if l.known[i].from == dead {
			l.known = append(l.known[:i], l.known[i+1:]...)
			l.tellReach()
			return
		}
	}
}

// tellReach tells the core which instances link state shows.
func (l *life) tellReach() {
	if !l.alive() || !l.up {
		return
	}
	seen := map[merge.SiteInstance]int{}
	var reach []merge.Reach
	for _, a := range l.known {
		at := a.from.site
		if !l.f.wan.reachable(at, l.site) || a.state.Instance == membership.InstanceID(0) {
			continue
		}
		r := merge.Reach{SiteInstance: merge.SiteInstance{Instance: a.state.Instance, Site: at.id},
			View: a.state.View, Epoch: a.state.Epoch, Wanted: a.state.Wanted, Delay: l.f.wan.path[at.index][l.site.index]}
		if i, twice := seen[r.SiteInstance]; twice {
			if reach[i].View.Compare(r.View) < 0 {
				reach[i].View = r.View
			}
			reach[i].Epoch = max(reach[i].Epoch, r.Epoch)
			continue
		}
		seen[r.SiteInstance] = len(reach)
		reach = append(reach, r)
	}
	l.step(func(now time.Duration, fx *core.Effects) { l.core.Reach(now, reach, fx) })
}
