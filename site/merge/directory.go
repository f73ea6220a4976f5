package merge

import (
	"maps"
	"slices"
	"strings"

	"ringway/membership"
)

// A group is a group with what the order needs to know of it.
type group struct {
	membership.Group
	scoped bool  // never leaves the site
	onT    int64 // joins of this site lie above (J3)
	offT   int64 // whatever is sent to it lies above (J4)
	prep   *preparation
	// told has, for each member of the view, the number of its latest answer to a
	// Prepare. The answer says what was accepted before it, so older records of that
	// member that are still to be delivered change nothing here. Nil: no answer yet.
	told        []uint64
	acceptedOwn int                 // own clients that are in, or will be when their joins are delivered
	pendingOwn  int                 // accepted joins of own clients that are not delivered yet
	ghosts      []membership.Member // accepted members whose node was lost while frozen: they go along into the next view
	bereaved    bool                // while a view ends: those who do not go on are out already
	id          GroupViewID
	signalled   bool // a transitional signal has been given since the latest view
}

// A groupSet is a set of groups: one client may be in very many.
type groupSet map[*group]struct{}

func (s groupSet) has(g *group) bool { _, ok := s[g]; return ok }

func (s *groupSet) add(g *group) {
	if *s == nil {
		*s = groupSet{}
	}
	(*s)[g] = struct{}{}
}

// sorted returns the groups by name: maps have no order, and every node must do things
// in the same one.
func (s groupSet) sorted() []*group { return slices.SortedFunc(maps.Keys(s), byName) }

func byName(a, b *group) int { return strings.Compare(a.Name, b.Name) }

// A preparation is phase one of the first join of a site (J1).
type preparation struct {
	acked membership.Set
	maxT  int64
	wait  []waiter
}

// A waiter is a client whose join waits for the preparation.
type waiter struct {
	membership.Member
	seq    uint64
	rejoin bool
}

func (m *machine) group(name string) *group {
	g := m.groups[name]
	if g == nil {
		g = &group{Group: *membership.NewGroup(name), onT: -1, offT: -1}
		g.scoped = m.cfg.SiteScoped != nil && m.cfg.SiteScoped(name)
		m.groups[name] = g
	}
	return g
}

// join lets a client into a group, or ignores it if it is in already.
func (m *machine) join(c *ownClient, f *localSend) verdict {
	name := f.groups[0]
	g := m.groups[name]
	if strings.HasPrefix(name, "#") || g != nil && (c.groups.has(g) || g.waits(c.id)) {
		f.federated = false
		m.taken(c, f, 0, 0)
		return accepted
	}
	switch {
	case m.scoped(name) || m.solo() && !m.frozen():
		f.federated = false
		m.taken(c, f, 0, membership.SetOf(m.self))
		m.joinLocal(c, m.group(name), f.seq, false)
		return accepted
	case m.frozen():
		return rejectFrozen
	case g == nil || !g.Interest.Has(m.self) || g.prep != nil:
		f.federated = false
		m.taken(c, f, 0, 0)
		m.prepare(m.group(name), waiter{Member: membership.Member{Client: c.id, Name: c.name}, seq: f.seq})
		return accepted
	}
	if !f.federated {
		switch {
		case g.Interest.Without(m.self) != 0:
			return rejectInterest
		case c.last > m.v || g.offT > m.v || g.onT > m.v:
			return rejectHeld
		}
		m.taken(c, f, 0, g.Interest)
		m.joinLocal(c, g, f.seq, false)
		return accepted
	}
	if v := m.checkT(c, f, g.Interest, g.offT); v != accepted {
		return v
	}
	if f.t <= g.onT && !m.off(noOnT) {
		return rejectT
	}
	m.taken(c, f, m.outN, g.Interest)
	m.joinAt(c, g, f.seq, false, f.t)
	return accepted
}

func (m *machine) scoped(name string) bool { return m.cfg.SiteScoped != nil && m.cfg.SiteScoped(name) }

func (g *group) waits(c membership.ClientID) bool {
	return g.prep != nil && slices.ContainsFunc(g.prep.wait, func(w waiter) bool { return w.Client == c })
}

// joinLocal is a join that concerns this site only.
func (m *machine) joinLocal(c *ownClient, g *group, seq uint64, rejoin bool) {
	g.Interest |= membership.SetOf(m.self)
	c.groups.add(g)
	g.acceptedOwn++
	g.pendingOwn++
	m.deliverLocal(&record{kind: kindJoin, src: m.self, client: c.id, seq: seq, name: c.name, rejoin: rejoin, groups: g.Names()})
}

