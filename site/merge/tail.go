package merge

import (
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// An ending says how a view ends here (X6, N6): everything up to a limit is delivered,
// as everybody delivers it; then comes the transitional signal, and after it what else
// will be delivered by all that go on together. Before the first safe message that is
// not known stable the signal comes earlier: not all may get it. Views of groups up to the
// limit are those that everybody has; from the signal on, their sets leave out who does
// not go on together: nobody is to see those come along whom it will part from.
type ending struct {
	limit int64
	from  membership.Set     // sources that go on
	keeps func(*record) bool // of records above the limit
	name  uint64             // of who goes on together, for ids of group views
	trace func()             // tells the signal
}

// endView delivers the tail of the view.
func (m *machine) endView(e *ending) {
	leaving, told := m.leaving, false
	m.leaving = 0
	signal := func() {
		m.leaving = leaving
		for _, g := range m.sortedGroups(m.losing) {
			m.signal(g)
		}
		if !told {
			told = true
			e.trace()
		}
	}
	for len(m.pend) > 0 && m.pend[0].t <= e.limit {
		if r := m.pend[0]; r.safe() && !m.stable(r) && !m.off(noSplit) {
			signal()
		}
		m.closeOne()
	}
	signal()
	if m.tail = e.name; m.off(sameTail) {
		m.tail = 0
	}
	m.dropBut(e.keeps)
	clear(m.pending)
	for _, r := range m.pend {
		if r.ofClient() {
			m.pending[r.client]++
		}
	}
	m.releaseFIFO()
	if len(m.pend) > 0 && !m.off(noBereave) {
		lost := m.view.All() &^ e.from
		m.bereave(lost)
		m.mourning = lost != 0 && !m.off(oneSided)
	}
	for len(m.pend) > 0 {
		m.closeOne()
	}
	m.tail, m.mourning = 0, false
}

// dropBut drops what is not kept, and what has to come behind something that is dropped.
func (m *machine) dropBut(keeps func(*record) bool) {
	if m.off(keepAll) {
		return
	}
	dead := map[membership.ClientID]uint64{} // the first that is dropped
	m.pend = slices.DeleteFunc(m.pend, func(r *record) bool {
		if keeps(r) {
			return false
		}
		if first, ok := dead[r.client]; r.kind == kindData && (!ok || r.seq < first) {
			dead[r.client] = r.seq
		}
		return true
	})
	m.fifoWait = slices.DeleteFunc(m.fifoWait, func(r *record) bool {
		first, ok := dead[r.client]
		return !keeps(r) || ok && first < r.seq
	})
}

// bereave takes the members of some sites out of the groups. Their joins and leaves above
// the limit are dropped: not everybody knows the same of them, as who has just joined was
// told of leaves that others still wait for.
func (m *machine) bereave(sites membership.Set) {
	for _, g := range m.groups {
		for rest := sites; rest != 0 && g.Remotes() > 0; rest &= rest - 1 {
			for _, x := range m.remotesOf(g, rest.First()) {
				g.bereaved = m.leaveRemote(g, rest.First(), x.Client) || g.bereaved
			}
		}
	}
}

func (m *machine) closeOne() {
	r := m.pend[0]
	m.unpend()
	m.deliver(r)
	m.releaseFIFO()
}

// endByCut ends the view as its cut says.
func (m *machine) endByCut(trace func()) {
	c := m.cut
	e := &ending{limit: c.k, from: c.c, name: hashOf(c.id.Epoch, uint64(c.id.Proposer), uint64(c.ts)), trace: trace}
	e.keeps = func(r *record) bool { return c.c.Has(r.src) || c.keeps(r) }
	if !c.in() {
		e.limit, e.from = c.b, membership.SetOf(m.self)
		e.keeps = func(r *record) bool { return r.src == m.self }
		e.name = hashOf(e.name, uint64(m.instance))
	}
	m.endView(e)
}

// closeAlone ends the view at a node that goes on without this instance (N6): safe
// is the highest position known ring-safe, together are the ring-mates that came
// along. It returns the highest T that the node's clients saw or were accepted with.
func (m *machine) closeAlone(safe ring.Position, together map[membership.NodeID]bool) int64 {
	star := maxPosition(safe, m.line)
	minT := int64(-1)
	for _, c := range m.clients {
		if m.here(c.id) {
			minT = max(minT, c.last)
		}
	}
	m.leaving = m.view.All().Without(m.self)
	for id := range m.nodes {
		if !together[id] {
			m.parted[id] = true
		}
	}
	trace := func() { m.traceSig(together) }
	if m.cut != nil && m.cut.pos.Compare(star) <= 0 && !m.off(aloneNoCut) {
		m.endByCut(trace)
	} else {
		h := m.h
		for _, e := range m.horizons {
			if e.pos.Compare(star) <= 0 || m.off(beyondSafe) {
				h = max(h, e.h)
			}
		}
		m.endView(&ending{limit: h, from: membership.SetOf(m.self), keeps: func(r *record) bool { return r.src == m.self && together[r.client.Node] },
			name: m.nameOf(together), trace: trace})
	}
	return max(minT, m.maxDelivered, m.maxArrived)
}

// nameOf names the nodes that close a view alone together.
func (m *machine) nameOf(together map[membership.NodeID]bool) uint64 {
	list := []uint64{uint64(m.instance), m.salt}
	for _, id := range sortedKeys(together) {
		list = append(list, uint64(id))
	}
	return max(1, hashOf(list...))
}

// traceSig tells that the view ends here, and who of this instance goes on together.
func (m *machine) traceSig(together map[membership.NodeID]bool) {
	if m.cfg.Trace == nil {
		return
	}
	e := &TraceEvent{Kind: TraceSig, Instance: m.instance, View: m.view.ID}
	for _, id := range sortedKeys(m.nodes) {
		if together[id] {
			e.Nodes = append(e.Nodes, id)
		}
	}
	m.cfg.Trace(e)
}
