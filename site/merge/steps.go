package merge

import (
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// Connect introduces a client of this node, whose name is free.
func (r *Replica) Connect(now time.Duration, c membership.ClientID, name string, fx *Effects) {
	r.begin(now, fx)
	r.proposer.connect(c, name)
}

// Submit takes a client's next request.
func (r *Replica) Submit(now time.Duration, c membership.ClientID, req Request, fx *Effects) {
	r.begin(now, fx)
	if req.Kind == requestDown || req.Kind > Leave || req.Kind != Send && len(req.Groups) != 1 {
		return
	}
	if req.Kind != Send {
		req.Service, req.Data = membership.Agreed, nil
	}
	r.proposer.submit(c, req)
	fx.Kick = true
}

// Disconnect ends a client, after what it has submitted.
func (r *Replica) Disconnect(now time.Duration, c membership.ClientID, fx *Effects) {
	r.begin(now, fx)
	r.proposer.submit(c, Request{Kind: requestDown})
	fx.Kick = true
}

// QueuedBytes returns how many bytes of a client's requests wait for acceptance.
func (r *Replica) QueuedBytes(c membership.ClientID) int {
	if x := r.proposer.clients[c]; x != nil {
		return x.bytes
	}
	return 0
}

// GroupsOf returns in how many groups a client of this node is.
func (r *Replica) GroupsOf(c membership.ClientID) int {
	if r.m == nil || r.m.clients[c] == nil {
		return 0
	}
	return len(r.m.clients[c].groups)
}

// QueuedTotal returns how many requests of all clients wait, and their bytes.
func (r *Replica) QueuedTotal() (messages, bytes int) { return r.proposer.count, r.proposer.bytes }

// Import takes records that came out of another site's log. They are kept and injected into
// the ring until the machine has them. A batch that does not follow what is here was meant
// for a former machine of this node; its source left nothing out. The log has to be pulled
// again, from ImportPosition on.
func (r *Replica) Import(now time.Duration, b *Batch, fx *Effects) {
	r.begin(now, fx)
	m := r.m
	if m == nil || !r.gateway.is || b.For != m.instance {
		return
	}
	if from, known := r.ImportPosition(b.Log); !known || b.From > from {
		return
	}
	src, _ := m.view.Index(b.Log.Instance)
	for _, data := range b.Records {
		it, err := locate(data, &m.view, m.self, src)
		want := r.importer.sources[src].want(m.inNext[src])
		if err == nil {
			err = r.importer.add(now, src, it, m.inNext[src])
		}
		if err != nil {
			r.judgeImport(src, err, want, it.idx)
			break
		}
		r.judgeDeadline(src, it.t)
	}
	fx.Kick = true
	r.end()
}

// ImportPosition returns the number from which a subscription to a log has to start. It
// is not known for a log of another view than this node is in, nor while this node has no
// state of its site: from wherever it asked then, records would come for nothing, and what
// its site has long taken in is there no more.
func (r *Replica) ImportPosition(log membership.LogID) (next uint64, known bool) {
	if r.m == nil || r.m.foreign(log) {
		return 0, false
	}
	src, _ := r.m.view.Index(log.Instance)
	if r.gateway.is {
		if items := r.importer.sources[src].items; len(items) > 0 {
			return items[len(items)-1].n + 1, true
		}
	}
	return r.m.logNext[src], true
}

// ImportBacklog returns how many bytes of imports are not ordered yet.
func (r *Replica) ImportBacklog() int { return r.importer.bytes }

// PromiseIn takes a promise of another site.
func (r *Replica) PromiseIn(now time.Duration, data []byte, fx *Effects) {
	r.begin(now, fx)
	r.promiseIn(data)
	r.end()
}

// ControlIn takes a control message of another instance's gateway.
func (r *Replica) ControlIn(now time.Duration, from SiteInstance, data []byte, fx *Effects) {
	r.begin(now, fx)
	r.controlIn(from, data)
	r.end()
}

// Reach tells what link state says of the other instances, all of them each time.
func (r *Replica) Reach(now time.Duration, reach []Reach, fx *Effects) {
	r.begin(now, fx)
	r.views.peers.update(now, reach)
	if r.m != nil {
		r.refreshDelays()
	}
	r.consider()
	r.end()
}

// Wake is to be called when Deadline has passed.
func (r *Replica) Wake(now time.Duration, fx *Effects) {
	r.begin(now, fx)
	if due := r.views.due; due != noTime && due <= now {
		r.consider()
	}
	if r.askDue != noTime && r.askDue <= now && r.m != nil {
		r.askAttach()
	}
	r.end()
	if r.importDue != noTime && r.importer.backlog(r.bodyThere) > 0 {
		fx.Kick = true
	}
}

// Deadline returns when Wake is due next.
func (r *Replica) Deadline() (time.Duration, bool) {
	if r.m == nil { // nothing but frames of the ring can help a node without state
		return noTime, false
	}
	due := noTime
	for _, at := range []time.Duration{r.views.due, r.exchange.due, r.askDue, r.importDue, r.bulk.due, r.gateway.promiseDue, r.futureTick()} {
		if at != noTime && (due == noTime || at < due) {
			due = at
		}
	}
	return due, due != noTime
}

// futureTick is when a Tick will be due. One that is due already waits for the ring
// and not for the clock.
func (r *Replica) futureTick() time.Duration {
	if at := r.gateway.tickDue; at > r.now {
		return at
	}
	return noTime
}

// Backlog implements ring.Source.
func (r *Replica) Backlog() int {
	d := &r.descent
	if d.view == nil {
		return 0
	}
	const small = 64 // bytes; about what one of our own frames takes
	if !d.decided {
		if d.said {
			return 0
		}
		return small
	}
	n := len(d.outgoing)
	if d.refuses {
		n += small
	}
	if r.m == nil {
		return n
	}
	if r.gateway.tickDue != noTime && r.gateway.tickDue <= r.now {
		n += small
	}
	if r.wantsToAsk() || r.witness.said < len(r.witness.breaches) {
		n += small
	}
	n += r.exchange.queue.bytes + r.bulk.queue.bytes + r.importer.backlog(r.bodyThere) + r.datagrams.bytes
	if r.attached {
		n += r.proposer.backlog()
	}
	return n
}

func (r *Replica) wantsToAsk() bool { return r.asking && !r.attached && r.askDue == noTime }

// Next implements ring.Source: Ticks first, then what is rare, then imports and
// clients in turn.
func (r *Replica) Next(now time.Duration, room int) (ring.Frame, bool) {
	d := &r.descent
	if d.view == nil {
		return ring.Frame{}, false
	}
	r.now = now
	if !d.said {
		d.said = true
		return ring.Frame{Stream: controlStream, Service: membership.Safe, Bound: true, Data: r.ownLineage().append(nil)}, true
	}
	if d.refuses {
		d.refuses = false
		return ring.Frame{Stream: controlStream, Service: membership.Safe, Bound: true, Data: []byte{byte(frameRefusal)}}, true
	}
	if !d.decided || r.m == nil {
		return ring.Frame{}, false
	}
	if due := r.gateway.tickDue; due != noTime && due <= now {
		r.gateway.tickDue = noTime
		return r.makeTick(now)
	}
	if state := d.outgoing; state != nil {
		d.outgoing = nil
		return ring.Frame{Stream: controlStream - 1, Service: membership.Safe, Bound: true, Data: append([]byte{byte(frameSnapshot)}, state...)}, true
	}
	if f, ok := r.nextControl(); ok {
		return f, true
	}
	if f, ok := r.nextBreach(); ok {
		return f, true
	}
	if f, ok := r.nextSpare(); ok {
		return f, true
	}
	if r.wantsToAsk() {
		return r.ask(now), true
	}
	if f, ok := r.nextDatagram(true); ok {
		return f, true
	}
	if r.fair = !r.fair; r.fair {
		if r.bulky = !r.bulky; r.bulky {
			if f, ok := r.nextBulk(); ok {
				return f, true
			}
		}
		if f, ok := r.importer.next(&r.proposer.arena, r.bodyThere); ok {
			return f, true
		}
	}
	if r.attached {
		if f, ok := r.propose(now); ok {
			return f, true
		}
	}
	if f, ok := r.importer.next(&r.proposer.arena, r.bodyThere); ok {
		return f, true
	}
	if f, ok := r.nextDatagram(false); ok {
		return f, true
	}
	return r.nextBulk()
}

// ask is this node's Attach, or its Bump while the instance's view is older than what
// its clients saw (N8).
func (r *Replica) ask(now time.Duration) ring.Frame {
	r.askDue = now + repeatInterval
	f := ring.Frame{Stream: controlStream, Service: membership.Agreed, Bound: true}
	r.asking = false
	if r.m.view.ID.Compare(r.newest) < 0 {
		b := bump{r.m.instance, r.newest.Epoch}
		f.Data = b.append(nil)
		return f
	}
	a := attach{instance: r.m.instance, boot: r.cfg.Boot, closed: r.closed, minT: r.closedMinT,
		company: r.company, from: r.descent.view.Previous, clients: r.proposer.memberships()}
	f.Data = a.append(nil)
	return f
}

// Status returns a snapshot for operators.
func (r *Replica) Status() Status {
	p := &r.proposer
	s := Status{Ready: r.m != nil, Attached: r.attached, Formed: r.descent.decided, Epoch: r.epoch,
		Queued: p.count, QueuedBytes: p.bytes, ImportBacklog: r.importer.bytes,
		Accepted: p.accepted, Rejected: p.rejected, BadFrames: r.badFrames, Faults: r.faults, Slack: int64(p.slack)}
	m := r.m
	if m == nil {
		return s
	}
	s.Instance, s.View, s.Members, s.Frozen = m.instance, m.view.ID, m.view.Members, m.frozen()
	s.Primary = m.primary
	s.Clock, s.H, s.V, s.W, s.Line = m.clock, m.h, m.v, m.wself, m.line
	s.Pending, s.Groups, s.Clients = len(m.pend)+len(m.fifoWait), len(m.groups), len(m.clients)
	for _, rec := range m.held {
		if rec != nil {
			s.Held++
			s.HeldBytes += rec.cost()
		}
	}
	s.Delivered, s.Imported, s.Duplicate, s.Dropped, s.Broken = m.deliveredCount, m.imported, m.duplicate, m.dropped, m.broken
	s.BadFrames += m.badFrames
	s.Datagrams = r.datagrams.count
	s.Bulk = r.bulk.count
	s.Ticks, s.Evicted = m.ticks, r.views.evicted
	for i, x := range m.view.Members {
		if i != m.self {
			s.Sources = append(s.Sources, SourceStatus{SiteInstance: x, Next: m.inNext[i], Log: m.logNext[i], Promise: m.prom[i],
				Stable: m.w[i], Floor: m.floor[i], Lead: m.leads[i], Late: r.gateway.late[i].quantile, Waiting: len(m.waiting[i]), Behind: m.owed[i]})
			if slow := r.views.slow.behind; i < len(slow) {
				s.Sources[len(s.Sources)-1].Slow = slow[i]
			}
		}
	}
	return s
}
