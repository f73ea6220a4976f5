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
	w.f.after(wait, func() {
		if l := at.life; l != nil && l.links.up {
			l.step(func(now time.Duration, fx *core.Effects) { l.core.PromiseIn(now, data, fx) })
		}
	})
}

// A channel carries the controls of one gateway to one instance: in order, sent again
// over another way or to another gateway when one breaks, and dropped as a whole when
// there is none.
type channel struct {
	from    *life
	to      merge.SiteInstance
	queue   []letter // not delivered
	bytes   int
	round   int  // grows when all is sent again
	waits   bool // all is sent again soon
	arrival time.Duration
}

// A letter is a control with the instance that sent it.
type letter struct {
	from merge.SiteInstance
	data []byte
}

const (
	// retryControl is after how long controls that did not arrive are sent again.
	retryControl = 100 * time.Millisecond
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
	if !from.links.up {
		return
	}
	var ch *channel
	for _, x := range from.links.channels {
		if x.to == c.To {
			ch = x
		}
	}
	if ch == nil {
		ch = &channel{from: from, to: c.To}
		from.links.channels = append(from.links.channels, ch)
	}
	if ch.bytes += len(c.Data); ch.bytes > maxChannel {
		ch.drop()
		return
	}
	x := letter{merge.SiteInstance{Instance: from.links.said.state.Instance, Site: from.site.id}, c.Data}
	if ch.queue = append(ch.queue, x); !ch.waits {
		ch.send(x)
	}
}

// drop forgets all that waits.
func (ch *channel) drop() {
	ch.from.f.stats.Covered["overlay: controls dropped, no way or too many"] += len(ch.queue)
	ch.round++
	ch.queue, ch.bytes, ch.waits = nil, 0, false
}

// send puts one message on its way.
func (ch *channel) send(x letter) {
	w := ch.from.f.wan
	at := ch.from.nearest(w.gate[ch.from.place], ch.to.Instance, nil)
	if at == nil {
		ch.drop()
		return
	}
	wait, ok := w.trip(ch.from.links.routes, ch.from.place, at)
	if !ok {
		// Nobody knows yet that the way is broken.
		ch.again()
		return
	}
	ch.arrival = max(ch.arrival, w.f.now+wait+w.resend(ch.from.links.routes, ch.from.place, at))
	round := ch.round
	w.f.at(ch.arrival, func() {
		if ch.round == round && ch.from.alive() {
			ch.arrive(at, x)
		}
	})
}

// again sends everything anew in a while.
func (ch *channel) again() {
	ch.from.f.stats.Covered["overlay: controls sent again"] += len(ch.queue)
	ch.round++
	ch.waits = true
	round := ch.round
	ch.from.f.after(retryControl, func() {
		if ch.round != round || !ch.from.alive() {
			return
		}
		ch.arrival, ch.waits = 0, false
		for _, x := range ch.queue {
			if ch.send(x); ch.round != round {
				return
			}
		}
	})
}

// arrive delivers a message, if the way and the gateway are still there.
func (ch *channel) arrive(at *place, x letter) {
	w, from := ch.from.f.wan, ch.from
	l := at.life
	_, works := w.trip(w.real, from.place, at)
	if !works || l == nil || !l.links.up || l.links.said.state.Instance != ch.to.Instance {
		ch.again()
		return
	}
	if w.rand.percent(controlTwice) {
		ch.again() // the answer was lost: all comes again
	} else {
		ch.queue, ch.bytes = ch.queue[1:], ch.bytes-len(x.data)
	}
	l.step(func(now time.Duration, fx *core.Effects) { l.core.ControlIn(now, x.from, x.data, fx) })
}

// controlTwice is how often, in percent, a control comes twice.
const controlTwice = 0.5
