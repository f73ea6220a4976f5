package evs

import (
	"fmt"
	"slices"
)

// safeDelivery is P14: if somebody got a safe message, everybody gets it whose node does
// not crash and whom it is addressed to; after the signal of a group, whom that names,
// but for those who were lost since, as the receiver's node knew: clients have one
// signal for a change, without names, and learn from the next view who came along. Those
// whom it names have the message. Behind a group's signal, and after that of a view, only
// who goes along and whose node does not close the view without the receiver's; but a
// client that had no signal of the group knows of no exception. Keys tell who is
// addressed, and the view that the receiver has of the group; whose session ended is not.
func safeDelivery(h *history, r *report) {
	for _, c := range h.clients {
		views, signals := map[string]*Event{}, map[string]*Event{}
		late := map[string][]item{} // behind the signals of their groups
		var signal *Event
		for _, it := range c.items {
			switch it.Kind {
			case GView:
				h.safeAlong(r, c, late[it.Group], views[it.Group], it.Event)
				views[it.Group], signals[it.Group], late[it.Group] = it.Event, nil, nil
			case Leave:
				delete(views, it.Group)
				delete(late, it.Group)
			case GSig:
				signals[it.Group] = it.Event
			case Sig:
				signal = it.Event
			case View, Attach, Lineage:
				signal = nil
				if it.Kind == Attach || it.Kind == Lineage && it.Role != "heir" { // it is in no group now
					clear(views)
					clear(signals)
					clear(late)
				}
			case Dlv:
				if it.message.service != Safe {
					continue
				}
				for _, g := range it.message.groups {
					if view := views[g]; view != nil {
						if signals[g] != nil {
							late[g] = append(late[g], it)
						}
						h.safeFor(r, c, it, view, signals[g], signal)
					}
				}
				h.safeByKey(r, c, it, views)
			}
		}
	}
}

// safeFor checks P14 for one delivery and one group. Behind the group's signal it holds among
// those who stay together: whoever never had the view that the signal ends is not along. It
// was lost before it could have it, or came to the receivers' site by another way.
func (h *history) safeFor(r *report, c *client, it item, view, groupSignal, signal *Event) {
	bound := view.Members
	if groupSignal != nil {
		bound = groupSignal.Members
	}
	for _, name := range bound {
		if d := h.byClient[name]; d != nil && (groupSignal == nil || !it.without(d) && d.had(view)) && (it.phase != Transitional || groupSignal == nil || h.comesAlong(d, c, signal)) {
			h.safeAt(r, c, d, it, view, groupSignal, signal)
		}
	}
}

// safeAlong checks P14 for what a client got behind the signal of a group and those members
// of the view from before it that the next view names as having come along.
func (h *history) safeAlong(r *report, c *client, late []item, before, after *Event) {
	for _, it := range late {
		for _, name := range after.With {
			if d := h.byClient[name]; d != nil && d != c && slices.Contains(before.Members, name) {
				h.safeAt(r, c, d, it, before, after)
			}
		}
	}
}

// safeByKey checks P14 for one delivery in the regular part and those whom its key
// addresses. A signal tells of losses in the groups that the receiver is in: of members
// of the message's other groups it knows nothing. Nor does it know who joined a group in a tail
// that its node closed alone.
func (h *history) safeByKey(r *report, c *client, it item, views map[string]*Event) {
	if it.phase != Regular || it.message.federated() == nil {
		return
	}
	for _, d := range h.clients {
		known := slices.ContainsFunc(it.message.groups, func(g string) bool { return views[g] != nil && slices.Contains(views[g].Members, d.name) })
		if h.addressed(d, it.message) && !h.outBefore(d, it.message) && (known || !it.without(d) && !h.joinedAlone(d, it.message)) {
			h.safeAt(r, c, d, it)
		}
	}
}

// without says that the receiver's node knew a client's node to be gone.
func (e *Event) without(d *client) bool {
	n := len(d.name) - len(noSession)
	return n > 0 && slices.Contains(e.Without, d.name[:n]+noSession)
}

// outBefore says whether a client was ordered out of the view below a message of it.
func (h *history) outBefore(c *client, m *message) bool {
	return slices.ContainsFunc(h.downsOf(c.name), func(down *Event) bool {
		return down.View == m.accepted.View && keyOf(down).less(keyOf(m.accepted))
	})
}

// comesAlong says whether client d is in the signal that c got.
func (h *history) comesAlong(d, c *client, signal *Event) bool {
	if signal == nil {
		return true
	}
	if len(signal.TS) > 0 {
		return slices.Contains(signal.TS, d.instanceIn(signal.View)) && !slices.ContainsFunc(d.node.lone, func(e *Event) bool { return e.View == signal.View })
	}
	return slices.Contains(signal.TSN, d.node.Node) && !slices.ContainsFunc(d.node.lone, func(e *Event) bool {
		return e.View == signal.View && !slices.Contains(e.TSN, c.node.Node)
	})
}

// safeAt reports if d has to get what c got and does not. Who ended its session may have
// done so before the message came, unless it has gone on behind it.
func (h *history) safeAt(r *report, c, d *client, it item, evidence ...*Event) {
	m := it.message
	if !d.node.alive || !m.wantedBy(d) {
		return
	}
	if _, got := d.got[m]; !got && (!d.gone || h.wentOn(c, d, m)) {
		r.add(Violation{Client: d.name, Message: m.Message, View: it.View, Explain: fmt.Sprintf("client %s got the safe message %v, %s never did", c.name, m.Message, d.name)}, append(evidence, m.submit, m.accepted, it.Event)...)
	}
}

// wentOn says whether client d has had a view of a group that c got behind a message.
func (h *history) wentOn(c, d *client, m *message) bool {
	return slices.ContainsFunc(c.items[c.got[m]:], func(it item) bool { return it.Kind == GView && d.had(it.Event) })
}

// had says whether a client has had a view of a group.
func (c *client) had(view *Event) bool {
	if c.views == nil {
		c.views = map[groupView]bool{}
		for _, it := range c.items {
			if it.Kind == GView {
				c.views[groupView{it.Group, it.ID}] = true
			}
		}
	}
	return c.views[groupView{view.Group, view.ID}]
}
