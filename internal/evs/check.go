package evs

import (
	"fmt"
	"slices"
	"strings"
)

// A Trace is what one node recorded in one life, from start to stop or crash.
type Trace struct {
	Node string
	Boot uint64
	// Start is the time of the node's start on the clock that all traces share,
	// in nanoseconds; only the simulator has one.
	Start  int64
	Events []Event
}

// Options says what a checker may take for granted.
type Options struct {
	// Settled: the last fault is long over and everybody had time to deliver
	// everything. Liveness (P26) and the ends of the other predicates count.
	Settled bool
	// OneClock: Start of all traces is on one clock.
	OneClock bool
	// Skip names predicates to leave out, like "P5".
	Skip []string
	// PerPredicate bounds the violations reported of each; 0 means 3.
	PerPredicate int
}

// A Violation is a predicate that does not hold, and the shortest proof of it.
type Violation struct {
	Predicate string
	Client    string  // if it concerns one
	Message   Message // if it concerns one
	View      ViewID  // if it concerns one
	Explain   string
	Evidence  []Event
}

func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Predicate, v.Explain)
	for _, e := range v.Evidence {
		fmt.Fprintf(&b, "\n    %s", e.brief())
	}
	return b.String()
}

// brief renders what matters of an event in one line.
func (e *Event) brief() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.6fs %s %s", float64(e.At)/1e9, e.Node, e.Kind)
	put := func(name string, value any, set bool) {
		if set {
			fmt.Fprintf(&b, " %s=%v", name, value)
		}
	}
	put("ring", fmt.Sprintf("%s/%d", e.Ring, e.RSeq), e.Ring != "")
	put("inst", e.Inst, e.Inst != "")
	put("view", e.View, e.View != ViewID{})
	put("client", e.Client, e.Client != "")
	put("msg", e.Msg, e.Msg.Client != "")
	put("svc", e.Service, e.Service != "")
	put("group", e.Group, e.Group != "")
	put("groups", e.Groups, len(e.Groups) > 0)
	put("mode", e.Mode, e.Mode != "")
	put("src", e.Src, e.Src != "")
	put("T", e.T, e.T != 0)
	put("n", e.N, e.T != 0 || e.N != 0)
	put("D", e.D, len(e.D) > 0)
	put("idx", e.Idx, e.Kind == Import || e.Kind == Promise)
	put("to", e.To, e.To != "")
	put("P", e.P, e.P != 0)
	put("dir", e.Dir, e.Dir != "")
	put("why", e.Why, e.Why != "")
	put("id", e.ID, e.ID != "")
	put("members", e.Members, len(e.Members) > 0)
	put("ts", e.TS, len(e.TS) > 0)
	put("tsn", e.TSN, len(e.TSN) > 0)
	return b.String()
}

// A predicate is one entry of the table in doc.go.
type predicate struct {
	name  string
	check func(*history, *report)
}

var predicates = []predicate{
	{"P1", selfInclusion},
	{"P2", agreement},
	{"P3", monotone},
	{"P4", sequence},
	{"P5", transitionalSet},
	{"P6", integrity},
	{"P7", virtualSynchrony},
	{"P8", selfDelivery},
	{"P9", configurationOfDelivery},
	{"P10", senderOrder},
	{"P11", causalOrder},
	{"P12", totalOrder},
	{"P13", noHole},
	{"P14", safeDelivery},
	{"P15", samePlace},
	{"P16", afterDown},
	{"P17", oneLineage},
	{"P18", sameT},
	{"P19", promises},
	{"P20", streams},
	{"P22", siteAgreement},
	{"P26", everythingArrives},
}

// Predicates returns the names of what Check verifies.
func Predicates() []string {
	names := make([]string, len(predicates))
	for i, p := range predicates {
		names[i] = p.name
	}
	return names
}

// Check verifies every predicate of the table over the traces of one run and
// returns what does not hold, in the order of the table. Traces that Decode would
// refuse give undefined answers.
func Check(traces []Trace, opts Options) []Violation {
	if opts.PerPredicate == 0 {
		opts.PerPredicate = 3
	}
	h := newHistory(traces, opts)
	var all []Violation
	for _, p := range predicates {
		if slices.Contains(opts.Skip, p.name) {
			continue
		}
		r := &report{predicate: p.name, limit: opts.PerPredicate}
		p.check(h, r)
		all = append(all, r.found...)
	}
	return all
}

// A report collects the violations of one predicate.
type report struct {
	predicate string
	limit     int
	found     []Violation
}

// full says that more would not be reported.
func (r *report) full() bool { return len(r.found) >= r.limit }

// add reports a violation; the events that are nil are left out.
func (r *report) add(v Violation, evidence ...*Event) {
	if r.full() {
		return
	}
	v.Predicate = r.predicate
	for _, e := range evidence {
		if e != nil {
			v.Evidence = append(v.Evidence, *e)
		}
	}
	r.found = append(r.found, v)
}
