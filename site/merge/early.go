package merge

// The machine takes the pieces of a Fill in order. They come in order as a rule; another way, or another gateway,
// may have some overtake others. Those wait here, at the gateway, and not in the ring, which
// would pass them round for nothing; and the sender is told which one they wait for.

// inTurn says whether a control message may go into the ring now. A piece of a Fill that comes
// ahead of its turn is kept.
func (r *Replica) inTurn(c *control, data []byte) bool {
	x := &r.exchange
	if c.kind != controlFill || c.piece == 0 {
		return true
	}
	f := r.m.flush
	if f == nil || f.view.ID != c.view.ID || x.id != c.view.ID {
		return true // it tells of the view; there is no knowing yet whose turn it is
	}
	i, _ := f.view.Index(c.from)
	next := max(f.parts[i].next, x.peers[i].turn)
	if c.piece > next && !r.m.off(inOrderOnly) {
		x.early.add(c, data)
		x.peers[i].gap = next + 1
		return false
	}
	x.peers[i].turn = max(next, c.piece+1)
	return true
}

// takeEarly passes on the pieces whose turn has come.
func (r *Replica) takeEarly() {
	x := &r.exchange
	for again := len(x.early.items) > 0; again; {
		again = false
		waiting := x.early
		x.early = controlQueue{}
		for {
			q, ok := waiting.pop()
			if !ok {
				break
			}
			if r.m.lacks(&q.head) && r.inTurn(&q.head, q.data) {
				x.queue.add(&q.head, q.data)
				r.fx.Kick, again = true, true
			}
		}
	}
}
