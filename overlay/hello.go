package overlay

import "time"

// lossWindow is how many of the peer's latest hellos the measured loss is over.
const lossWindow = 128

// recentHellos are those of the window that raise the measured loss by themselves,
// if fewestLost of them are missing.
const (
	recentHellos = 24
	fewestLost   = 3
)

// A meter measures a lane by its hellos. It is pure and not safe for concurrent use.
type meter struct {
	rtt    time.Duration // smoothed
	jitter time.Duration // mean deviation of it
	offset time.Duration // the peer's wall clock less ours, at the quickest answer lately
	offRTT time.Duration // the round trip of the answer that offset came from
	heard  time.Duration // when the last hello or answer came

	quickest [2]time.Duration // round trip of the present quickWindow and of the one before; 0: none
	quickAt  time.Duration    // when the present one began
	sent     time.Duration    // when our last hello went out
	missed   int              // hellos sent since anything came

	answered   time.Duration // when the last answer came
	unanswered int           // hellos sent since the last answer
	answers    uint64
	nextSeq    uint32 // of our hellos

	peerNext uint32 // the peer's next hello, if none is lost
	window   [lossWindow]hearing
	seen     int // of window, up to lossWindow
}

// A hearing says what became of one of the peer's hellos.
type hearing uint8

const (
	heard   hearing = iota
	missing         // lost by the line
	crowded         // lost while a queue was full
)

// quickWindow is for how long the quickest round trip counts: a way that gets longer is
// believed after one to two windows. Queues that traffic fills are empty for a moment
// now and then, by QUIC's congestion control.
const quickWindow = 10 * time.Second

// start begins with a round trip that the handshake measured.
func (m *meter) start(now, rtt time.Duration) { *m = meter{rtt: rtt, heard: now, answered: now} }

// way returns the round trip without what queues add: what routes are chosen by. If they
// followed queues, they would leave each way as soon as their own traffic fills it.
func (m *meter) way() time.Duration {
	switch a, b := m.quickest[0], m.quickest[1]; {
	case a == 0:
		return m.rtt
	case b == 0:
		return a
	default:
		return min(a, b)
	}
}

// quick notes a round trip.
func (m *meter) quick(now, rtt time.Duration) {
	rtt = max(rtt, 1)
	switch {
	case m.quickest[0] == 0 || now >= m.quickAt+2*quickWindow: // the one before is too old
		m.quickest, m.quickAt = [2]time.Duration{rtt}, now
	case now >= m.quickAt+quickWindow:
		m.quickest, m.quickAt = [2]time.Duration{rtt, m.quickest[0]}, m.quickAt+quickWindow
	default:
		m.quickest[0] = min(m.quickest[0], rtt)
	}
}

// send returns the next hello.
func (m *meter) send(now time.Duration) hello {
	m.nextSeq++
	m.missed++
	m.unanswered++
	m.sent = now
	return hello{Seq: m.nextSeq, Sent: now}
}

// takeAnswer takes an answer that came at now, when the wall clock showed wall.
// Answers to hellos never sent, or from the future, are ignored: then it returns false.
func (m *meter) takeAnswer(now time.Duration, wall int64, a answer) bool {
	rtt := now - a.Sent
	if a.Seq > m.nextSeq || a.Seq == 0 || rtt < 0 || a.Sent < 0 {
		return false
	}
	m.heard, m.answered = max(m.heard, now), max(m.answered, now)
	m.missed, m.unanswered = 0, 0
	m.answers++
	m.quick(now, rtt)
	if m.rtt == 0 {
		m.rtt = rtt
	}
	m.jitter += ((rtt - m.rtt).Abs() - m.jitter) / 16
	m.rtt += (rtt - m.rtt) / 8
	// The quickest answer bounds the offset best; the bound grows old by 1 % each time.
	if m.offRTT += m.offRTT / 100; m.offRTT == 0 || rtt <= m.offRTT {
		m.offRTT = rtt
		m.offset = time.Duration(a.Wall - (wall - int64(rtt/2)))
	}
	return true
}

