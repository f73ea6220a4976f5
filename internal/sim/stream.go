package sim

import (
	"bytes"
	"math"
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
)

// tendEvery is how often a gateway looks whether it pulls what it should.
const tendEvery = 10 * time.Millisecond

// maxBacklog is from how many imported bytes on that have not gone through the
// ring a stream waits.
const maxBacklog = 1 << 20

// An export is a gateway's own log, which others pull.
type export struct {
	log     membership.LogID
	first   uint64 // number of records[0]
	records []merge.Record
	pulls   []*pull
	// trimmed has for each site the number behind the last record to it that is
	// gone. Whoever asks for less has lost something; records to others it may
	// well ask for, and they are gone.
	trimmed map[membership.InstanceID]uint64
}

// A pull is a stream of one log from a gateway of its site to the gateway that
// imports it.
type pull struct {
	from, to *life
	log      membership.LogID
	next     uint64                // number of the record that the exporter looks at next
	sent     uint64                // number behind the last one that it has sent, or that was asked for
	own      membership.InstanceID // that imports
	asked    uint64                // the ring in which its node last was in own when it asked; answered: it has begun
	until    time.Duration         // when it ends, because another gateway pulls; 0: it does not
	flying   []flight              // batches under way
	done     uint64                // number behind the last record that was handed over
	waiting  []merge.Batch         // that the importer has no room for
	broken   bool
}

// noteState takes a new state of the node's site to its log.
func (l *life) noteState(state *merge.State) {
	log := membership.LogID{Site: l.site.id, Instance: state.Instance, View: state.View}
	if x := &l.links.export; log != x.log {
		for _, p := range x.pulls {
			p.broken = true
		}
		*x = export{log: log, trimmed: map[membership.InstanceID]uint64{}}
	}
}

// exportEnded takes the last records of a log that has just ended.
func (l *life) exportEnded(records []merge.Record) {
	if l.gateway {
		l.exportRecords(records, 0)
	}
}

// exportRecords appends to the node's own log and sends on to who pulls it. A gateway
// that comes back to its instance hands out again what it knows: records that the log
// has already are the same, and what it missed begins a new copy of the log.
func (l *life) exportRecords(records []merge.Record, trim uint64) {
	x := &l.links.export
	for _, r := range records {
		end := x.first + uint64(len(x.records))
		switch {
		case !l.gateway:
			l.f.report("records", "node %s is no gateway and exports record %d", l.name, r.N)
		case r.N < x.first:
		case r.N < end:
			// What is stable everywhere comes again without its contents.
			if old := x.records[r.N-x.first]; len(r.Dests) > 0 && len(old.Dests) > 0 && !bytes.Equal(old.Data, r.Data) {
				l.f.report("records", "node %s exports record %d of %v anew, and it differs", l.name, r.N, x.log)
			}
		default:
			if r.N > end {
				x.records, x.first = nil, r.N
			}
			x.records = append(x.records, r)
			l.f.stats.Records++
			l.f.countRecord(&r)
		}
	}
	if trim > x.first {
		n := min(trim-x.first, uint64(len(x.records)))
		for _, r := range x.records[:n] {
			for _, d := range r.Dests {
				x.trimmed[d] = r.N + 1
			}
		}
		x.records, x.first = x.records[n:], x.first+n
	}
	if len(records) > 0 {
		for _, p := range x.pulls {
			p.pump()
		}
	}
}

// tend keeps a gateway's pulls in order for as long as it lives.
func (w *wan) tend(l *life) {
	if !l.alive() {
		return
	}
	if said := &l.links.said; said.at != nil && l.asleep <= w.f.now {
		for i := len(l.links.pulls) - 1; i >= 0; i-- {
			if p := l.links.pulls[i]; !l.keeps(p) {
				l.drop(p)
			}
		}
		for _, log := range said.state.Logs {
			if !slices.ContainsFunc(l.links.pulls, func(p *pull) bool { return p.log == log }) && l.imports(log) {
				w.subscribe(l, log)
			}
		}
	}
	w.f.after(tendEvery, func() { w.tend(l) })
}

// lingers bounds how long a gateway goes on to pull what another one of its site has
// begun to pull.
const lingers = 500 * time.Millisecond

// keeps says whether a pull is still right.
func (l *life) keeps(p *pull) bool {
	w, said := l.f.wan, &l.links.said.state
	switch {
	case p.broken || !p.from.alive() || p.own != said.Instance || !slices.Contains(said.Logs, p.log) || p.fellBack():
		return false
	case l.links.routes.dist[w.gate[l.place]][w.gate[p.from.place]] == noPath:
		return false
	case l.imports(p.log):
		p.until = 0
	case p.until == 0:
		p.until = w.f.now + w.rand.between(0, lingers)
	case p.until <= w.f.now:
		return false
	}
	return true
}

// imports says whether of the gateways of its instance this one is the nearest to a
// log's origin, as far as it knows.
func (l *life) imports(log membership.LogID) bool {
	w := l.f.wan
	me := w.gate[l.place]
	far := func(g int) time.Duration {
		if origin := l.nearest(g, log.Instance, &log.View); origin != nil {
			return l.links.routes.dist[g][w.gate[origin]]
		}
		return noPath
	}
	mine := far(me)
	if mine == noPath {
		return false
	}
	for g := range w.gates {
		if a, ok := l.sees(g); ok && g != me && a.state.Instance == l.links.said.state.Instance {
			if d := far(g); d < mine || d == mine && g < me {
				return false
			}
		}
	}
	return true
}