// joinAt accepts a join at T.
func (m *machine) joinAt(c *ownClient, g *group, seq uint64, rejoin bool, t int64) {
	c.groups.add(g)
	g.acceptedOwn++
	g.pendingOwn++
	c.last = max(c.last, t)
	m.noteAway(c, g.Names())
	m.export(&record{kind: kindJoin, t: t, dests: g.Interest, client: c.id, seq: seq, name: c.name, rejoin: rejoin, groups: g.Names()})
}

// leave lets a client out of a group, or ignores it if it is not in.
func (m *machine) leave(c *ownClient, f *localSend) verdict {
	g := m.groups[f.groups[0]]
	if g != nil && g.waits(c.id) { // it never got in; it is told that it is out
		f.federated = false
		m.taken(c, f, 0, 0)
		g.prep.wait = slices.DeleteFunc(g.prep.wait, func(w waiter) bool { return w.Client == c.id })
		m.tellLeft(c.id, g.Name)
		return accepted
	}
	if g == nil || !c.groups.has(g) {
		f.federated = false
		m.taken(c, f, 0, 0)
		return accepted
	}
	if m.frozen() && !g.scoped {
		return rejectFrozen
	}
	out := func() {
		delete(c.groups, g)
		g.acceptedOwn--
	}
	if !f.federated {
		switch {
		case g.Interest.Without(m.self) != 0:
			return rejectInterest
		case c.last > m.v || g.offT > m.v:
			return rejectHeld
		}
		m.taken(c, f, 0, g.Interest)
		out()
		m.deliverLocal(&record{kind: kindLeave, src: m.self, client: c.id, seq: f.seq, name: c.name, groups: g.Names()})
		return accepted
	}
	if v := m.checkT(c, f, g.Interest, g.offT); v != accepted {
		return v
	}
	m.taken(c, f, m.outN, g.Interest)
	out()
	c.last = f.t
	m.noteAway(c, g.Names())
	m.export(&record{kind: kindLeave, t: f.t, dests: g.Interest, client: c.id, seq: f.seq, name: c.name, groups: g.Names()})
	return accepted
}

// prepare starts, or adds to, the first join of this site (J1).
func (m *machine) prepare(g *group, w waiter) {
	if g.prep != nil {
		m.await(g.Name, g.prep, w)
		return
	}
	m.startPrepare(g)
	m.await(g.Name, g.prep, w)
	if m.off(onePhase) {
		m.prepared(g)
	}
}

// await lets a join wait for a preparation.
func (m *machine) await(group string, p *preparation, w waiter) {
	p.wait = append(p.wait, w)
	m.noteEntering(group, w)
}

func (m *machine) noteEntering(group string, w waiter) {
	if c := m.clients[w.Client]; c != nil {
		c.enters = append(c.enters, group)
	}
}

// setPrep begins or ends a preparation.
func (m *machine) setPrep(g *group, p *preparation) {
	if g.prep = p; p != nil {
		m.preparing[g] = true
	} else {
		delete(m.preparing, g)
	}
}

func (m *machine) startPrepare(g *group) {
	m.clearRemote(g)
	g.Interest |= membership.SetOf(m.self)
	p := &preparation{maxT: m.maxT} // this site's own messages so far do not go to it
	if m.off(noOwnMaxT) {
		p.maxT = -1
	}
	m.setPrep(g, p)
	all := m.view.All()
	m.export(&record{kind: kindPrepare, t: m.nextT(all), dests: all, mark: -1, groups: g.Names()})
}

// prepareIn is another site's Prepare: from this position on it has interest.
func (m *machine) prepareIn(r *record) {
	g := m.group(r.groups[0])
	if g.scoped {
		m.fault(r.src, "prepares for a group that never leaves its site")
		return
	}
	g.Interest |= membership.SetOf(r.src)
	if m.frozen() {
		return
	}
	to := membership.SetOf(r.src)
	members := m.acceptedMembers(g)
	for first := true; first || len(members) > 0; first = false {
		chunk := members[:min(maxChunk, len(members))]
		members = members[len(chunk):]
		m.export(&record{kind: kindPrepareAck, t: m.nextT(to), dests: to, mark: m.maxT, groups: g.Names(), members: chunk,
			first: first, last: len(members) == 0})
	}
}

// acceptedMembers are the own clients that are in, or will be when their joins are
// delivered.
func (m *machine) acceptedMembers(g *group) []membership.Member {
	members := make([]membership.Member, 0, g.acceptedOwn)
	for _, x := range g.Own() {
		if c := m.clients[x.Client]; c != nil && c.groups.has(g) {
			members = append(members, x)
		}
	}
	if len(members) == g.acceptedOwn { // as nearly always: no join is under way
		slices.SortFunc(members, func(a, b Member) int { return a.Client.Compare(b.Client) })
		return members
	}
	members = members[:0]
	for _, id := range m.sortedClients() {
		if c := m.clients[id]; c.groups.has(g) {
			members = append(members, membership.Member{Client: id, Name: c.name})
		}
	}
	return members
}

