package merge

import (
	"testing"
	"time"

	"ringway/membership"
)

// TestFlapping is X8: how long a site has to be reachable before a view takes it in again
// doubles each time that it is lost soon after, up to a limit, and begins anew when it has
// held out. Its own proposals are refused for three quarters of that.
func TestFlapping(t *testing.T) {
	timing := Timing{Meet: time.Second, Rejoin: 2 * time.Second, MaxRejoin: 10 * time.Second, FlapWindow: time.Minute}
	self, other := SiteInstance{Instance: 1, Site: 1}, SiteInstance{Instance: 2, Site: 2}
	alone, both := []SiteInstance{self}, []SiteInstance{self, other}
	p := newPeers()
	now := time.Duration(0)
	comes := func() { p.update(now, []Reach{{SiteInstance: other}}) }
	steady := func(wait time.Duration) {
		t.Helper()
		if at := p.steadyAt(p.at(2), &timing); at != now+wait {
			t.Errorf("steady after %v, want %v", at-now, wait)
		}
	}
	comes()
	steady(timing.Meet)
	for _, wait := range []time.Duration{2, 4, 8, 10, 10} {
		p.installed(now, &timing, alone, both)
		now += timing.FlapWindow // no longer than it may take
		p.update(now, nil)
		p.installed(now, &timing, both, alone)
		now += 5 * time.Second
		comes()
		steady(wait * time.Second)
		wait *= time.Second
		for after, want := range map[time.Duration]bool{0: true, wait*3/4 - 1: true, wait * 3 / 4: false} {
			if p.refuses(now+after, membership.InstanceID(2), &timing) != want {
				t.Errorf("its proposals %v after it is back, of %v: refused is not %v", after, wait, want)
			}
		}
		now += wait
	}
	p.installed(now, &timing, alone, both)
	now += timing.FlapWindow + 1
	p.update(now, nil)
	p.installed(now, &timing, both, alone)
	comes()
	steady(timing.Rejoin)
}
