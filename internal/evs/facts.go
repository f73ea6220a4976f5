package evs

import (
	"fmt"
	"slices"
)

// Facts are what only somebody knows who sees all nodes at once: the simulator.
type Facts struct {
	// Releases are the promises and records that left their site.
	Releases []Release
	// Sizes are the greatest sizes that something bounded had at a node.
	Sizes []Size
	// Ends are the states of the nodes that live at the end.
	Ends []End
	// Connected are the traces of a run of the same seed whose WAN links were never
	// cut; in the run that is checked all of them are cut, all the time.
	Connected []Trace
}

// A Release is a promise or record as it left, and the ring message that it rests on.
type Release struct {
	Event   Event
	Ring    string
	RSeq    uint64
	Members []string // of the ring
	Holders []string // nodes that hold the ring message, or had held it when they crashed
}

// A Size is a greatest size and its limit.
type Size struct {
	Node, What   string
	Value, Limit int
}

// An End is a node's state at the end of a run.
type End struct {
	Node           string
	Frozen         bool
	Pending        int // records that wait to be delivered
	Held, HeldMost int // own records whose stability is not known, and how many may be
}

// releasedIsSafe is P21: what leaves a site is held by all members of the ring.
func releasedIsSafe(h *history, r *report) {
	for i := range h.opts.Facts.Releases {
		x := &h.opts.Facts.Releases[i]
		for _, n := range x.Members {
			if !slices.Contains(x.Holders, n) {
				r.add(Violation{View: x.Event.View, Explain: fmt.Sprintf("a %s left node %s at position %d of ring %s, which member %s does not hold", x.Event.Kind, x.Event.Node, x.RSeq, x.Ring, n)}, &x.Event)
				break
			}
		}
	}
}

// bounds is P24: nothing outgrows its limit.
func bounds(h *history, r *report) {
	for _, s := range h.opts.Facts.Sizes {
		if s.Value > s.Limit {
			r.add(Violation{Explain: fmt.Sprintf("node %s: %s grew to %d, the limit is %d", s.Node, s.What, s.Value, s.Limit)})
		}
	}
}

// nothingLeft is P27: at the end nothing waits, and little is kept.
func nothingLeft(h *history, r *report) {
	for _, e := range h.opts.Facts.Ends {
		if e.Pending > 0 {
			r.add(Violation{Explain: fmt.Sprintf("node %s ends with %d records that wait to be delivered", e.Node, e.Pending)})
		}
		if e.Held > e.HeldMost {
			r.add(Violation{Explain: fmt.Sprintf("node %s ends with %d own records held, more than %d", e.Node, e.Held, e.HeldMost)})
		}
	}
}

// unmoved is P23: the clients of a site that has no WAN get each other's local
// messages when they would get them with one, unless their senders have sent to other
// sites.
func unmoved(h *history, r *report) {
	connected := newHistory(h.opts.Facts.Connected, h.opts)
	far := map[string]bool{}
	for _, m := range connected.messages {
		if m.federated() != nil {
			far[m.Client] = true
		}
	}
	for _, was := range connected.messages {
		m := h.byID[was.Message]
		if m == nil || far[m.Client] {
			continue
		}
		for _, d := range was.deliveries {
			c := h.byClient[d.to.name]
			if c == nil {
				continue
			}
			then := d.to.items[d.at]
			at, got := c.got[m]
			switch {
			case !got:
				r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("without the WAN client %s does not get the local message %v", c.name, m.Message)}, then.Event)
			case c.items[at].when != then.when:
				r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("without the WAN client %s gets the local message %v at another time", c.name, m.Message)}, then.Event, c.items[at].Event)
			}
		}
	}
}
