package ring

import (
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// Detection: who is gone, and who has come. Hellos go to the successor when it
// has heard nothing else; probes go to everybody, so that rings which cannot know
// of each other find each other. A probe lists the strangers its sender has heard:
// rings only merge once it is proven that they hear each other both ways, or
// one-way loss would tear rings down for ever.

func (m *Machine) heard(now time.Duration, r *ring, sender membership.NodeID) {
	if sender == r.predecessor() {
		r.heardAt = now
	}
}

// hello runs each Hello interval.
func (m *Machine) hello(now time.Duration, fx *Effects) {
	r := m.ring
	if m.state != Operational || r.alone() {
		return
	}
	if now-r.heardAt >= m.cfg.Timing.Silence && !m.off(noHello) {
		m.count.NeighboursLost++
		m.regather(now, fx)
		return
	}
	if now-r.saidAt >= m.cfg.Timing.Hello {
		m.sendNext(now, r, m.ringPacket(kindHello), fx)
	}
	m.timers[timerHello] = r.saidAt + m.cfg.Timing.Hello
	if dead := r.heardAt + m.cfg.Timing.Silence; dead > now {
		m.timers[timerHello] = min(m.timers[timerHello], dead)
	}
}

// ringPacket is a packet that says nothing but its kind and ring.
func (m *Machine) ringPacket(k kind) []byte {
	b := m.appendHeader(m.arena.take(ringBytes), k, 0)
	return m.arena.keep(appendID(b, m.ring.id))
}

func (m *Machine) onHello(now time.Duration, packet []byte, h header, fx *Effects) {
	if len(packet) != ringBytes {
		m.count.DroppedMalformed++
		return
	}
	if r := m.current(); r != nil && idAt(packet) == r.id && !r.alone() {
		m.heard(now, r, h.sender)
		return
	}
	m.stale(now, h.sender, idAt(packet), fx)
}

// wakeUp asks the representative for the token it may be holding.
func (m *Machine) wakeUp(now time.Duration, fx *Effects) {
	m.ring.woke = true
	m.count.Wakes++
	fx.Send = append(fx.Send, Packet{To: m.ring.members[0], Data: m.ringPacket(kindWake)})
}

func (m *Machine) onWake(now time.Duration, packet []byte, h header, fx *Effects) {
	if len(packet) != ringBytes {
		m.count.DroppedMalformed++
		return
	}
	if m.state != Operational || idAt(packet) != m.ring.id || m.ring.alone() || !m.ring.has(h.sender) {
		m.stale(now, h.sender, idAt(packet), fx)
		return
	}
	if m.holding {
		m.release(now, fx)
		return
	}
	m.ring.wanted = true
}

// probe runs each Probe interval, and more often while somebody who is missing may
// soon be back.
func (m *Machine) probe(now time.Duration, fx *Effects) {
	if m.state == Operational && !m.off(noProbe) {
		m.timers[timerProbe] = now + m.probeEvery(now)
		m.sendProbe(now, fx)
	}
}

func (m *Machine) probeEvery(now time.Duration) time.Duration {
	if len(m.ring.members) < len(m.cfg.Members) && now < m.eagerUntil {
		return m.cfg.Timing.Probe / eagerProbes
	}
	return m.cfg.Timing.Probe
}

// sendProbe tells who was heard, but for those that this node shuns: they would
// gather at once, and in vain.
func (m *Machine) sendProbe(now time.Duration, fx *Effects) {
	m.probedAt = now
	var strangers set
	for i := range m.peers {
		p := &m.peers[i]
		if p.heardLately(now, m.cfg.Timing.Probe) && now >= p.shunUntil && !m.ring.has(m.cfg.Members[i]) {
			strangers.add(i)
		}
	}
	b := m.appendHeader(nil, kindProbe, 0)
	b = appendID(b, m.ring.id)
	fx.Send = append(fx.Send, Packet{Data: appendNodes(b, m.nodesOf(strangers))})
}

func (p *peer) heardLately(now, probe time.Duration) bool {
	return p.foreignAt > 0 && now-p.foreignAt < 3*probe
}

func (m *Machine) onProbe(now time.Duration, packet []byte, h header, fx *Effects) {
	r := wire.NewReader(packet[headerBytes:])
	id := readID(&r)
	heard := readNodes(&r)
	if r.Done() != nil {
		m.count.DroppedMalformed++
		return
	}
	m.foreign(now, h.sender, id, contains(heard, m.cfg.Self), fx)
}

// stale takes note of a packet that is not for the ring this node is in: it may be
// late, or of a ring that this node does not know of.
func (m *Machine) stale(now time.Duration, sender membership.NodeID, id ID, fx *Effects) {
	m.count.DroppedStale++
	m.foreign(now, sender, id, false, fx)
}

// foreign decides whether a sign of another ring is a reason to gather. hearsUs
// says that its sender has heard this node lately.
func (m *Machine) foreign(now time.Duration, sender membership.NodeID, id ID, hearsUs bool, fx *Effects) {
	if m.state != Operational || id == m.ring.id || id.Counter >= maxCounter {
		return
	}
	if m.ring.has(sender) {
		if id.Counter > m.ring.id.Counter { // it has gone on without us
			m.enterGather(now, m.setOf(m.ring.members), set{}, set{}, fx)
		}
		return
	}
	i, ok := m.place(sender)
	if !ok {
		return
	}
	p := &m.peers[i]
	if p.left {
		return // late
	}
	unheard := !p.heardLately(now, m.cfg.Timing.Probe)
	p.foreignAt = now
	switch {
	case !m.mayMerge(now, p):
	case hearsUs || m.off(oneWayMerge):
		proc := m.setOf(m.ring.members)
		proc.add(i)
		m.enterGather(now, proc, set{}, set{}, fx)
	case unheard || now-m.probedAt >= probeReply: // it must learn that it is heard
		m.sendProbe(now, fx)
	}
}
