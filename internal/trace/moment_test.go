package trace

import (
	"runtime"
	"testing"
	"time"

	"ringway/internal/evs"
)

// TestReadAtOnce: readings that something came between are taken again, so often; the
// closest ones count.
func TestReadAtOnce(t *testing.T) {
	const us = time.Microsecond
	long := make([]time.Duration, 2*maxReadings)
	for i := range long {
		long[i] = time.Second - time.Duration(i)*us
	}
	for _, x := range []struct {
		name  string
		takes []time.Duration // how long each try takes
		tries int
		took  time.Duration // the one that counts
	}{
		{"at once", []time.Duration{us}, 1, us},
		{"as long as may be", []time.Duration{oneMoment}, 1, oneMoment},
		{"once late", []time.Duration{4 * time.Millisecond, 2 * us}, 2, 2 * us},
		{"always late", append([]time.Duration{80 * us, 60 * us}, long...), maxReadings, 60 * us},
	} {
		t.Run(x.name, func(t *testing.T) {
			const booted, born = int64(7e9), int64(1e18)
			at, tries := time.Duration(5e9), 0
			up := func() int64 {
				tries++
				return booted + int64(at)
			}
			wall := func() int64 {
				at += x.takes[tries-1]
				return born + int64(at)
			}
			m := readAtOnce(func() time.Duration { return at }, wall, up)
			if tries != x.tries {
				t.Errorf("%d tries, want %d", tries, x.tries)
			}
			if took := time.Duration(m.Wall - born - (m.Up - booted)); took != x.took {
				t.Errorf("the clocks are %v apart, want %v", took, x.took)
			}
			if off := m.Now - time.Duration(m.Up-booted); off != x.took/2 {
				t.Errorf("the node's clock is off by %v, want half of %v", off, x.took)
			}
		})
	}
}

// TestMomentOf: where there is a clock of the machine, it goes with the node's.
func TestMomentOf(t *testing.T) {
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	first := MomentOf(now)
	if first.Machine == "" && runtime.GOOS != "linux" {
		t.Skip("this system has no clock that all processes share")
	}
	second := MomentOf(now)
	// It is one clock, so that only the reading of it takes time; there is no bound to that.
	if first.Machine != second.Machine || second.Up <= first.Up || first.Wall == 0 {
		t.Errorf("first %+v, then %+v", first, second)
	}
}

// TestAlign: traces of one boot of a machine differ by what its monotonic clock says, and
// their wall clock is that of the newest. Others keep what the wall clock was.
func TestAlign(t *testing.T) {
	start := func(wall, at, up int64, machine string) evs.Trace {
		return evs.Trace{Start: wall - at, Events: []evs.Event{{Kind: evs.Start, T: wall, At: at, Up: up, Machine: machine}}}
	}
	traces := []evs.Trace{
		start(100_000, 10, 5000, "m"), // then the clock is set back
		start(90_300, 20, 5320, "m"),
		start(90_200, 30, 5210, "m"),
		start(90_100, 40, 0, ""), // of an older release
		start(95_000, 0, 7000, "other"),
		start(99_000, 50, 40, "m again"),
	}
	align(traces)
	for i, want := range []int64{89_970, 90_280, 90_160, 90_060, 95_000, 98_950} {
		if got := traces[i].Start; got != want {
			t.Errorf("trace %d began at %d, want %d", i, got, want)
		}
	}
}
