package relay

import (
	"math/rand/v2"
	"time"
)

// A Profile says what a link does to packets, in each direction alike.
type Profile struct {
	Delay  time.Duration // one way
	Jitter time.Duration // the delay wanders between Delay-Jitter and Delay+Jitter
	Loss   float64       // share of packets that are lost, 0 to 1
	Rate   uint64        // bit/s; zero: unlimited
}

// maxWait is the longest that a packet waits for its turn at the link's rate; one that
// would wait longer is dropped. It is about the buffer of a WAN router.
const maxWait = 100 * time.Millisecond

// packetOverhead is what a datagram's UDP, IPv4 and Ethernet headers take of a rate.
const packetOverhead = 8 + 20 + 18

// Jitter is a broken line through random heights, one in each period. In the shortest
// period allowed it rises by half at most: packets cannot overtake (rule 1).
const (
	jitterPeriod = 20 * time.Millisecond
	jitterSlope  = 4 // periods are at least so many times the jitter
)

// A path decides the fate of the packets of one direction. Its caller gives it the
// time, which never goes back. It is not safe for concurrent use.
type path struct {
	profile Profile
	random  *rand.Rand

	busy time.Duration // the link transmits earlier packets until then
	last time.Duration // due time of the packet before

	begin    time.Duration // of the jitter's present period
	period   time.Duration
	from, to float64 // jitter at its begin and end, -1 to 1
}

func newPath(profile Profile, random *rand.Rand) *path {
	return &path{profile: profile, random: random}
}

// admit takes a packet of so many bytes that comes at now, and returns when it arrives
// at the other end, or that it does not.
func (p *path) admit(now time.Duration, size int) (due time.Duration, ok bool) {
	start := max(now, p.busy)
	if start-now > maxWait {
		return 0, false
	}
	if p.profile.Rate > 0 {
		bits := uint64(size+packetOverhead) * 8
		start += time.Duration(bits * uint64(time.Second) / p.profile.Rate)
		p.busy = start
	}
	// A lost packet has used the link.
	if p.profile.Loss > 0 && p.random.Float64() < p.profile.Loss {
		return 0, false
	}
	due = start + max(0, p.profile.Delay+p.jitter(start))
	p.last = max(p.last, due) // the profile may have become faster
	return p.last, true
}

// jitter returns how much longer than the delay the way takes at a time.
func (p *path) jitter(at time.Duration) time.Duration {
	jitter := p.profile.Jitter
	if jitter <= 0 {
		return 0
	}
	for at >= p.begin+p.period {
		if p.period == 0 || at-p.begin > 2*p.period { // first packet, or after a pause
			p.begin, p.to = at, p.height()
		} else {
			p.begin += p.period
		}
		p.period = max(jitterPeriod, jitterSlope*jitter)
		p.from, p.to = p.to, p.height()
	}
	share := float64(at-p.begin) / float64(p.period)
	return time.Duration(float64(jitter) * (p.from + share*(p.to-p.from)))
}

func (p *path) height() float64 { return 2*p.random.Float64() - 1 }
