package merge

import (
	"slices"
	"strings"

	"ringway/membership"
)

// A verdict is what became of a request at its ring position.
type verdict string

// The verdicts. Everything but accepted makes the sender's node propose again.
const (
	accepted       verdict = ""
	rejectNode     verdict = "node is not attached"
	rejectSeq      verdict = "out of turn"
	rejectInterest verdict = "other sites have members"
	rejectHeld     verdict = "an earlier federated message is under way"
	rejectFrozen   verdict = "a new view is being installed"
	rejectView     verdict = "proposed in another view"
	rejectT        verdict = "deadline is too early or too late"
	rejectBody     verdict = "body is not there"
	rejectEnters   verdict = "an earlier join waits for other sites"
	rejectAway     verdict = "body is not at all destinations"
)

// request is the machine's answer to a LocalSend (P2). It never changes T.
func (m *machine) request(node membership.NodeID, f *localSend) verdict {
	v := m.judge(node, f)
	if v != accepted && m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TraceReject, Client: membership.ClientID{Node: node, Session: f.session}, Seq: f.seq,
			Request: f.kind, Why: string(v), Instance: m.instance, View: m.view.ID})
	}
	return v
}

func (m *machine) judge(node membership.NodeID, f *localSend) verdict {
	at, ok := m.nodes[node]
	if !ok || f.session>>32 != at.boot&(1<<32-1) {
		return rejectNode
	}
	id := membership.ClientID{Node: node, Session: f.session}
	c := m.clients[id]
	if c == nil {
		if !f.first {
			return rejectSeq
		}
		c = &ownClient{id: id, name: f.name, next: f.seq, last: at.min}
		m.clients[id] = c
	}
	if f.seq != c.next && !m.off(anyTurn) {
		return rejectSeq
	}
	if m.enters(c, f) && !m.off(overtake) {
		return rejectEnters
	}
	switch f.kind {
	case Join:
		return m.join(c, f)
	case Leave:
		return m.leave(c, f)
	case requestDown:
		return m.down(c, f)
	}
	return m.send(c, f)
}

// enters says whether a request has to wait for an earlier join of its client that waits for
// other sites: it would get its place before the join, and a message to the group would not
// come back to its sender. Nodes hold such requests back, but only if they expect the join to
// wait: what was proposed while the site was alone in its view may be ordered in the next one.
// What ends the join need not wait for it.
func (m *machine) enters(c *ownClient, f *localSend) bool {
	waits := func(name string) bool {
		g := m.groups[name]
		return g != nil && g.waits(c.id)
	}
	for len(c.enters) > 0 && !waits(c.enters[0]) {
		c.enters = c.enters[1:]
	}
	return len(c.enters) > 0 && f.kind != requestDown && !(f.kind == Leave && waits(f.groups[0]))
}

// destinations returns D and the groups' offT.
func (m *machine) destinations(groups []string) (d membership.Set, offT int64) {
	offT = -1
	for _, name := range groups {
		if strings.HasPrefix(name, "#") {
			d |= m.privateSite(name)
		} else if g := m.groups[name]; g != nil {
			d |= g.Interest
			offT = max(offT, g.offT)
		}
	}
	if m.off(noOff) {
		offT = -1
	}
	return d, offT
}

// privateSite returns the places of the site that a private name's node is in. What
// names nobody goes nowhere.
func (m *machine) privateSite(name string) membership.Set {
	_, node, ok := splitPrivate(name)
	site := m.cfg.Nodes[node]
	if !ok || site == 0 {
		return 0
	}
	var d membership.Set
	for i, x := range m.view.Members { // a site that fell apart has several instances
		if x.Site == site {
			d |= membership.SetOf(i)
		}
	}
	return d
}

// splitPrivate takes "#user#node" apart.
func splitPrivate(name string) (user string, node membership.NodeID, ok bool) {
	if len(name) < 2 || name[0] != '#' {
		return "", 0, false
	}
	user, nodeName, ok := strings.Cut(name[1:], "#")
	return user, membership.NodeIDOf(nodeName), ok && user != "" && nodeName != ""
}

