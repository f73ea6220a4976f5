//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"ringway/internal/scenario"
)

func main() { scenario.Main("bench-views", run) }

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 20, "how often each fault is injected")
	asJSON := flag.Bool("json", false, "one JSON object a figure instead of a table")
	load := flag.String("load", "all", "idle or busy: whether clients send; size: joins, and many sessions; all")
	verbose := flag.Bool("v", false, "print every sample to the error output")
	binary := flag.String("ringway", "", "the ringway to measure, instead of building this one")
	flag.Parse()
	parts := map[string][]string{"idle": {"idle"}, "busy": {"busy"}, "size": {"size"}, "all": {"idle", "busy", "size"}}[*load]
	if parts == nil || *rounds < 1 || flag.NArg() > 0 {
		return fmt.Errorf("--load %s, --rounds %d, %d arguments: want idle, busy, size or all, at least 1, and none", *load, *rounds, flag.NArg())
	}
	if *binary == "" {
		folder, err := os.MkdirTemp("", "rw")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		if *binary, err = scenario.Build(ctx, folder, false); err != nil {
			return err
		}
	}
	var say func(string, ...any)
	if *verbose {
		begin := time.Now()
		say = func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "%7.2f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
		}
	}
	var figures []scenario.Figure
	for _, part := range parts {
		var more []scenario.Figure
		var err error
		if part == "size" {
			more, err = scenario.MeasureSize(ctx, *binary, (*rounds+3)/4, say)
		} else {
			more, err = scenario.Measure(ctx, *binary, *rounds, part == "busy", say)
		}
		figures = append(figures, more...)
		if err != nil {
			return err
		}
	}
	if *asJSON {
		return printJSON(os.Stdout, figures)
	}
	return printTable(os.Stdout, figures)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

func printJSON(w io.Writer, figures []scenario.Figure) error {
	out := json.NewEncoder(w)
	for i := range figures {
		f := &figures[i]
		samples := make([]float64, 0, len(f.Samples))
		for _, s := range f.Samples {
			samples = append(samples, milliseconds(s))
		}
		if err := out.Encode(struct {
			What    string    `json:"what"`
			Load    string    `json:"load"`
			Median  float64   `json:"median_ms"`
			Min     float64   `json:"min_ms"`
			Max     float64   `json:"max_ms"`
			Goal    float64   `json:"goal_ms,omitempty"` // for the median
			Samples []float64 `json:"samples_ms"`
		}{f.What, f.Load, milliseconds(f.Median()), milliseconds(f.Min()), milliseconds(f.Max()), milliseconds(f.Goal), samples}); err != nil {
			return err
		}
	}
	return nil
}

func printTable(w io.Writer, figures []scenario.Figure) error {
	fmt.Fprintf(w, "%-46s %-5s %4s %9s %9s %9s %9s\n", "milliseconds", "load", "n", "median", "min", "max", "goal")
	for i := range figures {
		f := &figures[i]
		goal := "-"
		if f.Goal > 0 {
			goal = fmt.Sprintf("< %.0f", milliseconds(f.Goal))
		}
		missed := ""
		if f.Goal > 0 && f.Median() >= f.Goal {
			missed = "  missed"
		}
		if _, err := fmt.Fprintf(w, "%-46s %-5s %4d %9.1f %9.1f %9.1f %9s%s\n", f.What, f.Load, len(f.Samples),
			milliseconds(f.Median()), milliseconds(f.Min()), milliseconds(f.Max()), goal, missed); err != nil {
			return err
		}
	}
	return nil
}
