package sim

import (
	"time"

	"ringway/site/core"
	"ringway/site/merge"
)

// promise sends a datagram to the gateways of all other instances: lost, late, twice
// or in time. It goes along two ways, so it is lost if both lose it.
func (w *wan) promise(from *life, data []byte) {
	if !from.links.up || from.links.said.at == nil {
		return
	}
	own := from.links.said.state.Instance
	for _, at := range w.gates {
		to := at.life
		if at == from.place || to == nil || !to.links.up || to.links.said.at == nil || to.links.said.state.Instance == own {
			continue
		}
		w.f.stats.Promises++
		w.f.stats.PromiseBytes += len(data)
		copies := 1
		if w.rand.percent(w.spec.Duplicate) {
			copies = 2
		}
		for range copies {
			w.oneCopy(from, at, data)
		}
	}
}

// ways is along how many ways a promise goes; it takes one to get through.
const ways = 2

func (w *wan) oneCopy(from *life, at *place, data []byte) {
	a, b := from.site.index, at.site.index
	wait, ok := w.trip(from.links.routes, from.place, at)
	if !ok || w.rand.percent(w.spec.PromiseLoss) || w.rand.percent(w.mute[a][b]) {
		return
	}
	arrives := false
	for range ways {
		arrives = arrives || w.survives(from.links.routes, from.place, at)
	}
	if !arrives {
		return
	}
	wait += w.hold[a][b]
	if w.rand.percent(w.spec.Late) {
		wait += w.rand.between(0, w.spec.LateBy)
	}
	w.f.promise(wait, at, data)
}

// datagram sends an unreliable message to one gateway of each instance: lost, late, twice or
// in time. It comes twice now and then, as by two ways or from a gateway that says it again.
func (w *wan) datagram(from *life, d merge.Datagram) {
	said := from.links.said.state
	if !from.links.up || from.links.said.at == nil {
		return
	}
	own := merge.SiteInstance{Instance: said.Instance, Site: from.site.id}
	for _, to := range d.To {
		w.f.stats.Datagrams++
		copies := 1
		if w.rand.percent(w.spec.Duplicate) {
			copies = 2
		}
		for range copies {
			w.oneDatagram(from, own, to, d.Data)
		}
	}
}

func (w *wan) oneDatagram(from *life, own, to merge.SiteInstance, data []byte) {
	at := from.nearest(w.gate[from.place], to.Instance, nil)
	if at == nil {
		w.f.stats.Covered["overlay: datagrams lost, no way"]++
		return
	}
	wait, ok := w.trip(from.links.routes, from.place, at)
	if !ok || w.rand.percent(w.spec.PromiseLoss) || w.rand.percent(w.mute[from.site.index][at.site.index]) || !w.survives(from.links.routes, from.place, at) {
		w.f.stats.Covered["overlay: datagrams lost on the way"]++
		return
	}
	wait += w.hold[from.site.index][at.site.index]
	if w.rand.percent(w.spec.Late) {
		wait += w.rand.between(0, w.spec.LateBy)
	}
	w.f.after(wait, func() {
		l := at.life
		if l == nil || !l.links.up || l.links.said.at == nil || l.links.said.state.Instance != to.Instance {
			w.f.stats.Covered["overlay: datagrams lost, nobody there"]++
			return
		}
		w.f.stats.Covered["overlay: datagrams"]++
		l.step(func(now time.Duration, fx *core.Effects) { l.core.DatagramIn(now, own, data, fx) })
	})
}

// A channel carries the controls of one gateway to one instance, in order. As in the real
// overlay nothing is sent again: what is on its way when a link or a gateway on it fails,
// or finds no way, is lost, and a few are lost for no reason. Whoever waits for an answer
// has to ask.
type channel struct {
	from    *life
	to      merge.SiteInstance
	bulk    bool // pieces of large bodies, which hold nothing else up
	bytes   int  // under way
	arrival time.Duration
}

// A letter is a control with the instance that sent it.
type letter struct {
	from merge.SiteInstance
	data []byte
}

const (
	// maxChannel bounds the bytes of controls that wait for an instance.
	maxChannel = 16 << 20
)

// control sends a control message to a gateway of an instance.
func (w *wan) control(from *life, c merge.Control) {
	if w.f.siteOf[c.To.Site] == nil {
		w.f.report("control", "node %s sends a control to unknown site %v", from.name, c.To.Site)
		return
	}
	w.f.stats.Controls++
	w.f.countControl(c.Data)
	if !from.links.up {
		return
	}
	var ch *channel
	for _, x := range from.links.channels {
		if x.to == c.To && x.bulk == c.Bulk {
			ch = x
		}
	}
	if ch == nil {
		ch = &channel{from: from, to: c.To, bulk: c.Bulk}
		from.links.channels = append(from.links.channels, ch)
	}
	if ch.bytes+len(c.Data) > maxChannel {
		ch.lost("too many")
		return
	}
	ch.send(letter{merge.SiteInstance{Instance: from.links.said.state.Instance, Site: from.site.id}, c.Data})
}

func (ch *channel) lost(why string) { ch.from.f.stats.Covered["overlay: controls lost, "+why]++ }

// send puts one message on its way.
func (ch *channel) send(x letter) {
	w := ch.from.f.wan
	at := ch.from.nearest(w.gate[ch.from.place], ch.to.Instance, nil)
	if at == nil {
		ch.lost("no way")
		return
	}
	wait, ok := w.trip(ch.from.links.routes, ch.from.place, at)
	if !ok {
		ch.lost("a way that nobody knows to be broken")
		return
	}
	ch.arrival = max(ch.arrival, w.f.now+wait+w.resend(ch.from.links.routes, ch.from.place, at))
	ch.bytes += len(x.data)
	w.f.at(ch.arrival, func() {
		ch.bytes -= len(x.data)
		ch.arrive(at, x)
	})
}

// arrive delivers a message, if the way and both gateways are still there.
func (ch *channel) arrive(at *place, x letter) {
	w, from := ch.from.f.wan, ch.from
	l := at.life
	_, works := w.trip(w.real, from.place, at)
	if !works || !from.alive() || l == nil || !l.links.up || l.links.said.state.Instance != ch.to.Instance {
		ch.lost("broken on its way")
		return
	}
	if w.rand.percent(min(controlLost, w.spec.PromiseLoss)) {
		ch.lost("for no reason")
		return
	}
	l.step(func(now time.Duration, fx *core.Effects) { l.core.ControlIn(now, x.from, x.data, fx) })
}

// controlLost is how many controls of a hundred are lost on ways that work, at most: where
// the WAN loses promises.
const controlLost = 1.0
