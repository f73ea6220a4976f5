package sim

import (
	"slices"
	"testing"

	"ringway/internal/evs"
)

// A mutant changes the traces of a clean run as a fault of the router would. It
// returns false if the run has no place for it.
type mutant struct {
	name      string
	predicate string // which must notice
	change    func([]evs.Trace) bool
}

// TestMutants: a checker that finds nothing is trusted only if it finds this.
func TestMutants(t *testing.T) {
	p, err := Lookup("fed-calm")
	if err != nil {
		t.Fatal(err)
	}
	// A change has to fall on an event that matters, which not every run has.
	const enough = 6
	var clean []*Result
	run := func(i int) *Result {
		for len(clean) <= i {
			r := Run(uint64(len(clean)+1), p)
			if len(r.Violations) > 0 {
				t.Fatalf("%v\nto see it again: %s", r, r.Command())
			}
			clean = append(clean, r)
		}
		return clean[i]
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			tried := 0
			for i := range enough {
				traces := copyTraces(run(i).Traces)
				if !m.change(traces) {
					continue
				}
				tried++
				found := evs.Check(traces, evs.Options{Settled: true, OneClock: true, PerPredicate: 1})
				if slices.ContainsFunc(found, func(v evs.Violation) bool { return v.Predicate == m.predicate }) {
					return
				}
			}
			t.Errorf("%s did not notice in %d runs", m.predicate, tried)
		})
	}
}

func copyTraces(traces []evs.Trace) []evs.Trace {
	out := slices.Clone(traces)
	for i := range out {
		out[i].Events = slices.Clone(out[i].Events)
	}
	return out
}

var mutants = []mutant{
	{"a node installs a ring without itself", "P1", edit(evs.Ring, nil, func(e *evs.Event) { e.Members = without(e.Members, e.Node) })},
	{"a ring has other members here", "P2", edit(evs.Ring, nil, func(e *evs.Event) { e.Members = append(slices.Clone(e.Members), "zz") })},
	{"a site goes back to an old view", "P3", edit(evs.Dlv, federated, func(e *evs.Event) { e.View.Epoch = 0 })},
	{"a message comes twice", "P6", around(evs.Dlv, ordered, func(events []evs.Event, i int) []evs.Event { return slices.Insert(events, i, events[i]) })},
	{"a message reaches who left", "P6", leaver},
	{"a message comes from nobody", "P6", edit(evs.Dlv, ordered, func(e *evs.Event) { e.Msg.Seq += 1 << 40 })},
	{"the sender does not get its own", "P8", around(evs.Dlv, own, remove)},
	{"a message is delivered in another view", "P9", edit(evs.Dlv, federated, func(e *evs.Event) { e.View.Epoch++ })},
	{"two messages of a sender change places", "P10", swap(func(a, b *evs.Event) bool { return a.Msg.Client == b.Msg.Client })},
	{"an answer overtakes", "P11", overtake},
	{"two messages change places at one client", "P12", swap(func(a, b *evs.Event) bool { return a.Msg.Client != b.Msg.Client })},
	{"a message is left out", "P13", around(evs.Dlv, popular, remove)},
	{"a safe message is left out", "P14", around(evs.Dlv, isSafe, remove)},
	{"a group view lacks a member", "P15", edit(evs.GView, shared, func(e *evs.Event) { e.Members = e.Members[1:] })},
	{"a group view is left out", "P15", around(evs.GView, shared, remove)},
	{"a deadline changes on its way", "P18", edit(evs.Dlv, federated, func(e *evs.Event) { e.T++ })},
	{"a record breaks a promise", "P19", edit(evs.Import, func(_ *facts, e *evs.Event) bool { return e.Idx > 20 }, func(e *evs.Event) { e.T = 1 })},
	{"a promise is taken back", "P19", edit(evs.Promise, func(_ *facts, e *evs.Event) bool { return e.Dir == "out" && e.P > 1e9 }, func(e *evs.Event) { e.P = 1 })},
	{"a record is skipped", "P20", around(evs.Import, func(_ *facts, e *evs.Event) bool { return e.Idx > 5 }, remove)},
	{"a node accepts in another order", "P22", swapSends},
	{"a message is lost for one", "P26", lastOf},
}

