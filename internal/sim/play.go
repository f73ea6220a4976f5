package sim

import (
	"math"
	"time"

	"ringway/internal/evs"
)

// Play makes the run that a schedule describes. The same schedule gives the same
// run, always.
func Play(s *Schedule) *Result {
	p := newPlay(s)
	p.run()
	r := p.f.result()
	r.Schedule = s
	return r
}

// A play is the run of a schedule: one site, and what is wrong with it at present.
type play struct {
	f        *federation
	schedule *Schedule
	site     *site
	ongoing  []*Step // faults of the network that have begun and not ended
	done     int     // steps
	started  []bool  // by node: it is part of the site
	dead     []bool  // by node: it will not come back
	slots    [][]*slot
	quiet    time.Duration // when the last fault ends
	sizes    map[bounded]evs.Size
	rest     time.Duration // since when there has been nothing to do; 0: there is
}

func newPlay(s *Schedule) *play {
	f := newFederation(s.Seed, Profile{Name: s.Profile, Sites: [2]int{1, 1}, Nodes: [2]int{s.Nodes, s.Nodes}, Gateways: s.Gateways, Shape: &Shape{}, LAN: s.LAN, WAN: quietWAN})
	p := &play{f: f, schedule: s, site: f.sites[0], started: make([]bool, s.Nodes), dead: make([]bool, s.Nodes), slots: make([][]*slot, s.Nodes), sizes: map[bounded]evs.Size{}}
	f.play = p
	f.talking = true
	p.quiet = s.lastFault()
	p.next()
	return p
}

// next puts down the next step that is to be done.
func (p *play) next() {
	if p.done == len(p.schedule.Steps) {
		return
	}
	step := &p.schedule.Steps[p.done]
	p.done++
	p.f.at(step.At, func() {
		p.do(step)
		p.next()
	})
}

// run plays the schedule, then waits until the site has come to rest.
func (p *play) run() {
	p.f.stats.Whole = -1
	p.f.at(p.quiet, p.lookForRest)
	p.f.at(measureEvery, p.measure)
	p.f.at(p.schedule.Length, p.endAll)
	p.f.agenda.run(p.schedule.Length+patience, &p.f.over)
	p.f.finish()
}

// do lets a step happen.
func (p *play) do(s *Step) {
	if s.fault() {
		p.f.stats.Faults++
	}
	switch s.Verb {
	case Start:
		p.started[s.Node], p.dead[s.Node] = true, false
		p.f.boot(p.site.places[s.Node])
	case Crash, Die, Pause, Slow:
		p.strikeNode(s)
	case Partition, Lose, OneWay, Late, Double, Delay:
		p.ongoing = append(p.ongoing, s)
		p.weather()
		p.f.after(s.For, func() { p.pass(s) })
	default:
		p.client(s)
	}
}

// strikeNode does what happens to one node.
func (p *play) strikeNode(s *Step) {
	at := p.site.places[s.Node]
	life := at.life
	if life == nil {
		return
	}
	switch s.Verb {
	case Crash:
		life.crash()
		p.f.after(s.For, func() { p.restart(s.Node) })
	case Die:
		life.crash()
		p.dead[s.Node] = true
	case Pause:
		life.sleep(p.f.now + s.For)
	case Slow:
		life.slow = s.By
		p.f.after(s.For, func() { life.slow = 0 })
	}
}

func (p *play) restart(node int) {
	if p.started[node] && !p.dead[node] {
		p.f.boot(p.site.places[node])
	}
}

// pass ends a fault of the network.
func (p *play) pass(s *Step) {
	for i, o := range p.ongoing {
		if o == s {
			p.ongoing = append(p.ongoing[:i], p.ongoing[i+1:]...)
			p.weather()
			return
		}
	}
}

// weather puts together what the ongoing faults do to packets.
func (p *play) weather() {
	lan := p.site.lan
	lan.heal()
	lan.weather, lan.slower = p.schedule.LAN, 0
	for _, s := range p.ongoing {
		switch s.Verb {
		case Partition:
			lan.add(100, func(a, b int) bool { return side(s.Sides, a) != side(s.Sides, b) })
		case Lose:
			lan.add(s.Percent, func(int, int) bool { return true })
		case OneWay:
			lan.add(s.Percent, func(a, b int) bool { return a == s.Node && b == s.Peer })
		case Late:
			lan.weather.Late = either(lan.weather.Late, s.Percent)
			lan.weather.LateBy = max(lan.weather.LateBy, s.By)
		case Double:
			lan.weather.Duplicate = either(lan.weather.Duplicate, s.Percent)
		case Delay:
			lan.slower += s.By
		}
	}
}

// side returns the letter of a node; nodes without one are on the side of the first.
func side(sides string, node int) byte {
	switch {
	case node < len(sides):
		return sides[node]
	case len(sides) > 0:
		return sides[0]
	}
	return 0
}

// either is the chance, in percent, that one of two things happens.
func either(p, q float64) float64 { return math.Min(100, p+q-p*q/100) }

// endAll ends all trouble: the schedule is over.
func (p *play) endAll() {
	p.f.talking = false
	if len(p.ongoing) > 0 {
		p.ongoing = nil
		p.weather()
	}
	for i, at := range p.site.places {
		if l := at.life; l != nil && (l.slow > 0 || l.asleep > p.f.now) {
			l.slow = 0
			l.asleep = min(l.asleep, p.f.now)
			l.proceed()
		} else if l == nil && p.started[i] && !p.dead[i] {
			p.restart(i)
		}
	}
}

// lastFault is when all faults have ended and all nodes have started.
func (s *Schedule) lastFault() time.Duration {
	var last time.Duration
	for i := range s.Steps {
		if step := &s.Steps[i]; step.fault() || step.Verb == Start {
			last = max(last, min(step.end(), s.Length))
		}
	}
	return last
}
