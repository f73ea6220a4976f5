package ring

import (
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// Commit: the lowest of those who agreed sends a commit token round twice. The
// first time it collects what each has of its old ring, the second time it tells
// everybody. Its hop counter is i at member i the first time and n+i the second.
type commit struct {
	ring    ID
	hop     uint64
	records []record // one for each member, ascending
	last    []byte   // as sent last
}

// A record is what a member brings along.
type record struct {
	node        membership.NodeID
	incarnation uint64
	filled      bool
	old         ID  // zero: it comes from nowhere
	aru         Seq // of the old ring: held without a gap
	high        Seq // highest held
	stable      Seq // known to be held by every member of the old ring
	holes       []span
	more        bool                // there are more holes than are listed
	obliged     []membership.NodeID // see recovery.go
}

const recordBytes = 4 + 8 + 1 + 12 + 8*3 + 2

func (c *commit) nodes() []membership.NodeID {
	nodes := make([]membership.NodeID, len(c.records))
	for i := range c.records {
		nodes[i] = c.records[i].node
	}
	return nodes
}

func (c *commit) place(n membership.NodeID) int {
	return slices.IndexFunc(c.records, func(r record) bool { return r.node == n })
}

func (c *commit) complete() bool {
	return !slices.ContainsFunc(c.records, func(r record) bool { return !r.filled })
}

// Flags of a record.
const (
	recordFilled = 1 << iota
	recordMore
)

func (m *Machine) encodeCommit(c *commit) []byte {
	b := make([]byte, 0, ringBytes+9+len(c.records)*(recordBytes+16))
	b = m.appendHeader(b, kindCommit, 0)
	b = appendID(b, c.ring)
	b = wire.AppendUint64(b, c.hop)
	b = append(b, byte(len(c.records)))
	for i := range c.records {
		r := &c.records[i]
		flags := byte(0)
		if r.filled {
			flags |= recordFilled
		}
		if r.more {
			flags |= recordMore
		}
		b = wire.AppendUint32(b, uint32(r.node))
		b = wire.AppendUint64(b, r.incarnation)
		b = append(b, flags)
		b = appendID(b, r.old)
		b = wire.AppendUint64(b, uint64(r.aru))
		b = wire.AppendUint64(b, uint64(r.high))
		b = wire.AppendUint64(b, uint64(r.stable))
		b = append(b, byte(len(r.holes)))
		for _, h := range r.holes {
			b = wire.AppendUint64(b, uint64(h.first))
			b = wire.AppendUint16(b, uint16(h.last-h.first))
		}
		b = appendNodes(b, r.obliged)
	}
	return b
}

func decodeCommit(packet []byte) (commit, error) {
	r := wire.NewReader(packet[headerBytes:])
	c := commit{ring: readID(&r), hop: r.Uint64()}
	n := int(r.Uint8())
	if n < 2 || n > MaxNodes || n*recordBytes > r.Len() {
		r.Fail(wire.ErrLimit)
		return c, r.Done()
	}
	c.records = make([]record, n)
	for i := range c.records {
		readRecord(&r, &c.records[i])
		if i > 0 && c.records[i].node <= c.records[i-1].node {
			r.Fail(errOrder)
		}
	}
	if c.ring.Representative != c.records[0].node || c.ring.Counter >= maxCounter || c.hop > uint64(2*n) {
		r.Fail(errOrder)
	}
	return c, r.Done()
}

func readRecord(r *wire.Reader, rec *record) {
	rec.node = membership.NodeID(r.Uint32())
	rec.incarnation = r.Uint64()
	flags := r.Uint8()
	rec.filled, rec.more = flags&recordFilled != 0, flags&recordMore != 0
	rec.old = readID(r)
	rec.aru, rec.high, rec.stable = Seq(r.Uint64()), Seq(r.Uint64()), Seq(r.Uint64())
	if rec.high > maxSeq || rec.aru > rec.high || rec.stable > rec.aru || flags&^(recordFilled|recordMore) != 0 {
		r.Fail(errOrder)
	}
	n := int(r.Uint8())
	if n > maxHoles {
		r.Fail(wire.ErrLimit)
		return
	}
	for range n {
		first := Seq(r.Uint64())
		h := span{first, first + Seq(r.Uint16())}
		if first <= rec.aru || first > rec.high || h.last > rec.high {
			r.Fail(errOrder)
			return
		}
		rec.holes = append(rec.holes, h)
	}
	rec.obliged = readNodes(r)
}

// propose makes the commit token for a ring of nodes, of which this is the
// lowest. A ring of one needs none.
func (m *Machine) propose(now time.Duration, nodes []membership.NodeID, fx *Effects) {
	m.highest++
	if m.off(lowCounter) {
		m.highest = max(m.ring.id.Counter, m.cfg.Incarnation) + 1
	}
	c := commit{ring: ID{Representative: m.cfg.Self, Counter: m.highest}}
	for _, n := range nodes {
		i, _ := m.place(n)
		c.records = append(c.records, record{node: n, incarnation: m.peers[i].incarnation})
	}
	m.fill(&c.records[0])
	m.enterCommit(now, c)
	if len(nodes) == 1 {
		m.enterRecovery(now)
		m.install(now, fx)
		return
	}
	m.passCommit(now, fx)
}

// fill writes down what this node brings along. From here on it takes no more
// packets of its old ring.
func (m *Machine) fill(rec *record) {
	r := m.ring
	*rec = record{node: m.cfg.Self, incarnation: m.cfg.Incarnation, filled: true, old: r.id, aru: r.aru, stable: r.stable, obliged: m.obliged}
	rec.high = r.aru
	for s := r.high; s > r.aru; s-- {
		if r.holds(s) {
			rec.high = s
			break
		}
	}
	holes := r.gaps(nil, rec.high, maxHoles+1)
	if len(holes) > maxHoles {
		holes, rec.more = holes[:maxHoles], true
	}
	rec.holes = holes
}

func (m *Machine) enterCommit(now time.Duration, c commit) {
	m.leaveBehind(now)
	m.state = Commit
	m.commit = c
	m.timers[timerJoin] = never
	m.timers[timerConsensus] = never
	m.timers[timerCommit] = now + m.cfg.Timing.Commit
	m.listen(now, m.cfg.Timing.Join/2)
}

// passCommit sends the commit token to the next member.
func (m *Machine) passCommit(now time.Duration, fx *Effects) {
	m.commit.hop++
	m.commit.last = m.encodeCommit(&m.commit)
	m.resendCommit(now, fx)
}

func (m *Machine) resendCommit(now time.Duration, fx *Effects) {
	c := &m.commit
	if len(c.records) < 2 || c.last == nil {
		return
	}
	to := c.records[(c.place(m.cfg.Self)+1)%len(c.records)].node
	fx.Send = append(fx.Send, Packet{To: to, Data: c.last})
	m.timers[timerResend] = now + m.cfg.Timing.Join
}

func (m *Machine) onCommit(now time.Duration, packet []byte, h header, fx *Effects) {
	c, err := decodeCommit(packet)
	if err != nil {
		m.count.DroppedMalformed++
		return
	}
	me, n := c.place(m.cfg.Self), len(c.records)
	if me < 0 || c.records[me].incarnation != m.cfg.Incarnation && !m.off(anyLife) || c.records[(me+n-1)%n].node != h.sender {
		m.count.DroppedStale++
		return
	}
	switch first, second := uint64(me), uint64(n+me); {
	case m.state == Gather && me > 0 && c.hop == first && m.accepts(&c):
		m.highest = c.ring.Counter
		m.fill(&c.records[me])
		m.enterCommit(now, c)
		m.passCommit(now, fx)
	case m.state == Commit && c.ring == m.commit.ring && c.hop == m.awaited(me, n):
		if !c.complete() {
			m.count.DroppedMalformed++
			return
		}
		m.commit = c
		m.enterRecovery(now)
		m.passCommit(now, fx)
	case m.state == Recovery && me == 0 && c.ring == m.commit.ring && c.hop == second+uint64(n) && m.next.visits == 0:
		m.firstToken(now, fx)
	case c.ring == m.commit.ring && (m.state == Commit || m.state == Recovery && m.next.visits == 0):
		m.resendCommit(now, fx) // what we sent on may have been lost
	default:
		m.count.DroppedStale++
	}
}

// awaited is the hop at which the commit token comes back complete.
func (m *Machine) awaited(me, n int) uint64 { return uint64(n + me) }

// accepts says whether a commit token is for the ring that this node has in mind.
func (m *Machine) accepts(c *commit) bool {
	nodes := c.nodes()
	if m.off(anyCommit) {
		return true
	}
	return c.ring.Counter > m.highest && m.setOf(nodes) == m.gather.want() && len(m.nodesOf(m.gather.want())) == len(nodes)
}

// firstToken starts the new ring's token: everybody has the records.
func (m *Machine) firstToken(now time.Duration, fx *Effects) {
	m.token = token{ring: m.next.id, missing: m.token.missing[:0]}
	m.visit(now, &m.token, fx)
}
