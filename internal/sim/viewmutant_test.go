package sim

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ringway/internal/evs"
)

// TestMutantsOfViews changes the traces of a federation that was cut in two and healed.
func TestMutantsOfViews(t *testing.T) {
	s := threeSites(1, "6s split aab 3s")
	weigh(s)
	s.Steps = slices.DeleteFunc(s.Steps, func(x Step) bool { return x.Client == 1 })
	clean := Play(s)
	if !judge(t, clean) {
		return
	}
	for _, m := range viewMutants {
		t.Run(m.name, func(t *testing.T) {
			traces := copyTraces(clean.Traces)
			if !m.change(traces) {
				t.Fatal("the run has no place for it")
			}
			found := evs.Check(traces, evs.Options{OneClock: true, PerPredicate: 1})
			if !slices.ContainsFunc(found, func(v evs.Violation) bool { return v.Predicate == m.predicate }) {
				t.Errorf("%s did not notice; found %v", m.predicate, found)
			}
		})
	}
}

// viewMutants need a run in which views change.
var viewMutants = []mutant{
	{"a view begins without the signal of the one before", "P4", firstOf(evs.Sig, company, remove)},
	{"one site sees another come along that does not see it so", "P5", firstOf(evs.Sig, company, func(events []evs.Event, i int) []evs.Event {
		events[i].TS = []string{events[i].Inst}
		return events
	})},
	{"a message of the old view is left out at one who goes along", "P7", lastBefore},
	{"a cut is another one here", "P22", firstOf(evs.Cut, nil, func(events []evs.Event, i int) []evs.Event {
		events[i].K++
		return events
	})},
	{"both sides take themselves for the primary one", "P29", allOf(evs.View, func(e *evs.Event) { e.Primary = true })},
	{"a view is primary at one node only", "P29", firstOf(evs.View, nil, func(events []evs.Event, i int) []evs.Event {
		events[i].Primary = !events[i].Primary
		return events
	})},
}

func company(_ *facts, e *evs.Event) bool { return len(e.TS) > 1 }

// firstOf changes the first event of a kind that passes.
func firstOf(kind evs.Kind, pass func(*facts, *evs.Event) bool, change func([]evs.Event, int) []evs.Event) func([]evs.Trace) bool {
	return func(traces []evs.Trace) bool {
		for t := range traces {
			for i := range traces[t].Events {
				if e := &traces[t].Events[i]; e.Kind == kind && (pass == nil || pass(nil, e)) {
					traces[t].Events = change(traces[t].Events, i)
					return true
				}
			}
		}
		return false
	}
}

// allOf changes all events of a kind.
func allOf(kind evs.Kind, change func(*evs.Event)) func([]evs.Trace) bool {
	return func(traces []evs.Trace) bool {
		for t := range traces {
			for i := range traces[t].Events {
				if traces[t].Events[i].Kind == kind {
					change(&traces[t].Events[i])
				}
			}
		}
		return true
	}
}

// lastBefore takes away the last delivery of another site's message before a signal that
// names other sites.
func lastBefore(traces []evs.Trace) bool {
	for t := range traces {
		last := -1
		for i, e := range traces[t].Events {
			switch {
			case e.Kind == evs.Dlv && e.Phase == evs.Regular && e.Src != e.Inst:
				last = i
			case e.Kind == evs.Sig && len(e.TS) > 1 && last >= 0 && traces[t].Events[last].View == e.View:
				traces[t].Events = remove(traces[t].Events, last)
				return true
			}
		}
	}
	return false
}

// TestDocsNameChanges: docs/rules.md has each change in the row of the predicate that notices it,
// and no others.
func TestDocsNameChanges(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, m := range slices.Concat(mutants, viewMutants) {
		if want[m.predicate] != "" {
			want[m.predicate] += "; "
		}
		want[m.predicate] += m.name
	}
	_, table, _ := strings.Cut(string(page), "| predicate | changes of clean traces |")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.HasPrefix(cells[1], " P") {
			predicate, changes := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
			if changes != "–" && changes != want[predicate] || changes == "–" && want[predicate] != "" {
				t.Errorf("docs/rules.md: the row of %s has %q, want %q", predicate, changes, want[predicate])
			}
			delete(want, predicate)
		}
	}
	for predicate, changes := range want {
		t.Errorf("docs/rules.md: no row of %s, want %q", predicate, changes)
	}
}
