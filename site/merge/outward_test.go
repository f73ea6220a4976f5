package merge

import (
	"slices"

	"ringway/site/ring"
)

// What the checker asks of what leaves a site, and of views of sites.

// released: every member of the ring holds what leaves the site (S2).
func (k *checker) released(n *simNode, r Record) {
	at, ok := k.accepted[keyOf(n.state.Instance, n.state.View, r.N)]
	if !ok || at.ring != n.ring {
		return
	}
	for _, x := range at.ring.members {
		if x.up && x.ring == at.ring && x.recv < at.seq {
			k.w.fail("record %d left site %d before %s held it", r.N, n.site.index, x.name)
		}
	}
}

// heldByAll says whether every member of a node's ring that is still there holds what lies
// at a position, which all of an older ring's do.
func (n *simNode) heldByAll(pos ring.Position) bool {
	return pos.Counter != n.ring.id.Counter || !slices.ContainsFunc(n.ring.members, func(x *simNode) bool {
		return x.up && x.ring == n.ring && x.recv < int(pos.Seq)
	})
}

// told: so they hold what a site says of the change of a view, and for Ready a Tick that
// shows it (S2, S3).
func (k *checker) told(n *simNode, o *Control) {
	if isBulk(o.Data) {
		k.moved(n, o)
		return
	}
	var c control
	if err := c.read(o.Data); err != nil {
		k.w.fail("%s sends a control message that does not decode: %v", n.name, err)
		return
	}
	if c.kind == controlDecline {
		return // it rests on nothing that the ring orders
	}
	m := n.replica.m
	pos := m.installed
	if f := m.flush; f != nil && f.view.ID == c.view.ID {
		switch pos = f.pos; c.kind {
		case controlSync:
			pos = f.syncPos
		case controlReady:
			pos = f.announced
		}
	}
	if pos == (ring.Position{}) || !n.heldByAll(pos) {
		k.w.fail("control message %d left site %d before every node held what it rests on, at %v", c.kind, n.site.index, pos)
	}
}

// moved: so they hold a body that is offered, sent or said to be here (B1a).
func (k *checker) moved(n *simNode, o *Control) {
	var b bulk
	if err := b.read(o.Data); err != nil {
		k.w.fail("%s sends a message about a body that does not decode: %v", n.name, err)
		return
	}
	m := n.replica.m
	var pos ring.Position
	switch b.kind {
	case bulkAsk, bulkGone:
		return
	case bulkHeld:
		if t := m.transfer(b.to, b.bodyKey); t != nil && t.lacks == 0 {
			pos = t.pos
		}
	default:
		place, _ := m.view.Index(b.to)
		if h := m.bodies[b.client]; h != nil && h.seq == b.seq {
			pos = h.pos
		} else if rec := m.heldWith(place, b.bodyKey); rec != nil {
			pos = rec.pos
		}
	}
	if pos == (ring.Position{}) || !n.heldByAll(pos) {
		k.w.fail("message %d about a body left site %d before every node held that, at %v", b.kind, n.site.index, pos)
	}
}

// promised: the Tick that a promise speaks of is held by all of the ring (S3).
func (k *checker) promised(n *simNode) {
	if at := n.replica.gateway.promisedAt; !n.heldByAll(at) {
		k.w.fail("a promise left site %d before every node held its Tick, at %v", n.site.index, at)
	}
}

// goesOn: clients never see an older view of sites than before (P3).
func (k *checker) goesOn(n *simNode) {
	if !n.replica.attached {
		return
	}
	view := n.replica.m.view.ID
	if view.Compare(n.saw) < 0 {
		k.w.fail("clients of %s come from view %v into %v", n.name, n.saw, view)
	}
	n.saw = view
}
