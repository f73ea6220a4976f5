package overlay

import "time"

// lossWindow is how many of the peer's latest hellos the measured loss is over.
const lossWindow = 128

// A meter measures a lane by its hellos. It is pure and not safe for concurrent use.
type meter struct {
	rtt     time.Duration // smoothed
	jitter  time.Duration // mean deviation of it
	offset  time.Duration // the peer's wall clock less ours, at the quickest answer lately
	offRTT  time.Duration // the round trip of the answer that offset came from
	heard   time.Duration // when the last answer came
	answers uint64
	nextSeq uint32 // of our hellos
	missed  int    // hellos sent since the last answer

	peerNext uint32 // the peer's next hello, if none is lost
	window   [lossWindow]bool
	seen     int // of window, up to lossWindow
	lost     int // in window
}

// start begins with a round trip that the handshake measured.
func (m *meter) start(now, rtt time.Duration) { *m = meter{rtt: rtt, heard: now} }

// send returns the next hello.
func (m *meter) send(now time.Duration) hello {
	m.nextSeq++
	m.missed++
	return hello{Seq: m.nextSeq, Sent: now}
}

// answered takes an answer that came at now, when the wall clock showed wall.
// Answers to hellos never sent, or from the future, are ignored.
func (m *meter) answered(now time.Duration, wall int64, a answer) {
	rtt := now - a.Sent
	if a.Seq > m.nextSeq || a.Seq == 0 || rtt < 0 || a.Sent < 0 {
		return
	}
	m.heard = max(m.heard, now)
	m.missed = 0
	m.answers++
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
}

// silent says whether the peer has missed too many hellos. They are counted as well as
// timed: an event loop that was itself held up has sent none.
func (m *meter) silent(now, interval time.Duration) bool {
	// The answer may take a round trip more than the interval.
	return m.missed >= missedHellos && now-m.heard > missedHellos*interval+m.rtt+4*m.jitter+interval/2
}

// heardHello takes a hello of the peer and keeps the count of those missing.
func (m *meter) heardHello(seq uint32) {
	gap := int32(seq - m.peerNext)
	if m.peerNext == 0 {
		gap = 0
	}
	if gap < 0 { // late: it was counted as lost; the window forgets that by itself
		return
	}
	for range min(gap, lossWindow) {
		m.push(true)
	}
	m.push(false)
	m.peerNext = seq + 1
}

func (m *meter) push(lost bool) {
	copy(m.window[1:], m.window[:lossWindow-1])
	if m.seen == lossWindow {
		m.lost = 0
		for _, l := range m.window[1:] {
			if l {
				m.lost++
			}
		}
	} else {
		m.seen++
	}
	m.window[0] = lost
	if lost {
		m.lost++
	}
}

// lossPPM returns the share of the peer's hellos that were lost, per million.
func (m *meter) lossPPM() uint32 {
	if m.seen == 0 {
		return 0
	}
	return uint32(m.lost * 1_000_000 / m.seen)
}

// Rules of a link's state.
const (
	// missedHellos without an answer and a link is down.
	missedHellos = 3
	// goodHellos in a row and a link that was down may be up again.
	goodHellos = 6
	// holdMin is the hold-down after a second flap; it doubles with each further
	// one up to holdMax and is forgotten, flap by flap, every flapDecay.
	holdMin   = time.Second
	holdMax   = time.Minute
	flapDecay = time.Minute
)

// A LinkState says what a link is good for.
type LinkState uint8

// The states of a link.
const (
	LinkDown    LinkState = iota // no connection, or no answers
	LinkProving                  // answers, but went down not long ago
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
// up at once; one that went down has to prove itself, longer each time. It is pure
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

// down takes the loss of the link. Unless planned it counts as a flap.
func (g *linkGate) down(now time.Duration, planned bool) {
	if g.state == LinkDown {
		return
	}
	if !planned {
		if g.state == LinkUp {
			g.flaps++
			g.decayAt = now + flapDecay
		}
		if g.flaps > 1 {
			g.holdTo = now + min(holdMin<<min(g.flaps-2, 10), holdMax)
		}
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
