package evs

import "testing"

// TestCast: a reliable message that waited for the end of a view, and left its node in one
// where it concerned nobody else, is asked of nobody else. One that left it while another
// site had been in the view for long, or never, is.
func TestCast(t *testing.T) {
	run := func(events ...Event) []Trace {
		begin := []Event{{Kind: View, At: 1, View: in(1), Inst: "A", Members: []string{"A", "B"}}, connect("c1"),
			{Kind: Submit, At: 5e9, Msg: msg("c1", 1), Service: Reliable, Groups: []string{"g"}}}
		other := append([]Event{view(1, "B", "A", "B")}, member("c2", "1", "c2")...)
		return []Trace{
			life("a", then(append(begin, events...), Event{Kind: Stop, At: 20e9})...),
			life("b", then(other, Event{Kind: Sig, At: 5e9 + 1, View: in(1), Inst: "B", TS: []string{"B"}},
				Event{Kind: View, At: 5e9 + 2, View: in(2), Inst: "B", Members: []string{"B"}}, Event{Kind: Stop, At: 20e9})...),
		}
	}
	cast := func(at int64, epoch uint64, seq uint64) Event {
		return Event{Kind: Cast, At: at, Msg: msg("c1", seq), Inst: "A", View: in(epoch)}
	}
	local := Event{Kind: Send, At: 6e9, Msg: msg("c1", 3), Service: FIFO, Groups: []string{"other"}, Mode: "local", Inst: "A", View: in(1)}
	alone := []Event{{Kind: Sig, At: 8e9, View: in(1), Inst: "A", TS: []string{"A"}}, {Kind: View, At: 8e9 + 1, View: ViewID{3, "x"}, Inst: "A", Members: []string{"A"}}}
	check(t, run(then([]Event{local}, then(alone, cast(8e9+2, 3, 1))...)...), oneClock)
	check(t, run(then([]Event{cast(5e9, 1, 1), local}, alone...)...), oneClock, "P26")
	check(t, run(then([]Event{local, cast(7e9, 1, 2)}, alone...)...), oneClock, "P26") // it never left its node
}
