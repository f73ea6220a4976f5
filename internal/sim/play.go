package sim

import (
	"math"
	"runtime/debug"
	"time"

	"ringway/internal/evs"
)

// Play makes the run that a schedule describes. The same schedule gives the same
// run, always.
func Play(s *Schedule) *Result {
	p := newPlay(s)
	p.run()
	return p.f.result()
}

// A play is the run of a schedule, and what is wrong with the federation at present.
type play struct {
	f        *federation
	schedule *Schedule
	ongoing  []*Step // faults of networks that have begun and not ended
	done     int     // steps
	started  []bool  // by node: it is part of its site
	dead     []bool  // by node: it will not come back
	slots    [][]*slot
	quiet    time.Duration // when the last fault ends
	sizes    map[bounded]evs.Size
	releases int // steps that let something out of a site
	release  []evs.Release
	rest     time.Duration // since when there has been nothing to do; 0: there is
	handled  uint64        // requests and records that all nodes together have accepted, taken in and delivered
	moved    time.Duration // when those were seen to change
}

func newPlay(s *Schedule) *play {
	f := newFederation(s)
	n := len(f.places)
	p := &play{f: f, schedule: s, started: make([]bool, n), dead: make([]bool, n), slots: make([][]*slot, n), sizes: map[bounded]evs.Size{}}
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
	p.toTheEnd()
}

// toTheEnd lets everything happen. A machine that panics ends the run.
func (p *play) toTheEnd() {
	defer func() {
		if why := recover(); why != nil {
			p.f.wrong, p.f.panicked = nil, true
			p.f.report("panic", "%v\n%s", why, debug.Stack())
		}
	}()
	p.f.agenda.run(p.schedule.Length+p.patience(), &p.f.over)
	p.f.finish()
}

// do lets a step happen.
func (p *play) do(s *Step) {
	if s.fault() {
		p.f.stats.Faults++
		p.f.stats.Covered["faults: "+string(s.Verb)]++
	}
	switch {
	case s.Verb == Start:
		p.started[s.Node], p.dead[s.Node] = true, false
		p.f.boot(p.f.places[s.Node])
	case s.weather():
		p.ongoing = append(p.ongoing, s)
		p.weather(s)
		p.f.after(s.For, func() { p.pass(s) })
	case s.fault():
		p.strikeNode(s)
	default:
		p.client(s)
	}
}

// strikeNode does what happens to one node.
func (p *play) strikeNode(s *Step) {
	life := p.f.places[s.Node].life
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
	case Jump:
		life.jump(s.By)
	}
}

func (p *play) restart(node int) {
	if p.started[node] && !p.dead[node] {
		p.f.boot(p.f.places[node])
	}
}

// pass ends a fault of a network.
func (p *play) pass(s *Step) {
	for i, o := range p.ongoing {
		if o == s {
			p.ongoing = append(p.ongoing[:i], p.ongoing[i+1:]...)
			p.weather(s)
			return
		}
	}
}

// weather puts together what the ongoing faults do, after one has begun or ended.
func (p *play) weather(changed *Step) {
	if changed.ofLAN() {
		p.localWeather(p.f.sites[p.siteOf(changed)])
	} else {
		p.f.wan.weather(p.ongoing)
	}
	if changed.Verb == Split || changed.Verb == Cut || changed.Verb == Stretch || changed.Verb == Partition || changed.Verb == OneWay {
		p.f.wan.changed()
	}
}

// siteOf is the site whose network a step is about.
func (p *play) siteOf(s *Step) int {
	if s.Verb == OneWay {
		return p.f.places[s.Node].site.index
	}
	return s.Site
}

// localWeather puts together what the ongoing faults do to a site's packets.
func (p *play) localWeather(x *site) {
	lan := x.lan
	lan.heal()
	lan.weather, lan.slower = p.schedule.LAN, 0
	for _, s := range p.ongoing {
		if !s.ofLAN() || p.siteOf(s) != x.index {
			continue
		}
		switch s.Verb {
		case Partition:
			lan.add(100, func(a, b int) bool { return side(s.Sides, a) != side(s.Sides, b) })
		case Lose:
			lan.add(s.Percent, func(int, int) bool { return true })
		case OneWay:
			lan.add(s.Percent, func(a, b int) bool { return x.places[a].number == s.Node && x.places[b].number == s.Peer })
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
	for len(p.ongoing) > 0 {
		p.pass(p.ongoing[0])
	}
	for i, at := range p.f.places {
		if l := at.life; l != nil && (l.slow > 0 || l.asleep > p.f.now) {
			l.slow = 0
			l.asleep = min(l.asleep, p.f.now)
			l.proceed()
		} else if l == nil && p.started[i] && !p.dead[i] {
			p.restart(i)
		}
	}
	p.f.wan.changed()
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
