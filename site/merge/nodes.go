package merge

import (
	"slices"

	"ringway/membership"
)

// attach lets the clients of a node use the instance (N8). It says whether that
// changed anything.
func (m *machine) attach(node membership.NodeID, a *attach) bool {
	if a.instance != m.instance || m.view.ID.Compare(a.closed) < 0 || !slices.Contains(m.voters, node) {
		return false
	}
	if at, ok := m.nodes[node]; ok && at.boot == a.boot {
		return false
	}
	at := attached{boot: a.boot, min: -1}
	if t, ok := m.downT[node]; ok {
		at.min = t
	}
	if a.closed == m.view.ID {
		at.min = max(at.min, min(a.minT, m.clock+maxAhead))
	}
	m.nodes[node] = at
	return true
}

// survive is a decided lineage: of the attached nodes only those stay that are heirs
// with the same boot (J7).
func (m *machine) survive(heirs map[membership.NodeID]uint64) {
	var gone []lostNode
	for id, at := range m.nodes {
		if boot, ok := heirs[id]; !ok || boot != at.boot {
			gone = append(gone, lostNode{id, uint32(at.boot)})
		}
	}
	slices.SortFunc(gone, func(a, b lostNode) int { return int(int64(a.node) - int64(b.node)) })
	clear(m.bodies) // of a new ring nothing is kept that a learner lacks
	for _, l := range gone {
		delete(m.nodes, l.node)
		m.loseNode(l)
	}
}

// loseNode orders a node out of the groups.
func (m *machine) loseNode(l lostNode) {
	top := int64(-1)
	for _, id := range m.sortedClients() {
		if c := m.clients[id]; l.owns(id) {
			top = max(top, c.last)
			m.forget(c)
		}
	}
	switch {
	case m.solo():
		m.local++
		m.deliverNodeDown(&record{kind: kindNodeDown, src: m.self, node: l.node, boot: l.boot}, m.localViewID(), m.v)
	case m.frozen():
		m.lost[l] = true
		m.lostLater = append(m.lostLater, l)
	default:
		m.lost[l] = true
		all := m.view.All()
		m.export(&record{kind: kindNodeLost, t: m.nextT(all), dests: all, node: l.node, boot: l.boot})
		t := m.nextT(all)
		if !m.off(downEarly) {
			t = max(t, top+1)
		}
		m.downT[l.node] = t
		m.export(&record{kind: kindNodeDown, t: t, dests: all, node: l.node, boot: l.boot})
	}
}

// deliverNodeDown removes the clients of a lost node, which their groups see as one
// change each.
func (m *machine) deliverNodeDown(r *record, id GroupViewID, t int64) {
	l := lostNode{r.node, r.boot}
	own := r.src == m.self
	var touched []*group
	for c := range m.where {
		if l.owns(c) {
			touched = append(touched, m.where[c]...)
		}
	}
	slices.SortFunc(touched, byName)
	for _, g := range slices.Compact(touched) {
		m.signal(g)
		var gone []membership.ClientID
		for _, x := range g.Members() {
			if l.owns(x.Client) {
				gone = append(gone, x.Client)
			}
		}
		changed := false
		for _, c := range gone {
			changed = own && m.leaveOwn(g, c) || !own && !g.stale(r) && m.leaveRemote(g, r.src, c) || changed
		}
		if changed && (own || !g.veiled) {
			m.groupView(g, &GroupView{ID: id, Cause: CauseNetwork, Sets: sets(g.Members())})
		}
		if own {
			m.interestOff(g, t)
		}
	}
	delete(m.lost, l)
}
