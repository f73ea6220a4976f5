package evs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// oneLineage is P17: the electorates of an instance form one chain. Each is decided by
// a majority of the one before, or by half of it (traces do not say whose half decides;
// two halves that both decide do not follow each other), whom Formed names as members;
// and its ring was there only after all smaller numbers had been formed, if they ever
// were.
func oneLineage(h *history, r *report) {
	formed, began := h.formings()
	chain := slices.SortedFunc(maps.Keys(formed), func(a, b lineage) int {
		return cmp.Or(cmp.Compare(a.inst, b.inst), cmp.Compare(a.number[0], b.number[0]), cmp.Compare(a.number[1], b.number[1]))
	})
	var first *forming // formed first of those with a greater number
	for i := len(chain) - 1; i >= 0; i-- {
		f := formed[chain[i]]
		if i == len(chain)-1 || chain[i+1].inst != chain[i].inst {
			first = nil
		}
		if ring, known := began[f.ring]; h.opts.OneClock && known && first != nil && first.when < ring {
			r.add(Violation{Explain: fmt.Sprintf("instance %s: the ring of number %v began after number %v was formed", chain[i].inst, chain[i].number, first.event.Number)}, first.event, f.event)
		}
		if first == nil || f.when < first.when {
			first = f
		}
	}
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
	}
}

// formings lists what was formed first when, and when rings were there first.
func (h *history) formings() (map[lineage]*forming, map[string]int64) {
	formed, began := map[lineage]*forming{}, map[string]int64{}
	for _, n := range h.nodes {
		ring := ""
		for i := range n.Events {
			e := &n.Events[i]
			switch when := n.now(e); e.Kind {
			case Ring:
				ring = e.Ring
				if at, known := began[ring]; !known || when < at {
					began[ring] = when
				}
			case Formed:
				k := lineage{e.Inst, e.Number}
				if f := formed[k]; f == nil || when < f.when {
					formed[k] = &forming{e, when, ring}
				}
			}
		}
	}
	return formed, began
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
	ring  string // in which
}

// majorityOf says whether others have at least half of the electorate.
func majorityOf(electorate, others []string) bool {
	n := 0
	for _, x := range electorate {
		if slices.Contains(others, x) {
			n++
		}
	}
	return 2*n >= len(electorate)
}

