package sim

import (
	"time"

	"ringway/membership"
	"ringway/site/core"
	"ringway/site/ring"
)

// A lan carries ring packets between the nodes of a site. Every ordered pair of
// nodes has its own delay and may have its own loss or be cut.
type lan struct {
	site  *site
	rand  chance
	delay [][]time.Duration
	loss  [][]float64 // percent, above that of the weather; 100 cuts the pair

	weather LAN           // what every pair goes through
	slower  time.Duration // on top of every delay
}

func newLAN(s *site, weather LAN, rand chance) *lan {
	n := len(s.places)
	l := &lan{site: s, rand: rand, delay: make([][]time.Duration, n), loss: make([][]float64, n)}
	l.weather = weather
	for i := range n {
		l.delay[i], l.loss[i] = make([]time.Duration, n), make([]float64, n)
		for j := range n {
			l.delay[i][j] = rand.between(l.weather.Delay[0], l.weather.Delay[1])
		}
	}
	return l
}

// heal takes away all loss but that of the profile.
func (l *lan) heal() {
	for i := range l.loss {
		clear(l.loss[i])
	}
}

// add puts more loss on every pair for which the function says so.
func (l *lan) add(percent float64, of func(from, to int) bool) {
	for i := range l.loss {
		for j := range l.loss[i] {
			if i != j && of(i, j) {
				l.loss[i][j] = either(l.loss[i][j], percent)
			}
		}
	}
}

// send carries a packet to one node, or to all others.
func (l *lan) send(from *place, p ring.Packet) {
	for _, to := range l.site.places {
		if p.To == to.id || p.To == membership.NodeID(0) && to != from {
			l.carry(from, to, p.Data)
		}
	}
}

// knock asks a node's host whether the node is dead. The host answers, if it is asked to, for
// the moment at which the knock arrives.
func (l *lan) knock(from *life, node membership.NodeID) {
	if !l.weather.Refuse {
		return
	}
	f := l.site.f
	to := f.nodeOf[node]
	there := l.trip(from.place, to)
	if there < 0 {
		return
	}
	f.at(f.now+there, func() {
		if back := l.trip(to, from.place); to.life == nil && back >= 0 {
			f.at(f.now+back, func() {
				from.step(func(now time.Duration, fx *core.Effects) { from.core.Refused(now, node, fx) })
			})
		}
	})
}

// trip is how long a small packet takes, or negative if it gets lost.
func (l *lan) trip(from, to *place) time.Duration {
	if loss := either(l.loss[from.index][to.index], l.weather.Loss); loss >= 100 || l.rand.percent(loss) {
		return -1
	}
	return l.delay[from.index][to.index] + l.slower
}

func (l *lan) carry(from, to *place, data []byte) {
	f := l.site.f
	f.stats.Packets++
	p := &l.weather
	loss := l.loss[from.index][to.index]
	if loss >= 100 || l.rand.percent(loss) || from != to && l.rand.percent(p.Loss) {
		return
	}
	wait := l.delay[from.index][to.index] + l.slower + l.rand.between(0, p.Jitter)
	if l.rand.percent(p.Late) {
		wait += l.rand.between(0, p.LateBy)
	}
	f.arrive(wait, to, data)
	if l.rand.percent(p.Duplicate) {
		f.arrive(wait+l.rand.between(0, p.LateBy+p.Jitter), to, data)
	}
}