// nextHello returns when the next hello is due. A peer of whom nothing has come for
// longer than its hellos are apart, or that does not answer, is asked more often, so
// that it is judged by many packets and not by the loss of a few.
func (m *meter) nextHello(interval time.Duration) time.Duration {
	asking := min(m.heard, m.answered+m.rtt) + interval*5/4 + m.slack(interval)
	if m.sent+interval <= asking {
		return m.sent + interval
	}
	return max(m.sent+interval/probesPerHello, asking)
}

// slack is how much later than expected a packet may come.
func (m *meter) slack(interval time.Duration) time.Duration { return min(4*m.jitter, interval) }

// silentAt returns when the peer has been silent for too long to be relied on, if
// nothing comes before: the third hello of its own would be overdue soon, and none of
// the hellos with which it was asked was answered. Or it speaks, and does not hear.
func (m *meter) silentAt(interval time.Duration) time.Duration {
	slack := m.slack(interval)
	return min(m.heard+interval*silentQuarters/4+slack, m.answered+deafHellos*interval+m.rtt+slack)
}

// silent says whether the peer has been silent for too long to be relied on. Hellos are
// counted as well as timed: an event loop that was itself held up has sent none.
func (m *meter) silent(now, interval time.Duration) bool {
	slack := m.slack(interval)
	mute := m.missed >= missedHellos && now >= m.heard+interval*silentQuarters/4+slack
	deaf := m.unanswered >= deafHellos*probesPerHello/2 && now >= m.answered+deafHellos*interval+m.rtt+slack
	return mute || deaf
}

// gone says whether the peer has been silent for so long that its connection is given
// up.
func (m *meter) gone(now, interval time.Duration) bool {
	last := min(m.heard, m.answered+m.rtt)
	return m.unanswered >= goneHellos && m.silent(now, interval) && now >= last+goneHellos*interval+m.slack(interval)
}

// heardHello takes a hello of the peer and keeps the count of those missing.
func (m *meter) heardHello(now time.Duration, seq uint32) {
	m.heard, m.missed = max(m.heard, now), 0
	gap := int32(seq - m.peerNext)
	if m.peerNext == 0 {
		gap = 0
	}
	if gap < 0 { // late: it was counted as lost; the window forgets that by itself
		return
	}
	for range min(gap, lossWindow) {
		if m.queued() && m.count(crowded, recentHellos) < fewestLost {
			m.push(crowded)
		} else {
			m.push(missing)
		}
	}
	m.push(heard)
	m.peerNext = seq + 1
}

// queued says whether packets wait for each other on the way, there or back: round trips
// take longer than the way does.
func (m *meter) queued() bool { return m.rtt > m.way()*9/8+2*time.Millisecond }

// crammed says whether they wait for so long that the link must be full.
func (m *meter) crammed() bool { return m.rtt > m.crammedRTT() }

func (m *meter) crammedRTT() time.Duration { return m.way()*5/4 + queueLeast }

func (m *meter) push(h hearing) {
	copy(m.window[1:], m.window[:lossWindow-1])
	m.window[0] = h
	m.seen = min(m.seen+1, lossWindow)
}

// count returns how many of the latest n hellos became that.
func (m *meter) count(h hearing, n int) (count int) {
	for _, w := range m.window[:min(m.seen, n)] {
		if w == h {
			count++
		}
	}
	return count
}

// lossPPM returns the share of the peer's hellos that were lost, per million.
func (m *meter) lossPPM() uint32 {
	return m.ppm(m.count(missing, lossWindow)+m.count(crowded, lossWindow), lossWindow)
}

// lineLossPPM returns the share of the peer's hellos that the line lost, per million: of
// the latest few or of the whole window, whichever is worse. So it rises soon, though not
// by one packet, and falls slowly. Those that a full queue dropped do not count, up to a
// tenth: what fills it is traffic, which would follow if routes moved because of them.
func (m *meter) lineLossPPM() uint32 {
	share := m.ppm(m.count(missing, lossWindow), lossWindow)
	if recent := m.count(missing, recentHellos); recent >= fewestLost {
		share = max(share, m.ppm(recent, recentHellos))
	}
	return share
}

