package evs

import (
	"slices"
	"testing"
)

// The tests write traces as calls, one an event; node and time are filled in.

func life(node string, events ...Event) Trace {
	for i := range events {
		events[i].Node, events[i].Boot = node, 1
		if events[i].At == 0 {
			events[i].At = int64(i+1) * 1e6
		}
	}
	return Trace{Node: node, Boot: 1, Events: events}
}

func after(t Trace, start int64) Trace { t.Start = start; return t }

func stop() Event { return Event{Kind: Stop} }
func connect(c string) Event {
	return Event{Kind: Connect, Client: c, Group: "#" + c}
}
func gone(c string) Event            { return Event{Kind: Gone, Client: c} }
func ask(c, g, why string) Event     { return Event{Kind: Ask, Client: c, Group: g, Why: why} }
func join(c, g string) Event         { return Event{Kind: Join, Client: c, Group: g} }
func leave(c, g string) Event        { return Event{Kind: Leave, Client: c, Group: g} }
func msg(c string, s uint64) Message { return Message{c, s} }
func submit(c string, seq uint64, service string, groups ...string) Event {
	return Event{Kind: Submit, Msg: msg(c, seq), Service: service, Groups: groups}
}
func dlv(c, sender string, seq uint64) Event {
	return Event{Kind: Dlv, Client: c, Msg: msg(sender, seq)}
}
func gview(c, g, id string, members ...string) Event {
	return Event{Kind: GView, Client: c, Group: g, ID: id, Members: members}
}
func come(e Event, with ...string) Event { e.With = with; return e }
func gsig(c, g, id string, members ...string) Event {
	return Event{Kind: GSig, Client: c, Group: g, ID: id, Members: members}
}
func ringOf(id string, members, together []string) Event {
	return Event{Kind: Ring, Ring: id, Members: members, Together: together}
}
func in(epoch uint64) ViewID { return ViewID{epoch, "x"} }
func view(epoch uint64, inst string, members ...string) Event {
	return Event{Kind: View, View: in(epoch), Inst: inst, Members: members}
}
func sig(epoch uint64, inst string, ts ...string) Event {
	return Event{Kind: Sig, View: in(epoch), Inst: inst, TS: ts}
}
func lone(epoch uint64, inst string, tsn ...string) Event {
	return Event{Kind: Sig, View: in(epoch), Inst: inst, TSN: tsn}
}
func formed(inst string, number Number, electorate ...string) Event {
	return Event{Kind: Formed, Inst: inst, Number: number, Electorate: electorate}
}

// keyed accepts a federated message: view 1, group g, and D given.
func keyed(c string, seq uint64, service, src string, t int64, n uint64, d ...string) Event {
	return Event{Kind: Send, Msg: msg(c, seq), Service: service, Groups: []string{"g"}, Mode: "fed", Inst: src, View: in(1), T: t, N: n, D: d}
}
func kdlv(c, sender string, seq uint64, src string, t int64, n uint64) Event {
	return Event{Kind: Dlv, Client: c, Msg: msg(sender, seq), Src: src, View: in(1), T: t, N: n, Phase: Regular}
}
func kjoin(c, g string, t int64) Event {
	return Event{Kind: Join, Client: c, Group: g, View: in(1), Src: "A", T: t}
}
func attach(epoch uint64, inst string) Event {
	return Event{Kind: Attach, View: in(epoch), Inst: inst, MinT: -1}
}
func imported(src string, idx uint64, t int64) Event {
	return Event{Kind: Import, Src: src, View: in(1), Idx: idx, N: idx, T: t}
}
func promised(peer, dir string, p int64) Event {
	return Event{Kind: Promise, To: peer, View: in(1), Dir: dir, P: p}
}
func inView(e Event, epoch uint64) Event        { e.View = in(epoch); return e }
func at(e Event, ring string, seq uint64) Event { e.Ring, e.RSeq = ring, seq; return e }

// violated returns the names of the predicates that do not hold, once each.
func violated(traces []Trace, opts Options) []string {
	var names []string
	for _, v := range Check(traces, opts) {
		if !slices.Contains(names, v.Predicate) {
			names = append(names, v.Predicate)
		}
	}
	return names
}

func check(t *testing.T, traces []Trace, opts Options, want ...string) {
	t.Helper()
	for _, trace := range traces {
		for i := range trace.Events {
			if err := trace.Events[i].validate(); err != nil {
				t.Fatalf("the test's own trace: %v", err)
			}
		}
	}
	got := violated(traces, opts)
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s was not found; found %v", name, got)
		}
	}
	if len(want) == 0 && len(got) > 0 {
		for _, v := range Check(traces, opts) {
			t.Errorf("clean trace: %v", v)
		}
	}
}
