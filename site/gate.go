package site

import "slices"

// A gate holds back producers (sessions that submit, logs that are imported) until
// the event loop has worked off enough of what they queued. It belongs to the loop.
type gate struct {
	waiting []waiter
}

// A waiter is let go by closing open, once ready says so.
type waiter struct {
	ready func() bool
	open  chan struct{}
}

// hold lets the producer behind open wait until ready returns true.
func (g *gate) hold(ready func() bool, open chan struct{}) {
	if ready() {
		close(open)
		return
	}
	g.waiting = append(g.waiting, waiter{ready, open})
}

// drop lets the producer behind open go, whatever its condition, if it waits.
func (g *gate) drop(open chan struct{}) {
	i := slices.IndexFunc(g.waiting, func(w waiter) bool { return w.open == open })
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		close(open)
	}
}

// check lets go everybody whose condition holds by now.
func (g *gate) check() {
	kept := g.waiting[:0]
	for _, w := range g.waiting {
		if w.ready() {
			close(w.open)
		} else {
			kept = append(kept, w)
		}
	}
	clear(g.waiting[len(kept):])
	g.waiting = kept
}

// release lets everybody go: the loop ends.
func (g *gate) release() {
	for _, w := range g.waiting {
		close(w.open)
	}
	g.waiting = nil
}
