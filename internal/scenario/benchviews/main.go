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
	load := flag.String("load", "all", "idle or busy: whether clients send; size: joins, and many sessions; sites: three of them, the WAN is cut; all")
	topology := flag.String("topology", "examples/topologies/three-sites.toml", "of --load sites: three sites or more with admin ports, and links")
	verbose := flag.Bool("v", false, "print every sample to the error output")
	binary := flag.String("ringway", "", "the ringway to measure, instead of building this one")
	flag.Parse()
	parts := map[string][]string{"idle": {"idle"}, "busy": {"busy"}, "size": {"size"}, "sites": {"sites"}, "all": {"idle", "busy", "size", "sites"}}[*load]
	if parts == nil || *rounds < 1 || flag.NArg() > 0 {
		return fmt.Errorf("--load %s, --rounds %d, %d arguments: want idle, busy, size, sites or all, at least 1, and none", *load, *rounds, flag.NArg())
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
		switch part {
		case "size":
			more, err = scenario.MeasureSize(ctx, *binary, (*rounds+3)/4, say)
		case "sites":
			more, err = scenario.MeasureSites(ctx, *topology, *binary, *rounds, say)
		default:
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
			P90     float64   `json:"p90_ms"`
			Min     float64   `json:"min_ms"`
			Max     float64   `json:"max_ms"`
			Goal    float64   `json:"goal_ms,omitempty"`  // for the median
			Bound   float64   `json:"bound_ms,omitempty"` // for each
			Samples []float64 `json:"samples_ms"`
		}{f.What, f.Load, milliseconds(f.Median()), milliseconds(f.P90()), milliseconds(f.Min()), milliseconds(f.Max()), milliseconds(f.Goal), milliseconds(f.Bound), samples}); err != nil {
			return err
		}
	}
	return nil
}

func printTable(w io.Writer, figures []scenario.Figure) error {
	fmt.Fprintf(w, "%-46s %-5s %4s %9s %9s %9s %9s %11s\n", "milliseconds", "load", "n", "median", "90 %", "min", "max", "goal")
	for i := range figures {
		f := &figures[i]
		goal, missed := "-", ""
		switch {
		case f.Goal > 0:
			goal = fmt.Sprintf("< %.0f", milliseconds(f.Goal))
			if f.Median() >= f.Goal {
				missed = "  missed"
			}
		case f.Bound > 0:
			goal = fmt.Sprintf("all < %.0f", milliseconds(f.Bound))
			late := 0
			for _, s := range f.Samples {
				if s >= f.Bound {
					late++
				}
			}
			if late > 0 {
				missed = fmt.Sprintf("  missed %d times", late)
			}
		}
		if _, err := fmt.Fprintf(w, "%-46s %-5s %4d %9.1f %9.1f %9.1f %9.1f %11s%s\n", f.What, f.Load, len(f.Samples),
			milliseconds(f.Median()), milliseconds(f.P90()), milliseconds(f.Min()), milliseconds(f.Max()), goal, missed); err != nil {
			return err
		}
	}
	return nil
}
