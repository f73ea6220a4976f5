package evs

import "testing"

// near accepts a local message to group h.
func near(c string, seq uint64, groups ...string) Event {
	return Event{Kind: Send, Msg: msg(c, seq), Service: Agreed, Groups: groups, Mode: "local", Inst: "A", View: in(1)}
}

// far accepts a federated message to group g.
func far(c string, seq uint64, t int64) Event {
	return keyed(c, seq, Agreed, "A", t, uint64(t), "A", "B")
}

func free(e Event) Event { e.Free = true; return e }

// TestIndependentScopes: what a session with independent scopes gives up is no violation, and
// everything else is. c1 is that session; c2 and c3 are members of g, which has members
// at another site, and of h, which has not.
func TestIndependentScopes(t *testing.T) {
	asks := func(groups ...string) func(seq uint64) Event {
		return func(seq uint64) Event { return submit("c1", seq, Agreed, groups...) }
	}
	g, h := asks("g"), asks("h")
	sends := func(events ...Event) Trace {
		return life("a", then([]Event{connect("c1"), view(1, "A", "A", "B"), kjoin("c1", "g", 10)}, events...)...)
	}
	gets := func(node, c string, events ...Event) Trace {
		return life(node, then([]Event{connect(c), view(1, "A", "A", "B"), kjoin(c, "g", 11), kjoin(c, "h", 12)}, events...)...)
	}
	// Deliveries of what c1 sent, by number.
	x := func(c string, seq uint64, t int64) Event { return kdlv(c, "c1", seq, "A", t, uint64(t)) }
	y := func(c, from string, seq uint64) Event {
		return Event{Kind: Dlv, Client: c, Msg: msg(from, seq), View: in(1), Phase: Local}
	}
	first := func() []Event {
		return []Event{free(g(1)), free(far("c1", 1, 50)), free(h(2)), free(near("c1", 2, "h"))}
	}
	strict := func(events []Event) []Event {
		for i := range events {
			events[i].Free = false
		}
		return events
	}
	answer := func(from string) []Event {
		return []Event{submit(from, 1, Agreed, "h"), near(from, 1, "h")}
	}
	asked := func() Trace { return gets("b", "c2", then([]Event{y("c2", "c1", 2)}, answer("c2")...)...) }

	for _, test := range []struct {
		name   string
		traces []Trace
		want   []string
	}{
		{"a local message comes before a federated one", []Trace{
			sends(first()...), gets("b", "c2", y("c2", "c1", 2), x("c2", 1, 50))}, nil},
		{"that of a strict session does not", []Trace{
			sends(strict(first())...), gets("b", "c2", y("c2", "c1", 2), x("c2", 1, 50))}, []string{"P10", "P11"}},
		{"so does an answer to it", []Trace{
			sends(first()...), asked(), gets("c", "c3", y("c3", "c1", 2), y("c3", "c2", 1), x("c3", 1, 50))}, nil},
		{"which strict sessions do not see", []Trace{
			sends(strict(first())...), asked(), gets("c", "c3", y("c3", "c2", 1), x("c3", 1, 50))}, []string{"P11"}},
		{"but not before what it answers", []Trace{
			sends(first()...), asked(), gets("c", "c3", y("c3", "c2", 1), y("c3", "c1", 2), x("c3", 1, 50))}, []string{"P11"}},
		{"not in one group", []Trace{
			sends(free(g(1)), free(far("c1", 1, 50)), free(asks("h", "g")(2)), free(near("c1", 2, "h", "g"))),
			gets("b", "c2", y("c2", "c1", 2), x("c2", 1, 50))}, []string{"P10", "P11"}},
		{"not two local ones", []Trace{
			sends(free(h(1)), free(near("c1", 1, "h")), free(h(2)), free(near("c1", 2, "h"))),
			gets("b", "c2", y("c2", "c1", 2), y("c2", "c1", 1))}, []string{"P10", "P11"}},
		{"not two federated ones", []Trace{
			sends(free(g(1)), free(far("c1", 1, 50)), free(g(2)), free(far("c1", 2, 60))),
			gets("b", "c2", x("c2", 2, 60), x("c2", 1, 50))}, []string{"P10", "P11"}},
		{"not a federated one before a local one", []Trace{
			sends(free(h(1)), free(near("c1", 1, "h")), free(g(2)), free(far("c1", 2, 60))),
			gets("b", "c2", x("c2", 2, 60), y("c2", "c1", 1))}, []string{"P10", "P11"}},
		{"not one that its sender has got back", []Trace{
			sends(free(g(1)), free(far("c1", 1, 50)), x("c1", 1, 50), free(h(2)), free(near("c1", 2, "h"))),
			gets("b", "c2", y("c2", "c1", 2), x("c2", 1, 50))}, []string{"P11"}},
		{"and one order is for all", []Trace{
			sends(first()...), gets("b", "c2", y("c2", "c1", 2), x("c2", 1, 50)), gets("c", "c3", x("c3", 1, 50), y("c3", "c1", 2))}, []string{"P12"}},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, test.traces, during, test.want...) })
	}
}

// TestLostBehindAnAnswer: a federated message that a view change loses may have been asked
// before a local one whose answer is not lost, if its session has independent scopes.
func TestLostBehindAnAnswer(t *testing.T) {
	for _, independent := range []bool{true, false} {
		mark := func(e Event) Event { e.Free = independent; return e }
		member := func(c string, at int64) []Event {
			return []Event{connect(c), view(1, "A", "A", "B"), kjoin(c, "g", at)}
		}
		z := kdlv("c3", "c2", 1, "A", 40, 40)
		traces := []Trace{
			life("a", then(member("c1", 10), mark(submit("c1", 1, Agreed, "g")), mark(far("c1", 1, 50)), mark(submit("c1", 2, Agreed, "h")), mark(near("c1", 2, "h")))...),
			life("b", then(append(member("c2", 11), kjoin("c2", "h", 12)), Event{Kind: Dlv, Client: "c2", Msg: msg("c1", 2), View: in(1), Phase: Local},
				submit("c2", 1, Agreed, "g"), far("c2", 1, 40))...),
			life("c", then(member("c3", 13), z)...),
		}
		if independent {
			check(t, traces, during)
		} else {
			check(t, traces, during, "P11")
		}
	}
}
