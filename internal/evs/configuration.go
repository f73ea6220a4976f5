package evs

import (
	"fmt"
	"slices"
)

// selfInclusion is P1: whoever installs a ring or a view is in it.
func selfInclusion(h *history, r *report) {
	h.eachNodeEvent(func(n *node, e *Event) {
		switch {
		case e.Kind == Ring && !slices.Contains(e.Members, e.Node):
			r.add(Violation{Explain: fmt.Sprintf("node %s installed ring %s without itself", e.Node, e.Ring)}, e)
		case e.Kind == View && !slices.Contains(e.Members, e.Inst):
			r.add(Violation{View: e.View, Explain: fmt.Sprintf("node %s of instance %s installed view %v without its instance", e.Node, e.Inst, e.View)}, e)
		}
	})
}

// agreement is P2: one id, one set.
func agreement(h *history, r *report) {
	first := map[string]*Event{}
	same := func(what string, e *Event, set func(*Event) []string) {
		before := first[what]
		if before == nil {
			first[what] = e
		} else if !slices.Equal(set(before), set(e)) {
			r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s has members %v at %s and %v at %s", what, set(before), before.Node, set(e), e.Node)}, before, e)
		}
	}
	members := func(e *Event) []string { return e.Members }
	h.eachNodeEvent(func(_ *node, e *Event) {
		switch e.Kind {
		case Ring:
			same("ring "+e.Ring, e, members)
		case View:
			same("view "+e.View.String(), e, members)
		case Formed:
			same(fmt.Sprintf("lineage %v of %s", e.Number, e.Inst), e, func(e *Event) []string { return e.Electorate })
		}
	})
}

// monotone is P3: the views in which a client gets messages only grow. A node may
// pass through older ones before its clients are attached again.
func monotone(h *history, r *report) {
	for _, c := range h.clients {
		var newest *Event
		for _, it := range c.items {
			switch {
			case it.Kind != Dlv || it.View == ViewID{}:
			case newest != nil && it.View.Less(newest.View):
				r.add(Violation{Client: c.name, Message: it.Msg, View: it.View, Explain: fmt.Sprintf("client %s got %v in view %v after %v in view %v", c.name, it.Msg, it.View, newest.Msg, newest.View)}, newest, it.Event)
			default:
				newest = it.Event
			}
		}
	}
}

// sequence is P4: a change of view at a client is a signal, then the view, with no
// ordered delivery of the old view after it.
func sequence(h *history, r *report) {
	for _, c := range h.clients {
		var view, signal *Event
		for _, it := range c.items {
			switch it.Kind {
			case Sig:
				signal = it.Event
			case Lineage, Attach:
				view, signal = nil, nil
			case View:
				if view != nil && signal == nil {
					r.add(Violation{Client: c.name, View: it.View, Explain: fmt.Sprintf("client %s went from view %v to %v without a signal", c.name, view.View, it.View)}, view, it.Event)
				}
				view, signal = it.Event, nil
			case Dlv:
				if view != nil && it.View != (ViewID{}) && it.View.Less(view.View) && it.Phase != Local {
					r.add(Violation{Client: c.name, Message: it.Msg, View: it.View, Explain: fmt.Sprintf("client %s got %v of view %v after view %v was installed", c.name, it.Msg, it.View, view.View)}, view, it.Event)
				}
			}
		}
	}
}

// A passage is a node's way from one view into the next.
type passage struct {
	node             *node
	from, to         *Event // views
	signal           *Event
	fromView, toView ViewID
	inst             string
}

// passages lists the moves from view to view that a signal of instances announced.
func (h *history) passages() []passage {
	var all []passage
	for _, n := range h.nodes {
		var from, signal *Event
		for i := range n.Events {
			e := &n.Events[i]
			switch e.Kind {
			case Sig:
				signal = e
			case Lineage, Attach:
				signal = nil
			case View:
				if from != nil && signal != nil && len(signal.TS) > 0 {
					all = append(all, passage{node: n, from: from, to: e, signal: signal, fromView: from.View, toView: e.View, inst: signal.Inst})
				}
				from, signal = e, nil
			}
		}
	}
	return all
}

// transitionalSet is P5: the set has oneself, lies in both views, and is mutual.
func transitionalSet(h *history, r *report) {
	all := h.passages()
	for _, p := range all {
		if !slices.Contains(p.signal.TS, p.inst) {
			r.add(Violation{View: p.fromView, Explain: fmt.Sprintf("the transitional set %v at %s lacks its own instance", p.signal.TS, p.node.Node)}, p.signal)
		}
		for _, x := range p.signal.TS {
			if !slices.Contains(p.from.Members, x) || !slices.Contains(p.to.Members, x) {
				r.add(Violation{View: p.fromView, Explain: fmt.Sprintf("instance %s of the transitional set at %s is not in both views", x, p.node.Node)}, p.from, p.signal, p.to)
			}
		}
	}
	for i, p := range all {
		for _, q := range all[i+1:] {
			if p.fromView == q.fromView && p.toView == q.toView && slices.Contains(p.signal.TS, q.inst) != slices.Contains(q.signal.TS, p.inst) {
				r.add(Violation{View: p.fromView, Explain: fmt.Sprintf("%s and %s disagree whether they went from %v to %v together", p.node.Node, q.node.Node, p.fromView, p.toView)}, p.signal, q.signal)
			}
		}
	}
}

func (h *history) eachNodeEvent(f func(*node, *Event)) {
	for _, n := range h.nodes {
		for i := range n.Events {
			f(n, &n.Events[i])
		}
	}
}
