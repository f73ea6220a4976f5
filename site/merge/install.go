package merge

import (
	"cmp"
	"slices"

	"ringway/membership"
)

// install ends the old view and begins the proposed one (X6). Interest and members are
// those of the directories that came with the Fills, so that every group has one view
// at once, whose sets say who came together.
func (m *machine) install() {
	f := m.flush
	keys := f.keysAfter(m.off)
	mine := keys[f.self]
	var together []SiteInstance
	for i, k := range keys {
		if k == mine {
			together = append(together, f.view.Members[i])
		}
	}
	m.leaving = m.view.All()
	for _, x := range together {
		if at, ok := m.view.Index(x.Instance); ok {
			m.leaving = m.leaving.Without(at)
		}
	}
	m.takeLosses(f, func(i int) (int, bool) { return m.view.Index(f.view.Members[i].Instance) })
	m.endByCut(func() {
		if m.cfg.Trace != nil {
			m.cfg.Trace(&TraceEvent{Kind: TraceSig, Instance: m.instance, View: m.view.ID, Members: together})
		}
	})
	moves := m.takeLeave()
	m.reset(f.view)
	m.takePrimary(f)
	m.installed = m.pos
	m.traceView()
	m.takeDirectories(f)
	m.takeLosses(f, func(i int) (int, bool) { return i, true })
	for _, l := range m.lostLater {
		m.lose(l, m.self, 0)
	}
	m.showMoves(moves, keys)
	later := m.lostLater
	m.lostBefore, m.lostLater = later, nil
	m.loseNodes(later)
	for _, v := range moves {
		m.rejoinAll(m.group(v.g.Name), v.wait) // if the lost were the last ones in it, it begins anew
	}
	m.welcome()
}

// takeLosses notes what Readys say: who was lost while the view was changed. place tells
// where in a view a member of the proposal stands.
func (m *machine) takeLosses(f *flush, place func(i int) (int, bool)) {
	for i := range f.parts {
		if at, ok := place(i); ok && !m.off(readyLoss) {
			for _, l := range f.parts[i].lost {
				m.lose(l, at, 0)
			}
		}
	}
}

// A move is a group that goes from one view into the next.
type move struct {
	g      *group
	before []membership.ClientID // all members; ascending
	lost   bool                  // somebody does not go on with this site
	wait   []waiter              // clients whose joins had not got through
}

// takeLeave empties the groups, but for this site's own members.
func (m *machine) takeLeave() (moves []move) {
	for _, g := range m.sortedGroups(func(g *group) bool { return !g.scoped }) {
		v := move{g: g}
		if len(g.Own()) > 0 {
			v.before = idsOfMembers(g)
			v.lost = g.bereaved || m.someoneLeaves(g)
		}
		if g.prep != nil {
			v.wait = g.prep.wait
		}
		m.clearRemote(g)
		m.setPrep(g, nil)
		g.Interest, g.onT, g.offT, g.pendingOwn, g.told, g.ghosts, g.bereaved = 0, -1, -1, 0, nil, nil, false
		moves = append(moves, v)
	}
	for _, g := range m.sortedGroups(func(g *group) bool { return g.scoped }) {
		g.onT, g.offT, g.told, g.ghosts = -1, -1, nil, nil
	}
	m.leaving = 0
	return moves
}

func (m *machine) someoneLeaves(g *group) (leaves bool) {
	if m.leaving != 0 {
		g.EachRemote(func(from int, _ Member) { leaves = leaves || m.leaving.Has(from) })
	}
	return leaves
}

func idsOfMembers(g *group) []membership.ClientID {
	ids := make([]membership.ClientID, 0, g.Len())
	for _, x := range g.Own() {
		ids = append(ids, x.Client)
	}
	g.EachRemote(func(_ int, x Member) { ids = append(ids, x.Client) })
	slices.SortFunc(ids, membership.ClientID.Compare)
	return ids
}

// takeDirectories sets interest and members from the Fills.
func (m *machine) takeDirectories(f *flush) {
	for _, g := range m.groups {
		if g.scoped && g.Interest != 0 {
			g.Interest = membership.SetOf(m.self)
		}
	}
	for i := range f.parts {
		err := eachEntry(f.parts[i].dir, m.names, func(name string, members []membership.Member) {
			g := m.group(name)
			if g.scoped {
				m.fault(i, "has members elsewhere in a group that never leaves its site")
				return
			}
			g.Interest |= membership.SetOf(i)
			if i == m.self {
				m.hold(len(members) == len(g.Own()), "the own directory is that of the Fill")
			} else if len(g.Own()) > 0 {
				for _, x := range members {
					m.joinRemote(g, i, x)
				}
			}
		})
		m.hold(err == nil, "a directory that was checked decodes")
	}
}

// showMoves gives each group that changed its view: the same, with the same sets, at
// all sites.
func (m *machine) showMoves(moves []move, keys []flushKey) {
	parts := slices.Clone(keys)
	slices.SortFunc(parts, compareKeys)
	parts = slices.Compact(parts)
	id := GroupViewID{Origin: m.origin(m.view.ID.Proposer, 0), Time: m.view.Founded}
	for i := range moves {
		v := &moves[i]
		g := v.g
		if len(g.Own()) == 0 || !v.lost && slices.Equal(v.before, idsOfMembers(g)) {
			continue
		}
		sets := make([][]Member, len(parts))
		place := func(from int) *[]Member { return &sets[slices.Index(parts, keys[from])] }
		own := place(m.self)
		*own = append(*own, g.Own()...)
		g.EachRemote(func(from int, x Member) {
			s := place(from)
			*s = append(*s, x)
		})
		m.groupView(g, &GroupView{ID: id, Cause: CauseNetwork, Sets: onlyFull(sets)})
	}
}

// rejoinAll lets in those whose joins had not got through, and forgets groups that
// nobody needs.
func (m *machine) rejoinAll(g *group, wait []waiter) {
	for _, w := range wait {
		c := m.clients[w.Client]
		switch {
		case c == nil:
		case m.solo():
			m.joinLocal(c, g, w.seq, w.rejoin)
		case !g.Interest.Has(m.self) || g.prep != nil:
			m.prepare(g, w)
		default:
			m.joinAt(c, g, w.seq, w.rejoin, max(m.nextT(g.Interest), c.last+1, g.offT+1, g.onT+1))
		}
	}
	if g.Interest == 0 && g.prep == nil && g.acceptedOwn == 0 && g.Len() == 0 {
		delete(m.groups, g.Name)
	}
}

func (m *machine) traceView() {
	if m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TraceView, Primary: m.primary, View: m.view.ID, Members: m.view.Members, Instance: m.instance})
	}
}

// compareKeys orders the parts that a view is made of by where they come from.
func compareKeys(a, b flushKey) int {
	return cmp.Or(a.view.Compare(b.view), a.cut.Compare(b.cut), cmp.Compare(a.alone, b.alone))
}
