package evs

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// established is how long two sites are in one view before a message counts as
// sent in it for sure: until then the groups' interest may still be on its way.
const established = 2 * time.Second

// everythingArrives is P26, in a run that settled: what a client that stays has sent is
// accepted, and comes to everybody whom it is addressed to. Four ways tell who that is:
// keys, in the last view; what a member that got the message knew of its group at that
// place; membership all the time from before the sending on; a private group.
func everythingArrives(h *history, r *report) {
	if h.accepts {
		h.everythingAccepted(r)
		h.reachesAddressed(r)
	}
	h.reachesKnownMembers(r)
	if h.opts.OneClock {
		h.reachesStandingMembers(r)
	}
}

// everythingAccepted demands that what keeps its sender's order was accepted, and that
// reliable messages were, or left their node for its site.
func (h *history) everythingAccepted(r *report) {
	for _, m := range h.messages {
		shown := inSenderOrder(m.service) || m.service == Reliable && h.casts
		if m.submit != nil && m.accepted == nil && !m.cast && shown && m.sender.node.alive && !m.sender.gone {
			r.add(Violation{Client: m.Client, Message: m.Message, Explain: fmt.Sprintf("the %s message %v to %v was never accepted", m.service, m.Message, m.groups)}, m.submit)
		}
	}
}

// reachesAddressed demands that what was accepted in the last view of a client that
// stays, and taken along to the end, reaches it by its key.
func (h *history) reachesAddressed(r *report) {
	for _, c := range h.clients {
		if !c.node.alive || c.gone || len(c.node.views) == 0 {
			continue
		}
		for _, m := range h.ofView[c.node.views[len(c.node.views)-1].View] {
			if _, got := c.got[m]; !got && m.kept && Ordered(m.service) && h.addressedIn(c, m, c.period) {
				r.add(Violation{Client: c.name, Message: m.Message, View: m.accepted.View, Explain: fmt.Sprintf("client %s never got the %s message %v to %v", c.name, m.service, m.Message, m.groups)}, m.submit, m.accepted)
			}
		}
	}
}

// reachesKnownMembers demands that what one member got all members of that group
// view get.
func (h *history) reachesKnownMembers(r *report) {
	for _, c := range h.clients {
		if !c.node.alive {
			continue
		}
		views := map[string]*Event{}
		done := map[*message]bool{}
		for _, it := range c.items {
			switch it.Kind {
			case GView:
				views[it.Group] = it.Event
			case Leave:
				delete(views, it.Group)
			case Attach:
				clear(views)
			case Dlv:
				m := it.message
				if !Ordered(m.service) || done[m] || it.when <= c.back {
					continue
				}
				done[m] = true
				since := it.when
				if m.submit != nil { // who came back since then came behind the message
					since = min(since, m.when)
				}
				for _, g := range m.groups {
					if view := views[g]; view != nil {
						h.reaches(r, m, view.Members, since, it.Event, view)
					}
				}
			}
		}
	}
}

// reaches demands that the named clients got m, as far as they stay from when on.
func (h *history) reaches(r *report, m *message, names []string, when int64, evidence ...*Event) {
	for _, name := range names {
		d := h.byClient[name]
		if d == nil || !d.staysFrom(when) || !m.wantedBy(d) {
			continue
		}
		if _, got := d.got[m]; !got && !d.went(m) {
			r.add(Violation{Client: d.name, Message: m.Message, Explain: fmt.Sprintf("client %s never got the %s message %v to %v", d.name, m.service, m.Message, m.groups)}, append(evidence, m.submit, m.accepted)...)
		}
	}
}

// went says that the client's node went on from the view of a federated message: what it
// had to get before is asked by who goes along (P7), not by who was a member.
func (c *client) went(m *message) bool {
	send := m.federated()
	if send == nil {
		return false
	}
	n := len(c.node.views)
	return n == 0 || c.node.views[n-1].View != send.View
}

// A standing is a client's membership in a group that never ended.
type standing struct {
	client *client
	since  int64
}

// reachesStandingMembers demands that what a client that stays sends reaches
// everybody who had joined before and never asked to leave.
func (h *history) reachesStandingMembers(r *report) {
	groups := h.standings()
	for _, m := range h.messages {
		if m.submit == nil || !m.sender.staysFrom(m.when) || m.service == Unreliable {
			continue
		}
		for _, g := range m.groups {
			for _, s := range groups[g] {
				if s.since < m.when && h.together(m, s.client) {
					h.reaches(r, m, []string{s.client.name}, m.when)
				}
			}
		}
	}
}

// standings lists by group the clients that stay in it from some time to the end.
func (h *history) standings() map[string][]standing {
	groups := map[string][]standing{}
	for _, c := range h.clients {
		if !c.node.alive || c.gone {
			continue
		}
		since := map[string]int64{}
		for _, it := range c.items {
			switch {
			case it.Kind == Connect:
				groups[it.Group] = append(groups[it.Group], standing{c, it.when})
			case it.Kind == Join:
				since[it.Group] = it.when
			case it.Kind == Leave, it.Kind == Ask && it.Why == "leave":
				delete(since, it.Group)
			case it.Kind == Attach:
				clear(since)
			}
		}
		for g, when := range since {
			groups[g] = append(groups[g], standing{c, when})
		}
	}
	return groups
}

// together says that the client was in the instance that accepted a message, or had been
// in one view with it for long enough. Of a message that was cast, the same is asked of its
// node when that was: it may have waited for a view in which it concerns nobody else. Of
// one whose acceptance the traces do not show, of its sender when it was sent.
func (h *history) together(m *message, c *client) bool {
	when, node := m.when, m.sender.node
	known := m.accepted != nil || m.cast
	if known {
		when = m.taken
	}
	if m.accepted != nil {
		for _, n := range h.nodes {
			if n.Node == m.accepted.Node && n.Boot == m.accepted.Boot {
				node = n
			}
		}
	}
	from, to := node.viewAt(when), c.node.viewAt(when)
	switch {
	case from == nil || to == nil:
		return m.sender.node == c.node
	case m.accepted != nil && len(c.stays[m.accepted.View]) == 0, !known && m.elsewhere(c):
		return false
	case from.Inst == to.Inst:
		return true
	}
	old := when - int64(established)
	if !known { // it may have left the site only in a later view
		if later := m.sender.node.viewAt(when + int64(established)); later != from {
			return false
		}
	}
	return from.View == to.View && slices.Contains(from.Members, to.Inst) &&
		m.sender.node.Start+from.At <= old && c.node.Start+to.At <= old
}

// elsewhere says that others got the message in a view that the client was never in: it
// may have waited for that one for as long as the view before took to end.
func (m *message) elsewhere(c *client) bool {
	return slices.ContainsFunc(m.deliveries, func(d delivery) bool {
		v := d.to.items[d.at].View
		return v != (ViewID{}) && len(c.stays[v]) == 0
	})
}

// viewAt returns the view a node was in at a time of the common clock.
func (n *node) viewAt(when int64) *Event {
	behind := sort.Search(len(n.views), func(i int) bool { return n.Start+n.views[i].At > when })
	if behind == 0 {
		return nil
	}
	return n.views[behind-1]
}
