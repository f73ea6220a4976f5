package merge

import (
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// tick is an ordered Tick (C3).
func (m *machine) tick(t *tick) {
	if t.tag != m.tag || len(t.leads) != len(m.view.Members) {
		return
	}
	m.ticks++
	reading := t.reading
	if !m.off(noStep) {
		reading = min(reading, m.clock+stepOf(len(m.view.Members)))
	}
	m.clock = max(m.clock, reading)
	if !m.frozen() {
		for i, lead := range t.leads {
			m.leads[i] = min(max(0, lead), maxLead)
			m.floor[i] = max(m.floor[i], m.clock+m.leads[i]-1)
		}
		for _, p := range t.promises {
			m.promised(p)
		}
		h := m.clock
		if m.off(noOwnClock) {
			h = everything
		}
		for i := range m.view.Members {
			if i != m.self && (m.inNext[i] > 0 || !m.off(silentSource)) && (!m.off(sigmaShared) || m.shares(i)) {
				h = min(h, m.prom[i])
			}
		}
		m.addHorizon(h)
		if m.off(orderedTick) {
			m.h = h
		}
	}
	m.line = maxPosition(m.line, t.line)
	if m.frozen() {
		if m.flushTick(); m.off(noFreeze) && m.frozen() {
			m.applyLine()
			m.advance()
		}
		return
	}
	m.applyLine()
	m.advance()
	m.sweep()
	m.addSnap()
	m.welcome()
}

func maxPosition(a, b ring.Position) ring.Position {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// addHorizon queues h until the act line covers this Tick (S1). One that is not
// above the one before would never count.
func (m *machine) addHorizon(h int64) {
	if n := len(m.horizons); n > 0 && h <= m.horizons[n-1].h || h <= m.h {
		return
	}
	if len(m.horizons) >= maxHorizons { // the later position is right too, only later
		m.horizons[len(m.horizons)-1] = horizon{m.pos, h}
		return
	}
	m.horizons = append(m.horizons, horizon{m.pos, h})
}

// applyLine makes the horizons at or below L count.
func (m *machine) applyLine() {
	n := 0
	for n < len(m.horizons) && m.horizons[n].pos.Compare(m.line) <= 0 {
		m.h = max(m.h, m.horizons[n].h)
		n++
	}
	m.horizons = slices.Delete(m.horizons, 0, n)
	for i := len(m.snaps) - 1; i >= 0; i-- {
		if m.snaps[i].pos.Compare(m.line) <= 0 {
			m.wself = max(m.wself, m.snaps[i].w)
			break
		}
	}
}

// addSnap remembers what a promise may say once this Tick is ring-safe (S3).
func (m *machine) addSnap() {
	m.hold(m.wself <= m.h, "W ≤ H: the own stable line lies above the horizon")
	if len(m.snaps) >= maxSnaps {
		m.snaps = slices.Delete(m.snaps, 0, len(m.snaps)/2)
	}
	m.snaps = append(m.snaps, snap{
		pos: m.pos, floor: slices.Clone(m.floor), outIdx: slices.Clone(m.outIdx), inNext: slices.Clone(m.inNext),
		w: m.h, reading: m.clock,
	})
	if n := len(m.horizons); n > 0 && m.off(wOrdered) {
		m.snaps[len(m.snaps)-1].w = m.horizons[n-1].h
	}
}

// advance delivers what H allows (D1).
func (m *machine) advance() {
	before := m.v
	for len(m.pend) > 0 {
		r := m.pend[0]
		if r.t > m.h || r.safe() && !m.stable(r) && !m.off(noStable) {
			break
		}
		m.unpend()
		if m.deliver(r); m.off(vAtT) {
			m.v = max(m.v, r.t)
		}
		m.releaseFIFO()
	}
	// V is not T of what was delivered last: a safe record of the same T may still
	// wait behind it, and everything up to V must be delivered.
	v := m.h
	if len(m.pend) > 0 {
		v = min(v, m.pend[0].t-1)
	}
	m.v = max(m.v, v)
	m.hold(m.v >= before && m.v <= m.h, "V grows and stays at or below H")
}

// unpend takes the first record off pend.
func (m *machine) unpend() {
	r := m.pend[0]
	m.pend[0] = nil
	if m.pend = m.pend[1:]; len(m.pend) == 0 {
		m.pend = nil
	}
	if r.ofClient() {
		if m.pending[r.client]--; m.pending[r.client] <= 0 {
			delete(m.pending, r.client)
		}
	}
}

// stable says whether every destination is known to hold r and to have announced
// that (D2).
func (m *machine) stable(r *record) bool {
	for rest := r.dests; rest != 0; rest &= rest - 1 {
		i := rest.First()
		if i == m.self && m.wself < r.t && !m.off(selfStable) || i != m.self && m.w[i] < r.t {
			return false
		}
	}
	return true
}

// sweep drops own records that are stable everywhere (section 5.6) and counts what
// is under way to each member.
func (m *machine) sweep() {
	if m.ticks%4 != 0 && len(m.held) > 64 {
		return
	}
	m.sweepIn()
	clear(m.owed)
	clear(m.owedBulk)
	for i, r := range m.held {
		if r == nil {
			continue
		}
		done := r.t <= m.h
		for rest := r.dests.Without(m.self); rest != 0; rest &= rest - 1 {
			if x := rest.First(); m.w[x] < r.t && !m.off(dropOwn) {
				m.owe(x, r)
				done = false
			}
		}
		if done {
			m.held[i] = nil
		}
	}
	n := 0
	for n < len(m.held) && m.held[n] == nil {
		n++
	}
	m.held = slices.Delete(m.held, 0, n)
	m.trim += uint64(n)
	m.hold(m.trim+uint64(len(m.held)) == m.outN, "held: every own record is there until it is stable everywhere")
	if m.ticks%1024 == 0 {
		m.sweepGroups()
	}
}

// sweepIn drops records of other sites that nobody can need any more. It stops at the
// first that somebody may: what comes behind it is not much younger.
func (m *machine) sweepIn() {
	for src, in := range m.heldIn {
		n := 0
		for n < len(in) && m.stableEverywhere(in[n]) {
			in[n] = nil
			n++
		}
		if m.heldIn[src] = in[n:]; n == len(in) {
			m.heldIn[src] = nil
		}
	}
}

func (m *machine) stableEverywhere(r *record) bool {
	for rest := r.dests.Without(m.self); rest != 0; rest &= rest - 1 {
		if m.w[rest.First()] < r.t && !m.off(dropOthers) {
			return false
		}
	}
	return r.t <= m.h
}

// deliver does what a record says, to the directory and the clients here.
func (m *machine) deliver(r *record) {
	if r.ordered() {
		m.hold(m.delivered.t < 0 || m.delivered.less(r), "delivered keys increase")
		m.delivered = record{t: r.t, src: r.src, n: r.n}
		if m.maxDelivered = max(m.maxDelivered, r.t); r.kind != kindData {
			m.maxMoved = max(m.maxMoved, r.t)
		}
	} else {
		m.maxArrived = max(m.maxArrived, r.t)
	}
	m.take(r, m.viewIDOf(r), r.t)
}

// deliverLocal does the same for what concerns this site only.
func (m *machine) deliverLocal(r *record) {
	m.local++
	m.take(r, m.localViewID(), m.v)
}

// take is deliver; t is what other sites are told when a group empties.
func (m *machine) take(r *record, id GroupViewID, t int64) {
	if r.kind == kindData {
		m.deliverData(r, false)
		return
	}
	m.traceDeliver(r, r.t != 0)
	m.deliveredCount++
	switch r.kind {
	case kindJoin:
		m.deliverJoin(r, id)
	case kindLeave:
		m.deliverLeave(r, id, t)
	case kindDown:
		m.deliverDown(r, id, t)
	case kindNodeDown:
		m.deliverNodeDown(r, id, t)
	}
}

func (m *machine) deliverJoin(r *record, id GroupViewID) {
	g := m.group(r.groups[0])
	x := membership.Member{Client: r.client, Name: r.name}
	var before []Member
	if r.rejoin {
		before = g.Members()
	}
	if r.src == m.self {
		g.pendingOwn--
		if !g.Join(x) {
			return
		}
		m.index(x.Client, g)
	} else if !g.Interest.Has(m.self) || m.stale(g, r) || !m.joinRemote(g, r.src, x) {
		return
	}
	if r.rejoin {
		m.groupView(g, &GroupView{ID: m.nameFor(g, id), Cause: CauseNetwork, Sets: sets(before, []Member{x})})
		return
	}
	m.groupView(g, &GroupView{ID: m.nameFor(g, id), Cause: CauseJoin, Changed: x})
}

// sets leaves out what is empty.
func sets(parts ...[]Member) [][]Member { return onlyFull(parts) }

func onlyFull(parts [][]Member) [][]Member {
	return slices.DeleteFunc(parts, func(p []Member) bool { return len(p) == 0 })
}

func (m *machine) deliverLeave(r *record, id GroupViewID, t int64) {
	g := m.groups[r.groups[0]]
	if g == nil {
		return
	}
	x := membership.Member{Client: r.client, Name: r.name}
	if r.src != m.self {
		if !m.stale(g, r) && m.leaveRemote(g, r.src, x.Client) {
			m.groupView(g, &GroupView{ID: m.nameFor(g, id), Cause: CauseLeave, Changed: x})
		}
		return
	}
	if m.leaveOwn(g, x.Client) {
		m.tellLeft(x.Client, g.Name)
		m.groupView(g, &GroupView{ID: m.nameFor(g, id), Cause: CauseLeave, Changed: x})
	}
	m.interestOff(g, t)
}

func (m *machine) leaveOwn(g *group, c membership.ClientID) bool {
	return m.leaveOwns(g, func(x membership.ClientID) bool { return x == c })
}

// leaveOwns takes members of this site out of a group, all that gone picks.
func (m *machine) leaveOwns(g *group, gone func(membership.ClientID) bool) bool {
	var left []membership.ClientID
	if g.Leave(func(x membership.Member) bool {
		if !gone(x.Client) {
			return false
		}
		left = append(left, x.Client)
		return true
	}) == 0 {
		return false
	}
	for _, c := range left {
		m.unindex(c, g)
	}
	return true
}

func (m *machine) deliverDown(r *record, id GroupViewID, t int64) {
	x := membership.Member{Client: r.client, Name: r.name}
	for _, g := range m.where[r.client].sorted() {
		own := r.src == m.self
		if own && m.leaveOwn(g, x.Client) || !own && !m.stale(g, r) && m.leaveRemote(g, r.src, x.Client) {
			m.groupView(g, &GroupView{ID: m.nameFor(g, id), Cause: CauseDisconnect, Changed: x})
		}
		if own {
			m.interestOff(g, t)
		}
	}
	if r.src == m.self && m.here(r.client) {
		m.fx.Outputs = append(m.fx.Outputs, Output{Kind: OutClosed, To: []membership.ClientID{r.client}})
		m.ended = append(m.ended, r.client)
	}
}