// nth is which event of a node the mutants take: something came before it, and
// something comes behind.
const nth = 6

// edit changes the nth event of a kind that passes.
func edit(kind evs.Kind, pass func(*facts, *evs.Event) bool, change func(*evs.Event)) func([]evs.Trace) bool {
	return around(kind, pass, func(events []evs.Event, i int) []evs.Event {
		change(&events[i])
		return events
	})
}

// around does the same with room to insert and remove. Rings are few: the last one
// will do.
func around(kind evs.Kind, pass func(*facts, *evs.Event) bool, change func([]evs.Event, int) []evs.Event) func([]evs.Trace) bool {
	return func(traces []evs.Trace) bool {
		for t := range traces {
			f := gather(traces)
			found, seen := -1, 0
			for i := 0; i < len(traces[t].Events) && seen < nth; i++ {
				e := &traces[t].Events[i]
				if e.Kind == kind && (pass == nil || pass(&f, e)) && (kind != evs.Dlv || f.stays[e.Client] && evs.Ordered(f.service[e.Msg])) {
					found = i
					seen++
				}
			}
			if seen == nth || found >= 0 && kind == evs.Ring {
				traces[t].Events = change(traces[t].Events, found)
				return true
			}
		}
		return false
	}
}

// facts are what the mutants look for.
type facts struct {
	service map[evs.Message]string
	groups  map[evs.Message][]string
	stays   map[string]bool
	copies  map[evs.Message]int
}

func gather(traces []evs.Trace) facts {
	f := facts{map[evs.Message]string{}, map[evs.Message][]string{}, map[string]bool{}, map[evs.Message]int{}}
	for _, t := range traces {
		for _, e := range t.Events {
			switch e.Kind {
			case evs.Submit:
				f.service[e.Msg], f.groups[e.Msg] = e.Service, e.Groups
			case evs.Connect:
				f.stays[e.Client] = true
			case evs.Gone:
				f.stays[e.Client] = false
			case evs.Dlv:
				f.copies[e.Msg]++
			}
		}
	}
	return f
}

func ordered(*facts, *evs.Event) bool       { return true } // around takes no other deliveries
func own(_ *facts, e *evs.Event) bool       { return e.Client == e.Msg.Client }
func federated(_ *facts, e *evs.Event) bool { return e.Phase == evs.Regular }
func shared(_ *facts, e *evs.Event) bool    { return len(e.Members) > 2 }
func isSafe(f *facts, e *evs.Event) bool    { return f.service[e.Msg] == evs.Safe && popular(f, e) }
func popular(f *facts, e *evs.Event) bool {
	return e.Phase == evs.Regular && f.copies[e.Msg] > 2 && !slices.ContainsFunc(f.groups[e.Msg], func(g string) bool { return g[0] == '#' })
}
func without(set []string, x string) []string {
	return slices.DeleteFunc(slices.Clone(set), func(y string) bool { return y == x })
}

func remove(events []evs.Event, i int) []evs.Event { return slices.Delete(events, i, i+1) }

