package evs

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// A Coverage counts what happened in runs, by name: what a checker that found nothing
// has looked at.
type Coverage map[string]int

// Add adds the counts of another run.
func (c Coverage) Add(other Coverage) {
	for name, n := range other {
		c[name] += n
	}
}

func (c Coverage) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%9d  %s\n", c[name], name)
	}
	return b.String()
}

// Cover counts what happened in the traces of a run.
func Cover(traces []Trace) Coverage {
	c := Coverage{}
	services := map[Message]string{}
	free := map[Message]bool{} // of sessions with independent scopes, and keep an order
	for i := range traces {
		for j := range traces[i].Events {
			if e := &traces[i].Events[j]; e.Kind == Submit {
				services[e.Msg] = e.Service
				if e.Free && inSenderOrder(e.Service) {
					free[e.Msg] = true
				}
			}
		}
	}
	for i := range traces {
		c.node(&traces[i], services)
		c.overtaken(&traces[i], free)
	}
	return c
}

// overtaken counts what clients got behind something that its sender had sent later.
func (c Coverage) overtaken(t *Trace, free map[Message]bool) {
	type pair struct{ to, from string }
	highest := map[pair]uint64{}
	for i := range t.Events {
		e := &t.Events[i]
		if e.Kind != Dlv || !free[e.Msg] {
			continue
		}
		p := pair{e.Client, e.Msg.Client}
		if e.Msg.Seq < highest[p] {
			c["deliveries that a later message of a sender with independent scopes had overtaken"]++
		}
		highest[p] = max(highest[p], e.Msg.Seq)
	}
}

// node counts what happened at one node.
func (c Coverage) node(t *Trace, services map[Message]string) {
	c["lives of nodes"]++
	at, w := stage{}, waits{cover: c, services: services, came: map[string]int64{}}
	var view, signal *Event
	for i := range t.Events {
		e := &t.Events[i]
		w.pass(e, signal)
		at.pass(e)
		switch e.Kind {
		case View:
			c["views installed"]++
			if e.Primary {
				c["views installed: primary"]++
			}
			if view != nil {
				c.change(view, e)
			}
			view, signal = e, nil
		case Sig:
			signal = e
			c.signal(view, e)
		case Lineage:
			c["lineages: "+e.Role]++
			if e.Role != "heir" {
				view = nil
			}
		case Attach:
			if c["attaches"]++; e.MinT > 0 {
				c["attaches to a view that the node had closed"]++
			}
		case Cut:
			c.cut(view, e)
		case Ring:
			if c["rings installed"]++; signal != nil {
				c["rings installed between a view's signal and the next view"]++
			}
		case Send:
			if c["accepted: "+e.Mode+" "+e.Service]++; len(e.D) == 1 && e.D[0] == e.Inst {
				c["accepted: fed, of the own site only, behind what the sender sent to others (6.3)"]++
			}
			if e.Free {
				c["accepted: "+e.Mode+", of sessions with independent scopes"]++
			}
		case Dlv:
			c["deliveries: "+services[e.Msg]+", part "+e.Phase]++
			if at.signal != nil && len(at.signal.TS) == 0 {
				c["deliveries behind the signal of a lone closing"]++
			}
		case Reject:
			c["not accepted: "+e.Why]++
		case GSig:
			c["signals of groups"]++
		case GView:
			c["views of groups"]++
		case Down:
			c["clients of lost nodes ordered out"]++
		case Import:
			c["records imported"]++
		}
	}
}

// change counts a step from one view to the next.
func (c Coverage) change(from, to *Event) {
	left, came := 0, 0
	for _, x := range from.Members {
		if !slices.Contains(to.Members, x) {
			left++
		}
	}
	for _, x := range to.Members {
		if !slices.Contains(from.Members, x) {
			came++
		}
	}
	switch {
	case left > 0 && came > 0:
		c["views that others left and came to"]++
	case left > 0:
		c["views that others left"]++
	case came > 0:
		c["views that others came to"]++
	default:
		c["views of the same sites"]++
	}
}

// signal counts the end of a view.
func (c Coverage) signal(view, e *Event) {
	switch {
	case len(e.TS) == 0:
		c["views closed alone"]++
		if view != nil && len(view.Members) > 1 {
			c["views of several sites closed alone"]++
		}
	case len(e.TS) == 1 && view != nil && len(view.Members) > 1:
		c["signals that name no other site"]++
	case len(e.TS) > 1:
		c["signals that name other sites"]++
	}
}

// cut counts what a cut was like.
func (c Coverage) cut(view, e *Event) {
	c["cuts"]++
	if view != nil && len(e.C) < len(view.Members) {
		c["cuts without all sites of the view"]++
	}
	if len(e.CutTS) < len(e.C) {
		c["cuts that exclude a site"]++
	}
	if !slices.Contains(e.CutTS, e.Inst) {
		c["cuts that exclude the own site"]++
	}
	if e.B < e.F {
		c["cuts with B < F"]++
	}
	if e.K == math.MaxInt64 {
		c["cuts without a lost source"]++
	}
}
