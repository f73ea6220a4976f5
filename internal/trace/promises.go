package trace

import (
	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/merge"
)

// Promises are most of what a machine tells, and of a row of them only the last one
// says anything, until something comes that could break it. So a Recorder keeps the
// last one of each line back until then.

// A line is where promises go: to an instance, or from one.
type line struct {
	peer membership.InstanceID
	view membership.ViewID
	out  bool
}

// A pledge is a promise that is kept back.
type pledge struct {
	line  line
	event evs.Event
}

// promise keeps a promise back, in the place of the one before it on its line.
func (r *Recorder) promise(e *merge.TraceEvent, out evs.Event) {
	l := line{peer: e.Src, view: e.View}
	out.Kind, out.P, out.W, out.Idx, out.Dir = evs.Promise, e.P, e.W, e.Idx, "in"
	if e.Out {
		l.peer, l.out, out.Dir = e.To, true, "out"
	}
	for i := range r.pledges {
		p := &r.pledges[i]
		if p.line != l {
			continue
		}
		if p.event.Idx != e.Idx || p.event.P > e.P {
			r.record(p.event)
		}
		out.To = p.event.To
		p.event = out
		return
	}
	out.To = l.peer.String()
	r.pledges = append(r.pledges, pledge{l, out})
}

// release records the promises that the function says so of.
func (r *Recorder) release(which func(*line) bool) {
	kept := r.pledges[:0]
	for i := range r.pledges {
		if p := &r.pledges[i]; which(&p.line) {
			r.record(p.event)
		} else {
			kept = append(kept, *p)
		}
	}
	clear(r.pledges[len(kept):])
	r.pledges = kept
}

// releaseAll records what was kept back. It is due before anything that ends the lines.
func (r *Recorder) releaseAll() { r.release(func(*line) bool { return true }) }

// releaseFor records the promises that a record from src, or one of ours to dests, could
// break.
func (r *Recorder) releaseFor(src membership.InstanceID, dests []membership.InstanceID) {
	if len(r.pledges) == 0 {
		return
	}
	r.release(func(l *line) bool {
		if !l.out {
			return l.peer == src
		}
		for _, d := range dests {
			if d == l.peer {
				return true
			}
		}
		return false
	})
}
