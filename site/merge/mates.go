package merge

import (
	"time"

	"ringway/membership"
)

// Mates tells which views hold the same sites, as far as is known: for each the one that
// stands for it, or the way there. Link state of each site comes at a time of its own: when
// sites change their view together, one of them is seen in the new one, as if it were alone
// there, while the others still seem to be in the one before. So for a while the view that a
// site has come from counts as the one that it is in.
type mates map[membership.ViewID]membership.ViewID

// mates returns who is with whom; news is how long it may take until all have shown a new
// view. It will be otherwise at due, or when there is news; noTime: not before that.
func (p *peers) mates(now, news time.Duration) (m mates, due time.Duration) {
	m, due = mates{}, noTime
	none := membership.ViewID{}
	for _, x := range p.known {
		if at := x.moved + news; x.reachable && x.from != none && x.View != none && at > now {
			m.unite(x.from, x.View)
			if due == noTime || at < due {
				due = at
			}
		}
	}
	return m, due
}

// of returns the view that stands for one.
func (m mates) of(v membership.ViewID) membership.ViewID {
	for next, more := m[v]; more; next, more = m[v] {
		v = next
	}
	return v
}

func (m mates) unite(a, b membership.ViewID) {
	if a, b = m.of(a), m.of(b); a != b {
		m[a] = b
	}
}

// mates returns who is with whom, and looks again when that is out of date.
func (r *Replica) mates() mates {
	if r.m.off(oldNews) {
		return mates{}
	}
	m, due := r.views.peers.mates(r.now, r.cfg.Timing.Meet+2*r.farthest())
	if due != noTime {
		r.views.due = min(r.views.due, due)
	}
	return m
}
