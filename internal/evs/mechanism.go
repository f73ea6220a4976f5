package evs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// oneLineage is P17: numbers of an instance are formed in rising order.
func oneLineage(h *history, r *report) {
	if !h.opts.OneClock {
		return
	}
	type forming struct {
		event *Event
		when  int64
	}
	type lineage struct {
		inst   string
		number Number
	}
	first := map[lineage]forming{}
	h.eachNodeEvent(func(n *node, e *Event) {
		if e.Kind == Formed {
			k, when := lineage{e.Inst, e.Number}, n.Start+e.At
			if f, known := first[k]; !known || when < f.when {
				first[k] = forming{e, when}
			}
		}
	})
	chain := slices.SortedFunc(maps.Keys(first), func(a, b lineage) int {
		return cmp.Or(cmp.Compare(a.inst, b.inst), cmp.Compare(a.number[0], b.number[0]), cmp.Compare(a.number[1], b.number[1]))
	})
	for i := 1; i < len(chain); i++ {
		a, b := first[chain[i-1]], first[chain[i]]
		if chain[i-1].inst == chain[i].inst && b.when < a.when {
			r.add(Violation{Explain: fmt.Sprintf("instance %s: number %v was formed after number %v", chain[i].inst, chain[i-1].number, chain[i].number)}, b.event, a.event)
		}
	}
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

// A run of acceptances is what one node accepted of an instance without having gone
// apart from it in between.
type acceptances struct {
	node  *node
	sends []*Event
}

// siteAgreement is P22: nodes of an instance accept the same messages in the same
// order, as far as both were there.
func siteAgreement(h *history, r *report) {
	runs := map[string][]*acceptances{}
	var order []string
	for _, n := range h.nodes {
		var ring *Event
		open := map[string]*acceptances{}
		for i := range n.Events {
			e := &n.Events[i]
			if e.Kind == Attach || parted(ring, e) {
				clear(open)
			}
			switch e.Kind {
			case Ring:
				ring = e
			case Send:
				run := open[e.Inst]
				if run == nil {
					run = &acceptances{node: n}
					open[e.Inst] = run
					if runs[e.Inst] == nil {
						order = append(order, e.Inst)
					}
					runs[e.Inst] = append(runs[e.Inst], run)
				}
				run.sends = append(run.sends, e)
			}
		}
	}
	for _, inst := range order {
		list := runs[inst]
		longest := slices.MaxFunc(list, func(a, b *acceptances) int { return len(a.sends) - len(b.sends) })
		for _, run := range list {
			if run != longest {
				agree(r, inst, longest, run)
			}
		}
	}
}

// agree compares two runs from the first message that both have on.
func agree(r *report, inst string, a, b *acceptances) {
	find := func(in []*Event, m Message) int {
		return slices.IndexFunc(in, func(e *Event) bool { return e.Msg == m })
	}
	x, y := a.sends, b.sends
	if i := find(x, y[0].Msg); i >= 0 {
		x = x[i:]
	} else if i := find(y, x[0].Msg); i >= 0 {
		y = y[i:]
	} else {
		return
	}
	for i := range min(len(x), len(y)) {
		if p, q := x[i], y[i]; p.Msg != q.Msg || p.View != q.View || p.T != q.T || p.N != q.N || p.Mode != q.Mode || !slices.Equal(p.D, q.D) {
			r.add(Violation{Message: q.Msg, View: q.View, Explain: fmt.Sprintf("nodes %s and %s of instance %s accepted differently", p.Node, q.Node, inst)}, p, q)
			return
		}
	}
}
