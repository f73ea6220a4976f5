package evs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// oneLineage is P17: the electorates of an instance form one chain. Each is decided by
// a majority of the one before (of half, by the half with its first node), whom Formed
// names as members; and the ring of each exceeds all numbers formed before that ring
// was there.
func oneLineage(h *history, r *report) {
	formed, rings := map[lineage]*forming{}, map[uint64]int64{}
	h.eachNodeEvent(func(n *node, e *Event) {
		when := n.Start + e.At
		switch e.Kind {
		case Ring:
			if began, known := rings[e.RingCounter()]; !known || when < began {
				rings[e.RingCounter()] = when
			}
		case Formed:
			k := lineage{e.Inst, e.Number}
			if f := formed[k]; f == nil || when < f.when {
				formed[k] = &forming{e, when}
			}
		}
	})
	chain := slices.SortedFunc(maps.Keys(formed), func(a, b lineage) int {
		return cmp.Or(cmp.Compare(a.inst, b.inst), cmp.Compare(a.number[0], b.number[0]), cmp.Compare(a.number[1], b.number[1]))
	})
	for i := 1; i < len(chain); i++ {
		if chain[i-1].inst != chain[i].inst {
			continue
		}
		a, b := formed[chain[i-1]], formed[chain[i]]
		voters := b.event.Members
		if voters == nil {
			voters = b.event.Electorate
		}
		if !majorityOf(a.event.Electorate, voters) {
			r.add(Violation{Explain: fmt.Sprintf("instance %s: electorate %v at %v was formed by %v, no majority of %v at %v", chain[i].inst, b.event.Electorate, chain[i].number, voters, a.event.Electorate, chain[i-1].number)}, a.event, b.event)
		}
		if began, known := rings[chain[i-1].number[0]]; h.opts.OneClock && known && b.when < began {
			r.add(Violation{Explain: fmt.Sprintf("instance %s: the ring of number %v began after number %v was formed", chain[i].inst, chain[i-1].number, chain[i].number)}, b.event, a.event)
		}
	}
}

// A lineage is a number of an instance.
type lineage struct {
	inst   string
	number Number
}

// A forming is the first time that a number was formed.
type forming struct {
	event *Event
	when  int64
}

// majorityOf says whether others have more than half of the electorate, or half of it
// with the node that decides.
func majorityOf(electorate, others []string) bool {
	n := 0
	for _, x := range electorate {
		if slices.Contains(others, x) {
			n++
		}
	}
	return 2*n >= len(electorate)
}

// sameT is P18: one record, one message, one T; one message, one T.
func sameT(h *history, r *report) {
	type record struct {
		src  string
		view ViewID
		n    uint64
	}
	records := map[record]*Event{}
	deadlines := map[Message]*Event{}
	h.eachNodeEvent(func(_ *node, e *Event) {
		switch {
		case e.Kind == Send && e.Mode == "fed", e.Kind == Import, e.Kind == Dlv && e.Phase != Local && e.T != 0:
		default:
			return
		}
		k := record{keyOf(e).src, e.View, e.N}
		if before := records[k]; before == nil {
			records[k] = e
		} else if before.T != e.T || before.Msg != e.Msg && before.Msg != (Message{}) && e.Msg != (Message{}) {
			r.add(Violation{Message: e.Msg, View: e.View, Explain: fmt.Sprintf("record %d of %s is %v at T %d here and %v at T %d there", e.N, k.src, before.Msg, before.T, e.Msg, e.T)}, before, e)
		}
		if e.Msg == (Message{}) {
			return
		}
		if before := deadlines[e.Msg]; before == nil {
			deadlines[e.Msg] = e
		} else if before.T != e.T {
			r.add(Violation{Message: e.Msg, View: e.View, Explain: fmt.Sprintf("%v has T %d here and T %d there", e.Msg, before.T, e.T)}, before, e)
		}
	})
}

// promises is P19: nothing comes below a promise, and promises only grow.
func promises(h *history, r *report) {
	type line struct {
		peer string
		view ViewID
	}
	for _, n := range h.nodes {
		in, out := map[line]*Event{}, map[line]*Event{}
		for i := range n.Events {
			e := &n.Events[i]
			switch {
			case e.Kind == Promise && e.Dir == "in":
				k := line{e.To, e.View}
				if in[k] == nil || in[k].P < e.P {
					in[k] = e
				}
			case e.Kind == Import:
				if p := in[line{e.Src, e.View}]; p != nil && e.T <= p.P {
					r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s accepted record %d of %s at T %d after it applied its promise of %d", n.Node, e.N, e.Src, e.T, p.P)}, p, e)
				}
			case e.Kind == Promise:
				k := line{e.To, e.View}
				if out[k] != nil && e.P < out[k].P {
					r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s promised %s only %d after it had promised %d", n.Node, e.To, e.P, out[k].P)}, out[k], e)
				}
				out[k] = e
			case e.Kind == Send && e.Mode == "fed":
				for _, x := range e.D {
					if p := out[line{x, e.View}]; p != nil && e.T <= p.P {
						r.add(Violation{Message: e.Msg, View: e.View, Explain: fmt.Sprintf("%s accepted %v for %s at T %d after it had promised %d", n.Node, e.Msg, x, e.T, p.P)}, p, e)
					}
				}
			}
		}
	}
}

