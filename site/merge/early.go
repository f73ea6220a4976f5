package merge

// The machine takes the pieces of a Fill in order. They come in order as a rule; if the sender sends one
// again, or its gateways take turns, some come ahead of others. Those wait here, at the gateway, and not in
// the ring, which would pass them round for nothing; and the sender is told which one they
// wait for, if this gateway leads.

// fillPieceIn takes a piece of a Fill from the overlay: it goes into the ring now, or, ahead of its
// turn, waits for those before it.
func (r *Replica) fillPieceIn(c *control, data []byte) {
	x, f := &r.exchange, r.m.flush
	if f == nil || f.view.ID != c.view.ID || x.id != c.view.ID {
		x.queue.add(c, data) // it tells of the view; there is no knowing yet whose turn it is
		return
	}
	i, _ := f.view.Index(c.from)
	p := &x.peers[i]
	next := max(f.parts[i].next, p.turn)
	switch {
	case c.piece > next && !r.m.off(inOrderOnly):
		x.keepEarly(p, c, data)
		p.gap = next + 1
	case x.queue.add(c, data):
		p.turn = max(next, c.piece+1)
	}
}

// keepEarly keeps a piece until its turn: as many as an honest sender has under way, if all senders
// together leave room.
func (x *exchange) keepEarly(p *exchangePeer, c *control, data []byte) {
	if p.early == nil {
		p.early = map[uint32]queuedControl{}
	}
	if _, again := p.early[c.piece]; !again && len(p.early) < fillWindow && x.early+len(data) <= maxControlBytes {
		p.early[c.piece] = queuedControl{c.head(), data}
		x.early += len(data)
	}
}

func (x *exchange) dropEarly(p *exchangePeer, piece uint32) {
	x.early -= len(p.early[piece].data)
	delete(p.early, piece)
}

// takeEarly puts the pieces into the ring whose turn has come.
func (r *Replica) takeEarly() {
	x := &r.exchange
	for i := range x.peers {
		p := &x.peers[i]
		if len(p.early) == 0 {
			continue
		}
		next := max(r.m.flush.parts[i].next, p.turn)
		for ; p.swept < next; p.swept++ { // they came by another gateway
			x.dropEarly(p, p.swept)
		}
		for q, ok := p.early[next]; ok && x.queue.add(&q.head, q.data); q, ok = p.early[next] {
			x.dropEarly(p, next)
			next++
			p.turn, p.swept = next, next
			r.fx.Kick = true
		}
		if _, there := p.early[next]; len(p.early) > 0 && !there {
			p.gap = next + 1 // behind the one that has come, another one is missing
		}
	}
}

// ringChanged begins anew: what was queued for the old ring may not have got through it.
func (x *exchange) ringChanged() {
	for i := range x.peers {
		p := &x.peers[i]
		p.turn, p.gap, p.told, p.swept = 0, 0, 0, 0
	}
}
