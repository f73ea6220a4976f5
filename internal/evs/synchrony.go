package evs

import (
	"fmt"
	"slices"
)

// virtualSynchrony is P7: clients that go from one view to the next together have got
// the same federated messages of it that are addressed to both; clients of nodes that
// go from one ring to the next together have got the same messages of the groups in
// which both were all the while.
func virtualSynchrony(h *history, r *report) {
	all := h.passages()
	of := map[*node][]*client{}
	for _, c := range h.clients {
		of[c.node] = append(of[c.node], c)
	}
	for i, p := range all {
		for _, q := range all[i:] {
			if p.attached && q.attached && p.fromView == q.fromView && p.toView == q.toView && slices.Contains(p.signal.TS, q.inst) && slices.Contains(q.signal.TS, p.inst) {
				h.sameOfView(r, p, q, of)
				if p.node != q.node {
					h.sameOfView(r, q, p, of)
				}
			}
		}
	}
	h.sameOfRings(r)
}

// sameOfView looks for messages that clients of p's node got in the view they left, but
// clients of q's node did not.
func (h *history) sameOfView(r *report, p, q passage, of map[*node][]*client) {
	for _, m := range h.ofView[p.fromView] {
		send := m.accepted
		if m.service == Unreliable || !Ordered(m.service) && !slices.Contains(p.signal.TS, keyOf(send).src) {
			continue
		}
		for _, c := range of[p.node] {
			at, one := c.got[m]
			if !one || !h.addressedIn(c, m, c.periodAt(p.from)) {
				continue
			}
			for _, d := range of[q.node] {
				if c == d || d.ended != nil && d.ended.At <= q.to.At || !h.addressedIn(d, m, d.periodAt(q.from)) {
					continue
				}
				other, both := d.got[m]
				switch {
				case both && c.items[at].phase != d.items[other].phase:
					r.parts++
				case !both && (Ordered(m.service) || h.stoodBy(d, m, q)):
					r.add(Violation{Client: d.name, Message: m.Message, View: p.fromView, Explain: fmt.Sprintf("clients %s and %s left view %v together, but only the first got %v", c.name, d.name, p.fromView, m.Message)}, send, c.items[at].Event, q.signal)
				}
			}
		}
	}
}

// stoodBy says whether a fifo or reliable message had to reach a client whose node leaves a
// view. Such a message comes when it comes, not at its key: who joined behind it does not get
// it although the join has a lower T, as others then have it already. So the client has to
// have been in a group of it from where its own node's machine took the record in until it
// came to somebody there, or else until the signal. Behind that, in the view's tail, it may
// have left before the message, which waits for earlier ones of its sender: they lie below the
// message's own key, so a leave below it does. Of a record that was never taken in, the same is
// asked from before it was sent on.
func (h *history) stoodBy(d *client, m *message, q passage) bool {
	k := keyOf(m.accepted)
	taken := slices.IndexFunc(d.node.Events, func(e Event) bool {
		return e.View == q.fromView && (e.Kind == Send && e.Msg == m.Message || e.Kind == Import && e.Src == k.src && e.N == k.n)
	})
	if taken < 0 {
		return h.there(d, m, item{Event: q.signal, when: d.node.now(q.signal)}, d.periodAt(q.from))
	}
	if i := slices.IndexFunc(d.node.Events, func(e Event) bool { return e.Kind == Connect && e.Client == d.name }); slices.Contains(m.groups, d.private) {
		return i < taken
	}
	in := map[string]bool{} // groups that it was in when the record was taken in, and still is
	signalled := false
	for i := range d.node.Events {
		e := &d.node.Events[i]
		switch {
		case e == q.to, i > taken && e.Kind == Dlv && e.Msg == m.Message:
			return len(in) > 0
		case e == q.signal:
			signalled = true
		case e.Kind == Attach, e.Kind == Lineage && e.Role != "heir":
			clear(in)
		case e.Kind == Join && e.Client == d.name && i < taken && slices.Contains(m.groups, e.Group):
			in[e.Group] = true
		case e.Kind == Leave && e.Client == d.name && (!signalled || keyOf(e).less(k)):
			delete(in, e.Group)
		}
	}
	return false
}

