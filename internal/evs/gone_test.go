package evs

import (
	"slices"
	"testing"
)

// TestKnownGone: whose node is gone, as the receiver's node knew, need not get a safe
// message behind the group's signal, nor come along to the next view. Without the signal,
// or if nobody knew, it has to.
func TestKnownGone(t *testing.T) {
	const c1, c2, run = "a/0000000100000001", "b/0000000100000001", "b/0000000100000000"
	both := []string{c1, c2}
	knew := func(e Event) Event { e.Without = []string{run}; return e }
	member := func(c string) []Event { return member(c, "1", both...) }
	quiet := life("b", then(member(c2), stop())...)
	elsewhere := life("b", then(member(c2), stop())...)
	for i := range elsewhere.Events {
		if elsewhere.Events[i].Kind == GView {
			elsewhere.Events[i].ID = "0"
		}
	}
	signal, safe := gsig(c1, "g", "", both...), dlv(c1, c1, 1)
	submitted := submit(c1, 1, Safe, "g")
	with := func(c string, with ...string) Event { return come(gview(c, "g", "2", both...), with...) }
	for _, test := range []struct {
		name, predicate string
		broken          bool
		traces          []Trace
	}{
		{"known behind the signal", "P14", false, []Trace{life("a", then(member(c1), submitted, signal, knew(safe), stop())...), quiet}},
		{"unknown", "P14", true, []Trace{life("a", then(member(c1), submitted, signal, safe, stop())...), quiet}},
		{"known, no signal", "P14", true, []Trace{life("a", then(member(c1), submitted, knew(safe), stop())...), quiet}},
		{"behind the signal, not along", "P14", false, []Trace{life("a", then(member(c1), submitted, signal, knew(safe), with(c1, c1), stop())...), quiet}},
		{"behind the signal, and along", "P14", true, []Trace{life("a", then(member(c1), submitted, signal, knew(safe), with(c1, both...), stop())...), quiet}},
		{"had no such view, no signal", "P14", true, []Trace{life("a", then(member(c1), submitted, safe, stop())...), elsewhere}},
		{"had no such view, behind the signal", "P14", false, []Trace{life("a", then(member(c1), submitted, signal, safe, stop())...), elsewhere}},
		{"ended its session", "P14", false, []Trace{life("a", then(member(c1), submitted, safe, with(c1, both...), stop())...), life("b", then(member(c2), gone(c2), stop())...)}},
		{"ended its session behind it", "P14", true, []Trace{life("a", then(member(c1), submitted, safe, with(c1, both...), stop())...), life("b", then(member(c2), with(c2, both...), gone(c2), stop())...)}},
		{"known to the other one", "P15", false, []Trace{life("a", then(member(c1), knew(with(c1, c1)))...), life("b", then(member(c2), with(c2, both...))...)}},
		{"not known to the other one", "P15", true, []Trace{life("a", then(member(c1), with(c1, c1))...), life("b", then(member(c2), with(c2, both...))...)}},
	} {
		if got := violated(test.traces, settled); slices.Contains(got, test.predicate) != test.broken {
			t.Errorf("%s: %s violated is not %v: %v", test.name, test.predicate, test.broken, got)
		}
	}
}

// TestWhoCrashesNeedNotHaveShared: records that a node accepted right before it crashed may be
// others at those who had not heard of them; not if it goes on, or somebody has heard (P18).
func TestWhoCrashesNeedNotHaveShared(t *testing.T) {
	lives := func(end ...Event) []Trace {
		a := life("a", append([]Event{connect("c1"), view(1, "A", "A", "B"), attach(1, "A"), keyed("c1", 1, Agreed, "A", 20, 1, "A", "B")}, end...)...)
		return []Trace{a, life("b", view(1, "A", "A", "B"), keyed("c2", 1, Agreed, "A", 30, 1, "A", "B"), stop())}
	}
	if got := violated(lives(), settled); slices.Contains(got, "P18") {
		t.Errorf("a node that crashed: %v", got)
	}
	if got := violated(lives(stop()), settled); !slices.Contains(got, "P18") {
		t.Errorf("a node that is there: %v", got)
	}
	// An end of a's clients that b puts below what only a had accepted (P16).
	down := Event{Kind: Down, Client: "c1", Inst: "A", View: in(1), Src: "A", T: 15, N: 2}
	for _, crashed := range []bool{true, false} {
		end := []Event{stop()}
		if crashed {
			end = nil
		}
		ordered := lives(end...)
		ordered[1].Events = slices.Insert(ordered[1].Events, 1, down)
		if got := violated(ordered, settled); slices.Contains(got, "P16") == crashed {
			t.Errorf("an end below what it had accepted: crashed %v, %v", crashed, got)
		}
	}
	heard := append(lives(), life("d", view(1, "B", "A", "B"), imported("A", 1, 20), stop()))
	if got := violated(heard, settled); !slices.Contains(got, "P18") {
		t.Errorf("somebody has heard of it: %v", got)
	}
}

