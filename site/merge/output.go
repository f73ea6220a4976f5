package merge

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"ringway/membership"
)

// deliverData hands a message to its members at this node.
func (m *machine) deliverData(r *record, local bool) {
	m.deliveredCount++
	if m.cfg.Trace != nil {
		m.traceDeliver(r, !local)
	}
	if len(m.lost) > 0 && r.safe() {
		m.signalLost(r.groups)
	}
	if !local && m.seen(r) {
		return
	}
	if !local && !r.dests.Has(m.self) {
		return // whoever joined a group of this site since then was not addressed
	}
	to := m.recipients(r.groups, m.view.Members[r.src].Site != m.cfg.Site)
	if r.discard && slices.Contains(to, r.client) {
		to = slices.DeleteFunc(slices.Clone(to), func(c membership.ClientID) bool { return c == r.client })
	}
	if len(to) == 0 {
		return
	}
	m.fx.Outputs = append(m.fx.Outputs, Output{Kind: OutMessage, To: to, Message: Message{
		Sender: r.client, SenderName: r.name, Service: r.service, SelfDiscard: r.discard, Hint: r.hint, Groups: r.groups, Data: r.data,
	}})
}

// seen says whether the clients of this node may have got a record before they came in:
// they have left this very view in another part of it.
func (m *machine) seen(r *record) bool {
	return r.t <= m.skipT && !m.off(seenAgain) && r.dests&m.skipD != 0 && (r.src != m.self || r.pos.Compare(m.skipPos) <= 0)
}

// recipients returns this node's clients that a message to groups goes to, each
// once. A group that never leaves its site has other members at each: what comes from
// another site, because of another of its groups, is not for them. The slice is shared.
func (m *machine) recipients(groups []string, foreign bool) []membership.ClientID {
	foreign = foreign && !m.off(leakyScope)
	if len(groups) == 1 && !strings.HasPrefix(groups[0], "#") {
		if g := m.groups[groups[0]]; g != nil && !(foreign && g.scoped) {
			return g.Local(m.here)
		}
		return nil
	}
	var to []membership.ClientID
	add := func(c membership.ClientID) {
		if !slices.Contains(to, c) {
			to = append(to, c)
		}
	}
	for _, name := range groups {
		if strings.HasPrefix(name, "#") {
			if c, ok := m.private(name); ok {
				add(c)
			}
		} else if g := m.groups[name]; g != nil && !(foreign && g.scoped) {
			for _, c := range g.Local(m.here) {
				add(c)
			}
		}
	}
	return to
}

// private returns the client of this node that a private name means.
func (m *machine) private(name string) (c membership.ClientID, ok bool) {
	user, node, ok := splitPrivate(name)
	if !ok {
		m.dropped++
		return c, false
	}
	if node == m.cfg.Self && m.lookup != nil && m.hears() {
		if c, ok = m.lookup(user); ok && !slices.Contains(m.ended, c) {
			return c, true
		}
	}
	if node == m.cfg.Self || m.cfg.Nodes[node] == 0 {
		m.dropped++
	}
	return c, false
}

// groupView gives the members at this node a new view of g.
func (m *machine) groupView(g *group, v *GroupView) {
	// Not all know the same of who is lost: who has just joined may have been told of a leave that
	// others drop. The view is what they all see, so from there on all take somebody for lost.
	// A group of one site loses nobody when a view ends.
	g.bereaved = g.bereaved || m.mourning && !g.scoped
	// A joiner may be of a node that is gone: its join came behind the signals.
	changing := (g.signalled || m.anyGone()) && m.losing(g)
	g.id, g.signalled = v.ID, false
	to := g.Local(m.here)
	if len(to) > 0 {
		v.Group = g.Name
		v.Members = g.Members()
		if m.doubled {
			v.single()
		}
		if changing {
			v.changing(m.staying(g))
		}
		o := Output{Kind: OutView, To: to, View: v, Group: g.Name, ViewID: v.ID}
		if changing && m.cfg.Trace != nil {
			o.Gone = m.goneRuns()
		}
		m.fx.Outputs = append(m.fx.Outputs, o)
	}
	if changing { // it still lists somebody who is gone
		m.signal(g)
	}
}

// single leaves each client in the last set that has it. One that has gone from one
// instance of a site to another is listed by both until the first has ordered it out.
func (v *GroupView) single() {
	seen := map[membership.ClientID]bool{}
	once := func(list []Member) []Member {
		return slices.DeleteFunc(slices.Clone(list), func(x Member) bool {
			twice := seen[x.Client]
			seen[x.Client] = true
			return twice
		})
	}
	v.Members = once(v.Members)
	clear(seen)
	for i := len(v.Sets) - 1; i >= 0; i-- {
		v.Sets[i] = once(v.Sets[i])
	}
	v.Sets = onlyFull(v.Sets)
}

