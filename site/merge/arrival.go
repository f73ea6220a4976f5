package merge

import (
	"cmp"
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// Arrivals: nodes bring their clients into the instance (N8), with the groups that
// these are in. Nodes of a ring that do are waited for and let in together, at the
// position of the last one's Attach, so that every group has one new view, with one
// set for each part that its members come from:
//
//	A1  Those who come along with the instance are one part.
//	A2  Nodes whose clients left the same state together and stayed together since
//	    are one part; its name is their company.
//	    A client that was not in a group when its node left, because its join had not got
//	    through there, is a part of its own.
//	A3  Sets stand in the order of the rings that the parts come from.
//	A4  Nodes that saw something of the same view elsewhere come in when the instance
//	    has delivered as much: they must not be told of groups of this site before what
//	    comes first in the order.
//	A5  A node that was lost and comes back comes in when its loss is ordered: the
//	    NodeDown must not end what it brings now.
//
// A node that falls out of the ring is not waited for: the next ring has its own
// arrivals.

// An arrival is a node that waits for the others.
type arrival struct {
	node membership.NodeID
	attach
}

// expect begins a ring: all of its members that are not attached will.
func (m *machine) expect(present map[membership.NodeID]uint64, from ring.ID) {
	m.present, m.from, m.arriving = present, from, nil
}

// excuse: a node cannot learn the state and need not be waited for.
func (m *machine) excuse(node membership.NodeID) {
	delete(m.present, node)
	m.welcome()
}

// attach notes that a node wants in.
func (m *machine) attach(node membership.NodeID, a *attach) {
	if a.instance != m.instance || m.view.ID.Compare(a.closed) < 0 && !m.off(backInTime) || !slices.Contains(m.voters, node) || m.present[node] != a.boot {
		return
	}
	if at, ok := m.nodes[node]; ok && at.boot == a.boot || m.arrives(node) {
		return
	}
	a.minT = min(a.minT, m.clock+maxAhead)
	m.arriving = append(m.arriving, arrival{node, *a})
	m.welcome()
}

func (m *machine) arrives(node membership.NodeID) bool {
	return slices.ContainsFunc(m.arriving, func(a arrival) bool { return a.node == node })
}

// A meeting is a group whose members come from several parts.
type meeting struct {
	before  []Member // A1
	from    ring.ID
	parties []*party
}

// A party is the members of a group that came as one part.
type party struct {
	company uint64
	from    ring.ID
	members []Member
}

// welcome lets the nodes in that have arrived, if they are all.
func (m *machine) welcome() {
	for id, boot := range m.present {
		if at, ok := m.nodes[id]; !(ok && at.boot == boot) && !m.arrives(id) {
			return
		}
	}
	if len(m.arriving) == 0 || !m.caughtUp() {
		return
	}
	arriving := m.arriving
	m.arriving = nil
	for i := range arriving {
		m.admitNode(&arriving[i])
	}
	meetings := map[*group]*meeting{}
	for i := range arriving {
		a := &arriving[i]
		for _, x := range a.clients {
			m.admitClient(a, x, meetings)
		}
	}
	met := m.sortedGroups(func(g *group) bool { return meetings[g] != nil })
	for _, g := range met {
		m.local++
		m.groupView(g, &GroupView{ID: m.localViewID(), Cause: CauseNetwork, Sets: meetings[g].sets()})
	}
}

// caughtUp says whether what the clients of arriving nodes saw of this very view, in
// another part of it, is behind this instance too (A4), and their end in it (A5).
func (m *machine) caughtUp() bool {
	return !slices.ContainsFunc(m.arriving, func(a arrival) bool {
		return a.closed == m.view.ID && a.minT > m.v && !m.off(noCatchUp) || len(m.lost[lostNode{a.node, uint32(a.boot)}]) > 0
	})
}

// admitNode lets a node's clients use the instance.
func (m *machine) admitNode(a *arrival) {
	at := attached{boot: a.boot, min: -1}
	if t, ok := m.downT[a.node]; ok {
		at.min = t
	}
	if a.closed == m.view.ID && !m.off(noMinT) {
		at.min = max(at.min, a.minT)
	}
	m.nodes[a.node] = at
	if m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TraceAttach, Nodes: []membership.NodeID{a.node}, T: at.min, Behind: m.behind(), Instance: m.instance, View: m.view.ID})
	}
}

// admitClient lets an arriving client into the groups it was in.
func (m *machine) admitClient(a *arrival, x attachedClient, meetings map[*group]*meeting) {
	id := membership.ClientID{Node: a.node, Session: x.session}
	if m.clients[id] != nil || x.session>>32 != a.boot&(1<<32-1) {
		return
	}
	c := &ownClient{id: id, name: x.name, next: x.next, last: m.nodes[a.node].min}
	m.clients[id] = c
	for _, name := range x.groups {
		g := m.group(name)
		if c.groups.has(g) || g.waits(id) {
			continue
		}
		if (!m.solo() || m.frozen()) && !g.scoped {
			m.readmit(c, g)
			continue
		}
		meet := meetings[g]
		if meet == nil {
			meet = &meeting{before: g.Members(), from: m.from}
			meetings[g] = meet
		}
		m.joinNow(c, g)
		company := a.company
		if x.apart[name] {
			company = hashOf(company, uint64(id.Node), id.Session)
		}
		p := meet.party(a, company)
		p.members = append(p.members, Member{Client: id, Name: c.name})
	}
}

// joinNow makes a client a member of a group of this site at once.
func (m *machine) joinNow(c *ownClient, g *group) {
	g.Interest |= membership.SetOf(m.self)
	c.groups.add(g)
	g.acceptedOwn++
	if g.Join(Member{Client: c.id, Name: c.name}) {
		m.index(c.id, g)
	}
}

// readmit lets a client into a group of several sites: by a join with a T, or after
// the preparation for one.
func (m *machine) readmit(c *ownClient, g *group) {
	w := waiter{Member: Member{Client: c.id, Name: c.name}, rejoin: true}
	switch {
	case m.frozen(): // the next view sees to it
		if g.prep == nil {
			m.setPrep(g, &preparation{maxT: -1})
		}
		m.await(g.Name, g.prep, w)
	case !g.Interest.Has(m.self) || g.prep != nil:
		m.prepare(g, w)
	default:
		m.joinAt(c, g, w.seq, true, max(m.nextT(g.Interest), c.last+1, g.offT+1, g.onT+1))
	}
}

func (t *meeting) party(a *arrival, company uint64) *party {
	for _, p := range t.parties {
		if p.company == company {
			return p
		}
	}
	p := &party{company: company, from: a.from}
	t.parties = append(t.parties, p)
	return p
}

// sets is A3.
func (t *meeting) sets() [][]Member {
	all := append(slices.Clone(t.parties), &party{from: t.from, members: t.before})
	slices.SortStableFunc(all, func(a, b *party) int {
		return cmp.Or(cmp.Compare(a.from.Counter, b.from.Counter), cmp.Compare(a.from.Representative, b.from.Representative), cmp.Compare(a.company, b.company))
	})
	var parts [][]Member
	for _, p := range all {
		parts = append(parts, p.members)
	}
	return sets(parts...)
}