// TestWhoPartsBeforeItIsAttached: a node that has learned an instance, and leaves it before its
// clients take part there, may have accepted what the rest of the instance never had (P18).
func TestWhoPartsBeforeItIsAttached(t *testing.T) {
	for role, wrong := range map[string]bool{"founder": false, "heir": true} {
		goesOn := Event{Kind: Lineage, Inst: "A", Number: Number{2, 1}, Electorate: []string{"a"}, Role: role}
		if role == "founder" {
			goesOn.Inst = "C"
		}
		a := life("a", Event{Kind: Lineage, Inst: "A", Number: Number{1, 1}, Electorate: []string{"a", "b"}, Role: "learner"},
			view(1, "A", "A", "B"), keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), goesOn, stop())
		b := life("b", connect("c2"), view(1, "A", "A", "B"), attach(1, "A"), keyed("c2", 1, Agreed, "A", 30, 1, "A", "B"), stop())
		if got := violated([]Trace{a, b}, settled); slices.Contains(got, "P18") != wrong {
			t.Errorf("it goes on as %s: %v", role, got)
		}
	}
}

// TestClosingIsNotOfTheRing: what a node does in a ring before it knows that it is no heir
// closes its old configuration, and is nothing that others of the ring do (P22).
func TestClosingIsNotOfTheRing(t *testing.T) {
	pair := []string{"a", "b"}
	down := func() Event { return Event{Kind: Down, Client: "c", Inst: "A", View: in(1), T: 7, N: 7} }
	role := func(role string) Event {
		return Event{Kind: Lineage, Inst: "A", Number: Number{2, 1}, Electorate: []string{"a"}, Role: role}
	}
	heir := life("a", ringOf("2", pair, []string{"a"}), role("heir"), imported("B", 3, 9))
	learner := life("b", view(1, "A", "A", "B"), ringOf("2", pair, []string{"b"}), down(), lone(1, "A", "b"), role("learner"), view(1, "A", "A", "B"))
	for i := range heir.Events {
		heir.Events[i].Inst = "A"
	}
	if got := violated([]Trace{heir, learner}, during); slices.Contains(got, "P22") {
		t.Errorf("a lone closing is held against the ring: %v", got)
	}
	learner.Events[4], learner.Events[5] = role("heir"), learner.Events[2]
	learner.Events = append(learner.Events[:2], learner.Events[4], learner.Events[5])
	if got := violated([]Trace{heir, learner}, during); !slices.Contains(got, "P22") {
		t.Errorf("an heir that does something else is not found: %v", got)
	}
}

// TestPastOfAClosing: what a node accepted alone in a view that it closed and came back to
// is not owed by what it accepts there later, also if that was submitted before (P11).
func TestPastOfAClosing(t *testing.T) {
	closing := func(attached bool) Trace {
		events := []Event{connect("c1"), view(1, "A", "A", "B"), attach(1, "A"), kjoin("c1", "g", 10),
			submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), keyed("c1", 1, Agreed, "A", 20, 1, "A", "B")}
		if attached {
			events = append(events, lone(1, "A", "a"), attach(1, "A"))
		}
		return life("a", append(events, keyed("c1", 2, Agreed, "A", 30, 2, "A", "B"))...)
	}
	other := life("b", connect("c2"), view(1, "B", "A", "B"), attach(1, "B"), kjoin("c2", "g", 11), kdlv("c2", "c1", 2, "A", 30, 2))
	if got := violated([]Trace{closing(true), other}, during); slices.Contains(got, "P11") {
		t.Errorf("behind a closing: %v", got)
	}
	if got := violated([]Trace{closing(false), other}, during); !slices.Contains(got, "P11") {
		t.Errorf("a cause is missing and not found: %v", got)
	}
}

