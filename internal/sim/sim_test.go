package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/evs"
)

var (
	flagSeed       = flag.Uint64("sim.seed", 0, "run this seed (TestSeed), or start there (TestRandom)")
	flagProfile    = flag.String("sim.profile", "", "profiles, with commas; one-site, federations: all of one or of several sites; empty: both")
	flagRuns       = flag.Int("sim.n", 0, "run that many seeds (TestRandom)")
	flagFor        = flag.Duration("sim.for", 0, "run seeds for that long (TestRandom)")
	flagFailures   = flag.Int("sim.failures", 5, "give up after that many failures (TestRandom)")
	flagTraces     = flag.String("sim.trace", "", "write traces of failed runs into folders below this one")
	flagHash       = flag.Bool("sim.hash", false, "log the hash of the traces")
	flagShrink     = flag.Duration("sim.shrink", 0, "make a failing schedule shorter for at most that long")
	flagOut        = flag.String("sim.out", "", "write transcripts of failing schedules into this folder; empty: a temporary one")
	flagTranscript = flag.String("sim.transcript", "", "play this file (TestTranscript)")
)

// judge fails the test if a run broke anything, with the command that repeats it.
func judge(t *testing.T, r *Result) bool {
	t.Helper()
	if *flagHash {
		t.Logf("hash %016x", r.Hash())
	}
	if len(r.Violations) == 0 {
		return true
	}
	t.Errorf("%v\nto see it again: %s", r, r.Command())
	if *flagShrink > 0 {
		shrink(t, r)
	}
	if *flagTraces != "" {
		folder := *flagTraces + "/" + r.Profile
		if err := r.WriteTraces(folder); err != nil {
			t.Error(err)
		}
		t.Logf("traces are in %s", folder)
	}
	return false
}

// shrink writes a transcript of what a failure needs.
func shrink(t *testing.T, r *Result) {
	t.Helper()
	begin, predicate := time.Now(), r.Violations[0].Predicate
	k := &Shrinker{
		Fails: func(s *Schedule) bool {
			return slices.ContainsFunc(Play(s).Violations, func(v evs.Violation) bool { return v.Predicate == predicate })
		},
		More: func() bool { return time.Since(begin) < *flagShrink },
	}
	s := k.Shrink(r.Schedule)
	folder := *flagOut
	if folder == "" {
		folder = filepath.Join(os.TempDir(), "ringway-sim")
	}
	name := filepath.Join(folder, fmt.Sprintf("%s-%s-%d.txt", strings.ToLower(predicate), s.Profile, s.Seed))
	text := fmt.Sprintf("# %s, found by seed %d of profile %s.\n%v", predicate, s.Seed, s.Profile, s)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	left := Play(s)
	t.Logf("%d of %d steps are enough (%d runs): go test ./internal/sim -run TestTranscript -sim.transcript=%s\n%v\n%v", len(s.Steps), len(r.Schedule.Steps), k.Runs, name, s, left)
}

// chosen returns the profiles that the flags ask for.
func chosen(t *testing.T) []Profile {
	t.Helper()
	switch *flagProfile {
	case "":
		return append(OneSite(), Federations()...)
	case "one-site":
		return OneSite()
	case "federations":
		return Federations()
	}
	var list []Profile
	for name := range strings.SplitSeq(*flagProfile, ",") {
		p, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// TestSeed runs one seed: what a failure's command calls. Without flags it runs a few of
// each profile of one site, and of the federations that have least and most trouble, as
// part of the ordinary tests.
func TestSeed(t *testing.T) {
	seeds := []uint64{1, 2}[:3-min(2, raceShare)]
	if *flagSeed != 0 {
		seeds = []uint64{*flagSeed}
	}
	list := chosen(t)
	if *flagSeed == 0 && *flagProfile == "" {
		list = slices.DeleteFunc(list, func(p Profile) bool {
			return p.Shape.Sites[1] > 1 && p.Name != "fed-calm" && p.Name != "fed-chaos"
		})
	}
	for _, p := range list {
		for _, seed := range seeds {
			r := Run(seed, p)
			if judge(t, r) {
				t.Log(r)
			}
		}
	}
}

// TestDeterminism: a seed decides everything.
func TestDeterminism(t *testing.T) {
	list := chosen(t)
	if *flagProfile == "" {
		list = list[:0]
		for _, name := range []string{"site", "fed-calm", "fed-chaos"} {
			p, err := Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, p)
		}
	}
	for _, p := range list {
		run := func(seed uint64) *Result {
			s := Draw(seed, p)
			s.Length = 6 * time.Second
			p := newPlay(s)
			p.f.agenda.run(s.Length, &p.f.over) // whether it comes to rest is of no interest here
			p.f.finish()
			return p.f.result()
		}
		a, b := run(11), run(11)
		if a.Hash() != b.Hash() {
			for i := range min(len(a.Traces), len(b.Traces)) {
				for j := range min(len(a.Traces[i].Events), len(b.Traces[i].Events)) {
					if !sameEvent(a.Traces[i].Events[j], b.Traces[i].Events[j]) {
						t.Fatalf("profile %s: the same seed made another run, first difference at %s, event %d:\n%+v\n%+v",
							p.Name, a.Traces[i].Node, j, a.Traces[i].Events[j], b.Traces[i].Events[j])
					}
				}
			}
			t.Fatalf("profile %s: the same seed made another run", p.Name)
		}
		if c := run(12); c.Hash() == a.Hash() {
			t.Errorf("profile %s: seeds 11 and 12 made the same run", p.Name)
		}
	}
}

func sameEvent(a, b evs.Event) bool {
	return a.At == b.At && a.Kind == b.Kind && a.Client == b.Client && a.Msg == b.Msg && a.ID == b.ID && slices.Equal(a.Members, b.Members)
}
