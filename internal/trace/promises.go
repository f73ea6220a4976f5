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
func (r *Recorder) promise(e *merge.TraceEvent) {
	l, dir := line{peer: e.Src, view: e.View}, "in"
	if e.Out {
		l.peer, l.out, dir = e.To, true, "out"
	}
	at := 0
	for at < len(r.pledges) && r.pledges[at].line != l {
		at++
	}
	if at == len(r.pledges) {
		r.pledges = append(r.pledges, pledge{l, evs.Event{Kind: evs.Promise, View: r.viewID(e.View), Dir: dir, To: l.peer.String()}})
	} else if out := &r.pledges[at].event; out.Idx != e.Idx || out.P > e.P {
		r.record(*out)
	}
	out := &r.pledges[at].event
	out.Inst, out.P, out.W, out.Idx = r.instance(e.Instance), e.P, e.W, e.Idx
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