// TestFIFOAtTheEndOfAView: a fifo message has to come to who was in its group when its site
// took it in, whatever the keys say, and not to who came or went before or behind that (P7).
func TestFIFOAtTheEndOfAView(t *testing.T) {
	sender := life("a", connect("c1"), view(1, "A", "A", "B"), kjoin("c1", "g", 10), submit("c1", 1, FIFO, "g"), keyed("c1", 1, FIFO, "A", 90, 1, "A", "B"), kdlv("c1", "c1", 1, "A", 90, 1),
		sig(1, "A", "A", "B"), view(2, "A", "A", "B"))
	early, late, gone := kjoin("c2", "g", 11), kjoin("c2", "g", 50), inView(leave("c2", "g"), 1)
	gone.Src, gone.T = "B", 95
	below := gone
	below.T = 60
	again := kjoin("c2", "g", 70)
	came := kdlv("c3", "c1", 1, "A", 90, 1)
	record, signal := imported("A", 1, 90), sig(1, "B", "A", "B")
	receiver := func(start int64, events ...Event) Trace {
		all := append([]Event{connect("c2"), view(1, "B", "A", "B")}, events...)
		return after(life("b", append(all, view(2, "B", "A", "B"))...), start)
	}
	for _, test := range []struct {
		name   string
		broken bool
		opts   Options
		start  int64 // of the receiver's node; what is sent is submitted at 4e6
		events []Event
	}{
		{"it was there", true, during, 0, []Event{early, record, signal}},
		{"it joined behind the sending, before the record came", true, during, 0, []Event{late, record, signal}},
		{"it joined behind the record", false, oneClock, 0, []Event{record, late, signal}},
		{"it left behind the record, before it may have come", false, oneClock, 0, []Event{early, record, gone, signal}},
		{"it left behind the signal and the message", true, during, 0, []Event{early, record, signal, gone}},
		{"it left behind the signal, before the message may have come, and joined again", false, during, 0, []Event{early, record, signal, below, again}},
		{"it left so, before the message came to another", false, during, 0, []Event{early, record, signal, below, came, again}},
		{"it left behind the signal, when the message had come to another", true, during, 0, []Event{early, record, signal, came, below, again}},
		{"it left before the signal, when the message had come to another", true, during, 0, []Event{early, record, came, gone, signal}},
		{"the record never came", true, Options{OneClock: true}, 0, []Event{early, signal}},
		{"the record never came, and it joined behind the sending", false, oneClock, 3e6, []Event{late, signal}},
	} {
		got := violated([]Trace{sender, receiver(test.start, test.events...)}, test.opts)
		if slices.Contains(got, "P7") != test.broken {
			t.Errorf("%s: P7 should be found: %v; found %v", test.name, test.broken, got)
		}
	}
}

// TestOwnFIFO: a fifo message reaches its sender if that had asked to join before, wherever
// the join lies; not if it asked later, although the join may have the lower key (P8).
func TestOwnFIFO(t *testing.T) {
	joined := func(key int64, n uint64) Event { e := kjoin("c1", "g", key); e.N = n; return e }
	behind := func(key int64, n uint64) Event { e := joined(key, n); e.Mode = "local"; return e }
	local := func(key int64) Event { e := behind(key, 1<<60); e.Src = "~"; return e }
	sent := keyed("c1", 1, FIFO, "A", 90, 5, "A")
	sent.Inst = "A"
	got := kdlv("c1", "c1", 1, "A", 90, 5)
	for _, test := range []struct {
		name   string
		broken bool
		events []Event
	}{
		{"it was a member", true, []Event{joined(10, 1), sent}},
		{"its join was under way", true, []Event{sent, joined(50, 4)}},
		{"its join was under way, and it got it behind that", false, []Event{sent, joined(50, 4), got}},
		{"it joined later, by a lower key", false, []Event{sent, joined(50, 6)}},
		{"it joined later, in its site", false, []Event{sent, local(50)}},
		{"it joined later, in its site, behind what was delivered", false, []Event{sent, behind(50, 4)}},
		{"it had joined in its site, behind what was delivered", true, []Event{behind(50, 4), sent}},
		{"it had joined in its site", true, []Event{local(50), sent}},
	} {
		events := append([]Event{connect("c1"), view(1, "A", "A", "B"), submit("c1", 1, FIFO, "g")}, test.events...)
		found := violated([]Trace{life("a", append(events, stop())...)}, settled)
		if slices.Contains(found, "P8") != test.broken {
			t.Errorf("%s: P8 should be found: %v; found %v", test.name, test.broken, found)
		}
	}
}

