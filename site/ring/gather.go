package ring

import (
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// Gather: find out who is there. Everybody multicasts whom it has heard of (proc)
// and whom it has given up (fail). Both sets only grow within one gathering, so
// all come to agree; who has not by the consensus time-out is given up.
type gathering struct {
	proc, fail set
	slow       set           // of those who failed: asked to leave, see expel
	since      time.Duration // this node has been in no ring, attempts before this one included
}

func (g *gathering) want() set { return g.proc.minus(g.fail) }

// A join says what its sender knows. Attempts number a sender's gatherings, so
// that an older join is told from a newer one.
type join struct {
	attempt          uint64
	counter          uint64 // highest ring counter seen
	proc, fail, slow set
}

// enterGather gives up what this node was in and gathers with these sets.
func (m *Machine) enterGather(now time.Duration, proc, fail, slow set, fx *Effects) {
	proc.add(m.self)
	fail.drop(m.self)
	since := now
	if m.state == Gather || m.state == Commit || m.state == Recovery {
		since = m.gather.since
	}
	m.state = Gather
	m.gather = gathering{proc: proc, fail: fail, slow: slow, since: since}
	m.attempt++
	m.count.Gathers++
	m.holding, m.prefer, m.culprit = false, false, 0
	for i := range m.peers {
		m.peers[i].joined = false
	}
	for _, t := range []int{timerLoss, timerResend, timerHold, timerHello, timerProbe, timerCommit, timerSolo} {
		m.timers[t] = never
	}
	m.listen(now, m.cfg.Timing.Join/2)
	m.timers[timerConsensus] = now + m.cfg.Timing.Consensus
	m.sendJoin(now, fx)
}

// regather starts again with everybody who was or was to be in the ring.
func (m *Machine) regather(now time.Duration, fx *Effects) {
	proc := m.setOf(m.ring.members)
	switch m.state {
	case Gather:
		proc = proc.union(m.gather.want())
	case Commit, Recovery:
		proc = proc.union(m.setOf(m.commit.nodes()))
	}
	m.enterGather(now, proc, set{}, set{}, fx)
}

// expel leaves behind the receiver that keeps everybody waiting. All who come along
// shun it, also those who have not noticed, or it would be back at once and stop
// the ring again.
func (m *Machine) expel(now time.Duration, fx *Effects) {
	i, ok := m.place(m.culprit)
	m.culprit = 0
	r := m.current()
	if !ok || r == nil {
		return
	}
	m.count.Expelled++
	slow := set{}
	slow.add(i)
	m.enterGather(now, m.setOf(r.members), slow, slow, fx)
}

// leaveBehind shuns who was asked to leave, and who was heard but is not coming
// along: some pair of nodes does not hear each other, and trying again at once
// would end the same way. A new life has done nothing wrong: it came too late.
func (m *Machine) leaveBehind(now time.Duration) {
	g := &m.gather
	for i := range m.peers {
		p := &m.peers[i]
		if g.fail.has(i) && !p.left && !p.dead && (g.slow.has(i) || p.seenAt > g.since && p.metAt <= g.since) {
			m.shun(now, i)
		}
	}
}

// shun keeps a node from starting another gathering for a while, for longer each
// time.
func (m *Machine) shun(now time.Duration, i int) {
	p := &m.peers[i]
	if now < p.shunUntil || m.off(noShun) {
		return
	}
	if now-p.shunUntil > 4*p.shunTime {
		p.shunTime = 0
	}
	p.shunTime = min(max(2*p.shunTime, minShun), maxShun)
	p.shunUntil = now + p.shunTime
}

func (m *Machine) sendJoin(now time.Duration, fx *Effects) {
	if m.state != Gather {
		return
	}
	b := m.appendHeader(nil, kindJoin, 0)
	b = wire.AppendUint64(b, m.attempt)
	b = wire.AppendUint64(b, m.highest)
	b = appendNodes(b, m.nodesOf(m.gather.proc))
	b = appendNodes(b, m.nodesOf(m.gather.fail))
	b = appendNodes(b, m.nodesOf(m.gather.slow))
	fx.Send = append(fx.Send, Packet{Data: b})
	m.timers[timerJoin] = now + m.cfg.Timing.Join
}

func (m *Machine) decodeJoin(packet []byte) (join, error) {
	r := wire.NewReader(packet[headerBytes:])
	j := join{attempt: r.Uint64(), counter: r.Uint64()}
	proc, fail, slow := readNodes(&r), readNodes(&r), readNodes(&r)
	if j.counter >= maxCounter {
		r.Fail(wire.ErrLimit)
	}
	j.proc, j.fail, j.slow = m.setOf(proc), m.setOf(fail), m.setOf(slow)
	return j, r.Done()
}

// believes says whether a join may be looked at now.
func (m *Machine) believes(now time.Duration, p *peer) bool {
	refill := int(min(now-p.allowedAt, time.Second) * joinRate / time.Second)
	if refill > 0 || p.allowedAt == 0 {
		p.allowance = min(p.allowance+refill, joinBurst)
		if p.allowedAt == 0 {
			p.allowance = joinBurst
		}
		p.allowedAt = now
	}
	if p.allowance == 0 && !m.off(noRate) || now < m.napUntil {
		return false
	}
	p.allowance--
	return true
}

func (m *Machine) onJoin(now time.Duration, packet []byte, i int, restarted bool, fx *Effects) {
	p := &m.peers[i]
	if !m.believes(now, p) {
		m.count.DroppedJoins++
		return
	}
	j, err := m.decodeJoin(packet)
	if err != nil || !j.proc.has(i) || j.fail.has(i) {
		m.count.DroppedMalformed++
		return
	}
	if j.attempt < p.attempt {
		m.count.DroppedStale++
		return
	}
	again := j.attempt == p.attempt
	j.fail, j.slow = m.credible(now, &j)
	switch m.state {
	case Operational:
		if !m.breaks(now, i, &j, again, restarted) {
			m.count.DroppedStale++
			return
		}
		m.enterGather(now, m.setOf(m.ring.members).union(j.proc), j.fail, j.slow, fx)
	case Gather:
		g := m.gather
		if j.fail.has(m.self) && now-m.bornAt < m.cfg.Timing.Consensus/2 {
			return // what failed was this node's life before; its sender will hear of this one
		}
		switch {
		case restarted: // what failed was its life before
			g.fail.drop(i)
			g.slow.drop(i)
			m.enterGather(now, g.proc.union(j.proc), g.fail, g.slow, fx)
		case !again && g.fail.has(i) && !g.slow.has(i) && j.fail == (set{}) && now >= max(p.shunUntil, m.relentAt):
			// It begins from scratch, so this node takes it back. One such beginning
			// causes others: only joins that name no failures count, and not often.
			m.relentAt = now + m.cfg.Timing.Consensus/2
			g.fail.drop(i)
			m.enterGather(now, g.proc.union(j.proc), g.fail, g.slow, fx)
		}
	case Commit, Recovery:
		// Who gathers anew has left the ring that is being formed, and so has who
		// wants another one or has given this node up, because sets only grow.
		// Strangers wait until it is installed; they repeat themselves. A join that
		// does not know this ring's counter is one that led to it and comes late: its
		// way here is longer than that by the representative.
		nodes := m.setOf(m.commit.nodes())
		givenUp := j.fail.has(m.self)
		grown := j.proc.minus(m.gather.proc) != set{} || j.fail.minus(m.gather.fail) != set{}
		known := again || j.counter < m.commit.ring.Counter
		if !nodes.has(i) || known && !restarted && !givenUp && !grown {
			return
		}
		fail, slow := j.fail, j.slow
		if givenUp {
			fail, slow = set{}, set{}
		}
		m.enterGather(now, nodes.union(m.setOf(m.ring.members)).union(j.proc), fail, slow, fx)
	}
	m.consider(now, i, j, fx)
}

// credible returns what a join says of failures, but for nodes of which this node
// has just met a new life: its sender will hear of it in a moment, and what it gave
// up was the life before.
func (m *Machine) credible(now time.Duration, j *join) (fail, slow set) {
	fail, slow = j.fail, j.slow
	for i := range m.peers {
		if fail.has(i) && i != m.self && m.peers[i].reborn && now-m.peers[i].metAt < m.cfg.Timing.Consensus/2 {
			fail.drop(i)
			slow.drop(i)
		}
	}
	return fail, slow
}

// breaks says whether a join can end an operational ring: not if it gives this
// node up, not if it is from before this ring, not from a node that is shunned.
func (m *Machine) breaks(now time.Duration, i int, j *join, again, restarted bool) bool {
	p := &m.peers[i]
	switch {
	case j.fail.has(m.self):
		return m.off(believeFailing)
	case restarted:
		return true
	case m.ring.has(m.cfg.Members[i]):
		return !again && (j.counter >= m.ring.id.Counter || m.off(believeOld))
	}
	return m.mayMerge(now, p)
}

// mayMerge says whether a stranger is a reason to gather: not while it is shunned,
// and not before all members have had the time to install this ring, or none but
// the first would. Strangers repeat themselves.
func (m *Machine) mayMerge(now time.Duration, p *peer) bool {
	return now >= p.shunUntil && m.ring.restless == 0
}

// consider adds what a join knows to what this node knows.
func (m *Machine) consider(now time.Duration, i int, j join, fx *Effects) {
	p := &m.peers[i]
	p.attempt = j.attempt
	m.highest = max(m.highest, j.counter)
	g := &m.gather
	if g.fail.has(i) {
		return
	}
	before := *g
	if j.fail.has(m.self) {
		g.fail.add(i)
	} else {
		g.proc = g.proc.union(j.proc)
		if !m.off(noSharing) {
			g.fail = g.fail.union(j.fail)
			g.slow = g.slow.union(j.slow)
		}
	}
	if !p.joined { // it gets the time to hear and to agree
		m.timers[timerConsensus] = max(m.timers[timerConsensus], now+m.cfg.Timing.Consensus/2)
	}
	p.join, p.joined = j, true
	if g.proc != before.proc || g.fail != before.fail {
		m.changed(now)
	}
	m.checkConsensus(now, false, fx)
}

// changed: what this node knows in this gathering has changed, which the others must
// hear.
func (m *Machine) changed(now time.Duration) {
	m.timers[timerConsensus] = now + m.cfg.Timing.Consensus
	m.timers[timerCommit] = never
	m.timers[timerJoin] = min(m.timers[timerJoin], now+joinCoalesce)
}

// agrees says whether node i has sent the sets that this node has.
func (m *Machine) agrees(i int) bool {
	p := &m.peers[i]
	return i == m.self || p.joined && (p.join.proc == m.gather.proc && p.join.fail == m.gather.fail || m.off(noAgreement))
}

// checkConsensus goes on to Commit if all that are wanted agree. To be alone
// takes a time-out, unless all others have left in order or are dead.
func (m *Machine) checkConsensus(now time.Duration, timedOut bool, fx *Effects) {
	want := m.gather.want()
	lowest, n := -1, 0
	for i := range m.cfg.Members {
		if !want.has(i) {
			continue
		}
		if !m.agrees(i) {
			return
		}
		if n == 0 {
			lowest = i
		}
		n++
	}
	switch {
	case n == 1 && !timedOut && !m.allLeft():
	case lowest == m.self:
		m.propose(now, m.nodesOf(want), fx)
	case m.timers[timerCommit] == never: // the lowest proposes
		m.timers[timerConsensus] = never
		m.timers[timerCommit] = now + m.cfg.Timing.Commit
	}
}

// consensusTimeout gives up who has not agreed.
func (m *Machine) consensusTimeout(now time.Duration, fx *Effects) {
	if m.state != Gather {
		return
	}
	g := &m.gather
	want, late := g.want(), set{} // all are measured by the sets as they are now
	for i := range m.cfg.Members {
		if want.has(i) && !m.agrees(i) && !m.off(noTimeout) {
			late.add(i)
		}
	}
	g.fail = g.fail.union(late)
	m.timers[timerConsensus] = now + m.cfg.Timing.Consensus
	m.timers[timerCommit] = never
	m.sendJoin(now, fx)
	m.checkConsensus(now, true, fx)
}

// contains says whether sorted nodes has n.
func contains(nodes []membership.NodeID, n membership.NodeID) bool {
	_, ok := slices.BinarySearch(nodes, n)
	return ok
}
