package evs

import (
	"fmt"
	"testing"
	"time"
)

var (
	settled  = Options{Settled: true}
	oneClock = Options{Settled: true, OneClock: true}
	during   = Options{}
)

// member is how every client of the tests begins.
func member(c, id string, members ...string) []Event {
	return []Event{connect(c), ask(c, "g", "join"), join(c, "g"), gview(c, "g", id, members...)}
}

func then(events []Event, more ...Event) []Event { return append(events, more...) }

// TestPredicates has for each predicate a clean pair of lives and a twin of it that
// differs in the one thing the predicate forbids.
func TestPredicates(t *testing.T) {
	both := []string{"c1", "c2"}
	pair := []string{"a", "b"}
	c1 := func(more ...Event) Trace { return life("a", then(member("c1", "1", both...), more...)...) }
	c2 := func(more ...Event) Trace { return life("b", then(member("c2", "1", both...), more...)...) }
	ab := []string{"a", "b"}
	kc1 := func(more ...Event) Trace {
		return life("a", then([]Event{connect("c1"), view(1, "A", "A", "B"), kjoin("c1", "g", 10)}, more...)...)
	}
	kc2 := func(more ...Event) Trace {
		return life("b", then([]Event{connect("c2"), view(1, "B", "A", "B"), kjoin("c2", "g", 11)}, more...)...)
	}
	// Two nodes of one site.
	kin := func(node, client string) func(...Event) Trace {
		return func(more ...Event) Trace {
			return life(node, then([]Event{connect(client), view(1, "A", "A", "B"), kjoin(client, "g", 10)}, more...)...)
		}
	}
	ka1, ka2 := kin("a", "c1"), kin("b", "c2")
	tornSend := func(c string, seq uint64) Event {
		return Event{Kind: Send, Msg: msg(c, seq), Service: Agreed, Groups: []string{"g"}, Mode: "local", Inst: "A", View: in(1), Phase: Transitional, Torn: true}
	}

	for _, test := range []struct {
		predicate, name string
		opts            Options
		clean, broken   []Trace
	}{
		{"P1", "ring without itself", during,
			[]Trace{life("a", ringOf("1", ab, ab))},
			[]Trace{life("c", ringOf("1", ab, ab))}},
		{"P1", "view without itself", during,
			[]Trace{life("a", view(1, "A", "A", "B"))},
			[]Trace{life("a", view(1, "C", "A", "B"))}},
		{"P2", "two sets for one ring", during,
			[]Trace{life("a", ringOf("1", ab, ab)), life("b", ringOf("1", ab, ab))},
			[]Trace{life("a", ringOf("1", ab, ab)), life("b", ringOf("1", []string{"b"}, nil))}},
		{"P2", "two electorates for one number", during,
			[]Trace{life("a", formed("A", Number{1, 1}, "a"), formed("A", Number{2, 1}, "a", "b"))},
			[]Trace{life("a", formed("A", Number{1, 1}, "a"), formed("A", Number{1, 1}, "a", "b"))}},
		{"P3", "back to an older view", during,
			[]Trace{life("a", connect("c1"), join("c1", "g"), submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), view(3, "A", "A"), inView(dlv("c1", "c1", 2), 3))},
			[]Trace{life("a", connect("c1"), join("c1", "g"), submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), inView(dlv("c1", "c1", 1), 2), inView(dlv("c1", "c1", 2), 1))}},
		{"P4", "view without a signal", during,
			[]Trace{life("a", connect("c1"), view(1, "A", "A"), sig(1, "A", "A"), view(2, "A", "A"))},
			[]Trace{life("a", connect("c1"), view(1, "A", "A"), view(2, "A", "A"))}},
		{"P5", "own instance missing", during,
			[]Trace{life("a", view(1, "A", "A", "B"), sig(1, "A", "A"), view(2, "A", "A"))},
			[]Trace{life("a", view(1, "A", "A", "B"), sig(1, "A", "B"), view(2, "A", "A", "B"))}},
		{"P5", "not mutual", during,
			[]Trace{life("a", view(1, "A", "A", "B"), sig(1, "A", "A", "B"), view(2, "A", "A", "B")),
				life("b", view(1, "B", "A", "B"), sig(1, "B", "A", "B"), view(2, "B", "A", "B"))},
			[]Trace{life("a", view(1, "A", "A", "B"), sig(1, "A", "A", "B"), view(2, "A", "A", "B")),
				life("b", view(1, "B", "A", "B"), sig(1, "B", "B"), view(2, "B", "A", "B"))}},
		{"P6", "twice", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), dlv("c1", "c1", 1))}},
		{"P6", "from nowhere", during,
			[]Trace{c1()},
			[]Trace{c1(dlv("c1", "c9", 1))}},
		{"P6", "not a member", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), leave("c1", "g"))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), leave("c1", "g"), dlv("c1", "c1", 1))}},
		{"P6", "private group of another", during,
			[]Trace{c1(submit("c1", 1, Agreed, "#c2")), c2(dlv("c2", "c1", 1))},
			[]Trace{c1(submit("c1", 1, Agreed, "#c2"), dlv("c1", "c1", 1)), c2()}},
		{"P6", "before its join, at a node that attaches again later", during,
			[]Trace{life("a", connect("c1"), view(1, "A", "A"), attach(1, "A"), kjoin("c1", "g", 10), keyed("c1", 1, Agreed, "A", 20, 1, "A"), kdlv("c1", "c1", 1, "A", 20, 1), lone(1, "A", "a"), Event{Kind: Lineage, Inst: "C", Number: Number{2, 1}, Electorate: []string{"a"}, Role: "founder"}, view(2, "C", "C"), attach(2, "C"))},
			[]Trace{life("a", connect("c1"), view(1, "A", "A"), attach(1, "A"), kjoin("c1", "g", 10), keyed("c1", 1, Agreed, "A", 5, 1, "A"), kdlv("c1", "c1", 1, "A", 5, 1), lone(1, "A", "a"), Event{Kind: Lineage, Inst: "C", Number: Number{2, 1}, Electorate: []string{"a"}, Role: "founder"}, view(2, "C", "C"), attach(2, "C"))}},
		{"P7", "together into the next view, one message apart", during,
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), kdlv("c1", "c1", 1, "A", 20, 1), sig(1, "A", "A", "B"), view(2, "A", "A", "B")),
				kc2(kdlv("c2", "c1", 1, "A", 20, 1), sig(1, "B", "A", "B"), view(2, "B", "A", "B"))},
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), kdlv("c1", "c1", 1, "A", 20, 1), sig(1, "A", "A", "B"), view(2, "A", "A", "B")),
				kc2(sig(1, "B", "A", "B"), view(2, "B", "A", "B"))}},
		{"P7", "together into the next ring, one message apart", during,
			[]Trace{c1(ringOf("1", ab, nil), submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), ringOf("2", ab, ab)), c2(ringOf("1", ab, nil), dlv("c2", "c1", 1), ringOf("2", ab, ab))},
			[]Trace{c1(ringOf("1", ab, nil), submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), ringOf("2", ab, ab)), c2(ringOf("1", ab, nil), ringOf("2", ab, ab))}},
		{"P8", "own message never came", settled,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), ask("c1", "g", "leave"), submit("c1", 2, Agreed, "g"), stop())},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), ask("c1", "g", "leave"), stop())}},
		{"P9", "delivered in another view", during,
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A"), kdlv("c1", "c1", 1, "A", 20, 1))},
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A"), Event{Kind: Dlv, Client: "c1", Msg: msg("c1", 1), Src: "A", View: in(2), T: 20, N: 1, Phase: Regular})}},
		{"P10", "fifo overtaken by agreed", during,
			[]Trace{c1(submit("c1", 1, FIFO, "g"), submit("c1", 2, Agreed, "g"), dlv("c1", "c1", 1), dlv("c1", "c1", 2))},
			[]Trace{c1(submit("c1", 1, FIFO, "g"), submit("c1", 2, Agreed, "g"), dlv("c1", "c1", 2), dlv("c1", "c1", 1))}},
		{"P11", "answer before the question", during,
			[]Trace{c1(submit("c1", 1, Causal, "g")), c2(dlv("c2", "c1", 1), submit("c2", 1, Causal, "g")),
				life("d", then(member("c3", "0", "c3"), dlv("c3", "c1", 1), dlv("c3", "c2", 1))...)},
			[]Trace{c1(submit("c1", 1, Causal, "g")), c2(dlv("c2", "c1", 1), submit("c2", 1, Causal, "g")),
				life("d", then(member("c3", "0", "c3"), dlv("c3", "c2", 1), dlv("c3", "c1", 1))...)}},
		{"P11", "answer without the question", during,
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), submit("c1", 1, Agreed, "g"), kdlv("c1", "c1", 1, "A", 20, 1), submit("c1", 2, Agreed, "g"), keyed("c1", 2, Agreed, "A", 30, 2, "A", "B")),
				kc2(kdlv("c2", "c1", 1, "A", 20, 1), kdlv("c2", "c1", 2, "A", 30, 2))},
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), submit("c1", 1, Agreed, "g"), kdlv("c1", "c1", 1, "A", 20, 1), submit("c1", 2, Agreed, "g"), keyed("c1", 2, Agreed, "A", 30, 2, "A", "B")),
				kc2(kdlv("c2", "c1", 2, "A", 30, 2))}},
		{"P12", "two orders", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), dlv("c1", "c2", 1)), c2(submit("c2", 1, Safe, "g"), dlv("c2", "c1", 1), dlv("c2", "c2", 1))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), dlv("c1", "c2", 1)), c2(submit("c2", 1, Safe, "g"), dlv("c2", "c2", 1), dlv("c2", "c1", 1))}},
		{"P12", "a view on two sides of a message", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), gview("c1", "g", "2", both...)), c2(dlv("c2", "c1", 1), gview("c2", "g", "2", both...))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), gview("c1", "g", "2", both...)), c2(gview("c2", "g", "2", both...), dlv("c2", "c1", 1))}},
		{"P12", "a signal on two sides of a message", during,
			[]Trace{c1(view(1, "A", "A", "B"), submit("c1", 1, Agreed, "g"), gsig("c1", "g", "", "c1", "c2"), dlv("c1", "c1", 1)), c2(view(1, "B", "A", "B"), dlv("c2", "c1", 1), gsig("c2", "g", "", "c1", "c2"))},
			[]Trace{c1(view(1, "A", "A"), submit("c1", 1, Agreed, "g"), gsig("c1", "g", "", "c1", "c2"), dlv("c1", "c1", 1)), c2(view(1, "A", "A"), dlv("c2", "c1", 1), gsig("c2", "g", "", "c1", "c2"))}},
		{"P12", "behind a gap of the ring", during,
			[]Trace{ka1(tornSend("c1", 1), submit("c1", 1, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), kdlv("c1", "c2", 1, "A", 20, 1)), ka2(keyed("c2", 1, Agreed, "A", 20, 1, "A", "B"), submit("c2", 1, Agreed, "g"), kdlv("c2", "c2", 1, "A", 20, 1), inView(dlv("c2", "c1", 1), 1))},
			[]Trace{ka1(submit("c1", 1, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), kdlv("c1", "c2", 1, "A", 20, 1)), ka2(keyed("c2", 1, Agreed, "A", 20, 1, "A", "B"), submit("c2", 1, Agreed, "g"), kdlv("c2", "c2", 1, "A", 20, 1), inView(dlv("c2", "c1", 1), 1))}},
		{"P12", "before what lies behind a gap", during,
			[]Trace{ka1(tornSend("c1", 1), submit("c1", 1, Agreed, "g"), kdlv("c1", "c2", 1, "A", 20, 1), inView(dlv("c1", "c1", 1), 1)), ka2(keyed("c2", 1, Agreed, "A", 20, 1, "A", "B"), submit("c2", 1, Agreed, "g"), kdlv("c2", "c2", 1, "A", 20, 1), inView(dlv("c2", "c1", 1), 1))},
			[]Trace{ka1(tornSend("c1", 1), submit("c1", 1, Agreed, "g"), kdlv("c1", "c2", 1, "A", 20, 1), inView(dlv("c1", "c1", 1), 1)), ka2(keyed("c2", 1, Agreed, "A", 20, 1, "A", "B"), submit("c2", 1, Agreed, "g"), inView(dlv("c2", "c1", 1), 1), kdlv("c2", "c2", 1, "A", 20, 1))}},
		{"P12", "two behind a gap", during,
			[]Trace{ka1(tornSend("c1", 1), tornSend("c1", 2), submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), inView(dlv("c1", "c1", 2), 1)), ka2(inView(dlv("c2", "c1", 1), 1), inView(dlv("c2", "c1", 2), 1))},
			[]Trace{ka1(tornSend("c1", 1), tornSend("c1", 2), submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), inView(dlv("c1", "c1", 2), 1)), ka2(inView(dlv("c2", "c1", 2), 1), inView(dlv("c2", "c1", 1), 1))}},
		{"P12", "the next configuration, behind a gap", during,
			[]Trace{ka1(tornSend("c1", 1), submit("c1", 1, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), sig(1, "A", "A"), view(2, "A", "A"), gview("c1", "g", "2", both...)), ka2(inView(dlv("c2", "c1", 1), 1), gview("c2", "g", "2", both...))},
			[]Trace{ka1(tornSend("c1", 1), submit("c1", 1, Agreed, "g"), inView(dlv("c1", "c1", 1), 1), sig(1, "A", "A"), view(2, "A", "A"), gview("c1", "g", "2", both...)), ka2(gview("c2", "g", "2", both...), inView(dlv("c2", "c1", 1), 1))}},
		{"P13", "one left out within a group view", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), dlv("c1", "c1", 1), dlv("c1", "c1", 2)), c2(dlv("c2", "c1", 1))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), submit("c1", 2, Agreed, "g"), dlv("c1", "c1", 1), dlv("c1", "c1", 2)), c2(dlv("c2", "c1", 2))}},
		{"P13", "one left out below a key", during,
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), keyed("c1", 2, Agreed, "A", 30, 2, "B"), kdlv("c1", "c1", 1, "A", 20, 1)), kc2(kdlv("c2", "c1", 1, "A", 20, 1), kdlv("c2", "c1", 2, "A", 30, 2))},
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B"), keyed("c1", 2, Agreed, "A", 30, 2, "B"), kdlv("c1", "c1", 1, "A", 20, 1)), kc2(kdlv("c2", "c1", 2, "A", 30, 2))}},
		{"P14", "safe at one who crashed, never at the other", settled,
			[]Trace{c1(submit("c1", 1, Safe, "g"), dlv("c1", "c1", 1)), c2(dlv("c2", "c1", 1), stop())},
			[]Trace{c1(submit("c1", 1, Safe, "g"), dlv("c1", "c1", 1)), c2(stop())}},
		{"P14", "after a signal only those it names", settled,
			[]Trace{c1(submit("c1", 1, Safe, "g"), gsig("c1", "g", "", "c1"), dlv("c1", "c1", 1)), c2(stop())},
			[]Trace{c1(submit("c1", 1, Safe, "g"), gsig("c1", "g", "", "c1", "c2"), dlv("c1", "c1", 1)), c2(stop())}},
		{"P15", "two sets for one group view", during,
			[]Trace{c1(), c2()},
			[]Trace{c1(), life("b", member("c2", "1", "c2")...)}},
		{"P15", "different messages between two views", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), come(gview("c1", "g", "2", both...), both...)), c2(dlv("c2", "c1", 1), come(gview("c2", "g", "2", both...), both...))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), come(gview("c1", "g", "2", both...), both...)), c2(come(gview("c2", "g", "2", both...), both...))}},
		{"P15", "a view left out", during,
			[]Trace{c1(come(gview("c1", "g", "2", both...), both...), come(gview("c1", "g", "3", both...), both...)), c2(come(gview("c2", "g", "2", both...), both...), come(gview("c2", "g", "3", both...), both...))},
			[]Trace{c1(come(gview("c1", "g", "2", both...), both...), come(gview("c1", "g", "3", both...), both...)), c2(come(gview("c2", "g", "3", both...), both...))}},
		{"P15", "who came by another way may have got others", during,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), come(gview("c1", "g", "2", both...), "c1")), c2(come(gview("c2", "g", "2", both...), "c2"))},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), come(gview("c1", "g", "2", both...), "c1", "c2")), c2(come(gview("c2", "g", "2", both...), both...))}},
		{"P16", "behind the NodeDown", during,
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A"), Event{Kind: Down, Client: "c1", View: in(1), Src: "A", T: 25, N: 2}, kdlv("c1", "c1", 1, "A", 20, 1))},
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 30, 1, "A"), Event{Kind: Down, Client: "c1", View: in(1), Src: "A", T: 25, N: 2}, kdlv("c1", "c1", 1, "A", 30, 1))}},
		{"P17", "an older ring begins later", oneClock,
			[]Trace{life("a", ringOf("a.1", pair, pair), formed("A", Number{1, 1}, "a", "b")), after(life("b", ringOf("b.2", pair, pair), formed("A", Number{2, 1}, "a", "b")), 9e9)},
			[]Trace{life("a", ringOf("a.2", pair, pair), formed("A", Number{2, 1}, "a", "b")), after(life("b", ringOf("b.1", pair, pair), formed("A", Number{1, 1}, "a", "b")), 9e9)}},
		{"P17", "an electorate without a majority of the one before", during,
			[]Trace{life("a", formed("A", Number{1, 1}, "a", "b", "c"), formed("A", Number{2, 1}, "a", "b")), life("c")},
			[]Trace{life("a", formed("A", Number{1, 1}, "a", "b", "c"), formed("A", Number{2, 1}, "a", "b")), life("c", formed("A", Number{3, 1}, "c"))}},
		{"P18", "one record, two deadlines", during,
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B")), kc2(kdlv("c2", "c1", 1, "A", 20, 1))},
			[]Trace{kc1(keyed("c1", 1, Agreed, "A", 20, 1, "A", "B")), kc2(kdlv("c2", "c1", 1, "A", 21, 1))}},
		{"P19", "import below the promise", during,
			[]Trace{life("a", imported("B", 0, 5), promised("B", "in", 9), imported("B", 1, 10))},
			[]Trace{life("a", imported("B", 0, 5), promised("B", "in", 9), imported("B", 1, 9))}},
		{"P19", "promise taken back", during,
			[]Trace{life("a", promised("B", "out", 5), promised("B", "out", 5), promised("B", "out", 6))},
			[]Trace{life("a", promised("B", "out", 6), promised("B", "out", 5))}},
		{"P19", "sent below the promise", during,
			[]Trace{life("a", promised("B", "out", 5), keyed("c1", 1, Agreed, "A", 6, 1, "A", "B"))},
			[]Trace{life("a", promised("B", "out", 5), keyed("c1", 1, Agreed, "A", 5, 1, "A", "B"))}},
		{"P20", "a gap in a stream", during,
			[]Trace{life("a", imported("B", 0, 5), imported("B", 1, 6))},
			[]Trace{life("a", imported("B", 0, 5), imported("B", 2, 6))}},
		{"P22", "different acceptance at one position", during,
			[]Trace{life("a", ringOf("r", pair, pair), at(keyed("c", 1, Agreed, "A", 1, 1, "A"), "r", 1), at(keyed("c", 2, Agreed, "A", 2, 2, "A"), "r", 2), at(keyed("c", 3, Agreed, "A", 3, 3, "A"), "r", 3)),
				life("b", ringOf("r", pair, pair), at(keyed("c", 1, Agreed, "A", 1, 1, "A"), "r", 1), at(keyed("c", 2, Agreed, "A", 2, 2, "A"), "r", 2), at(keyed("c", 3, Agreed, "A", 3, 3, "A"), "r", 3))},
			[]Trace{life("a", ringOf("r", pair, pair), at(keyed("c", 1, Agreed, "A", 1, 1, "A"), "r", 1), at(keyed("c", 2, Agreed, "A", 2, 2, "A"), "r", 2), at(keyed("c", 3, Agreed, "A", 3, 3, "A"), "r", 3)),
				life("b", ringOf("r", pair, pair), at(keyed("c", 1, Agreed, "A", 1, 1, "A"), "r", 1), at(keyed("c", 4, Agreed, "A", 2, 2, "A"), "r", 2), at(keyed("c", 3, Agreed, "A", 3, 3, "A"), "r", 3))}},
		{"P26", "a member that a receiver knew", settled,
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), stop()), c2(dlv("c2", "c1", 1), stop())},
			[]Trace{c1(submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), stop()), c2(stop())}},
		{"P26", "a standing member, nobody got it", oneClock,
			[]Trace{after(life("a", view(1, "A", "A", "B"), connect("c1"), submit("c1", 1, Reliable, "g"), stop()), 9e9), life("b", then(append([]Event{view(1, "B", "A", "B")}, member("c2", "1", "c2")...), dlv("c2", "c1", 1), stop())...)},
			[]Trace{after(life("a", Event{Kind: View, At: 1, View: in(1), Inst: "A", Members: []string{"A", "B"}}, connect("c1"), Event{Kind: Submit, At: 5e9, Msg: msg("c1", 1), Service: Reliable, Groups: []string{"g"}}, stop()), 9e9), life("b", then(append([]Event{view(1, "B", "A", "B")}, member("c2", "1", "c2")...), stop())...)}},
	} {
		t.Run(test.predicate+" "+test.name, func(t *testing.T) {
			opts := test.opts
			if test.predicate == "P26" && opts.OneClock {
				// The clean life's delivery has no common clock of its own.
				late := test.clean[1].Events
				for i := range late {
					if late[i].Kind == Dlv || late[i].Kind == Stop {
						late[i].At = 20e9
					}
				}
			}
			check(t, test.clean, opts)
			check(t, test.broken, opts, test.predicate)
		})
	}
}