// TestJoinBehindALoneSignal: a join in the tail of a view that its node closes alone is over
// when the node takes up another lineage (P7).
func TestJoinBehindALoneSignal(t *testing.T) {
	both := []string{"a", "b"}
	one, two := ringOf("x.1", both, []string{"b"}), ringOf("x.2", both, both)
	took := Event{Kind: Lineage, Inst: "B", Number: Number{1, 2}, Role: "learner"}
	got := append(member("c1", "1", "c1"), one, Event{Kind: Dlv, Client: "c1", Msg: msg("c0", 1)}, two)
	sender := life("c", connect("c0"), submit("c0", 1, Reliable, "g"))
	b := life("b", connect("c2"), ask("c2", "g", "join"), lone(1, "B", "b"), join("c2", "g"), took, one, two)
	a := life("a", got...)
	check(t, []Trace{sender, a, b}, during)
	heir := took
	heir.Role = "heir"
	stayed := life("b", connect("c2"), ask("c2", "g", "join"), join("c2", "g"), heir, one, two)
	check(t, []Trace{sender, life("a", got...), stayed}, during, "P7")
}

// TestJoinInATail: whom a join in a tail that its node closes alone would make a receiver of a safe
// message is nobody's business who goes on; it is if the join was ordered with theirs (P14).
func TestJoinInATail(t *testing.T) {
	for _, late := range []bool{true, false} {
		says, joins := keyed("c0", 1, Safe, "A", 20, 3, "A", "B"), kjoin("c2", "g", 10)
		a := life("a", connect("c0"), connect("c1"), view(1, "A", "A", "B"), attach(1, "A"), kjoin("c1", "g", 5), submit("c0", 1, Safe, "g"), says, kdlv("c1", "c0", 1, "A", 20, 3), stop())
		tail := []Event{lone(1, "A", "b"), joins}
		if !late {
			slices.Reverse(tail)
		}
		b := life("b", then([]Event{connect("c2"), view(1, "A", "A", "B"), attach(1, "A"), says}, append(tail, stop())...)...)
		if got := violated([]Trace{a, b}, settled); slices.Contains(got, "P14") == late {
			t.Errorf("the join lies in the tail: %v; violated: %v", late, got)
		}
	}
}

// TestNumbersInATail: two nodes that close the same configuration, each alone, give what both
// have other numbers. Who was in a group for it is told by the receiver's node (P11).
func TestNumbersInATail(t *testing.T) {
	to := func(g string, e Event) Event { e.Groups = []string{g}; return e }
	numbered := func(n uint64, e Event) Event { e.N = n; return e }
	two := func(n uint64) []Event { // c1's first message, to g, and one to h that depends on it
		return []Event{keyed("c1", 1, Agreed, "A", 20, n, "A", "B"), to("h", keyed("c1", 2, Agreed, "A", 21, n+2, "A", "B"))}
	}
	first := life("z", then([]Event{view(1, "A", "A", "B"), attach(1, "A")}, then(two(9), lone(1, "A", "z"))...)...)
	for n, broken := range map[uint64]bool{4: false, 6: true} { // c2 joins g as number 5
		a := life("a", then([]Event{connect("c1"), connect("c2"), view(1, "A", "A", "B"), attach(1, "A"), kjoin("c2", "h", 10),
			submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "h")}, then(two(n),
			numbered(5, kjoin("c2", "g", 20)), kdlv("c2", "c1", 2, "A", 21, n+2), lone(1, "A", "a"))...)...)
		if got := violated([]Trace{first, a}, during); slices.Contains(got, "P11") != broken {
			t.Errorf("message %d, join 5: P11 violated is not %v: %v", n, broken, got)
		}
	}
}
