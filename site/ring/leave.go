package ring

import "time"

// An orderly end. Who leaves takes nothing more from its Source, waits until every
// member holds what it has sent, and then says that it goes. The others need not find
// out: they gather at once without it. If nobody hears it, it is a death like any other.

// leaveCopies is how often the word is sent, in case one is lost.
const leaveCopies = 2

// Leave begins this node's orderly end. It goes on receiving and handing up until then.
func (m *Machine) Leave(now time.Duration, fx *Effects) {
	if m.state == 0 || m.leaving {
		return
	}
	m.leaving = true
	m.tryLeave(fx)
}

// Left says that the orderly end has come: the machine does nothing any more.
func (m *Machine) Left() bool { return m.leaving && m.state == 0 }

// tryLeave goes, if nobody needs this node any longer.
func (m *Machine) tryLeave(fx *Effects) {
	r := m.ring
	if !m.leaving || m.state != Operational || (!m.out.empty() || r.ownSeq > r.stable) && !m.off(hastyLeave) {
		return
	}
	for range leaveCopies {
		if !r.alone() && !m.off(noWord) {
			fx.Send = append(fx.Send, Packet{Data: m.ringPacket(kindLeave)})
		}
	}
	m.state = 0
	m.holding, m.prefer = false, false
	for i := range m.timers {
		m.timers[i] = never
	}
}

// waiting is how many bytes the Source has that may still go.
func (m *Machine) waiting() int {
	if m.leaving {
		return 0
	}
	return max(m.source.Backlog(), 0)
}

// onLeave takes the word of a node that goes.
func (m *Machine) onLeave(now time.Duration, packet []byte, i int, fx *Effects) {
	if len(packet) != ringBytes {
		m.count.DroppedMalformed++
		return
	}
	id := idAt(packet)
	ours := id == m.ring.id || (m.state == Commit || m.state == Recovery) && id == m.commit.ring
	if !ours || !m.without(now, i, fx) {
		m.count.DroppedStale++
		return
	}
	m.peers[i].left = true
	m.count.Departures++
	m.checkConsensus(now, false, fx)
}

// allLeft says whether everybody who is missing in this gathering has left in order or is
// dead, so that a node may be alone without waiting for anybody.
func (m *Machine) allLeft() bool {
	for i := range m.cfg.Members {
		if m.gather.proc.has(i) && i != m.self && !m.peers[i].left && !m.peers[i].dead {
			return false
		}
	}
	return m.gather.fail != set{}
}
