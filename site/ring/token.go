package ring

import (
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// A token goes round the members in ascending order. Only its holder assigns
// numbers.
type token struct {
	ring    ID
	hop     uint64            // grows by one with every forwarding: tells new from old
	seq     Seq               // highest assigned
	aru     Seq               // every member holds everything up to here, as far as reported
	owner   membership.NodeID // who lowered aru; zero: nobody is behind
	fcc     uint32            // packets sent by all in the last rotation
	backlog uint32            // packets queued by all
	pending uint32            // recovery: old packets still to be sent again by all
	open    uint64            // bytes of all frames being cut
	retry   uint8             // how often its sender has sent this very token
	missing []span            // asked for
}

const tokenBytes = ringBytes + 8*3 + 4*4 + 8 + 2

func (m *Machine) encodeToken(t *token) []byte {
	b := m.arena.take(tokenBytes + 10*MaxRanges)
	b = m.appendHeader(b, kindToken, 0)
	b = appendID(b, t.ring)
	b = wire.AppendUint64(b, t.hop)
	b = wire.AppendUint64(b, uint64(t.seq))
	b = wire.AppendUint64(b, uint64(t.aru))
	b = wire.AppendUint32(b, uint32(t.owner))
	b = wire.AppendUint32(b, t.fcc)
	b = wire.AppendUint32(b, t.backlog)
	b = wire.AppendUint32(b, t.pending)
	b = wire.AppendUint64(b, t.open)
	b = append(b, t.retry, byte(len(t.missing)))
	for _, g := range t.missing {
		b = wire.AppendUint64(b, uint64(g.first))
		b = wire.AppendUint16(b, uint16(g.last-g.first))
	}
	return m.arena.keep(b)
}

// retryAt is where the retransmit count stands in an encoded token.
const retryAt = tokenBytes - 2

// decodeToken reads a packet of kindToken into t, whose memory it uses again.
func decodeToken(packet []byte, t *token) error {
	r := wire.NewReader(packet[headerBytes:])
	missing := t.missing[:0]
	*t = token{
		ring: readID(&r), hop: r.Uint64(), seq: Seq(r.Uint64()), aru: Seq(r.Uint64()),
		owner: membership.NodeID(r.Uint32()), fcc: r.Uint32(), backlog: r.Uint32(), pending: r.Uint32(),
		open: r.Uint64(), retry: r.Uint8(),
	}
	n := int(r.Uint8())
	if n > MaxRanges {
		r.Fail(wire.ErrLimit)
		n = 0
	}
	if t.aru > t.seq || t.seq > maxSeq {
		r.Fail(errOrder)
	}
	below := Seq(0)
	for range n {
		first := Seq(r.Uint64())
		g := span{first, first + Seq(r.Uint16())}
		if first <= below || first > t.seq || g.last > t.seq {
			r.Fail(errOrder)
			break
		}
		missing, below = append(missing, g), g.last
	}
	t.missing = missing
	return r.Done()
}

// onToken takes in a token of the ring in force or of the one being recovered.
func (m *Machine) onToken(now time.Duration, packet []byte, h header, fx *Effects) {
	t := &m.token
	if m.holding { // the held token is still to be sent on
		t = &m.late
	}
	if len(packet) < tokenBytes || decodeToken(packet, t) != nil {
		m.count.DroppedMalformed++
		return
	}
	r := m.current()
	if r == nil || t.ring != r.id || r.alone() {
		m.stale(now, h.sender, t.ring, fx)
		return
	}
	if h.sender != r.predecessor() || t.seq < r.high || t.seq > r.base+windowSlots || t.aru < r.stable {
		m.count.DroppedStale++
		return
	}
	m.heard(now, r, h.sender)
	if t.hop != r.hop {
		// Ours of the last rotation again: what we sent on may have been lost.
		if t.hop == r.hop-uint64(len(r.members)) && t.retry > r.retrySeen && !m.holding {
			r.retrySeen = t.retry
			if now-r.resentAt >= m.cfg.Timing.Retransmit/4 { // or it is on its way already
				m.resendToken(now, r, fx)
			}
		}
		return
	}
	if m.holding {
		return
	}
	if m.state == Operational && m.mayRest(t) {
		m.hold(now)
		return
	}
	m.visit(now, t, fx)
}

// mayRest says whether the representative may keep the token for a while: all is
// stable, everybody knows it (this node's line is from the two rotations before),
// and nobody has work.
func (m *Machine) mayRest(t *token) bool {
	r := m.ring
	return r.me == 0 && !r.wanted && r.restless == 0 && t.aru == t.seq && r.stable == t.seq &&
		t.backlog == 0 && t.pending == 0 && len(t.missing) == 0 && !m.hasWork()
}

func (m *Machine) hold(now time.Duration) {
	m.holding = true
	m.prefer = false
	m.count.Holds++
	m.timers[timerHold] = now + m.cfg.Timing.Hold
	m.timers[timerLoss] = never
	m.timers[timerResend] = never
	m.waitsFrom, m.timers[timerKnock] = now, never
}

// release sends a held token on its way.
func (m *Machine) release(now time.Duration, fx *Effects) {
	m.holding = false
	m.timers[timerHold] = never
	m.visit(now, &m.token, fx)
}

// visit does what a node does with the token in its hands, in RING.md's order.
func (m *Machine) visit(now time.Duration, t *token, fx *Effects) {
	r := m.current()
	hop := r.hop
	r.hop += uint64(len(r.members))
	r.visits++
	if m.state == Recovery && r.visits == 1 { // from here on its token is watched
		m.timers[timerCommit] = now + recoveryPatience*m.cfg.Timing.TokenLoss
		if m.off(closeEarly) {
			m.closeOld(m.ring, m.newView(), fx)
		}
	}
	r.retrySeen, r.wanted, m.prefer = 0, false, false
	r.restless = max(r.restless-1, 0)
	m.count.Rotations++

	installed := m.state == Recovery && m.recoveryDone(now, fx)
	m.watchProgress(now, r, t)

	resent := m.answer(r, t, fx)
	m.batch = m.batch[:0]
	switch {
	case m.state == Recovery:
		m.rewrap(r, t, hop)
	case !installed: // the layer above first wants to know that the ring is new
		m.compose(now, r, t, hop, resent, fx)
	}
	after := 0
	if m.state == Operational && len(m.batch) > promptPackets {
		after = min(m.cfg.Windows.Accelerated, len(m.batch))
	}
	before := len(m.batch) - after
	for _, p := range m.batch[:before] {
		fx.Send = append(fx.Send, Packet{Data: p})
	}
	m.account(r, t, uint32(resent+len(m.batch)))

	t.missing = m.ask(r, t)
	m.lowerAru(r, t)
	m.pass(now, r, t, fx)
	for _, p := range m.batch[before:] {
		p[3] |= flagAfterToken
		fx.Send = append(fx.Send, Packet{Data: p})
	}
	clear(m.batch)

	line := min(t.aru, r.sentAru)
	if m.off(stableTooSoon) {
		line = t.aru
	}
	r.sentAru, r.sentSeq = t.aru, t.seq
	if line > r.stable {
		r.stable = line
		r.moved = true
	}
	if m.state == Recovery {
		m.recoveryProgress(t)
	}
	m.advance(fx)
	if m.culprit != 0 {
		m.expel(now, fx)
	}
	m.tryLeave(fx)
}

// answer sends again what others ask for and this node holds, and takes it off
// the list. It returns the number of packets.
func (m *Machine) answer(r *ring, t *token, fx *Effects) int {
	if len(t.missing) == 0 {
		return 0
	}
	sent := 0
	rest := m.spans[:0]
	for _, g := range t.missing {
		for s := max(g.first, r.stable+1); s <= g.last; s++ {
			if r.holds(s) && sent < m.cfg.Windows.Personal {
				fx.Send = append(fx.Send, Packet{Data: r.at(s).packet})
				sent++
				continue
			}
			rest = addSeq(rest, s)
		}
	}
	t.missing, m.spans = append(t.missing[:0], rest[:min(len(rest), MaxRanges)]...), rest
	m.count.Retransmitted += uint64(sent)
	return sent
}

// addSeq appends s to spans that end below it.
func addSeq(spans []span, s Seq) []span {
	if n := len(spans); n > 0 && spans[n-1].last+1 == s && s-spans[n-1].first < 1<<16 {
		spans[n-1].last = s
		return spans
	}
	return append(spans, span{s, s})
}

// ask adds this node's gaps, but only up to the number on the token it sent last:
// what lies between may not have been sent yet.
func (m *Machine) ask(r *ring, t *token) []span {
	limit := min(r.sentSeq, r.base+windowSlots)
	if r.aru >= limit {
		return t.missing
	}
	m.spans = r.gaps(m.spans[:0], limit, MaxRanges)
	for _, g := range m.spans {
		m.count.Requested += uint64(g.last - g.first + 1)
	}
	return mergeSpans(t.missing, m.spans)
}

// mergeSpans returns the union of two sorted lists in dst's memory, lowest first,
// cut off at MaxRanges.
func mergeSpans(dst, more []span) []span {
	if len(dst) == 0 {
		return append(dst, more[:min(len(more), MaxRanges)]...)
	}
	merged := make([]span, 0, len(dst)+len(more))
	for a, b := dst, more; len(a)+len(b) > 0; {
		var g span
		if len(b) == 0 || len(a) > 0 && a[0].first <= b[0].first {
			g, a = a[0], a[1:]
		} else {
			g, b = b[0], b[1:]
		}
		if n := len(merged); n > 0 && g.first <= merged[n-1].last+1 && max(g.last, merged[n-1].last)-merged[n-1].first < 1<<16 {
			merged[n-1].last = max(merged[n-1].last, g.last)
			continue
		}
		merged = append(merged, g)
	}
	return append(dst[:0], merged[:min(len(merged), MaxRanges)]...)
}

// allowance is how many new packets this node may send now.
func (m *Machine) allowance(r *ring, t *token) int {
	w := m.cfg.Windows
	room := w.Global + w.Personal - int(min(t.fcc, 1<<20))
	allow := min(max(room, 0), w.Personal, w.Global)
	mine := m.backlog()
	if total := int(t.backlog-min(t.backlog, r.mine.backlog)) + int(mine); total > w.Global {
		allow = min(allow, max(1, w.Global*int(mine)/total))
	}
	return min(allow, max(0, int(r.stable+MaxOutstanding)-int(t.seq)))
}

// compose takes frames from the Source, packs them, and numbers the packets.
func (m *Machine) compose(now time.Duration, r *ring, t *token, hop uint64, resent int, fx *Effects) {
	allow := m.allowance(r, t) - resent
	m.out.open = t.open
	for len(m.batch) < allow {
		packet, flags, ok := m.pack(now)
		if !ok {
			break
		}
		t.seq++
		m.stamp(packet, flags, r.id, t.seq, hop)
		m.keepOwn(r, t.seq, slot{packet: packet, sender: m.cfg.Self, body: dataBytes, flags: flags})
		if m.out.arrivals {
			m.arrive(r, t.seq, r.at(t.seq), fx)
		}
	}
	t.open = m.out.open
}

// keepOwn puts a packet of this node into its own window and into the batch.
func (m *Machine) keepOwn(r *ring, s Seq, p slot) {
	r.insert(s, p)
	r.ownSeq = s
	m.count.PacketsSent++
	m.batch = append(m.batch, p.packet)
}

// account replaces what this node added to the token's sums in the last rotation.
func (m *Machine) account(r *ring, t *token, sent uint32) {
	replace := func(sum *uint32, mine *uint32, now uint32) {
		*sum = *sum - min(*sum, *mine) + now
		*mine = now
	}
	replace(&t.fcc, &r.mine.fcc, sent)
	backlog, pending := m.backlog(), uint32(0)
	if m.state == Recovery {
		backlog, pending = 0, uint32(len(m.rec.queue))
	}
	replace(&t.backlog, &r.mine.backlog, backlog)
	replace(&t.pending, &r.mine.pending, pending)
}

// lowerAru applies Totem's rule: lower it to ours, raise it if we had lowered it
// or nobody is behind.
func (m *Machine) lowerAru(r *ring, t *token) {
	r.high = max(r.high, t.seq)
	if r.aru >= t.aru && t.owner != m.cfg.Self && t.owner != 0 {
		return
	}
	t.aru, t.owner = r.aru, m.cfg.Self
	if t.aru == t.seq {
		t.owner = 0
	}
}

// pass sends the token to the successor.
func (m *Machine) pass(now time.Duration, r *ring, t *token, fx *Effects) {
	t.hop++
	t.retry = 0
	r.quiet = t.aru == t.seq && t.backlog == 0 && len(t.missing) == 0
	r.woke = false
	r.sentToken = m.encodeToken(t)
	m.sendNext(now, r, r.sentToken, fx)
	m.timers[timerResend] = now + m.cfg.Timing.Retransmit
	m.timers[timerLoss] = now + m.cfg.Timing.TokenLoss
	m.listen(now, m.cfg.Timing.Knock)
}

// resendToken sends the last token again, as a copy because the first may still
// be on its way out.
func (m *Machine) resendToken(now time.Duration, r *ring, fx *Effects) {
	if len(r.sentToken) == 0 {
		return
	}
	b := append(m.arena.take(len(r.sentToken)), r.sentToken...)
	b = m.arena.keep(b)
	if b[retryAt] < 255 {
		b[retryAt]++
	}
	r.sentToken, r.resentAt = b, now
	m.count.TokensResent++
	m.sendNext(now, r, b, fx)
}

func (m *Machine) sendNext(now time.Duration, r *ring, packet []byte, fx *Effects) {
	r.saidAt = now
	fx.Send = append(fx.Send, Packet{To: r.successor(), Data: packet})
}

// watchProgress notices a receiver that keeps the aru from moving although it
// has been given every chance: it is asked to leave, so that the rest go on.
func (m *Machine) watchProgress(now time.Duration, r *ring, t *token) {
	if t.aru == t.seq || t.aru != r.stuckAru || t.owner == 0 || m.off(noExpel) {
		r.stuckAru, r.stuckVisits, r.stuckSince = t.aru, 0, now
		return
	}
	r.stuckVisits++
	if r.stuckVisits >= stuckVisits && now-r.stuckSince >= m.cfg.Timing.TokenLoss && t.owner != m.cfg.Self {
		m.culprit = t.owner
	}
}
