package merge

import (
	"math"
	"slices"

	"ringway/membership"
)

// part begins the end of a ring that some nodes have left: what is still delivered
// goes to those who come along only. Groups that lose somebody are told so at once,
// before anything that not all may get; group views of what the others may never see
// get ids of their own.
func (m *machine) part(salt uint64, lost []membership.NodeID) {
	m.salt = salt
	for _, id := range lost {
		m.parted[id] = true
	}
	for _, g := range m.sortedGroups(m.losing) {
		m.signal(g)
	}
}

// losing says whether a group still lists somebody of whom it is known that he is
// gone.
func (m *machine) losing(g *group) (losing bool) {
	if !m.anyGone() || g.bereaved {
		return g.bereaved
	}
	if slices.ContainsFunc(g.Own(), func(x Member) bool { return !m.stays(m.self, x) }) {
		return true
	}
	g.EachRemote(func(from int, x Member) { losing = losing || !m.stays(from, x) })
	return losing
}

// anyGone says whether somebody may be gone who is not ordered out yet.
func (m *machine) anyGone() bool { return len(m.parted) > 0 || len(m.lost) > 0 || m.leaving != 0 }

// stays says whether a member, of the site at a place, is not known to be gone.
func (m *machine) stays(from int, x Member) bool {
	return !m.leaving.Has(from) && !m.parted[x.Client.Node] && !m.lost[runOf(x.Client)].at(from)
}

// staying returns the function that says so of g's members. A client whose node went from
// one instance of a site to another is listed by both: it is gone when neither keeps it.
func (m *machine) staying(g *group) func(Member) bool {
	gone := map[membership.ClientID]bool{}
	if m.anyGone() {
		m.eachListing(g, func(from int, x Member) {
			if !m.stays(from, x) {
				gone[x.Client] = true
			}
		})
	}
	if len(gone) > 0 && m.doubled {
		m.eachListing(g, func(from int, x Member) {
			if m.stays(from, x) {
				delete(gone, x.Client)
			}
		})
	}
	return func(x Member) bool { return !gone[x.Client] }
}

// eachListing calls f for all members of g and the places that list them.
func (m *machine) eachListing(g *group, f func(from int, x Member)) {
	for _, x := range g.Own() {
		f(m.self, x)
	}
	g.EachRemote(f)
}

// losses are the places whose instances have lost a node, and the numbers of the records
// that told so last; zero: another message did, before any record.
type losses map[int]uint64

func (l losses) at(place int) bool {
	_, lost := l[place]
	return lost
}

// lose notes that the instance at a place has lost a node. Another instance of that site
// may have it: what is listed there stays.
func (m *machine) lose(l lostNode, from int, n uint64) {
	if m.lost[l] == nil {
		m.lost[l] = losses{}
	}
	m.lost[l][from] = max(m.lost[l][from], n)
}

// orderedOut forgets that, when the loss is ordered, by the record of a number. A node that
// came back and was lost once more stays lost: what it came back with waits, and so does its
// next end.
func (m *machine) orderedOut(l lostNode, from int, n uint64) {
	if m.lost[l][from] > n && !m.off(lostOnce) {
		return
	}
	if delete(m.lost[l], from); len(m.lost[l]) == 0 {
		delete(m.lost, l)
	}
}

func runOf(c membership.ClientID) lostNode { return lostNode{c.Node, uint32(c.Session >> 32)} }

// survive is a decided lineage: of the attached nodes only those stay that are heirs
// with the same boot (J7). learns: others get its state.
func (m *machine) survive(heirs map[membership.NodeID]uint64, learns bool) {
	var gone []lostNode
	for id, at := range m.nodes {
		if boot, ok := heirs[id]; !ok || boot != at.boot {
			gone = append(gone, lostNode{id, uint32(at.boot)})
		}
	}
	slices.SortFunc(gone, func(a, b lostNode) int { return int(int64(a.node) - int64(b.node)) })
	clear(m.bodies) // of a new ring nothing is kept that a learner lacks
	if learns {
		clear(m.transfers)
	}
	for _, l := range gone {
		delete(m.nodes, l.node)
	}
	m.loseNodes(gone)
	clear(m.parted)
}

// loseNodes orders nodes out of the groups.
func (m *machine) loseNodes(gone []lostNode) {
	if len(gone) == 0 {
		return
	}
	top := m.forgetNodes(gone)
	if m.solo() && !m.frozen() {
		m.local++
		m.dropNodes(gone, m.self, &record{}, m.localViewID(), m.v)
		for _, l := range gone { // those that were lost while the view changed are noted already
			m.orderedOut(l, m.self, math.MaxUint64)
		}
		return
	}
	for _, l := range gone {
		if m.frozen() {
			m.lose(l, m.self, 0)
			m.lostLater = append(m.lostLater, l)
			continue
		}
		m.lose(l, m.self, m.outN)
		all := m.view.All()
		m.export(&record{kind: kindNodeLost, t: m.nextT(all), dests: all, node: l.node, boot: l.boot})
		t := m.nextT(all)
		if !m.off(downEarly) {
			t = max(t, top[l]+1)
		}
		m.downT[l.node] = t
		m.export(&record{kind: kindNodeDown, t: t, dests: all, node: l.node, boot: l.boot})
	}
}

// forgetNodes drops what is accepted of the clients of nodes, and returns the highest T of
// what each node's clients were promised a place for, also of those that have ended since.
func (m *machine) forgetNodes(gone []lostNode) map[lostNode]int64 {
	top := map[lostNode]int64{}
	for _, l := range gone {
		top[l] = -1
	}
	for id, c := range m.clients {
		l := runOf(id)
		if t, ok := top[l]; ok {
			top[l] = max(t, c.last)
			if m.frozen() {
				for g := range c.groups {
					g.ghosts = append(g.ghosts, Member{Client: id, Name: c.name})
				}
			}
			m.forget(c)
		}
	}
	for _, r := range m.pend {
		l := runOf(r.client)
		if t, ok := top[l]; ok && r.src == m.self && r.ofClient() {
			top[l] = max(t, r.t)
		}
	}
	return top
}

// deliverNodeDown removes the clients of a lost node.
func (m *machine) deliverNodeDown(r *record, id GroupViewID, t int64) {
	l := lostNode{r.node, r.boot}
	m.dropNodes([]lostNode{l}, r.src, r, id, t)
	m.orderedOut(l, r.src, r.n)
}

// dropNodes removes the clients of nodes, which their groups see as one change each.
func (m *machine) dropNodes(gone []lostNode, src int, r *record, id GroupViewID, t int64) {
	own := src == m.self
	owned := func(c membership.ClientID) bool {
		return slices.ContainsFunc(gone, func(l lostNode) bool { return l.owns(c) })
	}
	leaving := map[*group][]membership.ClientID{}
	for c, groups := range m.where {
		if owned(c) {
			for g := range groups {
				leaving[g] = append(leaving[g], c)
			}
		}
	}
	for _, g := range m.sortedGroups(func(g *group) bool { return leaving[g] != nil }) {
		stays := m.staying(g)
		m.signalTo(g, func(x Member) bool { return stays(x) && !owned(x.Client) })
		changed := false
		if own {
			changed = m.leaveOwns(g, owned)
		} else if !m.stale(g, r) {
			for _, c := range leaving[g] {
				changed = m.leaveRemote(g, src, c) || changed
			}
		}
		if changed {
			m.groupView(g, &GroupView{ID: m.nameFor(g, id), Cause: CauseNetwork, Sets: sets(g.Members())})
		}
		if own {
			m.interestOff(g, t)
		}
	}
}
