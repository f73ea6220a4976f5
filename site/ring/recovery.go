package ring

import (
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// Recovery: the token of the new ring goes round, but carries no new frames yet.
// Members of one old ring ("mates") send again, wrapped into packets of the new
// ring, whatever a mate lacks, until all mates hold the same. Nothing is handed
// up before install, so a failure on the way costs nothing but time.
//
// A member that installs delivers, beyond a gap, the frames of its mates. If
// another mate fails to install, it must deliver them all the same, in whatever
// ring it installs next, or a safe frame would not be safe. So before anybody can
// install, each mate writes down that it is obliged to the others' frames; the
// obligation goes into its record and binds its mates of the next attempt too.
//
//	V1 nobody installs before all members hold all wrapped packets and all are
//	   obliged
//	V2 mates hold the same packets of the old ring at install, and know the same
//	   stable line and the same senders, so they deliver the same
type recovery struct {
	mates    []membership.NodeID // of this node's old ring, with itself, ascending
	senders  []membership.NodeID // whose frames beyond a gap are delivered
	stable   Seq                 // highest stable line a mate knows
	queue    []Seq               // to be sent again by this node, ascending
	ended    bool                // nobody has anything left to send again
	end      Seq                 // last wrapped packet of the new ring
	obliged  bool
	complete bool // all members hold everything up to end
}

func (m *Machine) enterRecovery(now time.Duration) {
	c := &m.commit
	m.state = Recovery
	m.next.begin(c.ring, c.nodes(), m.cfg.Self)
	m.timers[timerCommit] = now + m.cfg.Timing.Commit // until its token comes
	m.rec = recovery{queue: m.rec.queue[:0]}
	mine := &c.records[m.next.me]
	low, high := mine.aru, mine.high
	var mates []*record
	for i := range c.records {
		r := &c.records[i]
		along := mine.old != ID{} && r.old == mine.old
		if m.off(matesByName) {
			along = true
		}
		if r.node != m.cfg.Self && (!along || !m.ring.has(r.node)) {
			continue
		}
		mates = append(mates, r)
		m.rec.mates = append(m.rec.mates, r.node)
		m.rec.senders = append(m.rec.senders, r.node)
		if !m.off(noObligation) {
			m.rec.senders = append(m.rec.senders, r.obliged...)
		}
		if !m.off(ownStable) || r.node == m.cfg.Self {
			m.rec.stable = max(m.rec.stable, r.stable)
		}
		low, high = min(low, r.aru), max(high, r.high)
	}
	slices.Sort(m.rec.senders)
	m.rec.senders = slices.Compact(m.rec.senders)
	for s := max(low, m.ring.base) + 1; s <= min(high, m.ring.high); s++ {
		if m.ring.holds(s) && !m.off(noRewrap) && slices.ContainsFunc(mates, func(r *record) bool { return r.lacks(s) }) {
			m.rec.queue = append(m.rec.queue, s)
		}
	}
}

// lacks says whether a member may not hold packet s of its old ring.
func (r *record) lacks(s Seq) bool {
	if s <= r.aru {
		return false
	}
	return s > r.high || r.more || slices.ContainsFunc(r.holes, func(h span) bool { return h.first <= s && s <= h.last })
}

// rewrap sends old packets again, as many as a visit allows.
func (m *Machine) rewrap(r *ring, t *token, hop uint64) {
	allow := min(m.cfg.Windows.Personal, max(0, int(r.stable+MaxOutstanding)-int(t.seq)))
	n := 0
	for ; n < len(m.rec.queue) && len(m.batch) < allow; n++ {
		s := m.rec.queue[n]
		p := m.ring.at(s)
		body := p.packet[p.body:]
		b := m.arena.take(dataBytes + wrapBytes + len(body))[:dataBytes]
		b = wire.AppendUint32(b, uint32(p.sender))
		b = wire.AppendUint64(b, uint64(s))
		b = m.arena.keep(append(b, body...))
		t.seq++
		m.stamp(b, flagWrapped|p.flags&flagSafe, r.id, t.seq, hop)
		m.keepOwn(r, t.seq, slot{packet: b, sender: m.cfg.Self, body: dataBytes + wrapBytes, flags: flagWrapped})
		m.count.Recovered++
	}
	m.rec.queue = slices.Delete(m.rec.queue, 0, n)
}

// unwrap takes a packet of the old ring out of one of the new ring.
func (m *Machine) unwrap(packet []byte, h header, arrivals bool, fx *Effects) {
	if !contains(m.rec.mates, h.sender) {
		return
	}
	sender, s := wrapped(packet)
	if i, queued := slices.BinarySearch(m.rec.queue, s); queued {
		m.rec.queue = slices.Delete(m.rec.queue, i, i+1)
	}
	r := m.ring
	if !r.has(sender) || r.alone() {
		return
	}
	p := slot{packet: packet, sender: sender, body: dataBytes + wrapBytes, flags: h.flags & flagSafe}
	if r.insert(s, p) == inserted && arrivals {
		m.arrive(r, s, r.at(s), fx)
	}
}

// recoveryProgress looks, after a visit, how far the members have come. All have
// put their share into pending once this node has seen the token twice.
func (m *Machine) recoveryProgress(t *token) {
	r, rec := m.next, &m.rec
	if m.off(hastyInstall) {
		rec.complete = true
		return
	}
	if r.visits < 2 || t.pending > 0 {
		return
	}
	if !rec.ended {
		rec.ended, rec.end = true, t.seq
	}
	if r.aru >= rec.end && !rec.obliged {
		rec.obliged = true
		m.obliged = slices.Clone(rec.senders)
	}
	if rec.obliged && r.stable >= rec.end {
		rec.complete = true // and one rotation later all others are obliged too
	}
}

// recoveryDone installs the new ring if its time has come.
func (m *Machine) recoveryDone(now time.Duration, fx *Effects) bool {
	if !m.rec.complete {
		return false
	}
	m.install(now, fx)
	return true
}

// install closes the old ring and puts the new one in force, in one step.
func (m *Machine) install(now time.Duration, fx *Effects) {
	old, next, view := m.ring, m.next, m.newView()
	if old.id != (ID{}) {
		m.closeOld(old, view, fx)
	}
	fx.Events = append(fx.Events, Event{Kind: Installed, Pos: next.position(0), View: view})
	m.ring, m.next = next, old
	m.obliged = nil
	m.state = Operational
	m.count.Installed++
	m.out.restart()
	for s := next.base + 1; s <= next.high; s++ {
		if p := next.at(s); next.holds(s) && p.flags&flagWrapped == 0 {
			m.arrive(next, s, p, fx)
		}
	}
	m.settle(now)
}

// newView is what the commit token has told of the ring that is being formed.
func (m *Machine) newView() *View {
	view := &View{ID: m.next.id, Previous: m.ring.id, Members: m.next.members, Together: m.rec.mates}
	for i := range m.commit.records {
		view.Origins = append(view.Origins, m.commit.records[i].old)
		view.Incarnations = append(view.Incarnations, m.commit.records[i].incarnation)
	}
	return view
}

// closeOld hands up what is left of the old ring: (i) in the regular
// configuration everything up to the first gap or the first safe frame of which
// no mate knows that it is stable, (ii) the transitional configuration, (iii) in it
// the rest, which all mates hold; beyond a gap only what mates have sent, because
// others' frames may depend on what is missing.
func (m *Machine) closeOld(old *ring, view *View, fx *Effects) {
	line := min(m.rec.stable, old.aru)
	if m.off(safeEarly) {
		line = old.aru
	}
	if line > old.stable {
		old.stable, old.moved = line, true
	}
	m.deliver(old, fx)
	if old.moved {
		fx.Events = append(fx.Events, Event{Kind: Stable, Pos: old.position(old.stable)})
	}
	fx.Events = append(fx.Events, Event{Kind: Transitional, Pos: old.position(old.delivered), View: view})
	for s := old.delivered + 1; s <= old.high; s++ {
		if !old.holds(s) {
			continue
		}
		p := old.at(s)
		if s <= old.aru || contains(m.rec.senders, p.sender) || m.off(beyondGap) {
			first := len(fx.Events)
			m.open(old, s, p, fx)
			for i := range fx.Events[first:] {
				fx.Events[first+i].Torn = s > old.aru
			}
		}
	}
	old.delivered = old.high
}

// settle sets the timers of a ring just installed.
func (m *Machine) settle(now time.Duration) {
	r := m.ring
	r.restless = restlessVisits
	r.heardAt, r.saidAt = now, now
	m.holding, m.prefer = false, false
	for i := range m.timers {
		m.timers[i] = never
	}
	// Nodes that were installed together do not all probe at once.
	m.eagerUntil = now + eagerTime
	m.timers[timerProbe] = now + m.probeEvery(now)*time.Duration(r.me+1)/time.Duration(len(r.members))
	if r.alone() {
		r.restless = 0
		m.timers[timerSolo] = now
		return
	}
	m.timers[timerHello] = now + m.cfg.Timing.Hello
	m.timers[timerLoss] = now + m.cfg.Timing.TokenLoss
	m.listen(now, m.cfg.Timing.Knock)
}
