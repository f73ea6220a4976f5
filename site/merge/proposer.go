package merge

import (
	"maps"
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A proposer holds what this node's clients ask for until the machine has accepted
// it. Requests of one client go out in order, several at a time; when one is
// rejected, it and those after it are proposed again (go-back-N). It is not
// replicated and not safe for concurrent use.
type proposer struct {
	clients  map[membership.ClientID]*client
	byName   map[string]membership.ClientID
	ready    []*client // have something to propose, in turn
	blocked  []*client // have, but may not now
	count    int       // queued requests
	bytes    int
	bodies   int // large bodies under way
	far      int // of them, those that wait for other sites as well
	slack    time.Duration
	accepted uint64
	rejected uint64
	arena    arena
	send     localSend // scratch
}

// A client is a session of this node.
type client struct {
	id       membership.ClientID
	name     string
	queue    []item
	sent     int // how many of the queue are proposed and unanswered
	unsent   int // bytes of the others
	attempt  uint16
	next     uint64 // seq of the next request that has none
	casts    uint64 // messages sent without an order
	lastT    int64  // highest proposed in this view
	known    bool   // the machine has answered since the node was attached
	listed   bool   // in ready or blocked
	gone     bool   // disconnected
	downed   bool   // its Down is accepted
	bytes    int
	wanted   map[string]bool // groups it is in, or will be, as far as accepted
	apart    map[string]bool // of those, where it was in none when its node left an instance last
	entering string          // group whose join is accepted and waits for other sites
	rejoins  bool            // there may be more of them: its node has come into an instance
}

// An item is a request that waits.
type item struct {
	Request
	seq      uint64
	numbered bool
	bodySent bool
	far      bool // and had to go to other sites when it was sent
	prepares bool // a join that other sites must hear of first (J1)
	away     bool // proposed in mode federated
	bytes    int
}

// castNumber is in the numbers of messages without order, which nobody waits for. They
// only serve traces.
const castNumber = 1 << 63

// itemBytes is what a request costs beside its data.
const itemBytes = 128

func newProposer() proposer {
	return proposer{clients: map[membership.ClientID]*client{}, byName: map[string]membership.ClientID{}, slack: startSlack}
}

func (p *proposer) connect(id membership.ClientID, name string) {
	if p.clients[id] != nil {
		return
	}
	p.clients[id] = &client{id: id, name: name, lastT: -1}
	p.byName[name] = id
}

func (p *proposer) submit(id membership.ClientID, q Request) {
	c := p.clients[id]
	if c == nil || c.gone {
		return
	}
	c.gone = q.Kind == requestDown
	p.enqueue(c, item{Request: q}, len(c.queue))
}

func (p *proposer) enqueue(c *client, it item, at int) {
	it.bytes = itemBytes + len(it.Data)
	for _, g := range it.Groups {
		it.bytes += len(g)
	}
	c.queue = slices.Insert(c.queue, at, it)
	c.bytes += it.bytes
	c.unsent += it.bytes
	p.count++
	p.bytes += it.bytes
	p.list(c)
}

// list puts a client in turn.
func (p *proposer) list(c *client) {
	if !c.listed && c.sent < len(c.queue) {
		c.listed = true
		p.ready = append(p.ready, c)
	}
}

// unblock gives everybody another chance: something changed.
func (p *proposer) unblock() {
	if len(p.blocked) > 0 {
		p.ready = append(p.ready, p.blocked...)
		p.blocked = p.blocked[:0]
	}
}

// free gives one client another chance: its own obstacle is gone.
func (p *proposer) free(c *client) {
	if i := slices.Index(p.blocked, c); i >= 0 {
		p.blocked = slices.Delete(p.blocked, i, i+1)
		p.ready = append(p.ready, c)
	}
}

// remove takes the request at place i off a queue: it is done.
func (p *proposer) remove(c *client, i int) {
	it := &c.queue[i]
	p.count--
	p.bytes -= it.bytes
	c.bytes -= it.bytes
	if it.bodySent {
		p.bodyDone(it)
		p.unblock() // somebody may wait for a large body to be through
	}
	if i < c.sent {
		c.sent--
	} else {
		c.unsent -= it.bytes
	}
	if i == 0 {
		c.queue[0] = item{}
		c.queue = c.queue[1:]
	} else {
		c.queue = slices.Delete(c.queue, i, i+1)
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
}

// goBack proposes everything of a client again. lost: bodies are gone too.
func (p *proposer) goBack(c *client, lost bool) {
	c.attempt++
	for i := range c.sent {
		c.unsent += c.queue[i].bytes
	}
	c.sent = 0
	if lost {
		for i := range c.queue {
			if c.queue[i].bodySent {
				p.bodyDone(&c.queue[i])
			}
		}
	}
	p.list(c)
}

// bodyDone: a large body is not under way any more.
func (p *proposer) bodyDone(it *item) {
	it.bodySent = false
	if p.bodies--; it.far {
		it.far = false
		p.far--
	}
}

// bodyRefused: there was no room for a body of this node, so it comes again. That is not
// at once: the client waits until something changes.
func (r *Replica) bodyRefused(b *body) {
	p := &r.proposer
	c := p.clients[membership.ClientID{Node: r.cfg.Self, Session: b.session}]
	if c == nil {
		return
	}
	for i := range c.queue {
		if it := &c.queue[i]; it.bodySent && it.seq == b.seq {
			p.bodyDone(it)
		}
	}
}

// awayBody says whether a large message still has to wait for its body to be at all
// destinations (B1b).
func (r *Replica) awayBody(c *client, it *item) bool {
	h := r.m.bodies[c.id]
	if h == nil || h.seq != it.seq {
		return true
	}
	d, _ := r.m.destinations(it.Groups)
	return !r.m.heldByAll(c.id, d) && !r.m.off(earlyRequest)
}

// answer is what became of a proposal.
func (r *Replica) answer(f *localSend, id membership.ClientID, v verdict) {
	p := &r.proposer
	c := p.clients[id]
	if c == nil {
		return
	}
	if v == accepted {
		c.known = true
		p.accepted++
		p.slack = max(minSlack, p.slack-p.slack/8192)
		if len(c.queue) > 0 && c.queue[0].numbered && c.queue[0].seq == f.seq {
			r.named(id, f.seq, &c.queue[0])
			if f.kind == Join {
				c.entering = f.groups[0]
			}
			if c.sent == 0 { // an earlier attempt made it
				c.sent, c.unsent = 1, c.unsent-c.queue[0].bytes
			}
			p.remove(c, 0)
		}
		p.note(c, f)
		p.free(c)
		p.list(c)
		return
	}
	if f.attempt != c.attempt {
		return // answered by going back already
	}
	p.rejected++
	c.known = c.known || v != rejectNode
	if v == rejectT {
		p.slack = min(maxSlack, p.slack+p.slack/2)
		// What was refused binds nobody. Without this, a client whose node's clock has
		// leapt proposes above the leap until the site's clock is there.
		c.lastT = -1
	}
	p.goBack(c, v == rejectBody)
}

// note follows which groups a client is in.
func (p *proposer) note(c *client, f *localSend) {
	switch f.kind {
	case Join:
		if c.wanted == nil {
			c.wanted = map[string]bool{}
		}
		c.wanted[f.groups[0]] = true
	case Leave:
		delete(c.wanted, f.groups[0])
	case requestDown:
		c.downed = true
	}
}

// forget drops a client whose end has gone round.
func (p *proposer) forget(id membership.ClientID) {
	c := p.clients[id]
	if c == nil {
		return
	}
	for len(c.queue) > 0 {
		p.remove(c, len(c.queue)-1)
	}
	delete(p.clients, id)
	if p.byName[c.name] == id {
		delete(p.byName, c.name)
	}
}

// ringChanged: whatever was under way may be lost.
func (p *proposer) ringChanged() {
	for _, id := range p.sorted() {
		p.goBack(p.clients[id], true)
	}
	p.unblock()
}

// viewChanged: deadlines start anew.
func (p *proposer) viewChanged() {
	for _, c := range p.clients {
		c.lastT = -1
	}
	p.unblock()
}

// backlog returns how many bytes could be proposed.
func (p *proposer) backlog() (n int) {
	for _, c := range p.ready {
		n += c.unsent
	}
	return n
}

// propose makes the next frame of this node's clients.
func (r *Replica) propose(now time.Duration) (ring.Frame, bool) {
	p := &r.proposer
	for len(p.ready) > 0 {
		c := p.ready[0]
		p.ready[0] = nil
		if p.ready = p.ready[1:]; len(p.ready) == 0 {
			p.ready = nil
		}
		c.listed = false
		if c.sent >= len(c.queue) {
			continue
		}
		f, ok := r.proposeFor(now, c)
		if !ok {
			c.listed = true
			p.blocked = append(p.blocked, c)
			continue
		}
		p.list(c)
		return f, true
	}
	return ring.Frame{}, false
}

// proposeFor makes a frame of a client's next request, if it may go now.
func (r *Replica) proposeFor(now time.Duration, c *client) (ring.Frame, bool) {
	p := &r.proposer
	it := &c.queue[c.sent]
	if r.mustHold(c, it) {
		return ring.Frame{}, false
	}
	f := &p.send
	*f = localSend{tag: r.m.tag, session: c.id.Session, attempt: c.attempt, kind: it.Kind, discard: it.SelfDiscard,
		first: !c.known, free: it.Independent, service: it.Service, hint: it.Hint, name: c.name, groups: it.Groups, data: it.Data}
	if r.flies(c, it) {
		return r.fly(c, f), true
	}
	frame := ring.Frame{Stream: c.id.Session, Service: membership.Agreed, Bound: true} // ringChanged goes back
	if !r.plan(now, c, f) {
		return frame, false
	}
	it.prepares = f.kind == Join && f.federated && r.prepares(f.groups[0])
	if it.Kind == Send && it.Service < membership.FIFO && !f.federated && !it.numbered {
		frame.Service = it.Service
		if it.Service == membership.Unreliable {
			frame.Service = membership.Reliable
		}
		frame.Bound = false
		c.casts++
		f.seq = castNumber | c.casts
		r.named(c.id, f.seq, it)
		frame.Data = f.append(p.arena.take(f.size()), frameCast)
		p.remove(c, c.sent)
		return frame, true
	}
	if !it.numbered {
		it.seq, it.numbered = c.next, true
		c.next++
	}
	f.seq = it.seq
	if len(it.Data) > inlineMax {
		if !it.bodySent {
			far := f.federated && r.cfg.Bulk
			if p.bodies >= maxBodies || far && p.far >= maxFarBodies {
				return frame, false
			}
			b := body{r.m.instance, c.id.Session, it.seq, it.Groups, it.Data}
			it.bodySent, it.far = true, far
			if p.bodies++; far {
				p.far++
			}
			frame.Data = b.append(make([]byte, 0, 32+len(it.Data)))
			return frame, true
		}
		if f.federated && r.cfg.Bulk && r.awayBody(c, it) {
			return frame, false
		}
		f.bodyRef, f.data = true, nil
	}
	if it.Kind == Send && it.Service == membership.Safe && !f.federated {
		frame.Service = membership.Safe
	}
	if f.federated && (it.Kind != Send || it.Service.Ordered()) {
		c.lastT = max(c.lastT, f.t)
	}
	it.away = f.federated
	frame.Data = f.append(p.arena.take(f.size()), frameSend)
	c.sent++
	c.unsent -= it.bytes
	return frame, true
}

// named tells which number a message has got.
func (r *Replica) named(c membership.ClientID, seq uint64, it *item) {
	if r.cfg.Trace != nil && it.Kind == Send {
		r.cfg.Trace(&TraceEvent{Kind: TraceNamed, Client: c, Seq: seq, Tag: it.Tag, Cast: seq&castNumber != 0, Instance: r.m.instance, View: r.m.view.ID})
	}
}

// mustHold says whether a request waits for an earlier one of its client: what
// follows a large message, for it to be accepted; what follows a join, for the client
// to be in the group. The directory alone would let a message to the group overtake
// the join, and its sender would not get it.
func (r *Replica) mustHold(c *client, it *item) bool {
	if c.sent > 0 && (c.queue[c.sent-1].bodySent || c.queue[c.sent-1].prepares) {
		return true
	}
	if it.Kind == requestDown {
		return false
	}
	if c.entering != "" {
		if g := r.m.groups[c.entering]; g != nil && g.waits(c.id) {
			return true
		}
		c.entering = ""
	}
	if c.rejoins {
		for _, name := range slices.Sorted(maps.Keys(c.wanted)) {
			if g := r.m.groups[name]; g != nil && g.waits(c.id) {
				c.entering = name
				return true
			}
		}
		c.rejoins = false
	}
	return false
}

// prepares says whether a join of the group waits for other sites.
func (r *Replica) prepares(name string) bool {
	g := r.m.groups[name]
	return g == nil || !g.Interest.Has(r.m.self) || g.prep != nil
}

// plan decides mode and deadline of a request by the present directory (P1). It
// returns false if the request has to wait.
func (r *Replica) plan(now time.Duration, c *client, f *localSend) bool {
	m := r.m
	last := max(c.lastT, r.machineLast(c.id))
	held := last // until V is there, nothing of the client is local
	var d membership.Set
	above := int64(-1)
	switch f.kind {
	case Join:
		name := f.groups[0]
		if m.scoped(name) || m.solo() && !m.frozen() {
			return true
		}
		if m.frozen() { // the machine would refuse it, again and again
			return false
		}
		if r.prepares(name) {
			f.federated = true
			return true
		}
		g := m.groups[name]
		d, above = g.Interest, g.offT
		if !m.off(noOnT) {
			above = max(above, g.onT)
		}
	case Leave:
		if m.scoped(f.groups[0]) {
			return last <= m.v // not before what the client sent there, which may wait (P4)
		}
		if m.frozen() {
			return false
		}
		if g := m.groups[f.groups[0]]; g != nil {
			d, above = g.Interest, g.offT
		}
	case requestDown:
		if oc := m.clients[c.id]; oc != nil {
			for g := range oc.groups {
				if m.frozen() && !g.scoped {
					return false
				}
				d |= g.Interest
				above = max(above, g.offT)
			}
		}
	default:
		if r.returning(c.id, f.groups) {
			return false
		}
		d, above = m.destinations(f.groups)
		if f.free {
			held = r.heldUntil(c, f.groups)
		}
	}
	if m.solo() || d.Without(m.self) == 0 && held <= m.v && above <= m.v || m.off(noHold) && f.kind == Send && d.Without(m.self) == 0 {
		return true
	}
	large := r.cfg.Bulk && len(f.data) > inlineMax
	if m.frozen() || f.kind == Send && !r.credit(d, f.groups) || large && !r.bulkCredit(d, len(f.data)) {
		return false
	}
	f.federated = true
	if f.kind == Send && !large {
		r.charge(d, len(f.data))
	}
	lead := int64(0)
	for rest := d.Without(m.self); rest != 0; rest &= rest - 1 {
		lead = max(lead, m.leads[rest.First()])
	}
	// Ticks come at least each quiet interval: what is further from the latest is a clock
	// that leapt, or a ring that stands still.
	f.t = max(min(r.viewNow(now), m.clock+int64(r.quiet()))+int64(r.proposer.slack)+lead, m.nextT(d), last+1, above+1)
	return true
}

// returning says whether a client is not back yet in one of the groups: what it sends
// there has to wait, or it would miss it.
func (r *Replica) returning(id membership.ClientID, groups []string) bool {
	for _, name := range groups {
		if g := r.m.groups[name]; g != nil && g.prep != nil &&
			slices.ContainsFunc(g.prep.wait, func(w waiter) bool { return w.rejoin && w.Client == id }) {
			return true
		}
	}
	return false
}

// machineLast is the machine's last[c].
func (r *Replica) machineLast(id membership.ClientID) int64 {
	if oc := r.m.clients[id]; oc != nil {
		return oc.last
	}
	return r.m.nodes[id.Node].min
}

// setAttached: the clients of this node use the machine from here on, and are in the
// groups that the Attach named.
func (r *Replica) setAttached() {
	r.attached, r.newest = true, r.m.view.ID
	p := &r.proposer
	for _, id := range p.sorted() {
		c := p.clients[id]
		p.goBack(c, true)
		c.known, c.entering, c.rejoins = false, "", true
		p.renumber(c)
	}
	p.unblock()
}

func (p *proposer) sorted() []membership.ClientID {
	return slices.SortedFunc(maps.Keys(p.clients), membership.ClientID.Compare)
}

// memberships are the clients that are in groups, for the Attach. A client whose end
// waits is in none any more.
func (p *proposer) memberships() (list []attachedClient) {
	for _, id := range p.sorted() {
		if c := p.clients[id]; len(c.wanted) > 0 && !c.gone {
			list = append(list, attachedClient{id.Session, c.next, c.name, slices.Sorted(maps.Keys(c.wanted)), c.apart})
		}
	}
	return list
}

// noteApart notes which groups clients are said to be in but are not, at the end of an
// instance: their joins had not got through, or not again. They have not seen what the
// members have.
func (p *proposer) noteApart(in map[membership.ClientID]groupSet) {
	for id, c := range p.clients {
		c.apart = nil
		members := map[string]bool{}
		for g := range in[id] {
			members[g.Name] = true
		}
		for name := range c.wanted {
			if !members[name] {
				if c.apart == nil {
					c.apart = map[string]bool{}
				}
				c.apart[name] = true
			}
		}
	}
}

// renumber gives a queue new numbers, in its order. Numbers only grow.
func (p *proposer) renumber(c *client) {
	for i := range c.queue {
		c.queue[i].numbered = false
	}
}

// leaveInstance ends what the clients had in an instance that this node leaves.
func (r *Replica) leaveInstance() {
	p := &r.proposer
	for _, id := range p.sorted() {
		c := p.clients[id]
		c.lastT, c.known = -1, false
		if c.downed {
			r.fx.Outputs = append(r.fx.Outputs, Output{Kind: OutClosed, To: []membership.ClientID{id}})
			p.forget(id)
		}
	}
}
