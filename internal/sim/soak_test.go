package sim

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// soakTime is how long the site of TestSoak is tormented.
const soakTime = 10 * time.Minute

// TestSoak: whatever happens to a site for ten minutes, nothing grows. Heap and queues
// are looked at every few seconds; what counts is the least that was in use, which is
// what no fault and no message under way needs.
func TestSoak(t *testing.T) {
	p, err := Lookup("site")
	if err != nil {
		t.Fatal(err)
	}
	shape := &p.Shape
	length := soakTime / raceShare
	faults := int(length / (4 * time.Second))
	shape.Nodes, shape.Length, shape.Faults = [2]int{5, 5}, [2]time.Duration{length, length}, [2]int{faults, faults}
	s := Draw(max(1, *flagSeed), p)
	for i := range s.Steps {
		if step := &s.Steps[i]; step.Verb == Die {
			step.Verb, step.For = Crash, min(3*time.Second, s.Length-calmBefore-step.At)
		}
	}
	play := newPlay(s)
	play.f.untraced = true

	const every = 5 * time.Second
	var heaps []uint64
	play.f.at(length, play.endAll)
	for now := every; now <= length; now += every {
		play.f.agenda.run(now, &play.f.over)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heaps = append(heaps, m.HeapAlloc)
		play.measure()
	}
	play.f.at(length, play.lookForRest)
	play.f.agenda.run(length+play.patience(), &play.f.over)
	play.checkRest()
	for _, v := range play.f.wrong {
		t.Error(v)
	}
	for _, x := range play.sizes {
		if x.Value > x.Limit {
			t.Errorf("node %s: %s grew to %d, at most %d are fine", x.Node, x.What, x.Value, x.Limit)
		}
	}
	third := len(heaps) / 3
	early, late := slices.Min(heaps[:third]), slices.Min(heaps[2*third:])
	t.Logf("%d faults, %d crashes, %d messages, %d rings; least heap of the first third %d KiB, of the last %d KiB",
		play.f.stats.Faults, play.f.stats.Crashes, play.f.stats.Submitted, play.f.stats.Rings, early>>10, late>>10)
	if late > early+early/4+1<<20 {
		t.Errorf("the heap grows: at least %d KiB in the first third of the time, %d KiB in the last", early>>10, late>>10)
	}
}
