package merge

import "ringway/membership"

// The large bodies of a node's own clients, which go before their requests.

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
