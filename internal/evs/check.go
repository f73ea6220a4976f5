package evs

import "slices"

// A Trace is what one node recorded in one life, from start to stop or crash.
type Trace struct {
	Node string
	Boot uint64
	// Start is the time of the node's start on the clock that all traces share, in
	// nanoseconds.
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
	// QuietFrom is when the last fault was over, on the common clock. From then on all
	// nodes of a site could talk to each other. Zero if that never was. P25 and P28 ask
	// for it.
	QuietFrom int64
	// Components has for each node that was there at the end which others it could reach
	// then: those of the same name. Nil: all could reach each other.
	Components map[string]string
	// Torn: the trace of a node that crashed may lack its last events. What only that
	// node could have recorded is not missed.
	Torn bool
	// Facts are what no trace has; nil if nobody knows them.
	Facts *Facts
	// Skip names predicates to leave out, like "P5".
	Skip []string
	// PerPredicate bounds the violations reported of each; 0 means 3.
	PerPredicate int
}

// A Verdict is what a check came to.
type Verdict struct {
	Violations []Violation // in the order of the predicates
	Checked    []string    // predicates that could be checked, and were
	Unchecked  []Gap       // those that could not
	// Parts counts how often two clients that left a view together got one message in
	// different parts of it, the regular and the transitional one. Between sites nobody
	// promises that they do not.
	Parts int
}

// A Gap is a predicate that was not checked.
type Gap struct{ Predicate, Why string }

// A predicate is one entry of the table in doc.go.
type predicate struct {
	name  string
	check func(*history, *report)
	lacks func(*history) string // why it cannot be checked; nil: it can
}

var predicates = []predicate{
	{"P1", selfInclusion, nil},
	{"P2", agreement, nil},
	{"P3", monotone, nil},
	{"P4", sequence, nil},
	{"P5", transitionalSet, nil},
	{"P6", integrity, nil},
	{"P7", virtualSynchrony, nil},
	{"P8", selfDelivery, nil},
	{"P9", configurationOfDelivery, lacksKeys},
	{"P10", senderOrder, nil},
	{"P11", causalOrder, nil},
	{"P12", totalOrder, nil},
	{"P13", noHole, nil},
	{"P14", safeDelivery, lacksEnd},
	{"P15", samePlace, nil},
	{"P16", afterDown, lacksKeys},
	{"P17", oneLineage, nil},
	{"P18", sameT, lacksKeys},
	{"P19", promises, lacksKeys},
	{"P20", streams, lacksKeys},
	{"P21", releasedIsSafe, func(h *history) string { return lacksFact(h, func(f *Facts) bool { return len(f.Releases) > 0 }) }},
	{"P22", siteAgreement, lacksKeys},
	{"P23", unmoved, func(h *history) string { return lacksFact(h, func(f *Facts) bool { return len(f.Connected) > 0 }) }},
	{"P24", bounds, func(h *history) string { return lacksFact(h, func(f *Facts) bool { return len(f.Sizes) > 0 }) }},
	{"P25", oneComponent, lacksQuiet},
	{"P26", everythingArrives, lacksEnd},
	{"P27", nothingLeft, func(h *history) string { return lacksFact(h, func(f *Facts) bool { return len(f.Ends) > 0 }) }},
	{"P28", fewViews, lacksQuiet},
	{"P29", primaryLine, lacksClock},
}

func lacksKeys(h *history) string {
	if h.keyed {
		return ""
	}
	return "the traces do not show what was accepted"
}

func lacksEnd(h *history) string {
	if h.opts.Settled {
		return ""
	}
	return "it is not known whether the run ended quietly"
}

func lacksQuiet(h *history) string {
	switch {
	case !h.opts.Settled:
		return lacksEnd(h)
	case !h.opts.OneClock:
		return "the nodes' clocks cannot be compared"
	case h.opts.QuietFrom == 0:
		return "it is not known when the last fault was over"
	}
	return ""
}

func lacksFact(h *history, has func(*Facts) bool) string {
	if h.opts.Facts != nil && has(h.opts.Facts) {
		return ""
	}
	return "only the simulator knows"
}

// Predicates returns the names of all predicates.
func Predicates() []string {
	names := make([]string, len(predicates))
	for i, p := range predicates {
		names[i] = p.name
	}
	return names
}

// Check returns what does not hold, in the order of the predicates.
func Check(traces []Trace, opts Options) []Violation { return Judge(traces, opts).Violations }

// Judge verifies every predicate of the table over the traces of one run. Traces that
// Decode would refuse give undefined answers.
func Judge(traces []Trace, opts Options) *Verdict {
	if opts.PerPredicate == 0 {
		opts.PerPredicate = 3
	}
	h := newHistory(traces, opts)
	v := &Verdict{}
	for _, p := range predicates {
		why := ""
		switch {
		case slices.Contains(opts.Skip, p.name):
			why = "left out"
		case p.lacks != nil:
			why = p.lacks(h)
		}
		if why != "" {
			v.Unchecked = append(v.Unchecked, Gap{p.name, why})
			continue
		}
		r := &report{predicate: p.name, limit: opts.PerPredicate}
		p.check(h, r)
		v.Violations = append(v.Violations, r.found...)
		v.Parts += r.parts / 2 // seen from both ends
		v.Checked = append(v.Checked, p.name)
	}
	return v
}

// A report collects the violations of one predicate.
type report struct {
	predicate string
	limit     int
	found     []Violation
	parts     int // see Verdict
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
