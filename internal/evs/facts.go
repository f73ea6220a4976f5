package evs

import (
	"fmt"
	"slices"
	"time"
)

// Facts are what only somebody knows who sees all nodes at once: the simulator.
type Facts struct {
	// Releases are the promises and records that left their site.
	Releases []Release
	// Sizes are the greatest sizes that something bounded had at a node.
	Sizes []Size
	// Ends are the states of the nodes that live at the end.
	Ends []End
	// Connected are the traces of a run of the same seed in which nothing happened to the
	// WAN.
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

// unmoved is P23: clients that send nothing to other sites get each other's messages as
// fast as in a run of the same seed whose WAN is never troubled: half of them and all
// but a hundredth within a fifth of the time.
func unmoved(h *history, r *report) {
	here, there := h.localLatencies(), newHistory(h.opts.Facts.Connected, h.opts).localLatencies()
	if len(here) < fewestLocal || len(there) < fewestLocal {
		return
	}
	for _, part := range []float64{0.5, 0.99} {
		a, b := quantile(here, part), quantile(there, part)
		if a-b > b/5 || b-a > b/5 {
			r.add(Violation{Explain: fmt.Sprintf("of %d local messages %g %% come within %v, without trouble in the WAN within %v", len(here), 100*part, time.Duration(a), time.Duration(b))})
		}
	}
}

// fewestLocal is from how many local deliveries on their times say something.
const fewestLocal = 200

// localLatencies lists, in order, how long the ordered local messages of clients took
// that never sent to another site.
func (h *history) localLatencies() []int64 {
	far := map[string]bool{}
	for _, m := range h.messages {
		if m.federated() != nil {
			far[m.Client] = true
		}
	}
	var all []int64
	for _, m := range h.messages {
		if m.submit == nil || m.accepted == nil || m.accepted.Mode != "local" || far[m.Client] || !Ordered(m.service) {
			continue
		}
		for _, d := range m.deliveries {
			all = append(all, d.to.items[d.at].when-m.when)
		}
	}
	slices.Sort(all)
	return all
}

func quantile(sorted []int64, part float64) int64 { return sorted[int(part*float64(len(sorted)-1))] }