// sameT is P18: one record is one message and has one T, but in configurations that a
// node closes alone; one message has one T, there too.
func sameT(h *history, r *report) {
	type record struct {
		src  string
		view ViewID
		n    uint64
	}
	records := map[record]*Event{}
	deadlines := map[Message]*Event{}
	h.eachAccepted(func(e *Event, alone bool) {
		k := record{keyOf(e).src, e.View, e.N}
		if before := records[k]; alone {
		} else if before == nil {
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

// eachAccepted goes through the federated sends, imports and deliveries. alone says
// that the node closed the configuration alone.
func (h *history) eachAccepted(f func(e *Event, alone bool)) {
	for _, n := range h.nodes {
		next := 0 // in n.lone
		until := n.closings()
		for i := range n.Events {
			e := &n.Events[i]
			for next < len(until) && until[next].to < i {
				next++
			}
			switch {
			case e.Kind == Send && e.Mode == "fed", e.Kind == Import, e.Kind == Dlv && e.Phase != Local && e.T != 0:
				f(e, next < len(until) && until[next].from <= i)
			}
		}
	}
}

// A closing is the events of a node from what nobody else has to share to the end of
// the configuration: from the last lineage that it carried on.
type closing struct{ from, to int }

// closings lists a node's lone closings. A node that takes up another lineage before it was
// attached closes alone without a signal. A crash is one, too: nobody need have heard of what the
// node did last. What somebody has, is compared with what the others have.
func (n *node) closings() []closing {
	var all []closing
	begin, open, attached := 0, false, false
	for i := range n.Events {
		switch e := &n.Events[i]; {
		case e.Kind == Sig:
			open = len(e.TS) == 0
		case e.Kind == Lineage && e.Role == "heir":
			begin = i
		case e.Kind == View, e.Kind == Attach, e.Kind == Lineage:
			if open || e.Kind == Lineage && !attached { // it has no client to tell yet
				all = append(all, closing{begin, i})
			}
			begin, open = i, false
			attached = e.Kind == Attach || attached && e.Kind == View
		}
	}
	if open || n.crashed {
		all = append(all, closing{begin, len(n.Events)})
	}
	return all
}

// promises is P19: nothing comes below a promise, and promises only grow. A promise
// speaks of the records from its index on, wherever it was made and applied.
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
			case e.Kind == Lineage && e.Role != "heir":
				clear(in)
				clear(out)
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
	h.keptElsewhere(r)
}

// keptElsewhere holds promises against what was sent and imported at other nodes: a
// record from the promise's index on lies above it.
func (h *history) keptElsewhere(r *report) {
	type way struct {
		from, to string
		view     ViewID
	}
	made, records := map[way][]*Event{}, map[way][]*Event{}
	var order []way
	h.eachNodeEvent(func(_ *node, e *Event) {
		switch {
		case e.Kind == Promise && e.Dir == "out":
			k := way{e.Inst, e.To, e.View}
			made[k] = append(made[k], e)
		case e.Kind == Import:
			k := way{e.Src, e.Inst, e.View}
			if records[k] == nil {
				order = append(order, k)
			}
			records[k] = append(records[k], e)
		}
	})
	for _, k := range order {
		byIndex := func(a, b *Event) int { return cmp.Compare(a.Idx, b.Idx) }
		promises, all := made[k], records[k]
		slices.SortStableFunc(promises, byIndex)
		slices.SortStableFunc(all, byIndex)
		var best *Event
		for _, e := range all {
			for ; len(promises) > 0 && promises[0].Idx <= e.Idx; promises = promises[1:] {
				if best == nil || promises[0].P > best.P {
					best = promises[0]
				}
			}
			if best != nil && e.T <= best.P {
				r.add(Violation{View: k.view, Explain: fmt.Sprintf("record %d of %s for %s has T %d, but from record %d on %s had promised %d", e.Idx, k.from, k.to, e.T, best.Idx, best.Node, best.P)}, best, e)
			}
		}
	}
}

// streams is P20: the records of a stream come as 0, 1, 2 and so on. A node that learned
// a view from others begins with any of them; what others give at the end of a view has
// no place in the stream, and what comes behind it may skip that.
func streams(h *history, r *report) {
	type stream struct {
		src  string
		view ViewID
	}
	given := gaveAhead(h)
	for _, n := range h.nodes {
		next := map[stream]*Event{}
		filled := map[ViewID]bool{}  // views of which others have given what they held
		carried := map[ViewID]bool{} // views that it installed itself, from their begin
		learner := !n.lineages
		for i := range n.Events {
			e := &n.Events[i]
			switch e.Kind {
			case Lineage:
				if learner = e.Role == "learner"; e.Role != "heir" {
					clear(next)
					clear(carried)
				}
			case View:
				carried[e.View], learner = !learner, false
			case Import:
				k := stream{e.Src, e.View}
				before := next[k]
				switch {
				case e.Phase == Transitional:
					filled[e.View] = true
					continue
				case (filled[e.View] || !carried[e.View] && given[e.Inst][e.View]) && (before == nil || e.Idx > before.Idx):
				case before != nil && e.Idx != before.Idx+1:
					r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s accepted record %d of %s after %d", n.Node, e.Idx, e.Src, before.Idx)}, before, e)
				case before == nil && carried[e.View] && e.Idx != 0:
					r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s accepted record %d of %s as the first one of view %v", n.Node, e.Idx, e.Src, e.View)}, e)
				}
				next[k] = e
			}
		}
	}
}

// gaveAhead says in which views an instance was given what others held. Whoever learns its state
// later has that from there, and from no event of its own.
func gaveAhead(h *history) map[string]map[ViewID]bool {
	given := map[string]map[ViewID]bool{}
	for _, n := range h.nodes {
		for i := range n.Events {
			if e := &n.Events[i]; e.Kind == Import && e.Phase == Transitional {
				if given[e.Inst] == nil {
					given[e.Inst] = map[ViewID]bool{}
				}
				given[e.Inst][e.View] = true
			}
		}
	}
	return given
}

// siteAgreement is P22: nodes of one instance in one ring do the same in the same order:
// accept messages, deliver NodeDowns, take in records, compute cuts and install views.
// In the regular configuration one may only be ahead of the other; those who go on to
// the next ring together have done the same in the end. Promises are applied when they
// arrive with their records, and what clients get depends on the clients: neither is
// compared. What a node does before it has learned the instance's state is not known.
func siteAgreement(h *history, r *report) {
	type place struct{ ring, inst string }
	runs := map[place][]*actions{}
	var order []place
	for _, n := range h.nodes {
		for _, run := range n.runs() {
			here := place{run.ring.Ring, run.inst}
			if runs[here] == nil {
				order = append(order, here)
			}
			runs[here] = append(runs[here], run)
		}
	}
	for _, here := range order {
		list := runs[here]
		for i, a := range list {
			for _, b := range list[i+1:] {
				agree(r, a, b)
			}
		}
	}
}

// actions are what a node did for an instance in one ring.
type actions struct {
	node  *node
	inst  string
	ring  *Event
	done  []*Event
	clear int    // how many of them before the transitional configuration
	next  *Event // the ring that followed, if any
}

// runs lists what a node did, by ring and instance. What it does in a ring before it
// knows that it is no heir is not the ring's: it closes its old configuration alone.
func (n *node) runs() []*actions {
	var all, now []*actions
	var ring *Event
	learning := false
	for i := range n.Events {
		e := &n.Events[i]
		switch e.Kind {
		case Ring:
			for _, run := range now {
				run.next = e
			}
			now, ring = nil, e
		case Lineage:
			if learning = e.Role != "heir"; learning {
				all = slices.DeleteFunc(all, func(run *actions) bool { return slices.Contains(now, run) })
				now = nil
			}
		case Send, Down, Import, Cut, View:
			if begins := e.Kind == View && learning; begins || ring == nil {
				learning = learning && !begins
				continue
			}
			at := slices.IndexFunc(now, func(run *actions) bool { return run.inst == e.Inst })
			if at < 0 {
				at = len(now)
				now = append(now, &actions{node: n, inst: e.Inst, ring: ring})
				all = append(all, now[at])
			}
			now[at].add(e)
		}
	}
	return all
}

func (a *actions) add(e *Event) {
	a.done = append(a.done, e)
	if e.Phase != Transitional || e.Kind == Import {
		a.clear = len(a.done)
	}
}

// together says whether the two nodes went on to the next ring together.
func (a *actions) together(b *actions) bool {
	return a.next != nil && b.next != nil && a.next.Ring == b.next.Ring && slices.Contains(a.next.Together, b.node.Node)
}

// agree compares two nodes' actions.
func agree(r *report, a, b *actions) {
	x, y := a.done[:a.clear], b.done[:b.clear]
	if a.together(b) {
		if x, y = a.done, b.done; len(x) != len(y) {
			longer := x
			if len(y) > len(x) {
				longer = y
			}
			e := longer[min(len(x), len(y))]
			r.add(Violation{Message: e.Msg, View: e.View, Explain: fmt.Sprintf("nodes %s and %s of instance %s went to ring %s together, but only %s has a %s of its own", a.node.Node, b.node.Node, a.inst, a.next.Ring, e.Node, e.Kind)}, e, a.next, b.next)
			return
		}
	}
	for i := range min(len(x), len(y)) {
		if p, q := x[i], y[i]; !sameAction(p, q) {
			r.add(Violation{Message: q.Msg, View: q.View, Explain: fmt.Sprintf("nodes %s and %s of instance %s went different ways", p.Node, q.Node, a.inst)}, p, q)
			return
		}
	}
}

// sameAction compares what the machine decided.
func sameAction(p, q *Event) bool {
	return p.Kind == q.Kind && p.Msg == q.Msg && p.View == q.View && p.T == q.T && p.N == q.N && p.Mode == q.Mode && p.Free == q.Free && slices.Equal(p.D, q.D) &&
		p.Client == q.Client && p.Src == q.Src && p.Idx == q.Idx && slices.Equal(p.Members, q.Members) &&
		p.PI == q.PI && slices.Equal(p.C, q.C) && slices.Equal(p.CutTS, q.CutTS) && p.K == q.K && p.B == q.B && p.F == q.F
}
