package sim

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringway/internal/evs"
)

// TestRandom runs many seeds, for -sim.for or -sim.n of them, one on each processor.
func TestRandom(t *testing.T) {
	w := &walk{begin: time.Now(), seed: *flagSeed, list: chosen(t), covered: evs.Coverage{}}
	if w.seed == 0 {
		w.seed = uint64(w.begin.UnixNano()) % 1_000_000_000
	}
	w.told = w.begin
	var names []string
	for _, p := range w.list {
		names = append(names, p.Name)
	}
	// At once, so that it is known however the run ends.
	fmt.Printf("sim: seeds from %d, profiles %s; again: go test ./internal/sim -run TestRandom -sim.seed=%d -sim.profile=%s -sim.n=%d -sim.for=%v\n",
		w.seed, strings.Join(names, ","), w.seed, strings.Join(names, ","), *flagRuns, *flagFor)
	var walkers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		walkers.Go(func() {
			for seed, p, more := w.next(); more; seed, p, more = w.next() {
				r := Run(seed, p)
				w.ran(r, judge(t, r))
			}
		})
	}
	walkers.Wait()
	t.Logf("%d runs in %v, %d failed", w.runs, time.Since(w.begin).Round(time.Millisecond), w.failed)
	t.Logf("covered:\n%v", w.covered)
	t.Logf("from the last fault until all are together: %v", spread(w.wholes))
}

// A walk goes through seeds, and through all profiles with each.
type walk struct {
	begin time.Time
	list  []Profile

	mu            sync.Mutex
	seed          uint64
	at            int // the profile that is next
	started, runs int
	failed        int
	told          time.Time
	wholes        []time.Duration
	covered       evs.Coverage
}

// next is what is to be run, if anything is: at least one run is.
func (w *walk) next() (seed uint64, p Profile, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	enough := w.started >= max(1, *flagRuns) && time.Since(w.begin) >= *flagFor
	if enough || w.failed >= *flagFailures {
		return 0, p, false
	}
	seed, p = w.seed, w.list[w.at]
	w.started++
	if w.at++; w.at == len(w.list) {
		w.at = 0
		w.seed++
	}
	return seed, p, true
}

// ran counts a run, and says each minute how many there were.
func (w *walk) ran(r *Result, held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs++
	if !held {
		w.failed++
	}
	w.wholes = append(w.wholes, r.Stats.Whole)
	w.covered.Add(r.Stats.Covered)
	if time.Since(w.told) >= time.Minute {
		w.told = time.Now()
		fmt.Printf("sim: %d runs in %v, %d failed; at seed %d\n", w.runs, time.Since(w.begin).Round(time.Second), w.failed, w.seed)
	}
}

// spread says how long things took.
func spread(list []time.Duration) string {
	n := len(list)
	if n == 0 {
		return "never"
	}
	slices.Sort(list)
	return fmt.Sprintf("median %v, 90 %% %v, 99 %% %v, longest %v, of %d", list[n/2], list[n*9/10], list[n*99/100], list[n-1], n)
}
