package merge

import "time"

const (
	// quietInterval is the least time between two ticks, and so two promises, of a site
	// where nobody sends.
	quietInterval = 50 * time.Millisecond
	// quietMost is the longest. It stays below quietAfter: for so long a site is awake that
	// has heard of somebody who sends.
	quietMost = 1800 * time.Millisecond
	// quietRate is how many bytes a second the promises of a view whose sites are all quiet
	// may cost a link, even if the promises of all of them cross it. Each grows with the
	// members, so what a link carries grows with their square.
	quietRate = 48_000
	// promiseTravels is about what a promise costs beside its part for each member: its own
	// head, the overlay's with a signature, QUIC's, UDP's and IP's, and its acknowledgement.
	promiseTravels = 250
)

// quiet is the time between ticks while nobody sends.
func (r *Replica) quiet() time.Duration { return quietFor(len(r.m.view.Members)) }

// stepOf bounds how far one Tick moves the clock in a view of n sites: the time between two Ticks
// of a quiet one, a slew (slewPart), and what a busy machine may be late by. Less than maxAhead.
func stepOf(n int) int64 { return max(maxStep, int64(quietFor(n))*5/4) }

// quietFor is quiet in a view of n sites: quietInterval for up to six, 1.5 seconds for fifty.
// Only the first message after quiet pays for it: what it waits for begins to come when the
// others hear of it (C6).
func quietFor(n int) time.Duration {
	cost := n * (promiseTravels + promisedBytes*n)
	return min(max(time.Duration(cost)*time.Second/quietRate, quietInterval), quietMost)
}
