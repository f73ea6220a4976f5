package merge

import (
	"testing"
	"time"

	"ringway/membership"
)

// TestQuietPromisesAreFew: however large the view, the promises of quiet sites stay below
// what they may cost a link, and small views notice nothing.
func TestQuietPromisesAreFew(t *testing.T) {
	for n := 1; n <= membership.MaxSites; n++ {
		every := quietFor(n)
		p := promise{to: make([]promised, n)}
		travels := len(p.append(nil)) + 190 // what the overlay, QUIC and IP add
		rate := float64(n*travels) / every.Seconds()
		switch {
		case n <= 6 && every != quietInterval:
			t.Errorf("%d sites: every %v, want %v", n, every, quietInterval)
		case n > 1 && every < quietFor(n-1):
			t.Errorf("%d sites promise more often than %d", n, n-1)
		case every >= quietAfter:
			t.Errorf("%d sites: every %v, which is longer than a site is awake", n, every)
		case n <= 52 && rate > 50_000:
			t.Errorf("%d sites: a link that all promises cross carries %.0f bytes/s", n, rate)
		}
	}
	if every := quietFor(50); every < 1400*time.Millisecond || every > 1600*time.Millisecond {
		t.Errorf("fifty sites promise every %v", every)
	}
}
