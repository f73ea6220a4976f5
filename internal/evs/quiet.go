package evs

import (
	"fmt"
	"slices"
)

// mostViews is how many views, and how many rings, a node may install after the last
// fault (P28).
const mostViews = 10

// A position is where a node is at some time.
type position struct {
	node       *node
	ring, view *Event
	formed     *Event // newest electorate
	attached   bool
}

// quietEnd is when the quiet time ends: the first of the nodes that were there all the
// time stops.
func (h *history) quietEnd() int64 {
	end := int64(-1)
	for _, n := range h.nodes {
		if n.alive {
			if at := n.now(&n.Events[len(n.Events)-1]); end < 0 || at < end {
				end = at
			}
		}
	}
	return end
}

// placeAt returns where a node is at a time.
func (n *node) placeAt(when int64) position {
	p := position{node: n}
	for i := range n.Events {
		e := &n.Events[i]
		if n.now(e) > when {
			break
		}
		switch e.Kind {
		case Ring:
			p.ring = e
		case View:
			p.view = e
		case Formed:
			p.formed = e
		case Attach:
			p.attached = true
		case Lineage:
			p.attached = p.attached && e.Role == "heir"
		}
	}
	return p
}

// oneComponent is P25, after a heal: every live node is in a ring of live nodes, all of
// which are, a voter, attached, and in the one view of the instances of all live nodes;
// that it can reach.
func oneComponent(h *history, r *report) {
	end := h.quietEnd()
	var all []position
	rings := map[string][]string{}     // live nodes
	instances := map[string][]string{} // by component
	first := map[string]*Event{}       // a view
	for _, n := range h.nodes {
		if !n.alive {
			continue
		}
		p := n.placeAt(end)
		if p.ring == nil || p.view == nil || p.formed == nil || !p.attached {
			r.add(Violation{Explain: fmt.Sprintf("node %s ends without a ring, a view, a vote, or with its clients not attached", n.Node)}, p.ring, p.view, p.formed)
			continue
		}
		all = append(all, p)
		rings[p.ring.Ring] = append(rings[p.ring.Ring], n.Node)
		c := h.opts.Components[n.Node]
		instances[c] = append(instances[c], p.view.Inst)
		if first[c] == nil {
			first[c] = p.view
		}
	}
	for c := range instances {
		slices.Sort(instances[c])
		instances[c] = slices.Compact(instances[c])
	}
	for _, p := range all {
		c := h.opts.Components[p.node.Node]
		want, other := instances[c], first[c]
		here := slices.Sorted(slices.Values(rings[p.ring.Ring]))
		switch {
		case !slices.Equal(here, p.ring.Members):
			r.add(Violation{Explain: fmt.Sprintf("node %s ends in a ring of %v, of which live %v", p.node.Node, p.ring.Members, here)}, p.ring)
		case !slices.Equal(p.formed.Electorate, p.ring.Members):
			r.add(Violation{Explain: fmt.Sprintf("node %s ends in a ring of %v, but %v vote", p.node.Node, p.ring.Members, p.formed.Electorate)}, p.ring, p.formed)
		case p.view.View != other.View || !slices.Equal(p.view.Members, want):
			r.add(Violation{View: p.view.View, Explain: fmt.Sprintf("node %s ends in view %v of %v, node %s in view %v; the live nodes are of %v", p.node.Node, p.view.View, p.view.Members, other.Node, other.View, want)}, p.view, other)
		}
	}
	if f := h.opts.Facts; f != nil {
		for _, e := range f.Ends {
			if e.Frozen {
				r.add(Violation{Explain: fmt.Sprintf("node %s ends frozen", e.Node)})
			}
		}
	}
}

// fewViews is P28: after the last fault a node soon has its last view. Rings are views
// of the site.
func fewViews(h *history, r *report) {
	end := h.quietEnd()
	for _, n := range h.nodes {
		if !n.alive {
			continue
		}
		for _, kind := range []Kind{View, Ring} {
			var late []*Event
			for i := range n.Events {
				if e := &n.Events[i]; e.Kind == kind && n.now(e) > h.opts.QuietFrom && n.now(e) <= end {
					late = append(late, e)
				}
			}
			if len(late) > mostViews {
				r.add(Violation{Explain: fmt.Sprintf("node %s installed %d %ss after the last fault, more than %d", n.Node, len(late), kind, mostViews)}, late[0], late[mostViews])
			}
		}
	}
}
