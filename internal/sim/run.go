package sim

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ringway/internal/evs"
)

// A Result is what came of a run.
type Result struct {
	Seed       uint64
	Profile    string
	Schedule   *Schedule
	Traces     []evs.Trace
	Violations []evs.Violation
	Stats      Stats
}

// Run plays one seed of a profile and checks it. The same seed gives the same
// Result, always.
func Run(seed uint64, p Profile) *Result { return Play(Draw(seed, p)) }

// result is the verdict on a run that has ended.
func (f *federation) result() *Result {
	s := f.play.schedule
	r := &Result{Seed: f.seed, Profile: s.Profile, Schedule: s, Stats: f.stats}
	for _, t := range f.traces {
		r.Traces = append(r.Traces, *t)
	}
	opts := evs.Options{Settled: true, OneClock: true, QuietFrom: int64(f.play.quiet), Facts: f.play.facts(), Components: f.play.components()}
	if f.panicked {
		r.Violations = f.wrong // traces that end in the middle of a step say nothing
		return r
	}
	r.Stats.Covered.Add(evs.Cover(r.Traces))
	r.Violations = append(f.wrong, evs.Check(r.Traces, opts)...)
	return r
}

// Command is what makes the same run again.
func (r *Result) Command() string {
	return fmt.Sprintf("go test ./internal/sim -run TestSeed -sim.seed=%d -sim.profile=%s", r.Seed, r.Profile)
}

// Hash is a digest of all traces.
func (r *Result) Hash() uint64 {
	h := fnv.New64a()
	for _, t := range r.Traces {
		fmt.Fprintln(h, t.Node, t.Boot, t.Start)
		if err := evs.Encode(h, t.Events); err != nil {
			panic(err) // a hash takes everything, and events always encode
		}
	}
	return h.Sum64()
}

// WriteTraces writes the traces into a folder, one file a life, and a file with
// the violations.
func (r *Result) WriteTraces(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, t := range r.Traces {
		name := fmt.Sprintf("%s-%d.jsonl", t.Node, t.Start/1e6)
		if err := writeFile(filepath.Join(folder, name), func(w io.Writer) error { return evs.Encode(w, t.Events) }); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(folder, "violations.json"), func(w io.Writer) error { return json.NewEncoder(w).Encode(r.Violations) })
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// String tells what a run was like and what was wrong with it.
func (r *Result) String() string {
	var b strings.Builder
	s := r.Stats
	fmt.Fprintf(&b, "seed %d, profile %s: %d nodes' lives, %d messages (%d rejections), %d deliveries, %d group views, %d rings, %d crashes, %d faults, %d records, %d packets, %d steps",
		r.Seed, r.Profile, len(r.Traces), s.Submitted, s.Rejected, s.Delivered, s.GroupViews, s.Rings, s.Crashes, s.Faults, s.Records, s.Packets, s.Events)
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "\n  %v", v)
	}
	return b.String()
}
