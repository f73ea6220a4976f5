package evs

import (
	"fmt"
	"slices"
)

// virtualSynchrony is P7: clients that go from one view to the next together have
// got the same federated messages of it that are addressed to both; clients of
// nodes that go from one ring to the next together have got the same messages of
// the groups in which both were all the while.
func virtualSynchrony(h *history, r *report) {
	all := h.passages()
	for i, p := range all {
		for _, q := range all[i:] {
			if p.fromView == q.fromView && p.toView == q.toView && slices.Contains(p.signal.TS, q.inst) {
				h.sameOfView(r, p, q)
			}
		}
	}
	h.sameOfRings(r)
}

// sameOfView compares the clients of two nodes over the view they both left.
func (h *history) sameOfView(r *report, p, q passage) {
	for _, c := range h.clients {
		for _, d := range h.clients {
			if c.node != p.node || d.node != q.node || c == d {
				continue
			}
			for _, m := range h.messages {
				send := m.federated()
				if send == nil || send.View != p.fromView || !inSenderOrder(m.service) && m.service != Reliable {
					continue
				}
				if !Ordered(m.service) && !slices.Contains(p.signal.TS, keyOf(send).src) {
					continue
				}
				at, one := c.got[m]
				_, other := d.got[m]
				if one && !other && h.addressed(c, m) && h.addressed(d, m) {
					r.add(Violation{Client: d.name, Message: m.Message, View: p.fromView, Explain: fmt.Sprintf("clients %s and %s left view %v together, but only the first got %v", c.name, d.name, p.fromView, m.Message)}, send, c.items[at].Event, q.signal)
				}
			}
		}
	}
}

// A stretch is a client's time in one ring.
type stretch struct {
	client *client
	ring   *Event
	next   *Event          // the ring that followed; nil at the end
	member map[string]bool // groups it was in from begin to end
	got    map[*message]int
}

// sameOfRings compares clients of nodes that went from one ring to the next
// together.
func (h *history) sameOfRings(r *report) {
	byRing := map[string][]*stretch{}
	var order []string
	for _, c := range h.clients {
		var now *stretch
		member := map[string]bool{}
		for at, it := range c.items {
			switch it.Kind {
			case Ring:
				if now != nil {
					now.next = it.Event
				}
				now = &stretch{client: c, ring: it.Event, member: copySet(member), got: map[*message]int{}}
				if byRing[it.Ring] == nil {
					order = append(order, it.Ring)
				}
				byRing[it.Ring] = append(byRing[it.Ring], now)
			case Join:
				member[it.Group] = true
			case Leave:
				delete(member, it.Group)
				if now != nil {
					delete(now.member, it.Group)
				}
			case Gone, Attach:
				now = nil
				clear(member)
			case Sig:
				if len(it.TS) == 0 { // its node leaves the instance; it is in no group until it is attached anew
					now = nil
					clear(member)
				}
			case Dlv:
				if now != nil && Ordered(it.message.service) {
					now.got[it.message] = at
				}
			}
		}
	}
	for _, ring := range order {
		list := byRing[ring]
		for i, a := range list {
			for _, b := range list[i+1:] {
				if a.next != nil && b.next != nil && a.next.Ring == b.next.Ring && slices.Contains(a.next.Together, b.ring.Node) {
					compareStretches(r, a, b)
					compareStretches(r, b, a)
				}
			}
		}
	}
}

// compareStretches reports the first message of a that b lacks.
func compareStretches(r *report, a, b *stretch) {
	first := -1
	var missing *message
	for m, at := range a.got {
		if _, got := b.got[m]; got || !m.wantedBy(b.client) || first >= 0 && at > first {
			continue
		}
		if slices.ContainsFunc(m.groups, func(g string) bool { return a.member[g] && b.member[g] }) {
			first, missing = at, m
		}
	}
	if missing != nil {
		r.add(Violation{Client: b.client.name, Message: missing.Message, Explain: fmt.Sprintf("clients %s and %s went from ring %s to %s together, but only the first got %v before", a.client.name, b.client.name, a.ring.Ring, a.next.Ring, missing.Message)}, missing.submit, a.client.items[first].Event, b.next)
	}
}

func copySet(set map[string]bool) map[string]bool {
	out := make(map[string]bool, len(set))
	for k := range set {
		out[k] = true
	}
	return out
}

// noHole is P13. Within one view of a group, and before any transitional signal,
// what two members got of the ordered messages to it differs only in how far they
// got. With keys: who got a message has got all that lie below it and that anybody
// got.
func noHole(h *history, r *report) {
	all, order := h.periods()
	for _, name := range order {
		longest := slices.MaxFunc(all[name], func(a, b *period) int { return a.clear - b.clear })
		for _, p := range all[name] {
			for i := range p.clear {
				if want := longest.messages[i]; p.messages[i] != want {
					r.add(Violation{Client: p.client.name, Message: want.Message, Explain: fmt.Sprintf("in view %s of group %s client %s got %v where %s got %v", name.id, name.group, p.client.name, p.messages[i].Message, longest.client.name, want.Message)},
						p.view, p.client.items[p.at[i]].Event, longest.client.items[longest.at[i]].Event)
					break
				}
			}
		}
	}
	h.noKeyedHole(r)
}