// ackIn is another site's answer to our Prepare.
func (m *machine) ackIn(r *record) {
	g := m.groups[r.groups[0]]
	if g == nil || g.prep == nil || m.frozen() {
		return
	}
	if r.first {
		for _, x := range m.remotesOf(g, r.src) {
			m.leaveRemote(g, r.src, x.Client)
		}
	}
	for _, x := range r.members {
		m.joinRemote(g, r.src, x)
	}
	if g.told == nil {
		g.told = make([]uint64, len(m.view.Members))
	}
	g.told[r.src] = r.n
	if r.last {
		g.prep.acked |= membership.SetOf(r.src)
		g.prep.maxT = max(g.prep.maxT, r.mark)
		m.prepared(g)
	}
}

// stale says whether a remote member's record is older than its site's answer to our
// Prepare, which has taken it into account.
func (m *machine) stale(g *group, r *record) bool {
	return g.told != nil && r.n < g.told[r.src] && !m.off(noStale)
}

// prepared lets the waiting joins in when all members have answered (J2).
func (m *machine) prepared(g *group) {
	p := g.prep
	if p == nil || p.acked|membership.SetOf(m.self) != m.view.All() && !m.off(onePhase) {
		return
	}
	m.setPrep(g, nil)
	g.onT = max(g.onT, p.maxT)
	least := g.onT + 1
	if m.off(ackNoMaxT) {
		g.onT, least = -1, 0
	}
	for _, w := range p.wait {
		if c := m.clients[w.Client]; c != nil {
			m.joinAt(c, g, w.seq, w.rejoin, max(least, m.nextT(g.Interest), c.last+1, g.offT+1))
		}
	}
	m.interestOff(g, m.maxDelivered)
}

// interestOff ends this site's interest when nobody is left and nobody comes (J4). t
// is that of what emptied the group.
func (m *machine) interestOff(g *group, t int64) {
	if m.solo() || g.scoped {
		if len(g.Own()) == 0 && g.acceptedOwn == 0 && g.pendingOwn == 0 {
			delete(m.groups, g.Name)
		}
		return
	}
	if m.frozen() || !g.Interest.Has(m.self) || g.prep != nil || len(g.Own()) > 0 || g.acceptedOwn > 0 || g.pendingOwn > 0 && !m.off(offEarly) {
		return
	}
	g.Interest = g.Interest.Without(m.self)
	m.clearRemote(g)
	all := m.view.All()
	m.export(&record{kind: kindInterestOff, t: m.nextT(all), dests: all, mark: max(t, m.maxDelivered), groups: g.Names()})
}

// offIn is another site's InterestOff: what is sent from now on lies above.
func (m *machine) offIn(r *record) {
	if g := m.groups[r.groups[0]]; g != nil {
		g.Interest = g.Interest.Without(r.src)
		g.offT = max(g.offT, r.mark)
	}
}

// The index of delivered memberships follows every change of a group.

func (m *machine) joinRemote(g *group, src int, x membership.Member) bool {
	if !g.JoinRemote(src, x) {
		return false
	}
	m.index(x.Client, g)
	return true
}

func (m *machine) leaveRemote(g *group, src int, c membership.ClientID) bool {
	if g.LeaveRemote(src, func(x membership.Member) bool { return x.Client == c }) == 0 {
		return false
	}
	m.unindex(c, g)
	return true
}

func (m *machine) index(c membership.ClientID, g *group) {
	in := m.where[c]
	in.add(g)
	m.where[c] = in
}

func (m *machine) unindex(c membership.ClientID, g *group) {
	if m.doubled && g.Has(c) {
		return // by another instance of its site
	}
	in := m.where[c]
	if delete(in, g); len(in) == 0 {
		delete(m.where, c)
	}
}

func (m *machine) remotesOf(g *group, src int) (found []membership.Member) {
	g.EachRemote(func(from int, x membership.Member) {
		if from == src {
			found = append(found, x)
		}
	})
	return found
}

func (m *machine) clearRemote(g *group) {
	gone := g.Members()[len(g.Own()):]
	g.ClearRemote()
	for _, x := range gone {
		m.unindex(x.Client, g)
	}
}

// sweepGroups forgets groups that nobody needs. A group without interest and with
// offT ≤ V says nothing that the clock does not say.
func (m *machine) sweepGroups() {
	for name, g := range m.groups {
		if g.Interest == 0 && g.prep == nil && g.acceptedOwn == 0 && g.pendingOwn == 0 && g.Len() == 0 && g.offT <= m.v {
			delete(m.groups, name)
		}
	}
}
