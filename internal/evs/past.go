package evs

import "slices"

// A memory is what a client sent and received, in its order: the past of what it sends
// next.
type memory struct {
	next int // in items
	sent
	closed   int              // how often its node has closed alone and come back
	accepted map[*message]int // closed, when its own messages were accepted; of recent pasts only
	later    map[int]*sent    // what is submitted already and accepted after so many closings
}

// A sent is what the next message depends on.
type sent struct {
	past bits // causal and stronger messages, and what they depend on
	fifo bits // the client's own fifo messages
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
		known[i].sent = sent{h.none(), h.none()}
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
		k.past.or(pasts[m.index])
		k.past.set(m.index)
	case it.Kind == Submit && Ordered(m.service):
		s := k.of(m)
		pasts[m.index], fifos[m.index] = slices.Clone(s.past), s.fifo
		s.past.set(m.index)
	case it.Kind == Submit && m.service == FIFO:
		s := k.of(m)
		s.fifo = slices.Clone(s.fifo) // others keep the old one
		s.fifo.set(m.index)
	case it.Kind == Attach && k.accepted != nil: // behind all that the closing brought
		k.closed++
		if s := k.later[k.closed]; s != nil {
			k.sent = *s
		} else {
			k.sent = sent{make(bits, len(k.past)), make(bits, len(k.fifo))}
		}
	}
}

// of returns what a message of the client that is submitted now depends on.
func (k *memory) of(m *message) *sent {
	at, known := k.accepted[m]
	if !known || at <= k.closed {
		return &k.sent
	}
	if k.later[at] == nil {
		k.later[at] = &sent{make(bits, len(k.past)), make(bits, len(k.fifo))}
	}
	return k.later[at]
}
