package netem

import (
	"math/rand/v2"
	"time"
)

// ethernetHeader is what a packet takes of a rate besides itself, so that a rate means
// what it means to tc netem on an Ethernet interface.
const ethernetHeader = 14

// A Fate is what becomes of a packet: it leaves never, once or twice.
type Fate struct {
	At     [2]time.Duration // when it leaves, of which Copies count
	Copies int

	// What happened to it on the way. The sum of Copies, Lost and Full is 1, or 2 if it
	// was Duplicated.
	Duplicated bool
	Lost       int // of it and its duplicate, by the loss
	Full       int // by the limit of the queue
	Jumped     int // did not wait for the delay (reorder)
}

// A Model decides the fate of the packets of one direction of a link. It is pure: time
// and chance are values that come in, and the same ones give the same fates. It is not
// safe for concurrent use.
//
//  1. Unless the profile says reorder, packets leave in the order in which they come,
//     whatever the jitter and however the profile changes.
//  2. No packet leaves before it came.
//  3. At a rate, no more than that leaves the queue, and what would wait for longer than
//     the limit is dropped at its tail.
type Model struct {
	profile Profile
	random  *rand.Rand

	jitter, loss, duplicate, reorder stream

	bad     bool          // the state of the Gilbert-Elliott link
	counter int           // packets since the last one that jumped
	busy    time.Duration // the link sends earlier packets until then
	last    time.Duration // when the last packet leaves that did not jump
}

// NewModel returns the model of a link that carries nothing yet.
func NewModel(p Profile, random *rand.Rand) *Model {
	m := &Model{random: random}
	m.Set(p)
	return m
}

// Profile returns what Set set.
func (m *Model) Profile() Profile { return m.profile }

// Set changes the profile, which must be valid. What is on its way keeps its time, and
// what comes later does not overtake it.
func (m *Model) Set(p Profile) {
	m.profile = p
	m.jitter.correlate(p.JitterCor)
	m.loss.correlate(p.LossCor)
	m.duplicate.correlate(p.DuplicateCor)
	m.reorder.correlate(p.ReorderCor)
	if p.Rate == 0 {
		m.busy = 0
	}
	if p.Burst == (GilbertElliott{}) {
		m.bad = false
	}
}

// Clear forgets what is on its way: the link was cut.
func (m *Model) Clear() { m.busy, m.last, m.counter = 0, 0, 0 }

// Admit takes a packet of so many bytes that comes at now, which never goes back.
//
// The order of things is that of tc netem: a packet is duplicated, it or its duplicate
// is lost, and what is left of them waits, each with a delay of its own.
func (m *Model) Admit(now time.Duration, size int) Fate {
	var f Fate
	here := 1
	if m.duplicate.hits(m.profile.Duplicate, m.random) {
		f.Duplicated = true
		here++
	}
	for range here {
		if m.loses() {
			f.Lost++
		}
	}
	for range here - f.Lost {
		m.enqueue(now, size, &f)
	}
	return f
}

func (m *Model) enqueue(now time.Duration, size int, f *Fate) {
	if m.full(now, size) {
		f.Full++
		return
	}
	var at time.Duration
	if m.jumps() {
		at = now
		f.Jumped++
		m.counter = 0
	} else {
		at = m.transmit(now, size) + m.delay()
		if !m.profile.Overtake {
			at = max(at, m.last)
		}
		m.last = max(m.last, at)
		m.counter++
	}
	f.At[f.Copies] = at
	f.Copies++
}

// loses draws whether a packet is lost. As in tc netem, the present state of the
// Gilbert-Elliott link decides, and its next one is drawn before.
func (m *Model) loses() bool {
	g := m.profile.Burst
	if g == (GilbertElliott{}) {
		return m.loss.hits(m.profile.Loss, m.random)
	}
	turn, lose := g.P, g.LossGood
	if m.bad {
		turn, lose = g.R, g.LossBad
	}
	if m.chance(turn) {
		m.bad = !m.bad
	}
	return m.chance(lose)
}

func (m *Model) chance(share float64) bool { return share > 0 && m.random.Uint32() <= scale(share) }

// jumps draws whether a packet does not wait. The gap counts packets that do.
func (m *Model) jumps() bool {
	p := &m.profile
	return p.Reorder > 0 && m.counter >= p.Gap-1 && m.reorder.hits(p.Reorder, m.random)
}

func (m *Model) delay() time.Duration {
	p := &m.profile
	if p.Jitter == 0 {
		return p.Delay
	}
	u := (float64(m.jitter.next(m.random)) + 0.5) / (1 << 32)
	return max(0, p.Delay+time.Duration(float64(p.Jitter)*p.JitterShape.quantile(u)))
}

// full says whether the queue of packets that wait for their turn takes no more.
func (m *Model) full(now time.Duration, size int) bool {
	rate, limit := m.profile.Rate, m.profile.Limit
	wait := m.busy - now
	if rate == 0 || wait <= 0 {
		return false
	}
	if limit.Bytes > 0 {
		waiting := float64(wait) * float64(rate) / (8 * float64(time.Second))
		return waiting+float64(size) > float64(limit.Bytes)
	}
	if limit.Time == 0 {
		return wait > defaultLimit
	}
	return wait > limit.Time
}

// transmit returns when the link has sent a packet that comes now.
func (m *Model) transmit(now time.Duration, size int) time.Duration {
	if m.profile.Rate == 0 {
		return now
	}
	bits := uint64(size+ethernetHeader) * 8
	m.busy = max(now, m.busy) + time.Duration(bits*uint64(time.Second)/m.profile.Rate)
	return m.busy
}
