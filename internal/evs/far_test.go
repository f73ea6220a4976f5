package evs

import (
	"slices"
	"testing"
)

// TestFar: an unreliable message between sites is delivered in its view, once, or not at all.
func TestFar(t *testing.T) {
	send := Event{Kind: Send, Msg: msg("a", 1), Service: Unreliable, Groups: []string{"g"}, Mode: Far, Inst: "x", View: in(1), D: []string{"x", "y"}}
	got := func(epoch uint64) Event {
		e := dlv("b", "a", 1)
		e.View, e.Inst, e.Phase = in(epoch), "y", Local
		return e
	}
	for name, test := range map[string]struct {
		far       []Event
		predicate string
	}{
		"in its view":    {[]Event{got(1)}, ""},
		"lost":           {nil, ""},
		"twice":          {[]Event{got(1), got(1)}, "P6"},
		"in a later one": {[]Event{view(2, "y", "x", "y"), got(2)}, "P9"},
	} {
		t.Run(name, func(t *testing.T) {
			here := life("n1", connect("a"), view(1, "x", "x", "y"), submit("a", 1, Unreliable, "g"), send, stop())
			there := life("n2", append(append([]Event{connect("b"), view(1, "y", "x", "y"), join("b", "g")}, test.far...), stop())...)
			found := Check([]Trace{here, there}, Options{OneClock: true})
			noticed := slices.ContainsFunc(found, func(v Violation) bool { return v.Predicate == test.predicate })
			wrong := slices.ContainsFunc(found, func(v Violation) bool { return v.Predicate == "P6" || v.Predicate == "P9" })
			if test.predicate != "" && !noticed || test.predicate == "" && wrong {
				t.Errorf("found %v, want %q", found, test.predicate)
			}
		})
	}
}
