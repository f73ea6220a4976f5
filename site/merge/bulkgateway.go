package merge

import (
	"maps"
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A bulkDesk is a gateway's part in moving large bodies (bulk.go). The leading gateway offers
// and fetches; every gateway answers, and hands on what comes to its ring. It is not
// replicated.
type bulkDesk struct {
	offers map[bulkTo]time.Duration // when each was last made
	needs  []time.Duration          // by place: when a body was last called for that a record waits for
	queue  bulkQueue
	due    time.Duration // when to look again
	count  BulkCounters
}

// BulkCounters count what a gateway does with large bodies between sites.
type BulkCounters struct {
	PiecesSent     uint64
	PiecesReceived uint64 // also those that were there already
	AskedAgain     uint64 // times that nothing came for a while
	Held           uint64 // bodies that became complete here, as this gateway has told their sources
	Missing        uint64 // times that a record found no body, and the body was called for
}

// A bulkTo is a body on its way to an instance.
type bulkTo struct {
	to membership.InstanceID
	bodyKey
}

// bulkOut does what is due about bodies.
func (r *Replica) bulkOut() {
	x := &r.bulk
	x.due = noTime
	if !r.descent.decided {
		return
	}
	r.needBodies()
	if r.gateway.leads {
		r.offerBodies()
		if len(r.m.transfers) > 0 {
			r.pullBodies()
		}
	}
}

// bulkDue sets when to look again, if that is earlier.
func (r *Replica) bulkDue(at time.Duration) {
	if x := &r.bulk; x.due == noTime || at < x.due {
		x.due = at
	}
}

func (r *Replica) sendBulk(place int, b *bulk) {
	to := r.m.view.Members[place]
	b.from, b.to = r.m.instance, to.Instance
	size := bulkHeadBytes + 20 + 4*len(b.wants) + len(b.data)
	r.fx.Controls = append(r.fx.Controls, Control{To: to, Data: b.append(make([]byte, 0, size)), Bulk: b.kind == bulkPiece})
}

// offerBodies tells destinations of bodies that they lack (B1a).
func (r *Replica) offerBodies() {
	x, m := &r.bulk, r.m
	if !r.cfg.Bulk || len(m.bodies) == 0 {
		x.offers = nil
		return
	}
	made := x.offers
	x.offers = map[bulkTo]time.Duration{}
	for _, id := range slices.SortedFunc(maps.Keys(m.bodies), membership.ClientID.Compare) {
		h := m.bodies[id]
		if !r.mayMove(h.pos) {
			continue
		}
		d, _ := m.destinations(h.groups)
		for rest := d.Without(m.self); rest != 0; rest &= rest - 1 {
			place := rest.First()
			k := bulkTo{m.view.Members[place].Instance, bodyKey{id, h.seq}}
			if slices.Contains(h.holds, k.to) {
				continue
			}
			at, ok := made[k]
			if !ok || r.now-at >= bulkRepeat {
				at = r.now
				r.sendBulk(place, &bulk{kind: bulkOffer, bodyKey: k.bodyKey, size: len(h.data), order: h.pos})
			}
			x.offers[k] = at
			r.bulkDue(at + bulkRepeat)
		}
	}
}

// mayMove says whether a body that became complete at pos is held by all of the ring (B1a).
func (r *Replica) mayMove(pos ring.Position) bool {
	return r.descent.covers(pos, r.cfg.off) || r.m.off(unsafeBody)
}

// pullBodies asks for what is missing of bodies, those first that came first at their source,
// and says which are complete.
func (r *Replica) pullBodies() {
	m := r.m
	for place, x := range m.view.Members {
		list := m.transfers[x.Instance]
		if len(list) == 0 {
			continue
		}
		list = slices.Clone(list)
		slices.SortStableFunc(list, func(a, b *transfer) int { return a.order.Compare(b.order) })
		pulls := 0
		for _, t := range list {
			if t.lacks == 0 {
				r.sayHeld(place, t)
			} else if pulls++; pulls <= maxPulls {
				r.pullBody(place, t)
			}
		}
	}
}

func (r *Replica) pullBody(place int, t *transfer) {
	wants, again, due := t.want(r.now, 2*r.gateway.delays[place])
	if again {
		r.bulk.count.AskedAgain++
	}
	if len(wants) > 0 {
		r.sendBulk(place, &bulk{kind: bulkAsk, bodyKey: t.bodyKey, wants: wants})
	}
	r.bulkDue(due)
}

// sayHeld tells a source that its body is held here (B1a), until its record takes it or the
// source says that there will be none.
func (r *Replica) sayHeld(place int, t *transfer) {
	p := &t.pull
	if !r.mayMove(t.pos) {
		return
	}
	if p.said == 0 || r.now-p.said >= bulkRepeat {
		if p.said == 0 {
			r.bulk.count.Held++
		}
		p.said = r.now
		r.sendBulk(place, &bulk{kind: bulkHeld, bodyKey: t.bodyKey})
	}
	r.bulkDue(p.said + bulkRepeat)
}

// needBodies calls for the bodies without which streams do not go on (B1d).
func (r *Replica) needBodies() {
	x, m := &r.bulk, r.m
	if len(x.needs) != len(m.view.Members) {
		x.needs = slices.Repeat([]time.Duration{noTime}, len(m.view.Members))
	}
	for place := range r.importer.sources {
		s := &r.importer.sources[place]
		if len(s.items) == 0 || s.items[0].ref == 0 || m.off(noAsking) {
			continue
		}
		it, from := &s.items[0], m.view.Members[place].Instance
		if m.transfer(from, it.bodyKey) != nil {
			continue
		}
		if at := x.needs[place]; at == noTime || r.now-at >= bulkRepeat {
			x.needs[place] = r.now
			x.count.Missing++
			r.bulkFrame(&bulk{kind: bulkOffer, from: from, to: m.instance, bodyKey: it.bodyKey, size: it.ref})
		}
		r.bulkDue(x.needs[place] + bulkRepeat)
	}
}

// bodyThere says whether an imported record may go into the ring: a reference waits for
// its body.
func (r *Replica) bodyThere(place int, it *imported) bool {
	if it.ref == 0 || place >= len(r.m.view.Members) {
		return true
	}
	t := r.m.transfer(r.m.view.Members[place].Instance, it.bodyKey)
	return t != nil && t.lacks == 0
}

// controlOfBulk takes a message of another instance's gateway about a body.
func (r *Replica) controlOfBulk(from SiteInstance, data []byte) {
	var b bulk
	if err := b.read(data); err != nil {
		r.badFrames++
		r.accuseSender(from, breachControl)
		return
	}
	m := r.m
	if m == nil || b.to != m.instance || from.Instance != 0 && from.Instance != b.from {
		return
	}
	place, ok := m.view.Index(b.from)
	if !ok || place == m.self || m.view.Members[place].Site != from.Site {
		return // of another view, as a rule
	}
	switch b.kind {
	case bulkAsk:
		r.serve(place, &b)
	case bulkHeld:
		if r.knowsBody(place, b.bodyKey) {
			r.bulkFrame(&b)
		} else {
			r.sendBulk(place, &bulk{kind: bulkGone, bodyKey: b.bodyKey})
		}
	case bulkPiece:
		r.bulk.count.PiecesReceived++
		r.bulkFrame(&b)
	default:
		r.bulkFrame(&b)
	}
}

// serve answers an Ask.
func (r *Replica) serve(place int, b *bulk) {
	data := r.bodyFor(place, b.bodyKey)
	if data == nil {
		if !r.knowsBody(place, b.bodyKey) {
			r.sendBulk(place, &bulk{kind: bulkGone, bodyKey: b.bodyKey})
		}
		return
	}
	for _, index := range b.wants {
		if int(index) < piecesOf(len(data)) {
			from, to := pieceAt(len(data), index)
			r.bulk.count.PiecesSent++
			r.sendBulk(place, &bulk{kind: bulkPiece, bodyKey: b.bodyKey, index: index, data: data[from:to]})
		}
	}
}

// bodyFor returns a body for a destination, if it may leave the site (B1a).
func (r *Replica) bodyFor(place int, k bodyKey) []byte {
	if h := r.m.bodies[k.client]; h != nil && h.seq == k.seq {
		if r.mayMove(h.pos) {
			return h.data
		}
		return nil
	}
	if rec := r.heldFor(place, k); rec != nil && r.mayMove(rec.pos) {
		return rec.data
	}
	return nil
}

// knowsBody says whether a body is here, or on its way to a destination in a record.
func (r *Replica) knowsBody(place int, k bodyKey) bool {
	h := r.m.bodies[k.client]
	return h != nil && h.seq == k.seq || r.heldFor(place, k) != nil
}

// heldFor returns the held record of a body, unless the destination has said that it has it:
// an Offer that came late would fetch the body once more.
func (r *Replica) heldFor(place int, k bodyKey) *record {
	rec := r.m.heldWith(place, k)
	if rec == nil || rec.idx[rec.dests.Without(r.m.self).Rank(place)] < r.gateway.inbox[place].taken {
		return nil
	}
	return rec
}

// heldWith returns the held record of a message with a body that went ahead.
func (m *machine) heldWith(place int, k bodyKey) *record {
	for _, rec := range m.held {
		if rec != nil && rec.seq == k.seq && rec.client == k.client && rec.dests.Has(place) && m.byReference(rec) {
			return rec
		}
	}
	return nil
}

// tells says whether an ordered message would change anything.
func (m *machine) tells(b *bulk) bool {
	t := m.transfer(b.from, b.bodyKey)
	switch b.kind {
	case bulkOffer:
		return t == nil && m.admits(b) || t != nil && t.order != b.order && t.order != (ring.Position{})
	case bulkPiece:
		return t != nil && (int(b.index) >= len(t.there) || !t.there[b.index])
	case bulkHeld:
		h := m.bodies[b.client]
		return h != nil && h.seq == b.seq && !slices.Contains(h.holds, b.from)
	}
	return t != nil
}

// bulkFrame queues a message for the ring.
func (r *Replica) bulkFrame(b *bulk) {
	if r.m.tells(b) && r.bulk.queue.add(b) {
		r.fx.Kick = true
	}
}

// nextBulk is the frame of the next message that still says something.
func (r *Replica) nextBulk() (ring.Frame, bool) {
	for {
		b, ok := r.bulk.queue.pop()
		if !ok {
			return ring.Frame{}, false
		}
		if r.m.tells(b) {
			data := b.append(append(make([]byte, 0, 1+bulkHeadBytes+20+len(b.data)), byte(frameBulk)))
			return ring.Frame{Stream: bulkStream, Service: membership.Agreed, Data: data}, true
		}
	}
}

// applyBulk is a message about a body in the ring's order.
func (r *Replica) applyBulk(data []byte) error {
	var b bulk
	if err := b.read(data); err != nil {
		return err
	}
	r.m.bulkIn(&b)
	if b.kind == bulkHeld {
		if c := r.proposer.clients[b.client]; c != nil {
			r.proposer.free(c)
			r.fx.Kick = true
		}
		return nil
	}
	if t := r.m.transfer(b.from, b.bodyKey); t != nil && t.lacks == 0 && r.gateway.is {
		r.fx.Kick = true // a record may wait for it
	}
	return nil
}

// A bulkQueue has messages about bodies that wait for the ring.
type bulkQueue struct {
	items []*bulk
	bytes int
}

// add queues a message, unless it is there already or too much is.
func (q *bulkQueue) add(b *bulk) bool {
	if len(q.items) >= maxBulkQueue || q.bytes+len(b.data) > maxBulkBytes {
		return false
	}
	for _, o := range q.items {
		if o.kind == b.kind && o.from == b.from && o.bodyKey == b.bodyKey && o.index == b.index {
			return false
		}
	}
	c := *b
	q.items = append(q.items, &c)
	q.bytes += bulkHeadBytes + len(b.data)
	return true
}

func (q *bulkQueue) pop() (b *bulk, ok bool) {
	if len(q.items) == 0 {
		return nil, false
	}
	b, q.items[0] = q.items[0], nil
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil
	}
	q.bytes -= bulkHeadBytes + len(b.data)
	return b, true
}
