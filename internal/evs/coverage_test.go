package evs

import (
	"maps"
	"testing"
)

// TestCoverOfRules: what shows a rule at work only together with what was before it.
func TestCoverOfRules(t *testing.T) {
	one, two, three := ViewID{Epoch: 1}, ViewID{Epoch: 2}, ViewID{Epoch: 3}
	m := func(n uint64) Message { return Message{"c", n} }
	trace := Trace{Node: "n", Events: []Event{
		{At: 1, Kind: Lineage, Role: "learner", Inst: "i", View: two},
		{At: 2, Kind: Attach, Inst: "i", View: two},
		{At: 2, Kind: Submit, Msg: m(1), Service: FIFO},
		{At: 2, Kind: Submit, Msg: m(2), Service: FIFO},
		{At: 3, Kind: Import, Inst: "i", View: two, Src: "x", N: 1},
		{At: 3, Kind: Dlv, Inst: "i", View: two, Src: "x", N: 1, Msg: m(1)},
		{At: 4, Kind: Import, Inst: "i", View: two, Src: "x", N: 2},
		{At: 5, Kind: Dlv, Inst: "i", View: two, Src: "x", N: 2, Msg: m(2)}, // it waited
		{At: 6, Kind: Send, Inst: "i", View: two, Mode: "fed", D: []string{"i"}},
		{At: 6, Kind: Import, Inst: "i", View: two, Src: "x", N: 3, Phase: Transitional},
		{At: 6, Kind: Import, Inst: "i", View: two, Src: "lost", N: 3, Phase: Transitional},
		{At: 7, Kind: Cut, Inst: "i", View: two, C: []string{"i", "x"}, CutTS: []string{"i"}, PI: three},
		{At: 8, Kind: Sig, Inst: "i", View: two, TS: []string{"i", "x"}},
		{At: 8, Kind: View, Inst: "i", View: ViewID{Epoch: 4}},
		{At: 9, Kind: Sig, Inst: "i", View: ViewID{Epoch: 4}, TSN: []string{"n"}},
		{At: 9, Kind: Lineage, Role: "learner", Inst: "j", View: one},
		{At: 9, Kind: Attach, Inst: "j", View: ViewID{Epoch: 5}},
	}}
	got := Cover([]Trace{trace})
	want := Coverage{
		"fifo messages that waited for earlier ones of their sender (D4)":                  1,
		"accepted: fed, of the own site only, behind what the sender sent to others (6.3)": 1,
		"records that Fills brought (X3)":                                                  2,
		"records of lost sites that others brought (X3)":                                   1,
		"cuts that stayed while another proposal came (X7)":                                1,
		"returns that waited for a view newer than the instance had (N8, Bump)":            1,
	}
	maps.DeleteFunc(got, func(name string, _ int) bool { _, asked := want[name]; return !asked })
	if !maps.Equal(got, want) {
		t.Errorf("covered is\n%vwant\n%v", got, want)
	}
}
