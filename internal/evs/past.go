package evs

import "slices"

// A memory is what a client sent and received, in its order: the past of what it sends
// next.
type memory struct {
	next int // in items
	sent
	fresh    func() sent
	closed   int              // how often its node has closed alone and come back
	accepted map[*message]int // closed, when its own messages were accepted; of recent pasts only
	later    map[int]*sent    // what is submitted already and accepted after so many closings
}

// A sent is what the next message depends on.
type sent struct {
	past bits // causal and stronger messages, and what they depend on
	fifo bits // the client's own fifo messages
	// Of sessions with independent scopes only: what its local messages depend on, and its
	// own messages that they may go ahead of.
	near bits
	away []*message
}

// of returns what a message that is sent now depends on.
func (s *sent) of(m *message, pasts []bits) bits {
	if !m.mayBeLocal() {
		return slices.Clone(s.past)
	}
	past := slices.Clone(s.near)
	for _, o := range s.away {
		if o.meets(m) {
			past.or(pasts[o.index])
			past.set(o.index)
		}
	}
	return past
}

// add makes a message that was sent part of what later ones depend on.
func (s *sent) add(m *message, past bits) {
	s.past.set(m.index)
	switch {
	case s.near == nil:
	case m.mayBeFederated():
		s.away = append(slices.Clip(s.away), m) // others keep the old one
	default:
		s.near.or(past)
		s.near.set(m.index)
	}
}

// got makes a message that was received part of them.
func (s *sent) got(m *message, past bits) {
	for _, b := range []bits{s.past, s.near} {
		if b != nil {
			b.or(past)
			b.set(m.index)
		}
	}
}

// fresh returns what the next message depends on if nothing came before.
func (h *history) fresh(free bool) sent {
	s := sent{past: h.none(), fifo: h.none()}
	if free {
		s.near = h.none()
	}
	return s
}

// pasts returns the past of every message that was submitted, by its index, and apart
// from it the fifo messages that its sender had sent before. recent leaves out what
// lies before the sender's node closed alone for the last time before it accepted the
// message: that is when it became part of a configuration. It goes through the clients in turn, each
// as far as the pasts of what it received are known.
func (h *history) pasts(recent bool) (pasts, fifos []bits) {
	pasts, fifos = make([]bits, len(h.messages)), make([]bits, len(h.messages))
	known := make([]memory, len(h.clients))
	for i := range known {
		known[i].fresh = func() sent { return h.fresh(h.clients[i].free) }
		known[i].sent = known[i].fresh()
		if recent {
			known[i].accepted, known[i].later = h.clients[i].closings(), map[int]*sent{}
		}
	}
	for moved := true; moved; {
		moved = false
		for i, c := range h.clients {
			k := &known[i]
			for ; k.next < len(c.items); k.next++ {
				it := c.items[k.next]
				if it.Kind == Dlv && Ordered(it.message.service) && it.message.submit != nil && pasts[it.message.index] == nil {
					break // its sender has not got there yet
				}
				k.learn(it, pasts, fifos)
				moved = true
			}
		}
	}
	return pasts, fifos
}

// closings says of the client's own messages how often its node had closed alone and come
// back when it accepted them.
func (c *client) closings() map[*message]int {
	closed, at := 0, map[*message]int{}
	for _, it := range c.items {
		switch {
		case it.Kind == Send:
			at[it.message] = closed
		case it.Kind == Attach:
			closed++
		}
	}
	return at
}

// learn takes one item into the memory.
func (k *memory) learn(it item, pasts, fifos []bits) {
	m := it.message
	switch {
	case it.Kind == Dlv && Ordered(m.service) && m.submit != nil:
		k.got(m, pasts[m.index])
	case it.Kind == Submit && Ordered(m.service):
		s := k.state(m)
		pasts[m.index], fifos[m.index] = s.of(m, pasts), s.fifo
		s.add(m, pasts[m.index])
	case it.Kind == Submit && m.service == FIFO:
		s := k.state(m)
		s.fifo = slices.Clone(s.fifo) // others keep the old one
		s.fifo.set(m.index)
	case it.Kind == Attach && k.accepted != nil: // behind all that the closing brought
		k.closed++
		if s := k.later[k.closed]; s != nil {
			k.sent = *s
		} else {
			k.sent = k.fresh()
		}
	}
}

// state returns what a message of the client that is submitted now depends on.
func (k *memory) state(m *message) *sent {
	at, known := k.accepted[m]
	if !known || at <= k.closed {
		return &k.sent
	}
	if k.later[at] == nil {
		later := k.fresh()
		k.later[at] = &later
	}
	return k.later[at]
}
