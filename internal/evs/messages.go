package evs

import (
	"fmt"
	"slices"
)

// integrity is P6: what is delivered was accepted before, or at least submitted if the
// receiver's node closes alone; it went to a group that the client is in, within one
// attach period; and it comes once. Reliable and unreliable messages have no place that
// they could be accepted at: they too are only submitted.
func integrity(h *history, r *report) {
	for _, c := range h.clients {
		member := map[string]bool{}
		for at, it := range c.items {
			switch it.Kind {
			case Join:
				member[it.Group] = true
			case Leave:
				delete(member, it.Group)
			case Gone, Attach:
				clear(member)
			case Dlv:
				h.integral(r, c, at, member)
			}
		}
	}
	h.acceptedBefore(r)
}

// integral checks one delivery for P6.
func (h *history) integral(r *report, c *client, at int, member map[string]bool) {
	it := c.items[at]
	m := it.message
	bad := func(format string, args ...any) {
		r.add(Violation{Client: c.name, Message: m.Message, View: it.View, Explain: fmt.Sprintf("client %s got %v ", c.name, m.Message) + fmt.Sprintf(format, args...)}, m.submit, m.accepted, c.items[c.got[m]].Event, it.Event)
	}
	mine := func(g string) bool { return member[g] || g == c.private && !c.over(at) }
	switch {
	case m.submit == nil && m.accepted == nil:
		if !h.lost(m) {
			bad("that nobody sent")
		}
	case m.accepted == nil && h.accepts && inSenderOrder(m.service) && !it.alone && !h.lost(m):
		bad("that nobody accepted")
	case c.got[m] != at:
		bad("twice")
	case !slices.ContainsFunc(m.groups, mine):
		bad("although it is in none of its groups %v", m.groups)
	case m.federated() != nil && Ordered(m.service) && !it.alone && it.T != 0 && !slices.Contains(m.groups, c.private) && !h.addressedIn(c, m, it.period):
		bad("although it is in none of its groups %v at its place, or its site is not among %v", m.groups, m.accepted.D)
	case h.opts.OneClock && m.submit != nil && it.when < m.when:
		bad("before it was sent")
	case !m.wantedBy(c):
		bad("which it sent with self-discard")
	}
}

// over says whether the client's session had ended before an item.
func (c *client) over(at int) bool {
	return slices.ContainsFunc(c.items[:at], func(it item) bool { return it.Kind == Gone })
}

// lost says that what shows a message's origin may have been lost with a node that
// crashed.
func (h *history) lost(m *message) bool {
	if !h.opts.Torn {
		return false
	}
	c := h.byClient[m.Client]
	return c == nil || !c.node.alive
}

// acceptedBefore checks that a node which delivers what it has accepted itself has
// accepted it before.
func (h *history) acceptedBefore(r *report) {
	for _, n := range h.nodes {
		early := map[Message]*Event{}
		for i := range n.Events {
			switch e := &n.Events[i]; e.Kind {
			case Dlv:
				if early[e.Msg] == nil {
					early[e.Msg] = e
				}
			case Send:
				if d := early[e.Msg]; d != nil && d.View == e.View {
					r.add(Violation{Client: d.Client, Message: e.Msg, View: e.View, Explain: fmt.Sprintf("client %s got %v before its node %s accepted it", d.Client, e.Msg, n.Node)}, d, e)
				}
			}
		}
	}
}

// selfDelivery is P8: a client that lives gets its own fifo, causal, agreed and safe messages
// that are addressed to it, before anything of its next configuration. To a fifo message it
// is addressed if it had asked to join before: the message waits for that. Traces that do not
// show acceptance tell less, and nothing of fifo messages: it gets them if it was in the group when it sent and
// had not asked to leave.
func selfDelivery(h *history, r *report) {
	for _, c := range h.clients {
		if h.accepts {
			h.ownAccepted(r, c)
		}
		if h.opts.Settled && c.node.alive && !c.gone {
			ownSubmitted(r, c)
		}
	}
}

// ownAccepted checks P8 for what the client's node accepted from it.
func (h *history) ownAccepted(r *report, c *client) {
	member, joined := map[string]bool{}, map[string]*Event{}
	var waiting []item
	for _, it := range c.items {
		switch it.Kind {
		case Join:
			member[it.Group], joined[it.Group] = true, it.Event
		case Leave:
			delete(member, it.Group)
		case Gone:
			return
		case Attach:
			clear(member)
		case Send:
			m := it.message
			mine := func(g string) bool { return member[g] || g == c.private }
			addressed := it.Mode == "fed" && h.addressedIn(c, m, it.period) || it.Mode != "fed" && slices.ContainsFunc(m.groups, mine)
			if addressed && m.wantedBy(c) && (Ordered(m.service) || m.service == FIFO && c.joinedFirst(m, it, joined)) {
				waiting = append(waiting, it)
			}
		case Dlv:
			kept := waiting[:0]
			for _, own := range waiting {
				switch {
				case own.message == it.message:
				case own.configuration < it.configuration:
					r.add(Violation{Client: c.name, Message: own.Msg, View: own.View, Explain: fmt.Sprintf("client %s got %v of its next configuration before its own %s message %v", c.name, it.Msg, own.message.service, own.Msg)}, own.Event, it.Event)
				default:
					kept = append(kept, own)
				}
			}
			waiting = kept
		}
	}
	for _, own := range waiting {
		if h.opts.Settled && c.node.alive {
			r.add(Violation{Client: c.name, Message: own.Msg, View: own.View, Explain: fmt.Sprintf("client %s never got its own %s message %v", c.name, own.message.service, own.Msg)}, own.message.submit, own.Event)
		}
	}
}

