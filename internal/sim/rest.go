package sim

import (
	"fmt"
	"time"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

// patience is how long a healed site may take to come to rest (P25): a ring that was
// disturbed again and again keeps nodes that it could not hear out for up to half a
// minute. A federation may take longer: a site that left again and again has to stay
// away for up to five minutes.
func (p *play) patience() time.Duration {
	if len(p.f.sites) > 1 {
		return 40*time.Second + 5*time.Minute
	}
	return 40 * time.Second
}

// restEvery is how often a play looks whether its site is at rest, and restFor how
// long it has to stay so.
const (
	restEvery = 25 * time.Millisecond
	restFor   = 250 * time.Millisecond
)

// restWays is how often the longest way can be gone while no destination knows of a record:
// it asks for the log of a new view, and the record comes.
const restWays = 4

// underWay is for how long after the last request or record something may be on its way
// that no node at its end knows of.
func (w *wan) underWay() (long time.Duration) {
	for i := range w.gates {
		for j := range w.gates {
			if d := w.real.dist[i][j]; d < noPath {
				long = max(long, restWays*d)
			}
		}
	}
	return long
}

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
	} else if over && p.f.now-p.rest >= restFor && p.f.now-p.moved >= p.f.wan.underWay() {
		p.f.over = true
		return
	}
	done := uint64(0)
	for _, at := range p.f.places {
		if at.life != nil {
			r, s := at.life.core.Ring.Status(), at.life.core.Replica.Status()
			at.life.mark = mark{r.Ring, r.Seq}
			done += s.Accepted + s.Imported + s.Delivered
		}
	}
	if done != p.handled {
		p.handled, p.moved = done, p.f.now
	}
	p.f.after(restEvery, p.lookForRest)
}

// A mark is how far a node's ring had got when the play last looked.
type mark struct {
	ring ring.ID
	seq  ring.Seq
}

// inHand says whether the node has, and knows that its whole ring has, what there was to
// have when the play last looked. Rings of a federation are never silent, they have Ticks;
// so that all are at one moment, for long enough, would be a matter of luck.
func (l *life) inHand(r *ring.Status) bool {
	if r.Aru == r.Seq && r.Stable == r.Seq {
		return true
	}
	return len(l.f.sites) > 1 && r.Ring == l.mark.ring && r.Stable >= l.mark.seq
}

// eachLife asks all nodes that live, until one says something.
func (p *play) eachLife(ask func(*life) string) string {
	for _, at := range p.f.places {
		if at.life == nil {
			continue
		}
		if why := ask(at.life); why != "" {
			return "node " + at.name + " " + why
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
	return p.eachLife((*life).unfinished)
}

// apart says why the federation is not whole, or nothing: all nodes that live are in one
// ring of their site, attached, and in one view of all sites that can reach each other
// (P25).
func (p *play) apart() string {
	views := map[int]*merge.Status{} // by component
	parts := map[int]map[int]bool{}  // their sites
	instances := map[int]membership.InstanceID{}
	for _, at := range p.f.places {
		if at.life != nil {
			c := p.f.component(at.site)
			if parts[c] == nil {
				parts[c] = map[int]bool{}
			}
			parts[c][at.site.index] = true
		}
	}
	return p.eachLife(func(l *life) string {
		r, s := l.core.Ring.Status(), l.core.Replica.Status()
		c := p.f.component(l.site)
		if views[c] == nil {
			views[c] = &s
		}
		if instances[l.site.index] == 0 {
			instances[l.site.index] = s.Instance
		}
		switch {
		case r.State != ring.Operational:
			return "is in state " + r.State.String()
		case len(r.Members) != l.site.living():
			return "is in a ring with too few or too many nodes"
		case !s.Ready || !s.Attached || !s.Formed || s.Frozen:
			return "does not take part: it is not ready, attached or formed, or it is frozen"
		case s.Instance != instances[l.site.index]:
			return "is in another instance than the rest of its site"
		case s.View != views[c].View || len(s.Members) != len(parts[c]):
			return fmt.Sprintf("is in view %v of %d instances, others in view %v; there are %d sites", s.View, len(s.Members), views[c].View, len(parts[c]))
		}
		return ""
	})
}

// living counts the nodes of a site that live.
func (s *site) living() int {
	n := 0
	for _, at := range s.places {
		if at.life != nil {
			n++
		}
	}
	return n
}

// component names the sites that can reach a site: by the lowest of them. A site without
// a gateway is alone.
func (f *federation) component(s *site) int {
	w, lowest := f.wan, s.index
	for i, a := range w.gates {
		if a.site != s {
			continue
		}
		for j, b := range w.gates {
			if w.real.dist[i][j] < noPath && a.relays() && b.relays() {
				lowest = min(lowest, b.site.index)
			}
		}
	}
	return lowest
}

// components has for each node that lives what it can reach at the end.
func (p *play) components() map[string]string {
	all := map[string]string{}
	for _, at := range p.f.places {
		if at.life != nil {
			all[at.name] = siteText(p.f.component(at.site))
		}
	}
	return all
}

// unfinished says what this node still has to do.
func (l *life) unfinished() string {
	r, s := l.core.Ring.Status(), l.core.Replica.Status()
	switch {
	case !l.inHand(&r):
		return "lacks packets, or does not know that all have them"
	case s.Pending > 0 || s.Queued > 0 || s.Held > maxHeld || s.ImportBacklog > 0:
		return "has records or requests left"
	case s.Broken > 0:
		return "has broken invariants"
	case s.Clients > l.site.sessions():
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
func (s *site) sessions() int {
	n := 0
	for _, at := range s.places {
		if at.life != nil {
			n += len(at.life.sessions)
		}
	}
	return n
}

// checkRest says what is not right at the end, as the nodes themselves see it.
func (p *play) checkRest() {
	why := p.restless()
	if why == "" {
		return
	}
	p.f.report("P25", "%v after the last fault %s", p.f.now-p.quiet, why)
	for _, at := range p.f.places {
		if at.life != nil {
			r, s := at.life.core.Ring.Status(), at.life.core.Replica.Status()
			p.f.report("P25", "node %s of %s: ring %v %v of %d, seq %d aru %d stable %d; view %v of %v, instance %v, ready %v attached %v formed %v frozen %v, pending %d queued %d held %d clients %d bad %d faults %d broken %d; H %d V %d clock %d",
				at.name, at.site.name, r.State, r.Ring, len(r.Members), r.Seq, r.Aru, r.Stable, s.View, s.Members, s.Instance, s.Ready, s.Attached, s.Formed, s.Frozen, s.Pending, s.Queued, s.Held, s.Clients, s.BadFrames, s.Faults, s.Broken, s.H, s.V, s.Clock)
		}
	}
}

// maxHeld is how many own records may wait for their stability to be known at the
// end of a run.
const maxHeld = 6
