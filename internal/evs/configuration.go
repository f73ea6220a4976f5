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
			r.add(Violation{View: e.View, Explain: fmt.Sprintf("%s has %v at %s and %v at %s", what, set(before), before.Node, set(e), e.Node)}, before, e)
		}
	}
	members := func(e *Event) []string { return e.Members }
	h.eachNodeEvent(func(_ *node, e *Event) {
		switch e.Kind {
		case Ring:
			same("ring "+e.Ring, e, members)
		case View:
			same("view "+e.View.String(), e, members)
		case Formed, Lineage:
			same(fmt.Sprintf("lineage %v of %s", e.Number, e.Inst), e, func(e *Event) []string { return e.Electorate })
		}
	})
}

// monotone is P3: the views in which a node's clients take part strictly grow, but that
// one that the node closed alone may come again. While a node learns, its clients take
// part in none. What a client gets says the same once more.
func monotone(h *history, r *report) {
	for _, n := range h.nodes {
		at := stage{attached: !n.attaches}
		var newest *Event // view or attach
		closed := ViewID{}
		for i := range n.Events {
			e := &n.Events[i]
			at.pass(e)
			switch {
			case e.Kind == Sig && len(e.TS) == 0:
				closed = e.View
			case e.Kind == Attach && e.View == ViewID{}:
			case e.Kind == Attach, e.Kind == View && at.attached:
				if newest != nil && !newest.View.Less(e.View) && !(newest.View == e.View && closed == e.View) {
					r.add(Violation{View: e.View, Explain: fmt.Sprintf("the clients of node %s came to view %v after view %v", n.Node, e.View, newest.View)}, newest, e)
				}
				newest, closed = e, ViewID{}
			}
		}
	}
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

// sequence is P4: clients that take part in a view leave it by a signal, and come to
// the next one by a view, if their node carries the instance on, else by an attach.
// Between the end of one and the begin of the next they get nothing.
func sequence(h *history, r *report) {
	for _, n := range h.nodes {
		n.sequence(r)
	}
	for _, c := range h.clients {
		var view *Event
		for _, it := range c.items {
			switch {
			case it.Kind == View:
				view = it.Event
			case it.Kind == Lineage && it.Role != "heir", it.Kind == Attach:
				view = nil
			case it.Kind == Dlv && view != nil && it.View != (ViewID{}) && it.View.Less(view.View):
				r.add(Violation{Client: c.name, Message: it.Msg, View: it.View, Explain: fmt.Sprintf("client %s got %v of view %v after view %v was installed", c.name, it.Msg, it.View, view.View)}, view, it.Event)
			}
		}
	}
}

// sequence checks P4 for a node's views and attaches.
func (n *node) sequence(r *report) {
	in := !n.attaches // clients take part in view
	var view, signal, left *Event
	for i := range n.Events {
		e := &n.Events[i]
		switch e.Kind {
		case Sig:
			signal = e
		case Lineage:
			if e.Role == "heir" {
				continue
			}
			if in && view != nil && (signal == nil || len(signal.TS) > 0) {
				r.add(Violation{View: view.View, Explain: fmt.Sprintf("node %s took up another lineage without closing view %v alone", n.Node, view.View)}, view, signal, e)
			}
			in, view, signal, left = !n.attaches, nil, nil, e
		case View:
			if in && view != nil && (signal == nil || len(signal.TS) == 0) {
				r.add(Violation{View: e.View, Explain: fmt.Sprintf("the clients of node %s went from view %v to %v without a signal that leads there", n.Node, view.View, e.View)}, view, signal, e)
			}
			view, signal = e, nil
		case Attach:
			if in && n.attaches && view != nil && left == nil {
				r.add(Violation{View: e.View, Explain: fmt.Sprintf("node %s attached its clients twice in one lineage", n.Node)}, view, e)
			}
			in, left = true, nil
		case Dlv, GView, GSig:
			if left != nil || !in {
				r.add(Violation{Client: e.Client, Message: e.Msg, View: e.View, Explain: fmt.Sprintf("client %s got something while its node %s had left its configuration and was in no other", e.Client, n.Node)}, left, e)
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
	attached         bool // the node's clients go with it
}

// passages lists the moves from view to view that a signal of instances announced.
// Whoever takes up another lineage leaves by a lone signal.
func (h *history) passages() []passage {
	var all []passage
	for _, n := range h.nodes {
		var from, signal *Event
		at := stage{attached: !n.attaches}
		for i := range n.Events {
			e := &n.Events[i]
			at.pass(e)
			switch e.Kind {
			case Sig:
				signal = e
			case Lineage:
				if e.Role != "heir" {
					from, signal = nil, nil
				}
			case View:
				if from != nil && signal != nil && len(signal.TS) > 0 {
					all = append(all, passage{node: n, from: from, to: e, signal: signal, fromView: from.View, toView: e.View, inst: signal.Inst, attached: at.attached})
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