// send is a message (P2b, P2c, P3).
func (m *machine) send(c *ownClient, f *localSend) verdict {
	d, offT := m.destinations(f.groups)
	data, v := m.dataOf(c, f)
	if v != accepted {
		return v
	}
	if !f.federated {
		switch {
		case d.Without(m.self) != 0 && !m.off(noScope):
			return rejectInterest
		case (m.heldUntil(c.id, f.groups, f.free) > m.v || offT > m.v) && !m.off(noHold):
			return rejectHeld
		}
		m.taken(c, f, 0, d)
		r := &record{kind: kindData, src: m.self, service: f.service, discard: f.discard, client: c.id, seq: f.seq, name: c.name, hint: f.hint, groups: f.groups, data: data}
		m.deliverData(r, true)
		return accepted
	}
	if v := m.checkT(c, f, d, offT); v != accepted {
		return v
	}
	if f.bodyRef && m.cfg.Bulk && !m.heldByAll(c.id, d) && !m.off(earlyRequest) {
		return rejectAway
	}
	m.taken(c, f, m.outN, d)
	if f.service.Ordered() {
		c.last = f.t
	}
	if f.free {
		m.noteAway(c, f.groups)
	}
	m.export(&record{kind: kindData, service: f.service, discard: f.discard, t: f.t, dests: d, client: c.id, seq: f.seq,
		name: c.name, hint: f.hint, groups: f.groups, data: data})
	return accepted
}

// dataOf returns the body, which may have crossed the ring before.
func (m *machine) dataOf(c *ownClient, f *localSend) ([]byte, verdict) {
	if !f.bodyRef {
		return f.data, accepted
	}
	b := m.bodies[c.id]
	if b == nil || b.seq != f.seq {
		return nil, rejectBody
	}
	return b.data, accepted
}

// checkT is P2c.
func (m *machine) checkT(c *ownClient, f *localSend, d membership.Set, offT int64) verdict {
	switch {
	case m.frozen():
		return rejectFrozen
	case f.tag != m.tag || m.solo():
		return rejectView
	case f.t > m.clock+maxAhead && !m.off(farAhead) || f.t <= c.last && !m.off(noLast):
		return rejectT
	case m.off(noFloor):
		return accepted
	case f.t < m.nextT(d) || f.t <= offT:
		return rejectT
	}
	return accepted
}

// taken does what every accepted request does.
func (m *machine) taken(c *ownClient, f *localSend, n uint64, d membership.Set) {
	c.next++
	if h := m.bodies[c.id]; h != nil && h.seq <= f.seq { // that of a later one may be there already
		delete(m.bodies, c.id)
	}
	if m.cfg.Trace == nil {
		return
	}
	e := &TraceEvent{Kind: TraceSend, Client: c.id, Seq: f.seq, Request: f.kind, Groups: f.groups, Service: f.service,
		Federated: f.federated, Free: f.free, T: f.t, N: n, Instance: m.instance, View: m.view.ID, Closing: m.closing, Torn: m.torn}
	for rest := d; rest != 0; rest &= rest - 1 {
		e.Dests = append(e.Dests, m.view.Members[rest.First()].Instance)
	}
	m.cfg.Trace(e)
}

// body keeps a large body until its request comes. It returns false if there is no room.
func (m *machine) body(node membership.NodeID, f *body) bool {
	at, ok := m.nodes[node]
	if f.instance != m.instance || !ok || f.session>>32 != at.boot&(1<<32-1) {
		return false
	}
	id := membership.ClientID{Node: node, Session: f.session}
	if m.bodies[id] == nil && m.bodiesOf(node) >= maxBodies {
		return false
	}
	m.bodies[id] = &heldBody{seq: f.seq, groups: f.groups, data: f.data, pos: m.pos}
	return true
}

func (m *machine) bodiesOf(node membership.NodeID) (n int) {
	for id := range m.bodies {
		if id.Node == node {
			n++
		}
	}
	return n
}

// down is the end of a client: it leaves all its groups at one place in the order.
func (m *machine) down(c *ownClient, f *localSend) verdict {
	var d membership.Set
	offT := int64(-1)
	for g := range c.groups {
		if m.frozen() && !g.scoped {
			return rejectFrozen
		}
		d |= g.Interest
		offT = max(offT, g.offT)
	}
	if !f.federated {
		switch {
		case d.Without(m.self) != 0:
			return rejectInterest
		case c.last > m.v || offT > m.v:
			return rejectHeld
		}
	} else if v := m.checkT(c, f, d, offT); v != accepted {
		return v
	}
	m.taken(c, f, m.outN, d)
	m.forget(c)
	r := &record{kind: kindDown, src: m.self, t: f.t, dests: d, client: c.id, seq: f.seq, name: c.name}
	if f.federated {
		m.export(r)
	} else {
		m.deliverLocal(r)
	}
	return accepted
}

// forget drops what is accepted of a client; what is delivered waits for the record.
func (m *machine) forget(c *ownClient) {
	for g := range c.groups {
		g.acceptedOwn--
	}
	for g := range m.preparing {
		if g.prep != nil {
			g.prep.wait = slices.DeleteFunc(g.prep.wait, func(w waiter) bool { return w.Client == c.id })
		}
	}
	delete(m.clients, c.id)
	delete(m.bodies, c.id)
}
