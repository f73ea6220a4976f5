package ring

import (
	"time"

	"ringway/membership"
)

// Knocks: whether a process has died. A silent node may be slow, cut off or dead, and only
// time tells which. But if its host lives, the host knows: a datagram to a port on which
// nobody listens comes back as unreachable (RFC 1122, 4.1.3.1). So a node that misses the
// token, or the answer of one that it waits for, knocks there, and asks the shell what came
// of it. Who is refused is dead, and is given up at once instead of after Silence and
// Consensus. A host that is dead itself, that is cut off, or that filters says nothing, and
// the time-outs find out.
//
// A refusal is believed only of a node that was not heard since this one began to wait as it
// does now and knocked: a token that comes round says that all are alive. And it takes a second
// knock: what a shell is told at the first one is the answer to an older knock, perhaps at a life
// before.

// knockAgain is how soon a second knock follows: a shell learns of one refusal when it
// knocks the next time.
const knockAgain = 5 * time.Millisecond

// knock asks the hosts of those for whom this node waits.
func (m *Machine) knock(now time.Duration, fx *Effects) {
	if m.off(noKnock) {
		return
	}
	first := m.knocks%2 == 0
	m.knocks++
	wait := m.cfg.Timing.Knock
	if first {
		wait = knockAgain
	}
	m.timers[timerKnock] = now + wait
	targets := m.silent()
	for i, n := range m.cfg.Members {
		if !targets.has(i) {
			continue
		}
		p := &m.peers[i]
		if first || p.knockedAt < m.waitsFrom {
			p.knockedAt = now
		}
		m.count.Knocks++
		fx.Knock = append(fx.Knock, n)
	}
}

// silent is for whom this node waits: in a gathering those who have not spoken, or who has
// not proposed; else its successor. All together they knock at everybody.
func (m *Machine) silent() (s set) {
	switch m.state {
	case Gather:
		s = m.gather.want()
		proposes := m.timers[timerCommit] != never // the lowest
		for i := range m.peers {
			if s.has(i) && (i == m.self || m.peers[i].joined && !proposes) {
				s.drop(i)
			}
			proposes = proposes && !s.has(i)
		}
	case Commit:
		nodes := m.commit.nodes()
		if me := m.commit.place(m.cfg.Self); me >= 0 {
			s = m.setOf([]membership.NodeID{nodes[(me+1)%len(nodes)]})
		}
	case Recovery:
		s = m.setOf([]membership.NodeID{m.next.successor()})
	case Operational:
		if !m.ring.alone() {
			s = m.setOf([]membership.NodeID{m.ring.successor()})
		}
	}
	s.drop(m.self)
	return s
}

// listen begins to wait, and to knock when it takes too long. What was knocked at before
// does not count any more: a token that has come round says that all are alive.
func (m *Machine) listen(now, wait time.Duration) {
	m.knocks, m.waitsFrom = 0, now
	m.timers[timerKnock] = now + wait
}

// Refused tells that the host of a node says that nobody listens there, in answer to a
// knock of Effects.Knock.
func (m *Machine) Refused(now time.Duration, node membership.NodeID, fx *Effects) {
	i, ok := m.place(node)
	if m.state == 0 || !ok || i == m.self {
		return
	}
	m.noticeNap(now)
	p := &m.peers[i]
	if (m.knocks < 2 || p.knockedAt <= m.waitsFrom || p.seenAt >= p.knockedAt) && !m.off(anyRefusal) {
		return
	}
	if m.without(now, i, fx) {
		p.dead = true
		m.count.Refusals++
		m.checkConsensus(now, false, fx)
	}
}

// without gives up a node that has left or is dead, and says whether this node counted on
// it. The caller then looks for consensus.
func (m *Machine) without(now time.Duration, i int, fx *Effects) bool {
	gone := set{}
	gone.add(i)
	switch m.state {
	case Operational:
		if !m.ring.has(m.cfg.Members[i]) {
			return false
		}
		m.enterGather(now, m.setOf(m.ring.members), gone, set{}, fx)
	case Gather:
		if m.gather.fail.has(i) {
			return false
		}
		m.gather.fail.add(i)
		m.changed(now)
	default:
		nodes := m.setOf(m.commit.nodes())
		if !nodes.has(i) {
			return false
		}
		m.enterGather(now, nodes.union(m.setOf(m.ring.members)), gone, set{}, fx)
	}
	return true
}
