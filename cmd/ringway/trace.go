package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/evs"
	"ringway/internal/trace"
)

func newTrace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Judge what nodes recorded with --trace",
		Args:  commands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("trace: say what to do: `ringway trace check FOLDER`")
		},
	}
	cmd.AddCommand(newTraceCheck())
	return cmd
}

// traceFlags are those of `trace check`.
type traceFlags struct {
	asJSON, quietEnd, oneClock bool
	quietFrom                  string
	most                       int
}

func newTraceCheck() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "check FOLDER|FILE...",
		Short: "Check traces of one run against the promises of the order; exit 1 if one is broken",
		Long: `Check reads the traces that the nodes of one run wrote (ringway node --trace FOLDER)
and verifies what docs/traces.md lists: nobody gets a message twice, all get them in
one order, views and what lies between them agree, and so on. A node without an end in
its trace counts as crashed.

What everybody should have got in the end can only be judged if the run ended quietly:
say so with --quiet-end. That all nodes end in one ring and one view is asked for if it
is said since when nothing went wrong any more: --quiet-from.`,
		Args: args(1, -1, "traces: folders or files"),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return f.check(cmd.OutOrStdout(), paths)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.asJSON, "json", false, "one JSON object a violation, and one at the end")
	flags.BoolVar(&f.quietEnd, "quiet-end", false, "the run ended without faults, and everything had time to arrive")
	flags.BoolVar(&f.oneClock, "one-clock", false, "all nodes ran on one machine: their clocks can be compared")
	flags.StringVar(&f.quietFrom, "quiet-from", "", "when the last fault was over by the wall clock, as 2006-01-02T15:04:05.999Z (implies --quiet-end and --one-clock)")
	flags.IntVar(&f.most, "most", 3, "report so many violations of each promise")
	return cmd
}

// A traceSummary ends the JSON output of `trace check`.
type traceSummary struct {
	Traces     int               `json:"traces"`
	Events     int               `json:"events"`
	Checked    []string          `json:"checked"`
	Unchecked  map[string]string `json:"unchecked"` // and why
	Violations int               `json:"violations"`
}

// A traceViolation is a line of it.
type traceViolation struct {
	Predicate string      `json:"predicate"`
	Explain   string      `json:"explain"`
	Client    string      `json:"client,omitempty"`
	Message   string      `json:"message,omitempty"`
	Evidence  []evs.Event `json:"evidence"`
}

func (f *traceFlags) check(out io.Writer, paths []string) error {
	if f.most < 1 {
		return usage("trace check: --most %d: want 1 or more", f.most)
	}
	traces, err := trace.Load(paths)
	if err != nil {
		return usageError{fmt.Errorf("trace check: %w", err)}
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	verdict := evs.Judge(traces, opts)
	violations := verdict.Violations
	sum := traceSummary{Traces: len(traces), Checked: verdict.Checked, Unchecked: map[string]string{}, Violations: len(violations)}
	for _, gap := range verdict.Unchecked {
		sum.Unchecked[gap.Predicate] = gap.Why
	}
	for _, t := range traces {
		sum.Events += len(t.Events)
	}
	if err := f.print(out, violations, sum); err != nil {
		return err
	}
	if len(violations) > 0 {
		return fmt.Errorf("trace check: %d violations, first of %s", len(violations), violations[0].Predicate)
	}
	return nil
}

// options are what the checker may take for granted. A killed node's trace may lack its
// last events.
func (f *traceFlags) options() (evs.Options, error) {
	opts := evs.Options{Settled: f.quietEnd, OneClock: f.oneClock, Torn: true, PerPredicate: f.most}
	if f.quietFrom == "" {
		return opts, nil
	}
	from, err := time.Parse(time.RFC3339Nano, f.quietFrom)
	if err != nil {
		return opts, usage("trace check: --quiet-from %q is no time like 2006-01-02T15:04:05Z", f.quietFrom)
	}
	opts.Settled, opts.OneClock, opts.QuietFrom = true, true, from.UnixNano()
	return opts, nil
}

func (f *traceFlags) print(out io.Writer, violations []evs.Violation, sum traceSummary) error {
	if f.asJSON {
		encoder := json.NewEncoder(out)
		for _, v := range violations {
			line := traceViolation{Predicate: v.Predicate, Explain: v.Explain, Client: v.Client, Evidence: v.Evidence}
			if v.Message.Client != "" {
				line.Message = v.Message.String()
			}
			if err := encoder.Encode(line); err != nil {
				return err
			}
		}
		return encoder.Encode(sum)
	}
	for _, v := range violations {
		fmt.Fprintln(out, v)
	}
	verdict := "all hold"
	if len(violations) > 0 {
		verdict = fmt.Sprintf("%d violations", len(violations))
	}
	if _, err := fmt.Fprintf(out, "%d traces, %d events; checked %s: %s\n", sum.Traces, sum.Events, strings.Join(sum.Checked, " "), verdict); err != nil {
		return err
	}
	return sum.printUnchecked(out)
}

// printUnchecked lists what was not checked, by reason.
func (s *traceSummary) printUnchecked(out io.Writer) error {
	reasons := map[string][]string{}
	for _, p := range evs.Predicates() {
		if why := s.Unchecked[p]; why != "" {
			reasons[why] = append(reasons[why], p)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		if _, err := fmt.Fprintf(out, "not checked: %s (%s)\n", strings.Join(reasons[why], " "), why); err != nil {
			return err
		}
	}
	return nil
}
