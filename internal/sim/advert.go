package sim

import (
	"time"

	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
)

// links are what a gateway has in the overlay.
type links struct {
	up       bool
	routes   *routes  // that it knows
	said     advert   // its own, as flooded last
	heard    []advert // by gate, what link state shows
	export   export
	pulls    []*pull
	channels []*channel
}

// An advert is what link state carries of a gateway's site.
type advert struct {
	at      *place
	boot    uint64
	counter uint64
	state   merge.State
}

// newer says whether a replaces b, of the same gateway.
func (a *advert) newer(b *advert) bool {
	return a.boot != b.boot || a.counter > b.counter
}

// gatewayUp lets a gateway that started take part after its links have come up.
func (w *wan) gatewayUp(l *life) {
	if len(w.f.sites) < 2 {
		return
	}
	l.links.heard = make([]advert, len(w.gates))
	l.links.routes = w.known
	w.f.after(w.rand.between(20*time.Millisecond, 200*time.Millisecond), func() {
		if l.alive() {
			l.links.up = true
			w.changed()
			w.tend(l)
		}
	})
}

// gatewayDown lets routing notice that a gateway is gone.
func (w *wan) gatewayDown(l *life) {
	if l.gateway && l.links.up {
		w.changed()
	}
}

// advertise floods a gateway's new state.
func (l *life) advertise(state *merge.State) {
	l.noteState(state)
	if l.gateway {
		l.links.said = advert{l.place, l.boot, l.links.said.counter + 1, *state}
		l.flood()
	}
}

// flood sends what a gateway advertises to all gateways that can be reached.
func (l *life) flood() {
	w, said := l.f.wan, l.links.said
	if !l.links.up || said.at == nil {
		return
	}
	for _, at := range w.gates {
		if at == l.place {
			continue
		}
		if wait, ok := w.trip(w.real, l.place, at); ok {
			l.f.after(wait+w.resend(w.real, l.place, at), func() {
				if to := at.life; to != nil && to.links.up && to.learn(said) {
					to.tellReach()
				}
			})
		}
	}
}

// learn takes in an advert, unless a newer one of that gateway is known.
func (l *life) learn(a advert) bool {
	w := l.f.wan
	if w.deaf[l.site.index] {
		return false
	}
	known := &l.links.heard[w.gate[a.at]]
	if known.at != nil && !a.newer(known) {
		return false
	}
	*known = a
	return true
}

// adopt takes the ways that routing knows now, and compares notes with everybody.
func (l *life) adopt() {
	w := l.f.wan
	if !l.alive() || !l.links.up || w.deaf[l.site.index] {
		return
	}
	l.links.routes = w.known
	me := w.gate[l.place]
	w.eachGateway(func(o *life) {
		if o != l && o.links.said.at != nil && w.real.dist[me][w.gate[o.place]] < noPath {
			l.learn(o.links.said)
		}
	})
	l.flood()
	l.tellReach()
}

// sees says whether the gateway knows of a way to another, and what that advertises.
func (l *life) sees(gate int) (*advert, bool) {
	a := &l.links.heard[gate]
	w := l.f.wan
	if a.at == nil || a.state.Instance == 0 || l.links.routes.dist[w.gate[l.place]][gate] == noPath {
		return nil, false
	}
	return a, true
}

// tellReach tells the core which instances link state shows.
func (l *life) tellReach() {
	w := l.f.wan
	var reach []merge.Reach
	for gate := range w.gates {
		a, ok := l.sees(gate)
		if !ok || w.blind[l.site.index][a.at.site.index] || l.links.said.at != nil && a.state.Instance == l.links.said.state.Instance {
			continue
		}
		delay := l.links.routes.dist[w.gate[l.place]][gate]
		if w.rand.percent(w.spec.Hints) {
			delay = w.rand.between(0, 4*delay)
		}
		r := merge.Reach{SiteInstance: merge.SiteInstance{Instance: a.state.Instance, Site: a.at.site.id},
			View: a.state.View, Epoch: a.state.Epoch, Wanted: a.state.Wanted, Delay: delay}
		reach = mergeReach(reach, r)
	}
	l.step(func(now time.Duration, fx *core.Effects) { l.core.Reach(now, reach, fx) })
}

// mergeReach keeps one entry for each instance: the newest that its gateways say.
func mergeReach(reach []merge.Reach, r merge.Reach) []merge.Reach {
	for i := range reach {
		if known := &reach[i]; known.SiteInstance == r.SiteInstance {
			if known.View.Compare(r.View) < 0 {
				known.View = r.View
			}
			known.Epoch, known.Wanted, known.Delay = max(known.Epoch, r.Epoch), max(known.Wanted, r.Wanted), min(known.Delay, r.Delay)
			return reach
		}
	}
	return append(reach, r)
}

// nearest returns the gateway that advertises an instance, in a view if one is given,
// and that has the shortest way from a gate, as far as l knows; nil: none.
func (l *life) nearest(gate int, instance membership.InstanceID, view *membership.ViewID) *place {
	var best *place
	shortest := noPath
	for g := range l.f.wan.gates {
		a, ok := l.sees(g)
		if !ok || a.state.Instance != instance || view != nil && a.state.View != *view {
			continue
		}
		if d := l.links.routes.dist[gate][g]; d < shortest {
			best, shortest = a.at, d
		}
	}
	return best
}