// periodAt is the client's last attach period in the view that an event of its node
// began: that in which the view led to the next one.
func (c *client) periodAt(view *Event) int {
	all := c.stays[view.View]
	if len(all) == 0 {
		return c.period + 1 // none
	}
	return all[len(all)-1].period
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
			case Lineage:
				if it.Role != "heir" { // what it joined behind its lone signal, in the tail, is over too
					now = nil
					clear(member)
				}
			case Dlv:
				if now != nil && it.message.service != Unreliable {
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

// compareStretches reports the first message of a that b lacks, and one to a group of
// both that is local and that b has in another part of its configuration: for these,
// equal parts are promised too.
func compareStretches(r *report, a, b *stretch) {
	first, parted := -1, -1
	var missing, apart *message
	for m, at := range a.got {
		if !slices.ContainsFunc(m.groups, func(g string) bool { return a.member[g] && b.member[g] }) {
			continue
		}
		other, both := b.got[m]
		switch {
		case both && len(m.groups) == 1 && m.accepted != nil && m.accepted.Mode == "local" && a.client.items[at].phase != b.client.items[other].phase && (parted < 0 || at < parted):
			parted, apart = at, m
		case !both && m.wantedBy(b.client) && (first < 0 || at < first):
			first, missing = at, m
		}
	}
	together := fmt.Sprintf("clients %s and %s went from ring %s to %s together, but ", a.client.name, b.client.name, a.ring.Ring, a.next.Ring)
	if apart != nil {
		r.add(Violation{Client: b.client.name, Message: apart.Message, Explain: fmt.Sprintf("%sgot the local message %v in different parts of their configuration", together, apart.Message)}, apart.accepted, a.client.items[parted].Event, b.client.items[b.got[apart]].Event, b.next)
	}
	if missing != nil {
		r.add(Violation{Client: b.client.name, Message: missing.Message, Explain: fmt.Sprintf("%sonly the first got %v before", together, missing.Message)}, missing.submit, a.client.items[first].Event, b.next)
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

// noKeyedHole checks P13 by keys. In the regular part of a view, what a client gets of
// other sites' and its own site's federated ordered messages has rising keys, and lies
// behind nothing that is addressed to it, that somebody got other than in a lone closing,
// and that it lacks.
func (h *history) noKeyedHole(r *report) {
	given := map[*message]bool{}
	for _, m := range h.messages {
		given[m] = m.federated() != nil && Ordered(m.service) && slices.ContainsFunc(m.deliveries, func(d delivery) bool { return !d.to.items[d.at].alone })
	}
	type where struct {
		view   ViewID
		period int
	}
	for _, c := range h.clients {
		top := map[where]*Event{}
		var order []where
		for _, it := range c.items {
			if it.Kind != Dlv || it.phase == Transitional || !Ordered(it.message.service) || it.message.federated() == nil || it.T == 0 {
				continue
			}
			here := where{it.View, it.period}
			was := top[here]
			if was != nil && keyOf(it.Event).less(keyOf(was)) {
				r.add(Violation{Client: c.name, Message: it.Msg, View: it.View, Explain: fmt.Sprintf("client %s got %v behind %v, whose key is greater", c.name, it.Msg, was.Msg)}, was, it.Event)
				continue
			}
			if was == nil {
				order = append(order, here)
			}
			top[here] = it.Event
		}
		for _, here := range order {
			limit := top[here]
			for _, m := range h.ofView[here.view] {
				if _, got := c.got[m]; !got && given[m] && keyOf(m.accepted).less(keyOf(limit)) && h.addressedIn(c, m, here.period) {
					r.add(Violation{Client: c.name, Message: m.Message, View: here.view, Explain: fmt.Sprintf("client %s lacks %v, but got what lies behind it", c.name, m.Message)}, m.accepted, limit)
				}
			}
		}
	}
}

// samePlace is P15: a group view has one set of members. Those who come to it from one
// view of the group, one of them together with the other as it sees it, have got the
// same messages to the group in between, and the other one sees it too. One whose way
// leads to another view may be seen to come along, as it could have; but not two by each
// other. Nor does anybody see those come along whose nodes are gone, as its own node
// knows: they may not know it themselves.
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
			for _, c := range p.view.With {
				if q := of[c]; q != nil && q != p {
					cameFromOne(r, name, p, q)
				}
			}
			if p.end == nil || p.end.Kind != GView {
				continue
			}
			for _, c := range p.end.With {
				if q := of[c]; q != nil && q != p && q.end != nil && q.end.Kind == GView {
					cameTogether(r, name, p, q)
				}
			}
		}
	}
}

// cameFromOne checks that two clients who both say that they came to a view together
// came from one view.
func cameFromOne(r *report, name groupView, p, q *period) {
	if p.before != nil && q.before != nil && p.before.view.ID != q.before.view.ID && slices.Contains(q.view.With, p.client.name) {
		r.add(Violation{Client: q.client.name, Explain: fmt.Sprintf("clients %s and %s came to view %s of group %s together, the first from view %s, the other from view %s", p.client.name, q.client.name, name.id, name.group, p.before.view.ID, q.before.view.ID)}, p.before.view, p.view, q.before.view, q.view)
	}
}

// cameTogether compares two clients of which the first saw the other come along to its
// next view.
func cameTogether(r *report, name groupView, p, q *period) {
	mutual := slices.Contains(q.end.With, p.client.name)
	switch {
	case p.end.ID != q.end.ID && mutual:
		r.add(Violation{Client: q.client.name, Explain: fmt.Sprintf("after view %s of group %s client %s got view %s, with client %s, which got view %s", name.id, name.group, p.client.name, p.end.ID, q.client.name, q.end.ID)}, p.view, p.end, q.end)
		return
	case p.end.ID != q.end.ID, !mutual && q.tail:
		return // one behind the signal of its view sees only those come along that the signal names
	case !mutual && !q.end.without(p.client):
		r.add(Violation{Client: q.client.name, Explain: fmt.Sprintf("client %s came from view %s of group %s to view %s together with client %s, which does not see it so", p.client.name, name.id, name.group, p.end.ID, q.client.name)}, p.view, p.end, q.end)
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