// joinedFirst says whether the client was in a group of its own fifo message, accepted at
// it, by a join that was accepted before. A later one may have a lower key: a local one has the
// number of what it stands behind. joined has the joins that were delivered by then.
func (c *client) joinedFirst(m *message, it item, joined map[string]*Event) bool {
	return it.Mode != "fed" || slices.ContainsFunc(m.groups, func(g string) bool {
		last := c.lastMove(g, it.View, keyOf(it.Event), it.period)
		return g == c.private || last.Event != nil && last.Kind == Join && (last.Event == joined[g] || last.Mode != "local" && last.Src == it.Inst && last.N < it.N)
	})
}

// ownSubmitted checks P8 by what the client saw.
func ownSubmitted(r *report, c *client) {
	member, leaving := map[string]bool{}, map[string]bool{}
	for _, it := range c.items {
		switch it.Kind {
		case Join:
			member[it.Group] = true
		case Leave:
			delete(member, it.Group)
		case Attach:
			clear(member)
		case Ask:
			leaving[it.Group] = it.Why == "leave"
		case Submit:
			m := it.message
			if _, got := c.got[m]; got || !Ordered(m.service) || !m.wantedBy(c) {
				continue
			}
			if slices.ContainsFunc(m.groups, func(g string) bool { return member[g] && !leaving[g] }) {
				r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("client %s never got its own %s message %v", c.name, m.service, m.Message)}, it.Event, m.accepted)
			}
		}
	}
}

// configurationOfDelivery is P9: a message is delivered in the view in which it was
// accepted. What other nodes accepted in a configuration that the receiver's node
// closed alone is none of its business.
func configurationOfDelivery(h *history, r *report) {
	for _, m := range h.messages {
		send := m.accepted
		if send == nil {
			continue
		}
		for _, d := range m.deliveries {
			if it := d.to.items[d.at]; it.View != send.View && it.View != (ViewID{}) && !it.alone {
				r.add(Violation{Client: d.to.name, Message: m.Message, View: it.View, Explain: fmt.Sprintf("client %s got %v in view %v, it was accepted in %v", d.to.name, m.Message, it.View, send.View)}, send, it.Event)
			}
		}
	}
}

// senderOrder is P10: one sender's fifo, causal, agreed and safe messages keep their
// order at each client. A pair with a fifo message in it is exempt if the sender's
// instance changed in between. Lanes say what else is, of sessions with independent scopes.
func senderOrder(h *history, r *report) {
	type from struct{ client, inst, lane string }
	for _, c := range h.clients {
		ordered, any := map[from]item{}, map[from]item{} // the highest so far
		for _, it := range c.items {
			if it.Kind != Dlv || !inSenderOrder(it.message.service) {
				continue
			}
			m := it.message
			inst := ""
			if m.accepted != nil {
				inst = m.accepted.Inst
			}
			var before item
			last := func(o item, known bool) {
				if known && (before.Event == nil || before.message.Seq < o.message.Seq) {
					before = o
				}
			}
			for _, lane := range m.behind() {
				o, known := any[from{m.Client, inst, lane}]
				last(o, known)
				o, known = ordered[from{client: m.Client, lane: lane}]
				last(o, known && Ordered(m.service))
			}
			if before.Event != nil && before.message.Seq > m.Seq {
				r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("client %s got %v (%s) after %v (%s)", c.name, m.Message, m.service, before.message.Message, before.message.service)}, before.Event, it.Event)
				continue
			}
			for _, lane := range m.lanes() {
				any[from{m.Client, inst, lane}] = it
				if Ordered(m.service) {
					ordered[from{client: m.Client, lane: lane}] = it
				}
			}
		}
	}
}

// downsOf lists where a client was ordered out: by itself, or with all of its node's
// run, which is named by a session number of which only the run's half is set.
func (h *history) downsOf(client string) []*Event {
	own := h.downs[client]
	if n := len(client) - len(noSession); n > 0 {
		own = append(slices.Clip(own), h.downs[client[:n]+noSession]...)
	}
	return own
}

const noSession = "00000000"

// afterDown is P16: nothing that a client sent before its node was ordered out has a
// place behind that. A fifo message comes when it comes; its deadline is no place, and
// those of its node do not wait for it.
func afterDown(h *history, r *report) {
	for _, m := range h.messages {
		send := m.federated()
		if send == nil || m.lone || !Ordered(m.service) {
			continue
		}
		for _, down := range h.downsOf(m.Client) {
			if k := keyOf(down); down.View == send.View && k.src == keyOf(send).src && send.N < down.N && k.less(keyOf(send)) {
				r.add(Violation{Client: m.Client, Message: m.Message, View: send.View, Explain: fmt.Sprintf("%v lies behind the NodeDown of its sender although it was accepted before", m.Message)}, down, send)
			}
		}
	}
}
