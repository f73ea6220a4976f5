package sim

import (
	"bytes"
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
	// trimmed has for each instance the number behind the last record to it that is
	// gone. Whoever asks for less has lost something; records to others it may
	// well ask for, and they are gone.
	trimmed map[membership.InstanceID]uint64
}

// A pull is a stream of one log from a gateway of its site to the gateway that
// imports it.
type pull struct {
	from, to *life
	log      membership.LogID
	next     uint64 // number of the record that the exporter looks at next
	epoch    int
	arrival  time.Duration // of the last batch under way
	flying   int           // batches under way
	done     uint64        // number behind the last record that was handed over
	waiting  [][][]byte    // batches that the importer has no room for
	broken   bool
}

// noteState takes a new state of the node's site to its log.
func (l *life) noteState(state *merge.State) {
	said := *state
	l.state = &said
	log := membership.LogID{Site: l.site.id, Instance: said.Instance, View: said.View}
	if log != l.export.log {
		for _, p := range l.export.pulls {
			p.broken = true
		}
		l.export = export{log: log, trimmed: map[membership.InstanceID]uint64{}}
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
	x := &l.export
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
	if l.site.importer == l && l.state != nil {
		for _, s := range w.f.sites {
			if s != l.site {
				w.tendPull(l, s)
			}
		}
	} else {
		for i := range l.pulls {
			l.drop(i)
		}
	}
	w.f.after(tendEvery, func() { w.tend(l) })
}

// tendPull keeps the pull from one site in order.
func (w *wan) tendPull(l *life, s *site) {
	if l.pulls == nil {
		l.pulls = make([]*pull, len(w.f.sites))
	}
	at := slices.IndexFunc(l.state.Logs, func(log membership.LogID) bool { return log.Site == s.id })
	wanted := at >= 0
	var want membership.LogID
	if wanted {
		want = l.state.Logs[at]
	}
	if p := l.pulls[s.index]; p != nil {
		if wanted && p.log == want && !p.broken && p.from.alive() && p.epoch == w.epoch[s.index][l.site.index] && !p.fellBack() {
			return
		}
		l.drop(s.index)
	}
	if !wanted || !w.reachable(l.site, s) || !w.reachable(s, l.site) {
		return
	}
	for _, at := range s.places {
		if at.life != nil && at.life.up && at.life.export.log == want {
			w.subscribe(l, at.life, want)
			return
		}
	}
}

// fellBack says that the importer has forgotten what it was given: it lost its
// state, or dropped a queue that did not move. It has to be given it again.
func (p *pull) fellBack() bool {
	return p.flying == 0 && len(p.waiting) == 0 && p.to.core.Replica.ImportPosition(p.log) < p.done
}

// drop ends a pull; what is under way is lost.
func (l *life) drop(site int) {
	if p := l.pulls[site]; p != nil {
		p.broken = true
		l.pulls[site] = nil
		p.from.export.pulls = slices.DeleteFunc(p.from.export.pulls, func(q *pull) bool { return q == p })
	}
}

// subscribe asks a gateway for its log from what has been imported on.
func (w *wan) subscribe(to, from *life, log membership.LogID) {
	p := &pull{from: from, to: to, log: log, epoch: w.epoch[from.site.index][to.site.index]}
	to.pulls[from.site.index] = p
	position := to.core.Replica.ImportPosition(log)
	w.f.after(w.trip(to.site, from.site), func() {
		if p.broken || !from.alive() || from.export.log != log {
			p.broken = true
			return
		}
		p.next = position
		from.export.pulls = append(from.export.pulls, p)
		p.pump()
	})
}

// pump sends everything that the importer has not been sent yet.
func (p *pull) pump() {
	x := &p.from.export
	if gone := x.trimmed[p.to.state.Instance]; p.next < gone {
		p.from.f.report("stream", "%s asks %s for record %d, but %d was for it and is trimmed", p.to.name, p.from.name, p.next, gone-1)
	}
	p.next = max(p.next, x.first)
	var batch [][]byte
	var done uint64
	for end := x.first + uint64(len(x.records)); p.next < end; p.next++ {
		if r := &x.records[p.next-x.first]; slices.Contains(r.Dests, p.to.state.Instance) {
			batch, done = append(batch, r.Data), r.N+1
		}
	}
	if len(batch) == 0 {
		return
	}
	f := p.from.f
	p.arrival = max(p.arrival, f.now+f.wan.trip(p.from.site, p.to.site))
	p.flying++
	f.at(p.arrival, func() {
		p.flying--
		if f.wan.epoch[p.from.site.index][p.to.site.index] != p.epoch {
			p.broken = true
		}
		if !p.broken && p.to.alive() {
			p.waiting = append(p.waiting, batch)
			p.done = done
			if len(p.waiting) == 1 {
				p.arrive()
			}
		}
	})
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
		p.to.step(func(now time.Duration, fx *core.Effects) { p.to.core.Import(now, p.log, batch, fx) })
	}
}