// streams is P20: records of a stream come without gaps and once. The first one a
// node sees may have any number: it may have learned the rest from a snapshot.
func streams(h *history, r *report) {
	type stream struct {
		src  string
		view ViewID
	}
	for _, n := range h.nodes {
		last := map[stream]*Event{}
		var ring *Event
		for i := range n.Events {
			e := &n.Events[i]
			if e.Kind == Attach || parted(ring, e) {
				clear(last)
			}
			if e.Kind == Ring {
				ring = e
			}
			if e.Kind != Import {
				continue
			}
			k := stream{e.Src, e.View}
			if before := last[k]; before != nil && e.Idx != before.Idx+1 {
				r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s accepted record %d of %s after %d", n.Node, e.Idx, e.Src, before.Idx)}, before, e)
			}
			last[k] = e
		}
	}
}

// siteAgreement is P22: nodes of one instance in one ring accept the same messages in
// the same order. In the regular configuration one may only be ahead of the other;
// those who go on to the next ring together have accepted the same in the end.
func siteAgreement(h *history, r *report) {
	type place struct{ ring, inst string }
	runs := map[place][]*acceptances{}
	var order []place
	for _, n := range h.nodes {
		var now []*acceptances
		var ring *Event
		for i := range n.Events {
			switch e := &n.Events[i]; {
			case e.Kind == Ring:
				for _, run := range now {
					run.next = e
				}
				now, ring = nil, e
			case e.Kind == Send && ring != nil:
				at := slices.IndexFunc(now, func(run *acceptances) bool { return run.inst == e.Inst })
				if at < 0 {
					at = len(now)
					now = append(now, &acceptances{node: n, inst: e.Inst})
					here := place{ring.Ring, e.Inst}
					if runs[here] == nil {
						order = append(order, here)
					}
					runs[here] = append(runs[here], now[at])
				}
				now[at].add(e)
			}
		}
	}
	for _, here := range order {
		list := runs[here]
		for i, a := range list {
			for _, b := range list[i+1:] {
				agree(r, here.inst, a, b)
			}
		}
	}
}

// acceptances is what a node accepted for an instance in one ring.
type acceptances struct {
	node  *node
	inst  string
	sends []*Event
	clear int    // how many of them before the transitional configuration
	next  *Event // the ring that followed, if any
}

func (a *acceptances) add(e *Event) {
	a.sends = append(a.sends, e)
	if e.Phase != Transitional {
		a.clear = len(a.sends)
	}
}

// together says whether the two nodes went on to the next ring together.
func (a *acceptances) together(b *acceptances) bool {
	return a.next != nil && b.next != nil && a.next.Ring == b.next.Ring && slices.Contains(a.next.Together, b.node.Node)
}

// agree compares two nodes' acceptances.
func agree(r *report, inst string, a, b *acceptances) {
	x, y := a.sends[:a.clear], b.sends[:b.clear]
	if a.together(b) {
		if x, y = a.sends, b.sends; len(x) != len(y) {
			longer := x
			if len(y) > len(x) {
				longer = y
			}
			e := longer[min(len(x), len(y))]
			r.add(Violation{Message: e.Msg, View: e.View, Explain: fmt.Sprintf("nodes %s and %s of instance %s went to ring %s together, but only %s accepted %v", a.node.Node, b.node.Node, inst, a.next.Ring, e.Node, e.Msg)}, e, a.next, b.next)
			return
		}
	}
	for i := range min(len(x), len(y)) {
		if p, q := x[i], y[i]; p.Msg != q.Msg || p.View != q.View || p.T != q.T || p.N != q.N || p.Mode != q.Mode || !slices.Equal(p.D, q.D) {
			r.add(Violation{Message: q.Msg, View: q.View, Explain: fmt.Sprintf("nodes %s and %s of instance %s accepted differently", p.Node, q.Node, inst)}, p, q)
			return
		}
	}
}