// TestLeftOut has situations that look like violations and are none.
func TestLeftOut(t *testing.T) {
	for _, test := range []struct {
		name   string
		traces []Trace
	}{
		{"a client that ended misses what came later", []Trace{
			life("a", then(member("c1", "1", "c1", "c2"), submit("c1", 1, Safe, "g"), dlv("c1", "c1", 1), stop())...),
			life("b", then(member("c2", "1", "c1", "c2"), gone("c2"), stop())...)}},
		{"unordered services come in any order", []Trace{
			life("a", then(member("c1", "1", "c1"), submit("c1", 1, Reliable, "g"), submit("c1", 2, Unreliable, "g"), dlv("c1", "c1", 2), dlv("c1", "c1", 1), stop())...)}},
		{"a node that lost its ring is on its own", []Trace{
			life("a", then(append([]Event{ringOf("1", []string{"a", "b", "c"}, nil)}, member("c1", "1", "c1", "c2")...), submit("c1", 1, Agreed, "g"), dlv("c1", "c1", 1), stop())...),
			life("b", then(append([]Event{ringOf("1", []string{"a", "b", "c"}, nil)}, member("c2", "1", "c1", "c2")...), ringOf("2", []string{"b"}, []string{"b"}), stop())...)}},
		{"self-discard", []Trace{
			life("a", then(member("c1", "1", "c1", "c2"), Event{Kind: Submit, Msg: msg("c1", 1), Service: Agreed, Groups: []string{"g"}, Discard: true}, stop())...),
			life("b", then(member("c2", "1", "c1", "c2"), dlv("c2", "c1", 1), stop())...)}},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, test.traces, settled) })
	}
}

func TestSkip(t *testing.T) {
	broken := []Trace{life("c", ringOf("1", []string{"a"}, nil))}
	check(t, broken, Options{}, "P1")
	check(t, broken, Options{Skip: []string{"P1"}})
}

// TestCost holds the checker to its promise: thousands of messages in well under
// the time of a simulated run.
func TestCost(t *testing.T) {
	const clients, messages = 18, 4000
	var names []string
	for c := range clients {
		names = append(names, fmt.Sprintf("c%02d", c))
	}
	traces := make([]Trace, clients)
	for c := range clients {
		events := member(names[c], "1", names...)
		for m := range messages {
			if m%clients == c {
				events = append(events, submit(names[c], uint64(m), Agreed, "g"))
			}
			events = append(events, dlv(names[c], names[m%clients], uint64(m)))
		}
		traces[c] = life(names[c], append(events, stop())...)
	}
	begin := time.Now()
	check(t, traces, settled)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("%d messages to %d clients took %v", messages, clients, took)
	}
}
