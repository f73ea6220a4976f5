package evs

import (
	"fmt"
	"slices"
)

// integrity is P6: what is delivered was sent, to a group of the client's, and
// comes once.
func integrity(h *history, r *report) {
	for _, c := range h.clients {
		member := map[string]bool{}
		if c.private != "" {
			member[c.private] = true
		}
		for at, it := range c.items {
			switch it.Kind {
			case Join:
				member[it.Group] = true
			case Leave:
				delete(member, it.Group)
			case Gone:
				clear(member)
			case Dlv:
				h.integral(r, c, at, member)
			}
		}
	}
}

// integral checks one delivery for P6.
func (h *history) integral(r *report, c *client, at int, member map[string]bool) {
	it := c.items[at]
	m := it.message
	bad := func(format string, args ...any) {
		r.add(Violation{Client: c.name, Message: m.Message, View: it.View, Explain: fmt.Sprintf("client %s got %v ", c.name, m.Message) + fmt.Sprintf(format, args...)}, m.submit, c.items[c.got[m]].Event, it.Event)
	}
	switch {
	case m.submit == nil && m.accepted == nil:
		bad("that nobody sent")
	case c.got[m] != at:
		bad("twice")
	case !slices.ContainsFunc(m.groups, func(g string) bool { return member[g] }):
		bad("although it is in none of its groups %v", m.groups)
	case h.opts.OneClock && m.submit != nil && it.when < m.when:
		bad("before it was sent")
	case !m.wantedBy(c):
		bad("which it sent with self-discard")
	}
}

// selfDelivery is P8: a client that stays gets its own causal, agreed and safe
// messages that are addressed to it: by their key; without one, if it was in the
// group when it sent and had not asked to leave.
func selfDelivery(h *history, r *report) {
	if !h.opts.Settled {
		return
	}
	for _, c := range h.clients {
		if !c.node.alive || c.gone {
			continue
		}
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
				known := m.federated() != nil && h.addressed(c, m)
				if known || slices.ContainsFunc(m.groups, func(g string) bool { return member[g] && !leaving[g] }) {
					r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("client %s never got its own %s message %v", c.name, m.service, m.Message)}, it.Event, m.accepted)
				}
			}
		}
	}
}

// configurationOfDelivery is P9: a federated message is delivered in the view in
// which it was accepted.
func configurationOfDelivery(h *history, r *report) {
	for _, m := range h.messages {
		send := m.federated()
		if send == nil {
			continue
		}
		for _, d := range m.deliveries {
			if e := d.to.items[d.at].Event; e.View != send.View && e.View != (ViewID{}) {
				r.add(Violation{Client: d.to.name, Message: m.Message, View: e.View, Explain: fmt.Sprintf("client %s got %v in view %v, it was accepted in %v", d.to.name, m.Message, e.View, send.View)}, send, e)
			}
		}
	}
}

// senderOrder is P10: one sender's fifo, causal, agreed and safe messages keep
// their order at each client.
func senderOrder(h *history, r *report) {
	for _, c := range h.clients {
		last := map[string]item{}
		for _, it := range c.items {
			if it.Kind != Dlv || !inSenderOrder(it.message.service) {
				continue
			}
			m := it.message
			before, any := last[m.Client]
			if any && before.message.Seq > m.Seq && !reattached(before.message, m) {
				r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("client %s got %v (%s) after %v (%s)", c.name, m.Message, m.service, before.message.Message, before.message.service)}, before.Event, it.Event)
				continue
			}
			last[m.Client] = it
		}
	}
}

// reattached is P10's exemption: a fifo message is in the pair and the sender
// changed its instance between the two.
func reattached(a, b *message) bool {
	return (a.service == FIFO || b.service == FIFO) && a.accepted != nil && b.accepted != nil && a.accepted.Inst != b.accepted.Inst
}

// afterDown is P16: nothing that a client sent before its node was ordered out has
// a place behind that.
func afterDown(h *history, r *report) {
	downs := map[string][]*Event{}
	h.eachNodeEvent(func(_ *node, e *Event) {
		if e.Kind == Down && e.T != 0 {
			downs[e.Client] = append(downs[e.Client], e)
		}
	})
	for _, m := range h.messages {
		send := m.federated()
		if send == nil || !Ordered(m.service) || len(m.deliveries) == 0 {
			continue
		}
		for _, down := range downs[m.Client] {
			if k := keyOf(down); down.View == send.View && k.src == keyOf(send).src && send.N < down.N && k.less(keyOf(send)) {
				r.add(Violation{Client: m.Client, Message: m.Message, View: send.View, Explain: fmt.Sprintf("%v lies behind the NodeDown of its sender although it was accepted before", m.Message)}, down, send)
			}
		}
	}
}