// swap makes two deliveries in a row at one client change places, both of which
// others got too.
func swap(pass func(a, b *evs.Event) bool) func([]evs.Trace) bool {
	return func(traces []evs.Trace) bool {
		f := gather(traces)
		for t := range traces {
			before := map[string]int{}
			for i := range traces[t].Events {
				e := &traces[t].Events[i]
				if e.Kind == evs.GView {
					delete(before, e.Client)
				}
				if e.Kind != evs.Dlv || !evs.Ordered(f.service[e.Msg]) || f.copies[e.Msg] < 3 || slices.ContainsFunc(f.groups[e.Msg], func(g string) bool { return g[0] == '#' }) {
					continue
				}
				if j, ok := before[e.Client]; ok && pass(&traces[t].Events[j], e) && len(f.groups[e.Msg]) == 1 && slices.Equal(f.groups[e.Msg], f.groups[traces[t].Events[j].Msg]) {
					a, b := &traces[t].Events[j], e
					a.Msg, b.Msg = b.Msg, a.Msg
					a.T, b.T, a.N, b.N, a.Src, b.Src, a.Phase, b.Phase = b.T, a.T, b.N, a.N, b.Src, a.Src, b.Phase, a.Phase
					return true
				}
				before[e.Client] = i
			}
		}
		return false
	}
}

// overtake delivers a message before one that its sender had received first.
func overtake(traces []evs.Trace) bool {
	f := gather(traces)
	causes := map[evs.Message]evs.Message{}
	for _, t := range traces {
		last := map[string]evs.Message{}
		for _, e := range t.Events {
			if e.Kind == evs.Dlv && evs.Ordered(f.service[e.Msg]) && e.Msg.Client != e.Client {
				last[e.Client] = e.Msg
			}
			if e.Kind == evs.Submit && evs.Ordered(e.Service) && last[e.Msg.Client] != (evs.Message{}) {
				causes[e.Msg] = last[e.Msg.Client]
			}
		}
	}
	for t := range traces {
		at := map[[2]string]map[evs.Message]int{}
		for i := range traces[t].Events {
			e := &traces[t].Events[i]
			if e.Kind != evs.Dlv {
				continue
			}
			k := [2]string{e.Client}
			if at[k] == nil {
				at[k] = map[evs.Message]int{}
			}
			if cause, ok := causes[e.Msg]; ok {
				if j, got := at[k][cause]; got {
					a := &traces[t].Events[j]
					a.Msg, e.Msg = e.Msg, a.Msg
					return true
				}
			}
			at[k][e.Msg] = i
		}
	}
	return false
}

// leaver delivers a message right behind the leave of its last group.
func leaver(traces []evs.Trace) bool {
	f := gather(traces)
	for t := range traces {
		got := map[string]int{}
		for i := range traces[t].Events {
			e := traces[t].Events[i]
			if e.Kind == evs.Dlv && len(f.groups[e.Msg]) == 1 {
				got[e.Client+f.groups[e.Msg][0]] = i
			}
			if j, ok := got[e.Client+e.Group]; e.Kind == evs.Leave && ok {
				late := traces[t].Events[j]
				traces[t].Events = slices.Delete(slices.Insert(traces[t].Events, i+1, late), j, j+1)
				return true
			}
		}
	}
	return false
}

// swapSends makes a node accept two messages in the other order, of which another node
// of its site has both.
func swapSends(traces []evs.Trace) bool {
	sites := map[string]int{}
	for _, t := range traces {
		here := map[string]bool{}
		for _, e := range t.Events {
			if e.Kind == evs.Send && !here[e.Inst] {
				here[e.Inst] = true
				sites[e.Inst]++
			}
		}
	}
	for t := range traces {
		before, seen := -1, 0
		for i, e := range traces[t].Events {
			if e.Kind != evs.Send || sites[e.Inst] < 2 {
				continue
			}
			if seen++; seen > 30 {
				events := traces[t].Events
				events[before], events[i] = events[i], events[before]
				return true
			}
			before = i
		}
	}
	return false
}

// lastOf takes away the last delivery of a client, which nothing else shows.
func lastOf(traces []evs.Trace) bool {
	f := gather(traces)
	for t := range traces {
		for i := len(traces[t].Events) - 1; i >= 0; i-- {
			if e := &traces[t].Events[i]; e.Kind == evs.Dlv && f.stays[e.Client] && f.copies[e.Msg] > 2 && evs.Ordered(f.service[e.Msg]) {
				traces[t].Events = remove(traces[t].Events, i)
				return true
			}
		}
	}
	return false
}