// fellBack says that the importer has forgotten what it was given: it lost its
// state, or dropped a queue that did not move. It has to be given it again.
func (p *pull) fellBack() bool {
	position, known := p.to.core.Replica.ImportPosition(p.log)
	return !known || len(p.flying) == 0 && len(p.waiting) == 0 && position < p.done
}

// drop ends a pull; what is under way is lost.
func (l *life) drop(p *pull) {
	p.broken = true
	same := func(q *pull) bool { return q == p }
	l.links.pulls = slices.DeleteFunc(l.links.pulls, same)
	p.from.links.export.pulls = slices.DeleteFunc(p.from.links.export.pulls, same)
}

// subscribe asks a gateway for its log from what has been imported on.
func (w *wan) subscribe(to *life, log membership.LogID) {
	origin := to.nearest(w.gate[to.place], log.Instance, &log.View)
	if origin == nil || origin.life == nil {
		return
	}
	from := origin.life
	position, known := to.core.Replica.ImportPosition(log)
	if !known {
		return // it learns its site's state
	}
	wait, ok := w.trip(to.links.routes, to.place, origin)
	if !ok {
		return
	}
	for _, at := range to.site.places {
		if o := at.life; o != nil && o != to && slices.ContainsFunc(o.links.pulls, func(q *pull) bool { return q.log == log && q.own == to.links.said.state.Instance }) {
			w.f.stats.Covered["overlay: logs pulled by two gateways for a while"]++
		}
	}
	w.f.stats.Covered["overlay: logs pulled, or pulled anew"]++
	p := &pull{from: from, to: to, log: log, own: to.links.said.state.Instance}
	p.asked = to.carried[p.own.String()]
	to.links.pulls = append(to.links.pulls, p)
	w.f.after(wait, func() {
		if p.broken || !from.alive() || from.links.export.log != log {
			p.broken = true
			return
		}
		p.next, p.sent = position, position
		from.links.export.pulls = append(from.links.export.pulls, p)
		p.pump()
		p.asked = answered
	})
}

// pump sends everything that the importer has not been sent yet.
func (p *pull) pump() {
	x := &p.from.links.export
	if gone := x.trimmed[p.own]; p.next < gone && !p.behind(gone) {
		p.from.f.report("stream", "%s asks %s for record %d, but %d was for it and is trimmed", p.to.name, p.from.name, p.next, gone-1)
	}
	p.next = max(p.next, x.first)
	var batch [][]byte
	var done uint64
	for end := x.first + uint64(len(x.records)); p.next < end; p.next++ {
		if r := &x.records[p.next-x.first]; slices.Contains(r.Dests, p.own) {
			batch, done = append(batch, r.Data), r.N+1
		}
	}
	if len(batch) == 0 {
		return
	}
	w := p.from.f.wan
	arrival := w.f.now
	if wait, ok := w.trip(p.to.links.routes, p.from.place, p.to.place); ok {
		arrival += wait + w.resend(p.to.links.routes, p.from.place, p.to.place)
	}
	if n := len(p.flying); n > 0 {
		arrival = max(arrival, p.flying[n-1].arrival)
	}
	p.sent, p.flying = done, append(p.flying, flight{merge.Batch{Log: p.log, For: p.own, From: p.sent, Records: batch}, done, arrival})
	if len(p.flying) == 1 {
		w.f.at(arrival, p.land)
	}
}

// behind says that the importer's node was not where its instance is when it asked: what is
// gone has come another way since, it has another instance now, or others have gone on with
// the instance in a newer ring without it, whether or not they still live. All of that ring
// held what was trimmed; it will learn or close what it has.
func (p *pull) behind(gone uint64) bool {
	here := p.to.core
	if next, known := here.Replica.ImportPosition(p.log); known && next >= gone {
		return true
	}
	if here.Replica.Status().Instance != p.own {
		return true
	}
	last := p.to.carried[p.own.String()]
	if p.asked != answered { // it may have found the others since
		last = p.asked
	}
	return p.to.site.carried[p.own.String()] > last
}

// answered is in the place of the ring in which a pull was asked for, once it has begun.
const answered = math.MaxUint64

// stalled is how often a stream looks whether a link that does not work has come back.
const stalled = 50 * time.Millisecond

// A flight is a batch under way.
type flight struct {
	batch   merge.Batch
	done    uint64 // number behind its last record
	arrival time.Duration
}

// land brings the batches that are due to the importer. While a link on the way does
// not work and routing knows of no other, all wait.
func (p *pull) land() {
	f := p.from.f
	for len(p.flying) > 0 && !p.broken && p.to.alive() {
		head := &p.flying[0]
		if head.arrival > f.now {
			f.at(head.arrival, p.land)
			return
		}
		if _, ok := f.wan.trip(p.to.links.routes, p.from.place, p.to.place); !ok {
			p.broken = !p.from.alive()
			f.after(stalled, p.land)
			return
		}
		p.waiting, p.done = append(p.waiting, head.batch), head.done
		p.flying = p.flying[1:]
		if len(p.waiting) == 1 {
			p.arrive()
		}
	}
}

// arrive imports what has come, as far as there is room.
func (p *pull) arrive() {
	for len(p.waiting) > 0 && !p.broken && p.to.alive() {
		if p.to.core.Replica.ImportBacklog() > maxBacklog {
			p.to.f.after(time.Millisecond, p.arrive)
			return
		}
		batch := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.to.step(func(now time.Duration, fx *core.Effects) { p.to.core.Import(now, &batch, fx) })
	}
}
