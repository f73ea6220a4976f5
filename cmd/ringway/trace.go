package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ringway/internal/evs"
	"ringway/internal/trace"
)

func newTrace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Judge what nodes recorded with --trace",
		Args:  args(0, 0, "none"),
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
say so with --quiet-end.`,
		Args: args(1, -1, "traces: folders or files"),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return f.check(cmd.OutOrStdout(), paths)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.asJSON, "json", false, "one JSON object a violation, and one at the end")
	flags.BoolVar(&f.quietEnd, "quiet-end", false, "the run ended without faults, and everything had time to arrive")
	flags.BoolVar(&f.oneClock, "one-clock", false, "all nodes ran on one machine: their clocks can be compared")
	flags.IntVar(&f.most, "most", 3, "report so many violations of each promise")
	return cmd
}

// A traceSummary ends the JSON output of `trace check`.
type traceSummary struct {
	Traces     int      `json:"traces"`
	Events     int      `json:"events"`
	Checked    []string `json:"checked"`
	Violations int      `json:"violations"`
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
	traces, err := trace.Load(paths)
	if err != nil {
		return usageError{fmt.Errorf("trace check: %w", err)}
	}
	violations := evs.Check(traces, evs.Options{Settled: f.quietEnd, OneClock: f.oneClock, Torn: true, PerPredicate: f.most})
	sum := traceSummary{Traces: len(traces), Checked: evs.Predicates(), Violations: len(violations)}
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
	_, err := fmt.Fprintf(out, "%d traces, %d events; checked %s: %s\n", sum.Traces, sum.Events, strings.Join(sum.Checked, " "), verdict)
	return err
}
