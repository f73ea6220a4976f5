package overlay

import (
	"sync/atomic"
	"time"
)

// How promises make room on a link that is full. QUIC sends datagrams before streams, so
// promises of a busy federation, some hundred kB/s, would leave a thin link little for the
// records that they speak of. Any promise supersedes those before it: fewer do.
const (
	// promiseShare is one over the share of what a full link sends that they may have.
	promiseShare = 8
	// rationLook is how often it is looked how much they have.
	rationLook = 50 * time.Millisecond
	// gapLeast and gapMost bound the time between two rounds of them where that is too
	// much: it doubles with each look, and else gets shorter by an eighth. Some ten a
	// second must pass, or a site would take another one for silent.
	gapLeast = 2 * time.Millisecond
	gapMost  = 100 * time.Millisecond
	// queueLeast and a quarter of the way is how long packets wait for each other on a
	// link that is full; jitter is less.
	queueLeast = 20 * time.Millisecond
)

// A pressure tells whether the link to a peer is full: a writer of a log has more than it
// takes at present, or packets queue up on the way. Its methods may be called concurrently.
type pressure struct {
	writers atomic.Int32
	queued  atomic.Bool
	longest atomic.Int64 // a round trip that shows a queue: nanoseconds; 0: not known
}

// enter and leave are around a write that may have to wait for the link.
func (p *pressure) enter() { p.writers.Add(1) }
func (p *pressure) leave() { p.writers.Add(-1) }

func (p *pressure) full() bool { return p.writers.Load() > 0 || p.queued.Load() }

// fills says whether a round trip shows that packets queue up: sooner than full, which goes
// by what hellos show in the mean.
func (p *pressure) fills(rtt time.Duration) bool {
	longest := p.longest.Load()
	return longest > 0 && int64(rtt) > longest
}

// A ration spaces the promises on a lane. It is pure and not safe for concurrent use.
type ration struct {
	gap      time.Duration // between two rounds; 0: none
	next     time.Duration // when the next round may go
	looked   time.Duration
	sent     uint64 // by the lane, when it was looked
	promised uint64 // of them since then, in bytes
}

// due says whether it is time to look.
func (r *ration) due(now time.Duration) bool { return now >= r.looked+rationLook }

// look takes what the lane has sent in all, and whether the link is full.
func (r *ration) look(now time.Duration, sent uint64, full bool) {
	switch {
	case full && r.promised*promiseShare > sent-r.sent:
		r.gap = min(max(2*r.gap, gapLeast), gapMost)
	case r.gap <= gapLeast:
		r.gap = 0
	default:
		r.gap -= r.gap / 8
	}
	r.looked, r.sent, r.promised = now, sent, 0
}

// wait returns for how long the next round has to wait.
func (r *ration) wait(now time.Duration) time.Duration { return max(0, r.next-now) }

// take notes a round of so many bytes.
func (r *ration) take(now time.Duration, bytes int) {
	r.next = now + r.gap
	r.promised += uint64(bytes)
}