// changing makes v a view between a transitional signal and the view without those who
// are gone. A join or leave looks like a change of the network there: Spread has no
// other. Of those who do not stay nobody knows what they have got, so those of each
// node are a set of their own. A joiner stands in the last set, alone.
func (v *GroupView) changing(stays func(Member) bool) {
	if v.Cause != CauseNetwork {
		others := slices.DeleteFunc(slices.Clone(v.Members), func(x Member) bool { return x.Client == v.Changed.Client })
		v.Sets = sets(others)
		if v.Cause == CauseJoin {
			v.Sets = append(v.Sets, []Member{v.Changed})
		}
		v.Cause, v.Changed = CauseNetwork, Member{}
	}
	var parts [][]Member
	for _, set := range v.Sets {
		apart := map[membership.NodeID][]Member{}
		var together []Member
		for _, x := range set {
			if stays(x) {
				together = append(together, x)
			} else {
				apart[x.Client.Node] = append(apart[x.Client.Node], x)
			}
		}
		parts = append(parts, sets(together)...)
		for _, id := range sortedKeys(apart) {
			parts = append(parts, apart[id])
		}
	}
	v.Sets = parts
}

// signal gives the members at this node the transitional signal of g, once in a
// view of g.
func (m *machine) signal(g *group) { m.signalTo(g, m.staying(g)) }

// signalTo is signal; stays says who goes on.
func (m *machine) signalTo(g *group, stays func(Member) bool) {
	if g.signalled {
		return
	}
	g.signalled = true
	to := g.Local(m.here)
	if len(to) == 0 {
		return
	}
	o := Output{Kind: OutTransition, To: to, Group: g.Name, ViewID: g.id}
	if m.cfg.Trace != nil {
		o.Members = slices.DeleteFunc(g.Members(), func(x Member) bool { return !stays(x) })
	}
	m.fx.Outputs = append(m.fx.Outputs, o)
}

// signalLost is D3: a safe message must not claim that members of a lost node have
// it.
func (m *machine) signalLost(groups []string) {
	for _, name := range groups {
		g := m.groups[name]
		if g == nil {
			continue
		}
		if !g.signalled && m.losing(g) {
			m.signal(g)
		}
	}
}

func (m *machine) tellLeft(c membership.ClientID, name string) {
	if m.here(c) {
		m.fx.Outputs = append(m.fx.Outputs, Output{Kind: OutLeft, To: []membership.ClientID{c}, Group: name})
	}
}

// viewIDOf names the group views that a record causes, alike at every site. The
// record's number is in the origin because T is not unique.
func (m *machine) viewIDOf(r *record) GroupViewID {
	const second = 1_000_000_000
	return GroupViewID{
		Origin: m.origin(m.view.Members[r.src].Instance, r.n+1),
		Time:   m.view.Founded + uint32(max(0, r.t)/second), Index: uint32(max(0, r.t) % second),
	}
}

// localViewID names group views that only this site sees.
func (m *machine) localViewID() GroupViewID {
	return GroupViewID{Origin: m.origin(m.instance, m.salt&^(1<<32-1)), Time: m.view.Founded, Index: m.local}
}

// nameFor is the id of a view of g that a record causes. Where only this site has members,
// and may order joins among themselves, parts of it that lose touch may see the record at
// different places: views there have ids that others do not make. A group that never leaves
// its site is always like that.
func (m *machine) nameFor(g *group, id GroupViewID) GroupViewID {
	if m.off(oneName) || id == m.localViewID() || !g.scoped && (len(m.parted) == 0 || g.Interest.Without(m.self) != 0) {
		return id
	}
	m.local++
	return m.localViewID()
}

func (m *machine) origin(i membership.InstanceID, n uint64) uint32 {
	h := fnv.New32a()
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], m.view.ID.Epoch)
	binary.LittleEndian.PutUint64(b[8:], uint64(m.view.ID.Proposer))
	binary.LittleEndian.PutUint64(b[16:], uint64(i))
	binary.LittleEndian.PutUint64(b[24:], n)
	h.Write(b[:])
	if m.tail != 0 {
		binary.LittleEndian.PutUint64(b[:], m.tail)
		h.Write(b[:8])
	}
	return h.Sum32()
}

func (m *machine) traceDeliver(r *record, federated bool) {
	if m.cfg.Trace == nil {
		return
	}
	e := &TraceEvent{Kind: TraceDeliver, Client: r.client, Seq: r.seq, Groups: r.groups, Service: r.service,
		Src: m.view.Members[r.src].Instance, T: r.t, N: r.n, Behind: m.behind(), Federated: federated, Instance: m.instance, View: m.view.ID}
	switch r.kind {
	case kindData:
		if e.Request = Send; r.safe() {
			e.Gone = m.goneRuns()
		}
	case kindJoin:
		e.Request = Join
	case kindLeave:
		e.Request = Leave
	case kindNodeDown: // of all clients of a run
		e.Client = membership.ClientID{Node: r.node, Session: uint64(r.boot) << 32}
	}
	m.cfg.Trace(e)
}

// goneRuns names the runs of nodes of which it is known that they are gone, while groups
// still list their clients.
func (m *machine) goneRuns() (runs []membership.ClientID) {
	add := func(node membership.NodeID, boot uint32) {
		runs = append(runs, membership.ClientID{Node: node, Session: uint64(boot) << 32})
	}
	for l := range m.lost {
		add(l.node, l.boot)
	}
	for id := range m.parted {
		if at, ok := m.nodes[id]; ok {
			add(id, uint32(at.boot))
		} else if boot, ok := m.present[id]; ok { // its clients are another instance's yet
			add(id, uint32(boot))
		}
	}
	slices.SortFunc(runs, membership.ClientID.Compare)
	return slices.Compact(runs)
}

func (m *machine) fault(place int, what string) {
	m.fx.Faults = append(m.fx.Faults, Fault{Site: m.view.Members[place].Site, What: what})
}
