package merge

import (
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// An exchange is a gateway's part in a flush: it sends what the machine has fixed, as
// soon as every member of the ring holds that, and makes up for what gets lost. The
// leading gateway sends; every gateway answers a Have. It is not replicated.
type exchange struct {
	id     membership.ViewID // of the flush that it is about
	filled bool              // the own Fills were sent, in part
	synced bool
	ready  bool
	owes   bool           // the view in force was installed before the own Ready went out
	peers  []exchangePeer // by place in the proposal
	next   time.Duration  // when to say again what is there
	due    time.Duration  // the same, if it is this node's to say; else noTime
	queue  controlQueue
	early  int            // bytes of the pieces of Fills that wait for their turn
	rows   [][]promiseRow // the latest promises of each source, by place in the view

	spared   membership.ViewID // the flush for which this node has said what others have,
	sparedIn ring.ID           // and the ring
}

type exchangePeer struct {
	fill    fillOut
	asked   uint32                   // what we had of the peer's Fill when we last told it
	turn    uint32                   // pieces of it that came in turn and were queued for the ring
	gap     uint32                   // the piece that is missing in front of early ones, plus one; 0: none
	told    uint32                   // the gap that the peer has been told of
	early   map[uint32]queuedControl // pieces of it that came ahead of their turn
	swept   uint32                   // early pieces below are gone
	missing membership.Set           // whom the peer waits for, as it last said
	got     uint32                   // pieces of all Fills that it has, likewise
}

// viewChanged begins anew with a view.
func (x *exchange) viewChanged(view membership.ViewID) {
	x.owes = x.id == view && !x.ready
	x.rows, x.id = nil, membership.ViewID{}
}

// syncOf is the Sync of this instance.
func syncOf(own *part) *control {
	return &control{kind: controlSync, stand: own.stand, claim: own.claim}
}

// readyOf is the Ready of this instance as it goes out now: a later one may name more.
func (m *machine) readyOf() *control { return &control{kind: controlReady, lost: m.lostLater} }

// keepPromise remembers a promise for Fills: the latest, and the newest of those whose
// records are all there.
func (x *exchange) keepPromise(members, self, src int, p *promise, inNext uint64) {
	if len(x.rows) != members {
		x.rows = make([][]promiseRow, members)
	}
	row := promiseRow{src: uint8(src)}
	kept := x.rows[src]
	if len(kept) >= keptPromises {
		out := 1
		if kept[1].at(self).idx <= inNext || kept[0].at(self).idx > inNext {
			out = 0
		}
		row.to = kept[out].to[:0] // Fills have been encoded
		kept = slices.Delete(kept, out, out+1)
	}
	for _, t := range p.to {
		row.to = append(row.to, promiseEntry{t.p, t.idx, t.inNext})
	}
	x.rows[src] = append(kept, row)
}

// exchangeOut sends what is due of a flush.
func (r *Replica) exchangeOut() {
	x, m := &r.exchange, r.m
	f := m.flush
	if f == nil {
		x.id, x.peers, x.early, x.due = membership.ViewID{}, nil, 0, noTime
		r.readyAfter()
		return
	}
	if x.id != f.view.ID || len(x.peers) != len(f.parts) {
		x.id, x.filled, x.synced, x.ready, x.next = f.view.ID, false, false, false, r.now
		x.peers, x.early = make([]exchangePeer, len(f.parts)), 0
	}
	r.takeEarly()
	if r.sparesNow() {
		r.fx.Kick = true
	}
	if x.due = noTime; !r.gateway.leads || !r.gateway.is || !r.mayFill(f) {
		return
	}
	fill, sync, ready := !x.filled, f.synced && !x.synced && r.mayTell(f.syncPos), !x.ready && r.mayReady(f)
	x.filled, x.synced, x.ready = true, x.synced || sync, x.ready || ready
	ask := r.now >= x.next
	if ask {
		x.next = r.now + repeatInterval
	}
	x.due = x.next
	for i := range f.parts {
		if i == f.self {
			continue
		}
		p := &f.parts[i]
		if fill {
			r.sendFill(i, x.peers[i].fill.have)
		}
		if sync {
			r.sendControl(i, syncOf(&f.parts[f.self]))
		}
		if ready {
			r.sendControl(i, m.readyOf())
		}
		if ask && !fill && !(p.filled && p.synced && p.ready) || !p.filled && x.peers[i].tells(p.next) {
			r.sendHave(i)
		}
	}
}

// tells says whether there is something to tell the peer at once: that enough of its Fill has
// come, or that a piece has not.
func (p *exchangePeer) tells(next uint32) bool {
	return next >= p.asked+fillAsk || p.gap > max(p.told, next)
}

// readyAfter sends the own Ready behind an install that came before it could go out: those of
// all others were here when the own one was ring-safe. They wait for it, and would have to ask.
func (r *Replica) readyAfter() {
	x, m := &r.exchange, r.m
	if !x.owes || !r.mayTell(m.installed) {
		return
	}
	if x.owes = false; !r.gateway.leads || m.off(muteReady) {
		return
	}
	for i := range m.view.Members {
		if i != m.self {
			r.readyAgain(i)
		}
	}
}

// readyAgain tells a member of the view in force what it needs to install it as well.
func (r *Replica) readyAgain(place int) {
	m := r.m
	to := m.view.Members[place]
	c := control{kind: controlReady, view: m.view, from: m.instance, to: to.Instance, lost: m.lostBefore}
	r.fx.Controls = append(r.fx.Controls, Control{To: to, Data: c.append(nil)})
}

// mayTell says whether what was fixed at pos may leave the site (S2).
func (r *Replica) mayTell(pos ring.Position) bool {
	return r.covers(pos) || r.m.off(unsafeTell)
}

// mayReady is S3: Ready rests on a Tick that is ring-safe itself.
func (r *Replica) mayReady(f *flush) bool {
	if r.m.off(earlyReady) {
		return f.ready && r.mayTell(f.readyPos)
	}
	return f.announced != (ring.Position{}) && r.mayTell(f.announced)
}

// sendControl sends a message of the flush to a member of the proposal.
func (r *Replica) sendControl(place int, c *control) {
	f := r.m.flush
	to := f.view.Members[place]
	c.view, c.from, c.to = f.view, r.m.instance, to.Instance
	r.fx.Controls = append(r.fx.Controls, Control{To: to, Data: c.append(make([]byte, 0, 128+12*len(f.view.Members)+len(c.data)+64*len(c.vectors)))})
}

// sendHave tells a member what is there of its part.
func (r *Replica) sendHave(place int) {
	f := r.m.flush
	p := &f.parts[place]
	have := p.next
	if p.filled {
		have = max(1, p.pieces)
	}
	x := &r.exchange.peers[place]
	if x.gap <= p.next {
		x.gap = 0
	}
	x.asked, x.told = p.next, x.gap
	r.sendControl(place, &control{kind: controlHave, have: have, gap: x.gap, got: f.got(), synced: p.synced, ready: p.ready, missing: f.missing()})
}

// haveIn is another member's answer, or question.
func (r *Replica) haveIn(c *control) {
	m := r.m
	f := m.flush
	if f == nil || f.view.ID != c.view.ID {
		// Whoever still waits for what is installed here lacks a Ready.
		if i, ok := m.view.Index(c.from); ok && m.view.ID == c.view.ID && !c.ready && r.mayTell(m.installed) {
			r.readyAgain(i)
		}
		return
	}
	i, ok := f.view.Index(c.from)
	if !ok || i == f.self || r.exchange.id != f.view.ID || len(r.exchange.peers) != len(f.parts) || !r.mayFill(f) {
		return
	}
	r.passOn(i, c)
	r.toldOf(c)
	r.sendFill(i, c.have)
	r.mendFill(i, c.gap)
	if !c.synced && f.synced && r.mayTell(f.syncPos) {
		r.sendControl(i, syncOf(&f.parts[f.self]))
	}
	if !c.ready && r.mayReady(f) {
		r.sendControl(i, m.readyOf())
	}
}

// passOn tells the gateway that leads how far another member is, through the ring: it judges whether the
// change of the view gets on, and a nearer gateway was told.
func (r *Replica) passOn(place int, c *control) {
	p := &r.exchange.peers[place]
	if r.gateway.leads || c.got <= p.got && c.missing == p.missing || r.m.off(untold) {
		return
	}
	news := control{kind: controlHave, view: c.view, from: c.from, to: c.to, got: c.got, missing: c.missing}
	if r.exchange.queue.add(&news, news.append(nil)) {
		r.fx.Kick = true
	}
}

// toldOf notes how far another member is.
func (r *Replica) toldOf(c *control) {
	f := r.m.flush
	if f == nil || f.view.ID != c.view.ID || r.exchange.id != c.view.ID {
		return
	}
	if i, ok := f.view.Index(c.from); ok && i < len(r.exchange.peers) {
		p := &r.exchange.peers[i]
		p.missing, p.got = c.missing, max(p.got, c.got)
	}
}

// mostMissing is the member that most others wait for, as far as they say.
func (r *Replica) mostMissing() (who SiteInstance, ok bool) {
	f := r.m.flush
	count := make([]int, len(f.parts))
	add := func(s membership.Set) {
		for s &= f.view.All(); s != 0; s &= s - 1 {
			count[s.First()]++
		}
	}
	add(f.missing())
	for i := range r.exchange.peers {
		add(r.exchange.peers[i].missing)
	}
	count[f.self] = 0
	most := slices.Max(count)
	if most == 0 {
		return who, false
	}
	return f.view.Members[slices.Index(count, most)], true
}

// controlIn takes a message of another instance's gateway.
func (r *Replica) controlIn(from membership.SiteInstance, data []byte) {
	if isBulk(data) {
		r.controlOfBulk(from, data)
		return
	}
	var c control
	if err := c.read(data); err != nil {
		r.badFrames++
		r.accuseSender(from, breachControl)
		return
	}
	i, ok := c.view.Index(c.from)
	if !ok || c.view.Members[i].Site != from.Site || from.Instance != 0 && from.Instance != c.from {
		r.accuseSender(from, breachSender)
		return
	}
	m := r.m
	if m == nil || c.to != 0 && c.to != m.instance {
		return
	}
	if _, ok := c.view.Index(m.instance); !ok {
		return
	}
	target := m.target().ID
	if c.view.ID.Compare(target) > 0 && c.kind != controlDecline {
		if r.views.peers.refuses(r.now, c.view.ID, &r.cfg.Timing) {
			r.decline(&c)
			return
		}
		if c.kind == controlHave {
			c.kind = controlPropose
			data = c.append(nil)
		}
	}
	if c.kind == controlHave {
		r.haveIn(&c)
		return
	}
	if !m.lacks(&c) {
		return
	}
	r.fx.Kick = true
	if c.kind == controlFill {
		r.fillPieceIn(&c, data)
	} else {
		r.exchange.queue.add(&c, data)
	}
}

// decline answers a proposal that comes too early (X8). The proposer is frozen by it and asks
// again and again: each question has its answer, each piece of its Fill need not. Others in it
// that would be declined as well are told at once: the next turn is theirs.
func (r *Replica) decline(c *control) {
	p, proposer := &r.views.peers, c.view.ID.Proposer
	if c.from != proposer || c.piece != 0 {
		return
	}
	for _, x := range c.view.Members {
		if wait, early := p.early(r.now, x.Instance, &r.cfg.Timing); early || x.Instance == proposer {
			no := control{kind: controlDecline, view: c.view, from: r.m.instance, to: x.Instance, wait: max(0, wait)}
			r.fx.Controls = append(r.fx.Controls, Control{To: x, Data: no.append(nil)})
		}
	}
}

// declined is the answer, at its place in the ring. What a member of the view in force says
// of another one does not count: it may still change its mind, and go on with this site.
func (r *Replica) declined(c *control) {
	f := r.m.flush
	if f == nil || f.view.ID != c.view.ID || c.to != r.m.instance || r.m.off(deafToNo) {
		return
	}
	if _, member := r.m.view.Index(c.from); !member {
		r.views.peers.declined(r.now, c.from, c.view.ID, min(c.wait, r.cfg.Timing.MaxRejoin))
		r.consider()
	}
}

// lacks says whether an ordered control would change anything.
func (m *machine) lacks(c *control) bool {
	switch by := c.view.ID.Compare(m.target().ID); {
	case by != 0 && c.kind == controlDecline:
		return false
	case by > 0:
		return true
	case by < 0 || m.flush == nil:
		return false
	}
	i, ok := m.flush.view.Index(c.from)
	if !ok {
		return false
	}
	p := &m.flush.parts[i]
	switch c.kind {
	case controlFill:
		return !p.filled && c.piece >= p.next
	case controlSync:
		return !p.synced
	case controlReady:
		return !p.ready
	case controlDecline:
		return !p.filled
	case controlHave:
		return true // for the gateway that leads
	}
	return false
}

// A controlQueue has control messages that wait for the ring.
type controlQueue struct {
	items []queuedControl
	bytes int
}

type queuedControl struct {
	head control // without data
	data []byte
}

// add queues a message and says whether it is there: not if too much is.
func (q *controlQueue) add(c *control, data []byte) bool {
	for i := range q.items {
		if h := &q.items[i].head; h.kind == c.kind && h.from == c.from && h.view.ID == c.view.ID && h.piece == c.piece {
			return true
		}
	}
	if len(q.items) >= maxControls || q.bytes+len(data) > maxControlBytes {
		return false
	}
	q.items = append(q.items, queuedControl{c.head(), data})
	q.bytes += len(data)
	return true
}

// head is the message without its data.
func (c *control) head() control {
	head := *c
	head.data, head.vectors = nil, nil
	return head
}

func (q *controlQueue) pop() (c queuedControl, ok bool) {
	if len(q.items) == 0 {
		return c, false
	}
	c = q.items[0]
	q.items[0] = queuedControl{}
	q.items = q.items[1:]
	q.bytes -= len(c.data)
	return c, true
}

// nextControl is the frame of the next message that still says something.
func (r *Replica) nextControl() (ring.Frame, bool) {
	for {
		c, ok := r.exchange.queue.pop()
		if !ok {
			return ring.Frame{}, false
		}
		if r.m.lacks(&c.head) {
			return ring.Frame{Stream: controlStream, Service: membership.Agreed, Data: append([]byte{byte(frameControl)}, c.data...)}, true
		}
	}
}
