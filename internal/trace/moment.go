package trace

import (
	"math"
	"time"

	"ringway/internal/evs"
)

// A Moment is one instant on all the clocks that there are where a node runs.
type Moment struct {
	Now  time.Duration // since the node's start
	Wall int64         // nanoseconds since 1970; zero if there is no such clock
	// Up is the machine's monotonic clock, in nanoseconds; zero if it has none. All its
	// processes share it, and unlike Wall nobody sets it.
	Up      int64
	Machine string // and which boot of it
}

const (
	// oneMoment is what clocks may be read apart and still count as read at once: less than
	// a message takes from one process to another.
	oneMoment = 20 * time.Microsecond
	// maxReadings bounds how often a node on a busy machine begins anew.
	maxReadings = 10
)

// MomentOf returns the present moment of the node whose clock is now.
func MomentOf(now func() time.Duration) Moment {
	m := readAtOnce(now, func() int64 { return time.Now().UnixNano() }, uptime)
	if m.Machine = machine(); m.Machine == "" {
		m.Up = 0 // nobody could say whose it is
	}
	return m
}

// readAtOnce reads all clocks, and again if something came between: the process may have
// had to wait for a processor. The closest readings count.
func readAtOnce(now func() time.Duration, wall, up func() int64) (best Moment) {
	least := time.Duration(math.MaxInt64)
	for range maxReadings {
		begin := now()
		m := Moment{Up: up(), Wall: wall()}
		took := now() - begin
		m.Now = begin + took/2
		if took < least {
			best, least = m, took
		}
		if took <= oneMoment {
			break
		}
	}
	return best
}

// align puts the traces of one machine on one clock. Its wall clock does not do for that:
// it may have been set between the starts of two nodes. For all of them it counts as what
// it was when the newest began, as the times that users note and ask by are later ones.
// A trace that has nothing but a wall clock keeps that.
func align(traces []evs.Trace) {
	newest := map[string]*evs.Event{}
	for i := range traces {
		e := &traces[i].Events[0]
		if n := newest[e.Machine]; e.Up != 0 && (n == nil || e.Up > n.Up) {
			newest[e.Machine] = e
		}
	}
	for i := range traces {
		if e := &traces[i].Events[0]; e.Up != 0 {
			n := newest[e.Machine]
			traces[i].Start = e.Up - e.At + n.T - n.Up
		}
	}
}
