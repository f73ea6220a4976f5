package sim

import (
	"time"

	"ringway/site/ring"
)

// patience is how long a healed site may take to come to rest (P25): a ring that was
// disturbed again and again keeps nodes that it could not hear out for up to half a
// minute.
const patience = 40 * time.Second

// restEvery is how often a play looks whether its site is at rest, and restFor how
// long it has to stay so.
const (
	restEvery = 25 * time.Millisecond
	restFor   = 250 * time.Millisecond
)

// lookForRest ends the play when the site has been at rest for long enough. What is
// not right by then never will be.
func (p *play) lookForRest() {
	over := p.f.now >= p.schedule.Length
	if p.apart() != "" {
		p.f.stats.Whole, p.rest = -1, 0
	} else if p.f.stats.Whole < 0 {
		p.f.stats.Whole = p.f.now - p.quiet
	}
	if over && p.restless() != "" {
		p.rest = 0
	} else if over && p.rest == 0 {
		p.rest = p.f.now
	} else if over && p.f.now-p.rest >= restFor {
		p.f.over = true
		return
	}
	p.f.after(restEvery, p.lookForRest)
}

// eachLife asks all nodes that live, until one says something.
func (p *play) eachLife(ask func(l, first *life, live int) string) string {
	var first *life
	live := 0
	for _, at := range p.site.places {
		if at.life != nil {
			live++
		}
	}
	for _, at := range p.site.places {
		l := at.life
		if l == nil {
			continue
		}
		if first == nil {
			first = l
		}
		if why := ask(l, first, live); why != "" {
			return "node " + l.name + " " + why
		}
	}
	return ""
}

// restless says why the site is not at rest, or nothing: it is whole and has nothing
// left to do (P25, P27).
func (p *play) restless() string {
	if why := p.apart(); why != "" {
		return why
	}
	return p.eachLife(func(l, _ *life, _ int) string { return l.unfinished() })
}

// apart says why the site is not whole, or nothing: all nodes that live are in one
// ring and one view, and attached (P25).
func (p *play) apart() string { return p.eachLife((*life).apart) }

func (l *life) apart(first *life, live int) string {
	r, s := l.core.Ring.Status(), l.core.Replica.Status()
	one := first.core.Replica.Status()
	switch {
	case r.State != ring.Operational:
		return "is in state " + r.State.String()
	case len(r.Members) != live:
		return "is in a ring with too few or too many nodes"
	case !s.Ready || !s.Attached || !s.Formed || s.Frozen:
		return "does not take part: it is not ready, attached or formed, or it is frozen"
	case s.Instance != one.Instance || s.View != one.View || len(s.Members) != 1:
		return "is in another view than " + first.name
	}
	return ""
}

// unfinished says what this node still has to do.
func (l *life) unfinished() string {
	r, s := l.core.Ring.Status(), l.core.Replica.Status()
	switch {
	case r.Aru != r.Seq || r.Stable != r.Seq:
		return "lacks packets, or does not know that all have them"
	case s.Pending > 0 || s.Queued > 0 || s.Held > maxHeld || s.ImportBacklog > 0:
		return "has records or requests left"
	case s.Broken > 0:
		return "has broken invariants"
	case s.Clients > l.f.play.sessions():
		return "remembers clients that are gone"
	case l.lingering():
		return "has not closed a client that disconnected"
	case s.BadFrames > 0 || s.Faults > 0 || r.RefusedFrames+r.DroppedMalformed+r.DroppedStranger+r.DroppedLabel+r.DroppedAssemblies > 0:
		return "has seen what no honest node sends"
	case l.busy():
		return "is busy"
	}
	return ""
}

// lingering says whether the name of a client that left is not free yet.
func (l *life) lingering() bool {
	for _, c := range l.sessions {
		if c.ended {
			return true
		}
	}
	return false
}

// sessions counts the clients that are connected.
func (p *play) sessions() int {
	n := 0
	for _, at := range p.site.places {
		if at.life != nil {
			n += len(at.life.sessions)
		}
	}
	return n
}

// checkRest says what is not right at the end, as the nodes themselves see it.
func (p *play) checkRest() {
	if why := p.restless(); why != "" {
		p.f.report("P25", "%v after the last fault %s", p.f.now-p.quiet, why)
		for _, at := range p.site.places {
			if at.life != nil {
				r, s := at.life.core.Ring.Status(), at.life.core.Replica.Status()
				p.f.report("P25", "node %s: ring %v %v of %d, seq %d aru %d stable %d; view %v of %v, ready %v attached %v formed %v frozen %v, pending %d queued %d held %d clients %d bad %d faults %d broken %d; counters %+v",
					at.name, r.State, r.Ring, len(r.Members), r.Seq, r.Aru, r.Stable, s.View, s.Instance, s.Ready, s.Attached, s.Formed, s.Frozen, s.Pending, s.Queued, s.Held, s.Clients, s.BadFrames, s.Faults, s.Broken, r.Counters)
			}
		}
	}
}