// noKeyedHole checks P13 by keys.
func (h *history) noKeyedHole(r *report) {
	type highest struct {
		key key
		at  *Event
	}
	for _, c := range h.clients {
		top := map[ViewID]highest{}
		for _, it := range c.items {
			if it.Kind != Dlv || it.Phase != Regular && it.Phase != GroupSignal || !Ordered(it.message.service) || it.message.federated() == nil {
				continue
			}
			if k, was := keyOf(it.Event), top[it.View]; was.at == nil || was.key.less(k) {
				top[it.View] = highest{k, it.Event}
			}
		}
		for _, m := range h.messages {
			send := m.federated()
			if send == nil || !Ordered(m.service) || len(m.deliveries) == 0 {
				continue
			}
			if _, got := c.got[m]; got || !h.addressed(c, m) {
				continue
			}
			if limit := top[send.View]; limit.at != nil && keyOf(send).less(limit.key) {
				r.add(Violation{Client: c.name, Message: m.Message, View: send.View, Explain: fmt.Sprintf("client %s lacks %v, but got what lies behind it", c.name, m.Message)}, send, limit.at)
			}
		}
	}
}

// safeDelivery is P14: if somebody got a safe message, everybody whom his group
// view names, or after a signal the signal, and who stays gets it.
func safeDelivery(h *history, r *report) {
	if !h.opts.Settled {
		return
	}
	for _, c := range h.clients {
		views, signals := map[string]*Event{}, map[string]*Event{}
		var signal *Event
		for _, it := range c.items {
			switch it.Kind {
			case GView:
				views[it.Group], signals[it.Group] = it.Event, nil
			case Leave:
				delete(views, it.Group)
			case GSig:
				signals[it.Group] = it.Event
			case Sig:
				signal = it.Event
			case View:
				signal = nil
			case Dlv:
				if it.message.service == Safe {
					for _, g := range it.message.groups {
						if view := views[g]; view != nil {
							h.safeFor(r, c, it, view, signals[g], signal)
						}
					}
				}
			}
		}
	}
}

// safeFor checks P14 for one delivery and one group.
func (h *history) safeFor(r *report, c *client, it item, view, groupSignal, signal *Event) {
	m := it.message
	bound := view.Members
	if groupSignal != nil && len(groupSignal.Members) > 0 {
		bound = groupSignal.Members
	}
	for _, name := range bound {
		d := h.byClient[name]
		if d == nil || !d.node.alive || d.gone || !m.wantedBy(d) {
			continue
		}
		if it.Phase == Transitional && signal != nil && !slices.Contains(signal.TS, d.instanceIn(signal.View)) && !slices.Contains(signal.TSN, d.node.Node) {
			continue
		}
		if _, got := d.got[m]; !got {
			r.add(Violation{Client: d.name, Message: m.Message, View: it.View, Explain: fmt.Sprintf("client %s got the safe message %v, %s never did", c.name, m.Message, d.name)}, view, groupSignal, m.submit, it.Event)
		}
	}
}

// samePlace is P15: a group view has one set of members, and those who come to the
// next view of the group together, as both see it, come to the same one and have got
// the same messages to the group in between. One alone may see the other come along:
// what is regular at him may be transitional there.
func samePlace(h *history, r *report) {
	all, order := h.periods()
	for _, name := range order {
		first := all[name][0]
		of := map[string]*period{}
		for _, p := range all[name] {
			of[p.client.name] = p
			if !slices.Equal(p.view.Members, first.view.Members) {
				r.add(Violation{Client: p.client.name, Explain: fmt.Sprintf("view %s of group %s has different members at %s and %s", name.id, name.group, first.client.name, p.client.name)}, first.view, p.view)
			}
		}
		for _, p := range all[name] {
			if p.end == nil || p.end.Kind != GView {
				continue
			}
			for _, c := range p.end.With {
				if q := of[c]; q != nil && q != p && q.end != nil && q.end.Kind == GView && slices.Contains(q.end.With, p.client.name) {
					cameTogether(r, name, p, q)
				}
			}
		}
	}
}

// cameTogether compares two clients of which one saw the other come along to its next
// view.
func cameTogether(r *report, name groupView, p, q *period) {
	if p.end.ID != q.end.ID {
		r.add(Violation{Client: q.client.name, Explain: fmt.Sprintf("after view %s of group %s client %s got view %s, with client %s, which got view %s", name.id, name.group, p.client.name, p.end.ID, q.client.name, q.end.ID)}, p.view, p.end, q.end)
		return
	}
	if m := differ(p.messages, q.messages); m != nil {
		r.add(Violation{Client: q.client.name, Message: m.Message, Explain: fmt.Sprintf("between views %s and %s of group %s only one of clients %s and %s got %v", name.id, p.end.ID, name.group, p.client.name, q.client.name, m.Message)}, p.view, m.submit, p.end)
	}
}

// differ returns a message that only one of the two lists has, or nil.
func differ(a, b []*message) *message {
	in := make(map[*message]bool, len(a))
	for _, m := range a {
		in[m] = true
	}
	for _, m := range b {
		if !in[m] {
			return m
		}
		delete(in, m)
	}
	for _, m := range a {
		if in[m] {
			return m
		}
	}
	return nil
}
