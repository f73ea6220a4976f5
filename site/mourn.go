package site

import (
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// knocksAtTheLost is when to knock at a gateway that the ring has lost: a refusal is told to
// the knock that comes after it.
var knocksAtTheLost = []time.Duration{0, 5 * time.Millisecond, 15 * time.Millisecond, 60 * time.Millisecond, 15 * time.Millisecond}

// mourn looks for gateways that the ring has lost, and tells the other sites of those whose
// process is dead: they would go on using them until their silence is noticed.
func (w *wan) mourn(view *ring.View) {
	former := w.ring
	w.ring = view
	if former == nil {
		return
	}
	for i, node := range former.Members {
		if !slices.Contains(view.Members, node) && w.mates[node] {
			go w.knockAt(node, former.Incarnations[i])
		}
	}
}

// knockAt knocks at a gateway of this site a few times.
func (w *wan) knockAt(node membership.NodeID, incarnation uint64) {
	for _, wait := range knocksAtTheLost {
		select {
		case <-time.After(wait):
		case <-w.done:
			return
		}
		if w.loop.port.Knock(node) {
			w.tellDead(node, incarnation)
			return
		}
	}
}
