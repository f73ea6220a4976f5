package sim

import (
	"fmt"
	"math"
	"slices"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

// A note is something that the machine did within a step, and what came before it.
type note struct {
	event          merge.TraceEvent
	outputs, rings int
}

// note is merge.Config.Trace.
func (l *life) note(e *merge.TraceEvent) {
	l.notes = append(l.notes, note{*e, l.core.Outputs(), len(l.fx.Rings)})
}

// tell puts rings, what the machine did and the outputs into the order in which
// they happened, and thus into the trace.
func (l *life) tell() {
	outputs, rings := 0, 0
	until := func(o, r int) {
		for outputs < o || rings < r {
			if rings < len(l.fx.Rings) && l.fx.Rings[rings].Outputs <= outputs {
				l.tellRing(l.fx.Rings[rings].View)
				rings++
			} else {
				l.output(&l.fx.Merge.Outputs[outputs])
				outputs++
			}
		}
	}
	for i := range l.notes {
		n := &l.notes[i]
		until(n.outputs, n.rings)
		l.tellNote(&n.event)
	}
	until(len(l.fx.Merge.Outputs), len(l.fx.Rings))
	clear(l.notes)
	l.notes = l.notes[:0]
	l.cause = merge.TraceEvent{}
}

// tellRing notes that the node installed a ring.
func (l *life) tellRing(v *ring.View) {
	l.f.stats.Rings++
	l.record(evs.Event{Kind: evs.Ring, Ring: v.ID.String(), Members: l.f.nodeNames(v.Members), Together: l.f.nodeNames(v.Together)})
}

// tellNote notes what the machine did.
func (l *life) tellNote(e *merge.TraceEvent) {
	out := evs.Event{Inst: e.Instance.String(), View: viewID(e.View), T: e.T, N: e.N}
	switch e.Kind {
	case merge.TraceSend:
		if e.Request != merge.Send {
			return
		}
		out.Kind, out.Msg, out.Groups, out.Service = evs.Send, message(e), e.Groups, e.Service.String()
		if e.Closing {
			out.Phase = evs.Transitional
		}
		if out.Mode = "local"; e.Federated {
			out.Mode, out.D = "fed", instances(e.Dests)
		}
	case merge.TraceReject:
		l.f.stats.Rejected++
		if e.Request != merge.Send {
			return
		}
		out.Kind, out.Msg, out.Why = evs.Reject, message(e), e.Why
	case merge.TraceDeliver:
		l.cause = *e
		if e.Federated && (e.Request != merge.Send || e.Service.Ordered()) {
			l.last = *e
		}
		if e.Request != 0 || e.Client == (membership.ClientID{}) || !e.Federated {
			return
		}
		out.Kind, out.Client, out.Src = evs.Down, e.Client.String(), e.Src.String()
	case merge.TraceImport:
		out.Kind, out.Src, out.Idx = evs.Import, e.Src.String(), e.Idx
	case merge.TracePromise:
		out.Kind, out.P, out.W, out.Idx = evs.Promise, e.P, e.W, e.Idx
		if out.Dir, out.To = "in", e.Src.String(); e.Out {
			out.Dir, out.To = "out", e.To.String()
		}
	case merge.TraceView:
		seen := *e
		l.view, l.last = &seen, merge.TraceEvent{}
		out.Kind = evs.View
		for _, m := range e.Members {
			out.Members = append(out.Members, m.Instance.String())
		}
		slices.Sort(out.Members)
	case merge.TraceSig:
		out.Kind, out.TSN = evs.Sig, l.f.nodeNames(e.Nodes)
		for _, m := range e.Members {
			out.TS = append(out.TS, m.Instance.String())
		}
	case merge.TraceLineage:
		out.Number, out.Electorate = evs.Number{e.Number.Counter, uint64(e.Number.Seq)}, l.f.nodeNames(e.Nodes)
		if e.Role != "" {
			lineage := out
			lineage.Kind, lineage.Role = evs.Lineage, e.Role
			l.record(lineage)
		}
		if out.Kind, out.Members = evs.Formed, l.f.nodeNames(e.Voters); !e.Formed {
			return
		}
	case merge.TraceAttach:
		l.cause = *e
		if e.Nodes[0] != l.id {
			return
		}
		out.Kind, out.MinT = evs.Attach, e.T
		for _, c := range l.sessions {
			clear(c.member)
		}
	default:
		l.f.report("trace", "node %s: trace event of kind %d", l.name, e.Kind)
		return
	}
	l.record(out)
}

// A request names a request of a client as the machine counts them. Its count is
// not the client's: joins have numbers too, and local messages without order none.
type request struct {
	client membership.ClientID
	seq    uint64
}

// number learns which message a request was, from an output that it made.
func (l *life) number(m *merge.Message, seq uint64) {
	c := &l.cause
	if c.Request != merge.Send || c.Client != m.Sender {
		l.f.report("output", "node %s delivers message %d of %v, but the machine delivered a request of %v", l.name, seq, m.Sender, c.Client)
		return
	}
	if !c.Federated && m.Service < membership.FIFO {
		return
	}
	r := request{c.Client, c.Seq}
	if known, ok := l.f.numbers[r]; ok && known != seq {
		l.f.report("output", "node %s delivers message %d of %v as request %d, which was message %d", l.name, seq, m.Sender, c.Seq, known)
	}
	l.f.numbers[r] = seq
}

// renumber gives the acceptances and rejections in the traces the numbers of the
// messages. What nobody received stays out: no predicate asks for its key.
func (f *federation) renumber() {
	for _, t := range f.traces {
		kept := t.Events[:0]
		for i := range t.Events {
			e := t.Events[i]
			if e.Kind == evs.Send || e.Kind == evs.Reject {
				seq, ok := f.numbers[request{f.clientOf[e.Msg.Client], e.Msg.Seq}]
				if !ok {
					continue
				}
				e.Msg.Seq = seq
			}
			kept = append(kept, e)
		}
		t.Events = kept
	}
}

// lastSource stands behind every instance in the order of keys.
const lastSource = "~"

// keyed gives an event of a client the place of the delivery that made it. A join or
// leave that only this site sees lies behind the latest federated delivery here and
// not behind V, up to which everything is delivered; of the two, it gets the one that
// makes the client a member of less.
func (l *life) keyed(e evs.Event) evs.Event {
	c := &l.cause
	e.View, e.Inst = viewID(c.View), c.Instance.String()
	if e.Kind == evs.Dlv {
		if e.Phase = evs.Local; c.Federated {
			e.Phase = evs.Regular
		}
	}
	switch {
	case c.Federated || e.Kind == evs.Dlv:
	case e.Kind == evs.Join:
		e.Src, e.T, e.N = lastSource, max(0, l.core.Replica.Status().V), math.MaxUint64
	default:
		c = &l.last
	}
	if c.Federated {
		e.Src, e.T, e.N = c.Src.String(), c.T, c.N
	}
	return e
}

func message(e *merge.TraceEvent) evs.Message {
	return evs.Message{Client: e.Client.String(), Seq: e.Seq}
}

func viewID(v membership.ViewID) evs.ViewID {
	return evs.ViewID{Epoch: v.Epoch, Proposer: v.Proposer.String()}
}

func instances(ids []membership.InstanceID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = fmt.Sprint(id)
	}
	slices.Sort(names)
	return names
}
