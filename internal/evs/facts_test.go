package evs

import "testing"

// TestFacts has for each predicate that only a simulator can check a clean run and one
// that breaks it.
func TestFacts(t *testing.T) {
	some := []Trace{life("a", connect("c1"), stop())}
	release := func(holders ...string) *Facts {
		return &Facts{Releases: []Release{{Event: promised("B", "out", 5), Ring: "r", RSeq: 7, Members: []string{"a", "b"}, Holders: holders}}}
	}
	size := func(n int) *Facts { return &Facts{Sizes: []Size{{Node: "a", What: "held", Value: n, Limit: 10}}} }
	end := func(e End) *Facts { e.Node = "a"; return &Facts{Ends: []End{e}} }
	for _, test := range []struct {
		predicate, name string
		clean, broken   *Facts
	}{
		{"P21", "a member lacks what a promise rests on", release("a", "b"), release("a")},
		{"P24", "over the limit", size(10), size(11)},
		{"P27", "something waits", end(End{Held: 3, HeldMost: 3}), end(End{Pending: 1})},
		{"P27", "too much is kept", end(End{Held: 3, HeldMost: 3}), end(End{Held: 4, HeldMost: 3})},
	} {
		t.Run(test.predicate+" "+test.name, func(t *testing.T) {
			check(t, some, Options{Facts: test.clean})
			check(t, some, Options{Facts: test.broken}, test.predicate)
		})
	}
}

// TestUnmoved is P23: the same run with and without trouble in the WAN.
func TestUnmoved(t *testing.T) {
	run := func(slow int64, more ...Event) []Trace {
		events := member("c1", "1", "c1")
		for i := range uint64(300) {
			said := submit("c1", i+1, Agreed, "g")
			taken := keyed("c1", i+1, Agreed, "A", 0, 0)
			taken.Mode, taken.T, taken.N = "local", 0, 0
			got := inView(dlv("c1", "c1", i+1), 1)
			said.At = int64(i+10) * 1e6
			taken.At, got.At = said.At, said.At+1e5
			if i < 10 {
				got.At += slow
			}
			events = append(events, said, taken, got)
		}
		return []Trace{life("a", then(append([]Event{view(1, "A", "A")}, events...), more...)...)}
	}
	opts := Options{OneClock: true, Facts: &Facts{Connected: run(0)}}
	check(t, run(1e4), opts)
	check(t, run(1e5), opts, "P23")
	// Who has sent to other sites may be delayed by their silence.
	far := keyed("c1", 999, Agreed, "A", 5, 1, "A", "B")
	check(t, run(1e5, far), opts)
}

// TestAtTheEnd is P25 and P28.
func TestAtTheEnd(t *testing.T) {
	pair := []string{"a", "b"}
	attached := func() Event { return Event{Kind: Attach, View: in(1), Inst: "A"} }
	settle := func(ring Event, v Event, more ...Event) []Event {
		return append([]Event{ring, {Kind: Lineage, Inst: "A", Number: Number{1, 1}, Electorate: pair, Role: "founder"}, v, formed("A", Number{1, 1}, pair...), attached()}, append(more, stop())...)
	}
	whole := func(node string, more ...Event) Trace {
		return life(node, settle(ringOf("r", pair, pair), view(1, "A", "A"), more...)...)
	}
	opts := Options{Settled: true, OneClock: true, QuietFrom: 1, Skip: []string{"P2", "P17"}}
	check(t, []Trace{whole("a"), whole("b")}, opts)
	alone := life("b", settle(ringOf("s", []string{"b"}, nil), view(1, "A", "A"))...)
	check(t, []Trace{whole("a"), alone}, opts, "P25")
	apart := life("b", settle(ringOf("r", pair, pair), Event{Kind: View, View: in(2), Inst: "B", Members: []string{"B"}})...)
	check(t, []Trace{whole("a"), apart}, opts, "P25")
	silent := life("b", ringOf("r", pair, pair), stop())
	check(t, []Trace{whole("a"), silent}, opts, "P25")
	frozen := opts
	frozen.Facts = &Facts{Ends: []End{{Node: "a", Frozen: true}}}
	check(t, []Trace{whole("a"), whole("b")}, frozen, "P25")

	var restless []Event
	for range mostViews + 1 {
		restless = append(restless, ringOf("r", pair, pair))
	}
	check(t, []Trace{whole("a", restless...), whole("b", restless...)}, opts, "P28")
	check(t, []Trace{whole("a", restless[:mostViews-1]...), whole("b", restless[:mostViews-1]...)}, opts)
}

// TestAShortLife: a node that dies before its clients take part anywhere closes nothing.
func TestAShortLife(t *testing.T) {
	learner := func(inst string) Event {
		return Event{Kind: Lineage, Inst: inst, Number: Number{1, 1}, Electorate: []string{"x"}, Role: "learner"}
	}
	young := life("b", learner("A"), view(1, "A", "A"), learner("B"), view(1, "B", "B"))
	other := life("a", Event{Kind: Attach, View: in(1), Inst: "A"}, stop())
	check(t, []Trace{young, other}, Options{Skip: []string{"P2"}})
	old := life("b", learner("A"), view(1, "A", "A"), Event{Kind: Attach, View: in(1), Inst: "A"}, learner("B"), view(1, "B", "B"))
	check(t, []Trace{old, other}, Options{Skip: []string{"P2"}}, "P4")
}

// TestTornTraces: what shows a message's origin may be lost with a killed node.
func TestTornTraces(t *testing.T) {
	killed := life("a", member("c1", "1", "c1", "c2")...)
	alive := life("b", then(member("c2", "1", "c1", "c2"), dlv("c2", "c1", 1), stop())...)
	check(t, []Trace{killed, alive}, Options{}, "P6")
	check(t, []Trace{killed, alive}, Options{Torn: true})
	ended := life("a", then(member("c1", "1", "c1", "c2"), stop())...)
	check(t, []Trace{ended, alive}, Options{Torn: true}, "P6")
}
