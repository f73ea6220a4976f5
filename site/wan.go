package site

import (
	"sync/atomic"
	"time"

	"ringway/membership"
	"ringway/overlay"
	"ringway/site/merge"
	"ringway/site/ring"
)

// importQueueBytes bounds what was pulled from other sites and has not yet been
// ordered in this one. Above it, the overlay's streams are not read.
const importQueueBytes = 16 << 20

// pullRefresh is how often the overlay learns from where this site would go on with
// each log, so that a gateway that takes over starts near the right place.
const pullRefresh = 250 * time.Millisecond

// maxPromisesWaiting bounds the promises that the loop has not taken yet: more than all
// sites make while it is busy with one batch.
const maxPromisesWaiting = 4 * membership.MaxSites

// A wan carries the core's effects to the overlay and the overlay's findings to the
// loop. carry and refresh belong to the loop; the overlay.Handler methods run on the
// overlay's goroutines and leave their work in the inbox.
type wan struct {
	gateway *overlay.Gateway
	loop    *loop
	in      *inbox
	done    <-chan struct{}

	ring      *ring.View                 // in force
	mates     map[membership.NodeID]bool // the other gateways of this site
	tellDead  func(gateway membership.NodeID, incarnation uint64)
	own       membership.LogID
	appended  uint64 // the end of the own log
	trimmed   uint64 // what every other site has of it
	puller    puller
	site      membership.SiteID
	refreshed time.Duration

	waiting atomic.Int64       // promises in the inbox
	entries []overlay.LogEntry // scratch
	foreign uint64             // promises for another instance than their origin's
}

// carry hands over what the core wants done, in the order that core.Effects asks for.
func (w *wan) carry(ended []merge.Record, fx *merge.Effects) {
	if len(ended) > 0 {
		w.append(ended)
	}
	if s := fx.State; s != nil {
		if own := (membership.LogID{Site: w.site, Instance: s.Instance, View: s.View}); own != w.own {
			w.own, w.appended, w.trimmed = own, 0, 0
		}
		w.puller.state(s)
		w.gateway.Announce(overlay.State{Instance: s.Instance, View: s.View, Epoch: s.Epoch, Wanted: s.Wanted})
		w.pull()
	}
	if len(fx.Records) > 0 {
		w.append(fx.Records)
	}
	if fx.Trim > 0 {
		w.trimmed = fx.Trim
		w.gateway.Trim(w.own, fx.Trim)
	}
	for _, promise := range fx.Promises {
		w.gateway.Broadcast(promise)
	}
	for _, control := range fx.Controls {
		// A refusal is counted there, and to the core it is one of the ways to get lost on
		// the way: what is not answered is said again.
		if control.Bulk {
			_ = w.gateway.Bulk(control.To, control.Data)
		} else {
			_ = w.gateway.Control(control.To, control.Data)
		}
	}
	for _, d := range fx.Datagrams {
		w.gateway.Datagram(d.To, d.Data)
	}
	if now := w.loop.now(); now-w.refreshed >= pullRefresh {
		w.pull()
	}
}

// append puts records at the end of the own log.
func (w *wan) append(records []merge.Record) {
	w.entries = w.entries[:0]
	for _, r := range records {
		w.appended = max(w.appended, r.N+1)
		w.entries = append(w.entries, overlay.LogEntry{N: r.N, Dests: r.Dests, Data: r.Data})
	}
	w.gateway.Append(w.own, w.entries)
	clear(w.entries)
}

// pull tells the overlay which logs this instance imports, and from where.
func (w *wan) pull() {
	w.refreshed = w.loop.now()
	kept, all := w.puller.pull(w.loop.core.Replica.ImportPosition)
	if len(kept) < len(all) {
		w.gateway.Pull(kept)
	}
	w.gateway.Pull(all)
}

// Records implements overlay.Handler. It waits while too much is queued, which holds
// back the stream it came from.
func (w *wan) Records(batch overlay.Batch) {
	in := merge.Batch{Log: batch.Log, For: batch.For, From: batch.From, Records: make([][]byte, len(batch.Entries))}
	for i := range batch.Entries {
		in.Records[i] = batch.Entries[i].Data
	}
	l := w.loop
	open := make(chan struct{})
	ready := func() bool { return l.core.Replica.ImportBacklog() < importQueueBytes }
	if !w.in.call(func() {
		w.puller.take(&batch)
		l.core.Import(l.now(), &in, &l.fx)
		l.gate.hold(ready, open)
	}) {
		return
	}
	select {
	case <-open:
	case <-w.done:
	}
}

// Promise implements overlay.Handler. The overlay knows whose gateway signed it; here is
// seen that it speaks for no other instance.
func (w *wan) Promise(from membership.SiteInstance, data []byte) {
	l := w.loop
	if source, err := merge.PromiseSource(data); err != nil || source != from.Instance {
		w.in.call(func() {
			if w.foreign++; w.foreign&(w.foreign-1) != 0 {
				return // logged at a falling rate
			}
			l.log.Warn("a peer broke the protocol", "site", from.Site, "what", "promise for another instance", "instance", source, "error", err, "times", w.foreign)
		})
		return
	}
	take := func() { l.core.PromiseIn(l.now(), data, &l.fx) }
	if w.waiting.Add(1) > maxPromisesWaiting {
		w.hand(take) // meanwhile the overlay drops those that newer ones supersede
		w.waiting.Add(-1)
		return
	}
	w.in.call(func() {
		w.waiting.Add(-1)
		take()
	})
}

// Control implements overlay.Handler. It returns when the loop has taken the message, so
// that they wait where their number and bytes are bounded: in the overlay.
func (w *wan) Control(from membership.SiteInstance, data []byte) {
	l := w.loop
	w.hand(func() { l.core.ControlIn(l.now(), from, data, &l.fx) })
}

// Datagrams implements overlay.Handler. It returns when the loop has taken them: what is too
// much then is dropped where other sites' turns are kept, in the overlay.
func (w *wan) Datagrams(list []overlay.Datagram) {
	l := w.loop
	w.hand(func() {
		for _, d := range list {
			l.core.DatagramIn(l.now(), d.From, d.Data, &l.fx)
		}
	})
}

// hand leaves work to the loop and waits until it is done.
func (w *wan) hand(f func()) {
	taken := make(chan struct{})
	if !w.in.call(func() {
		f()
		close(taken)
	}) {
		return
	}
	select {
	case <-taken:
	case <-w.done:
	}
}

// Reach implements overlay.Handler.
func (w *wan) Reach(reach []overlay.Reach) {
	known := make([]merge.Reach, 0, len(reach))
	for _, r := range reach {
		known = append(known, merge.Reach{SiteInstance: r.SiteInstance, View: r.View, Epoch: r.Epoch, Wanted: r.Wanted, Delay: r.Delay})
	}
	l := w.loop
	w.in.call(func() { l.core.Reach(l.now(), known, &l.fx) })
}
