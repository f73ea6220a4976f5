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

// TestViewTimeInQuietViews: however many sites there are, the clock of a quiet view keeps up with
// time, also while it is slewed, and beside a machine that is busy. With a bound of a second for
// each Tick, one of fifty sites would lose a third of it.
func TestViewTimeInQuietViews(t *testing.T) {
	for n := 2; n <= membership.MaxSites; n++ {
		view := membership.SiteView{ID: membership.ViewID{Epoch: 1}}
		for i := range n {
			view.Members = append(view.Members, SiteInstance{Instance: membership.InstanceID(i + 1), Site: membership.SiteID(i + 1)})
		}
		m := newMachine(&Config{}, &interner{}, 1, view)
		m.fx = &Effects{}
		every := quietFor(n) + quietFor(n)/slewPart + 45*time.Millisecond
		now := time.Duration(0)
		for ; now < time.Minute; now += every {
			m.tick(&tick{tag: m.tag, reading: int64(now), leads: make([]int64, n)})
		}
		if lost := now - every - time.Duration(m.clock); lost != 0 {
			t.Errorf("%d sites: in a minute of Ticks each %v the clock loses %v", n, every, lost)
		}
		if step := time.Duration(stepOf(n)); step >= time.Duration(maxAhead)/2 {
			t.Errorf("%d sites: one wild Tick moves the clock by %v", n, step)
		}
	}
}