// ppm returns a share of the latest n hellos, or of those that there were.
func (m *meter) ppm(count, n int) uint32 {
	if m.seen == 0 {
		return 0
	}
	return uint32(count * 1_000_000 / min(m.seen, n))
}

// Rules of a link's state.
const (
	// missedHellos without an answer and a link is doubted: what has another way takes it.
	missedHellos = 3
	// goneHellos' time without an answer and a link is down: long enough for a process
	// that was not scheduled, or a queue that was full, to make itself heard again on the
	// same connection.
	goneHellos = 6
	// silentQuarters is after how many quarters of the time between hellos a peer of whom
	// nothing comes is doubted: early enough that traffic flows again within three hellos
	// and a round trip.
	silentQuarters = 9
	// deafHellos is for how many hellos' time a peer that speaks may leave all of them
	// unanswered.
	deafHellos = 4
	// probesPerHello is how many hellos go out in place of one when the peer is silent:
	// where every fifth packet is lost, a link is doubted once in a few minutes.
	probesPerHello = 8
	// goodHellos in a row and a link that was down may be up again.
	goodHellos = 6
	// holdMin is the hold-down after a flap; it doubles with each further one up to
	// holdMax and is forgotten, flap by flap, every flapDecay. It is longer than the
	// period of a link that flaps once a second.
	holdMin   = 2 * time.Second
	holdMax   = time.Minute
	flapDecay = time.Minute
)

// A LinkState says what a link is good for.
type LinkState uint8

// The states of a link.
const (
	LinkDown    LinkState = iota // no connection, or no answers
	LinkProving                  // went down not long ago: carries what has no other way
	LinkUp                       // carries traffic
)

func (s LinkState) String() string {
	switch s {
	case LinkUp:
		return "up"
	case LinkProving:
		return "proving"
	}
	return "down"
}

// A linkGate decides when a link is up. A link that connects for the first time is
// up at once; one that went down has to prove itself, longer each time, and is meanwhile
// advertised as so dear (routing.Doubt) that only what has no other way takes it. It is pure
// and not safe for concurrent use.
type linkGate struct {
	state   LinkState
	flaps   int
	decayAt time.Duration // when the next flap is forgotten
	holdTo  time.Duration
	since   time.Duration // of state
	base    uint64        // the meter's answers when proving began
}

// connected takes a new first lane, whose meter has counted that many answers.
func (g *linkGate) connected(now time.Duration, answers uint64) {
	g.base = answers
	if g.flaps == 0 {
		g.set(LinkUp, now)
	} else {
		g.set(LinkProving, now)
	}
}

// doubt takes a silence: the link carries only what has no other way until it has
// proved itself again.
func (g *linkGate) doubt(now time.Duration, answers uint64) {
	if g.state == LinkUp {
		g.flap(now)
		g.set(LinkProving, now)
	}
	g.base = answers
}

// flap counts a flap and sets the hold-down.
func (g *linkGate) flap(now time.Duration) {
	g.flaps++
	g.decayAt = now + flapDecay
	g.holdTo = now + min(holdMin<<min(g.flaps-1, 10), holdMax)
}

// down takes the loss of the link. Unless planned it counts as a flap.
func (g *linkGate) down(now time.Duration, planned bool) {
	if g.state == LinkDown {
		return
	}
	if !planned && g.state == LinkUp {
		g.flap(now)
	} else if !planned && g.flaps > 0 {
		g.holdTo = now + min(holdMin<<min(g.flaps-1, 10), holdMax)
	}
	g.set(LinkDown, now)
}

// check moves the link up when it has proved itself and forgets old flaps.
func (g *linkGate) check(now time.Duration, answers uint64) {
	if g.state == LinkProving && now >= g.holdTo && answers-g.base >= goodHellos {
		g.set(LinkUp, now)
		g.decayAt = now + flapDecay
	}
	if g.flaps > 0 && g.state == LinkUp && now >= g.decayAt {
		g.flaps--
		g.decayAt = now + flapDecay
	}
}

func (g *linkGate) set(s LinkState, now time.Duration) {
	if g.state != s {
		g.state, g.since = s, now
	}
}
