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
	view          ViewID
	inst          string
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
		if e.View != (ViewID{}) {
			s.view, s.inst = e.View, e.Inst
		}
		s.configuration++
	case Lineage:
		if e.Role != "heir" {
			s.attached, s.signal, s.view = false, nil, ViewID{}
		}
	case View:
		s.signal, s.view, s.inst = nil, e.View, e.Inst
		if s.attached {
			s.configuration++
		}
	}
}

// alone says that the node closes its configuration alone.
func (s *stage) alone() bool { return s.signal != nil && len(s.signal.TS) == 0 }

// part says in which part of the configuration a client gets m by e.
func (s *stage) part(c *client, m *message, e *Event) part {
	p := part{phase: Regular, alone: s.alone()}
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

// A move is a join or leave of a client, or what ended one of its attach periods.
type move struct {
	*Event
	period int
	alone  bool // its node closes the configuration alone
}

// A stay is one time that a client took part in a view: there is more than one if its
// node closed the view alone and came back to it.
type stay struct {
	period int
	inst   string
	late   bool // its node came into a view that others had begun
}

// stay notes in which view the client takes part; late: from an attach on.
func (c *client) stay(at *stage, late bool) {
	if !at.attached || at.view == (ViewID{}) {
		return
	}
	all := c.stays[at.view]
	if n := len(all); n == 0 || all[n-1].period != c.period {
		c.stays[at.view] = append(all, stay{c.period, at.inst, late})
	}
}

// outOfAll notes that an attach period ends: what the client joined in it does not count
// any more.
func (c *client) outOfAll(e *Event) {
	c.period++
	for g := range c.moves {
		c.moves[g] = append(c.moves[g], move{Event: e, period: c.period})
	}
}

// instanceIn returns the instance in which the client took part in a view, or "".
func (c *client) instanceIn(v ViewID) string {
	if all := c.stays[v]; len(all) > 0 {
		return all[0].inst
	}
	return ""
}

// anyPeriod stands for all attach periods of a client.
const anyPeriod = -1

// addressed says whether a keyed federated message reaches the client by the client's own
// joins and leaves in one of its attach periods (PREDICATES section 1).
func (h *history) addressed(c *client, m *message) bool { return h.addressedIn(c, m, anyPeriod) }

// addressedIn is addressed in one attach period.
func (h *history) addressedIn(c *client, m *message, period int) bool {
	send := m.federated()
	if send == nil || !m.wantedBy(c) {
		return false
	}
	for _, s := range c.stays[send.View] {
		if (period == anyPeriod || period == s.period) && slices.Contains(send.D, s.inst) && h.memberOf(c, m, s) {
			return true
		}
	}
	return false
}

// memberOf says whether the client was in a group of m at its place in an attach period.
func (h *history) memberOf(c *client, m *message, s stay) bool {
	return slices.ContainsFunc(m.groups, func(g string) bool {
		if g == c.private {
			// A session has no key; one that began later had another's name.
			return h.opts.OneClock && m.submit != nil && c.items[0].when < m.when && !s.late
		}
		return c.memberAt(g, m.accepted.View, m.place(c), s.period)
	})
}

// place is the key of m in the order that the client's node has: what is accepted only by nodes
// that close their configuration alone has a number at each.
func (m *message) place(c *client) key {
	if own := m.asides[c.node]; m.lone && own != nil {
		return keyOf(own)
	}
	return keyOf(m.accepted)
}

// memberAt says whether the client's last own join or leave of g below the key is a
// join, within one attach period.
func (c *client) memberAt(g string, v ViewID, k key, period int) bool {
	last := c.lastMove(g, v, k, period)
	return last.Event != nil && last.Kind == Join
}

// joinedAlone says that it was behind a lone signal of its node that the client joined the groups
// by which m is addressed to it. The keys of what is sent in such a tail are places in an order of
// the node's own: those who went on have other records with these numbers.
func (h *history) joinedAlone(c *client, m *message) bool {
	for _, s := range c.stays[m.accepted.View] {
		for _, g := range m.groups {
			last := c.lastMove(g, m.accepted.View, m.place(c), s.period)
			if g == c.private || last.Event != nil && last.Kind == Join && !last.alone {
				return false
			}
		}
	}
	return true
}

// lastMove is the client's last own join or leave of g below a key, in one attach period.
func (c *client) lastMove(g string, v ViewID, k key, period int) (last move) {
	for _, e := range c.moves[g] {
		if e.period != period || e.Kind != Join && e.Kind != Leave {
			continue
		}
		if v.Less(e.View) || e.View == v && !keyOf(e.Event).less(k) {
			return last
		}
		last = e
	}
	return last
}
