package merge

import (
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// propose is an ordered Propose (X1, X2). It says whether it was accepted.
func (m *machine) propose(v *membership.SiteView) bool {
	if v.ID.Compare(m.view.ID) <= 0 || m.proposal != nil && v.ID.Compare(m.proposal.ID) <= 0 {
		return false
	}
	i, ok := v.Index(m.instance)
	if !ok || v.Members[i].Site != m.cfg.Site || v.ID.Epoch > m.epoch+maxEpochStep {
		return false
	}
	m.proposal, m.proposed = v, m.pos
	m.epoch = max(m.epoch, v.ID.Epoch)
	return true
}

// maxEpochStep bounds how far one proposal moves the epoch, so that a wild one does
// not use up the numbers.
const maxEpochStep = 1 << 32

// bump is a node that waits for a view newer than epoch.
func (m *machine) bump(b *bump) bool {
	if b.instance != m.instance || b.epoch > m.epoch+maxEpochStep || m.view.ID.Epoch > b.epoch {
		return false
	}
	changed := !m.bumped || b.epoch > m.epoch
	m.epoch, m.bumped = max(m.epoch, b.epoch), true
	return changed
}

// tryInstall installs the proposed view once the act line covers the Propose.
func (m *machine) tryInstall() {
	if m.proposal == nil || m.proposed.Compare(m.line) > 0 {
		return
	}
	m.closeView()
	m.install()
}

// closeView ends the old view: what is left is delivered in the order of its keys.
// The cut of section 9 has its place here: it decides what of pend may be delivered.
func (m *machine) closeView() {
	for len(m.pend) > 0 {
		r := m.pend[0]
		m.unpend()
		m.deliver(r)
		m.releaseFIFO()
	}
	m.releaseFIFO()
}

// install begins the proposed view with an empty interest. Every site prepares anew
// the groups in which it has members, and announces these.
func (m *machine) install() {
	shared := m.sortedGroups(func(g *group) bool { return !g.scoped })
	waits := map[*group][]waiter{}
	for _, g := range shared {
		if g.prep != nil {
			waits[g] = g.prep.wait
		}
	}
	view := *m.proposal
	if m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TraceSig, Instance: m.instance, View: m.view.ID, Members: m.view.Members[m.self : m.self+1]})
	}
	m.reset(view)
	m.traceView()
	for _, g := range m.sortedGroups(func(g *group) bool { return g.scoped }) {
		g.onT, g.offT, g.told = -1, -1, nil
		if g.Interest != 0 {
			g.Interest = membership.SetOf(m.self)
		}
	}
	for _, g := range shared {
		m.carryOver(g)
	}
	later := m.lostLater
	m.lostLater = nil
	m.loseNodes(later)
	for _, g := range shared {
		m.rejoinAll(g, waits[g])
	}
}

// carryOver takes a group into a new view, with its own members only.
func (m *machine) carryOver(g *group) {
	had := g.Remotes() > 0
	if had {
		m.signal(g)
	}
	m.clearRemote(g)
	m.setPrep(g, nil)
	g.Interest, g.onT, g.offT, g.pendingOwn, g.told = 0, -1, -1, 0, nil
	g.veiled, g.announced = !m.solo() && len(g.Own()) > 0 && !m.off(noAnnounce), false
	if had && len(g.Own()) > 0 {
		m.local++
		m.groupView(g, &GroupView{ID: m.localViewID(), Cause: CauseNetwork, Sets: sets(g.Own())})
	}
}

// rejoinAll runs J1 for a group with own members, and lets in those whose joins were
// waiting.
func (m *machine) rejoinAll(g *group, wait []waiter) {
	if len(g.Own()) == 0 && g.acceptedOwn == 0 && len(wait) == 0 {
		delete(m.groups, g.Name)
		return
	}
	if !m.solo() {
		m.startPrepare(g)
		g.prep.wait = wait
		return
	}
	g.Interest = membership.SetOf(m.self)
	for _, w := range wait {
		if c := m.clients[w.Client]; c != nil {
			m.joinLocal(c, g, w.seq, w.rejoin)
		}
	}
}

func (m *machine) traceView() {
	if m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TraceView, View: m.view.ID, Members: m.view.Members, Instance: m.instance})
	}
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

// closeAlone ends the view at a node that goes on without this instance (N6): safe
// is the highest position known ring-safe, together are the ring-mates that came
// along. It returns the highest T that the node's clients saw or were accepted with.
func (m *machine) closeAlone(safe ring.Position, together map[membership.NodeID]bool) int64 {
	h := m.h
	for _, e := range m.horizons {
		if e.pos.Compare(maxPosition(safe, m.line)) <= 0 {
			h = max(h, e.h)
		}
	}
	minT := int64(-1)
	for _, c := range m.clients {
		if m.here(c.id) {
			minT = max(minT, c.last)
		}
	}
	for len(m.pend) > 0 && m.pend[0].t <= h && (!m.pend[0].safe() || m.stable(m.pend[0])) {
		m.closeOne()
	}
	stays := func(x Member) bool { return together[x.Client.Node] }
	for _, g := range m.sortedGroups(func(g *group) bool {
		return g.Remotes() > 0 || slices.ContainsFunc(g.Own(), func(x Member) bool { return !stays(x) })
	}) {
		m.signalTo(g, stays)
	}
	m.traceSig(together)
	for len(m.pend) > 0 {
		if r := m.pend[0]; r.t <= h || r.src == m.self && together[r.client.Node] {
			m.closeOne()
		} else {
			m.unpend()
		}
	}
	return max(minT, m.maxDelivered)
}

func (m *machine) closeOne() {
	r := m.pend[0]
	m.unpend()
	m.deliver(r)
}
