package evs

import "slices"

// A part says where in a configuration a delivery took place. What the trace says
// counts; what it does not say follows from the signals before the delivery.
type part struct {
	phase string // Regular, GroupSignal or Transitional
	alone bool   // in a configuration that its node closes alone
}

// A stage is where a node is between its configurations.
type stage struct {
	attached      bool
	signal        *Event // of the present view, once it was given
	configuration int
}

// pass takes the node's next event.
func (s *stage) pass(e *Event) {
	switch e.Kind {
	case Sig:
		s.signal = e
	case Attach:
		s.attached, s.signal = true, nil
		s.configuration++
	case Lineage:
		if e.Role != "heir" {
			s.attached, s.signal = false, nil
		}
	case View:
		s.signal = nil
		if s.attached {
			s.configuration++
		}
	}
}

// part says in which part of the configuration a client gets m by e.
func (s *stage) part(c *client, m *message, e *Event) part {
	p := part{phase: Regular, alone: s.signal != nil && len(s.signal.TS) == 0}
	switch {
	case s.signal != nil:
		p.phase = Transitional
	case slices.ContainsFunc(m.groups, func(g string) bool { return c.signals[g] != nil }):
		p.phase = GroupSignal
	}
	if e.Phase == GroupSignal || e.Phase == Transitional {
		p.phase = e.Phase
	}
	return p
}

// signalled notes which groups of the client have had their signal.
func (c *client) signalled(e *Event) {
	switch e.Kind {
	case GSig:
		c.signals[e.Group] = e
	case GView, Leave:
		delete(c.signals, e.Group)
	}
}

// A key is a place in the federated order of one view.
type key struct {
	t   int64
	src string
	n   uint64
}

// keyOf returns the key that an event carries; its source is the instance that
// took the event's cause in, unless it says another.
func keyOf(e *Event) key {
	if e.Src == "" {
		return key{e.T, e.Inst, e.N}
	}
	return key{e.T, e.Src, e.N}
}

func (k key) less(l key) bool {
	switch {
	case k.t != l.t:
		return k.t < l.t
	case k.src != l.src:
		return k.src < l.src
	}
	return k.n < l.n
}

// federated returns the accepting event of a message that went between sites, if
// the traces show it.
func (m *message) federated() *Event {
	if m.accepted == nil || m.accepted.Mode != "fed" {
		return nil
	}
	return m.accepted
}

// joinedSince says whether the client had joined, at its place, a group to which its own
// site sent a message that nobody was in then: so it may be with groups that never leave
// a site, whose joins need no deadline.
func (c *client) joinedSince(m *message, end *Event) bool {
	send := m.accepted
	return len(send.D) == 0 && send.Inst == c.instanceIn(send.View) &&
		slices.ContainsFunc(m.groups, func(g string) bool { return c.memberAt(g, send.View, keyOf(send), end) })
}

// instanceIn returns the instance in which the client took part in a view, or "".
func (c *client) instanceIn(v ViewID) string {
	for _, e := range c.node.views {
		if e.View == v {
			return e.Inst
		}
	}
	return ""
}

// addressed says whether a keyed federated message reaches the client by the
// client's own joins and leaves (PREDICATES section 1).
func (h *history) addressed(c *client, m *message) bool { return h.addressedIn(c, m, nil) }

// addressedIn is addressed by what the client did before an attach period began; nil:
// by all that it did.
func (h *history) addressedIn(c *client, m *message, end *Event) bool {
	send := m.federated()
	if send == nil || !m.wantedBy(c) {
		return false
	}
	inst := c.instanceIn(send.View)
	if inst == "" || !slices.Contains(send.D, inst) {
		return false
	}
	return slices.ContainsFunc(m.groups, func(g string) bool {
		if g == c.private {
			// A session has no key; one that began later had another's name.
			return h.opts.OneClock && m.submit != nil && c.items[0].when < m.when
		}
		return c.memberAt(g, send.View, keyOf(send), end)
	})
}

// outOfAll notes that an attach period begins: what the client joined before does
// not count in it.
func (c *client) outOfAll(e *Event) {
	for g := range c.moves {
		c.moves[g] = append(c.moves[g], e)
	}
}

// periodEnds returns for each of the client's items what ended the attach period that it
// is of, or nil.
func (c *client) periodEnds() []*Event {
	ends := make([]*Event, len(c.items))
	var end *Event
	for i, it := range slices.Backward(c.items) {
		ends[i] = end
		if it.Kind == Attach || it.Role == "founder" {
			end = it.Event
		}
	}
	return ends
}

// memberAt says whether the client's last own join or leave of g below the key is
// a join, within one attach period: the last one before end, or of all.
func (c *client) memberAt(g string, v ViewID, k key, end *Event) bool {
	member := false
	for _, e := range c.moves[g] {
		if e == end {
			break
		}
		if e.Kind != Join && e.Kind != Leave {
			member = false
			continue
		}
		if v.Less(e.View) || e.View == v && !keyOf(e).less(k) {
			return member
		}
		member = e.Kind == Join
	}
	return member
}
