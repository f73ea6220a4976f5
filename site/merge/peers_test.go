package merge

import (
	"slices"
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
	proposal := membership.ViewID{Proposer: other.Instance}
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
			proposal.Epoch++
			if left, early := p.refuses(now+after, proposal, &timing); early != want || left != wait-after {
				t.Errorf("its proposals %v after it is back, of %v: refused is %v, for %v", after, wait, early, left)
			}
			if left, early := p.refuses(now+wait, proposal, &timing); early != want || left != 0 {
				t.Errorf("one of %v after it is back when it has waited: refused is %v, for %v, and was %v", after, early, left, want)
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

// putOffForLonger: two sites lose sight of the first for a moment. It would soon have them
// back; they have lost it too often, and wait much longer. It returns how many views the
// first site had until all were together, for how much of that time it was frozen, and how
// long it took.
func putOffForLonger(t *testing.T, off mutant) (views int, frozen, took time.Duration) {
	opt := plainOptions(3, 2)
	opt.timing = hasty
	opt.timing.MaxRejoin = time.Minute
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	// The lowest instance has the first turn, and proposes whatever the others think of it.
	lowest := w.sites[0].nodes[0].replica.m.view.Members[0].Instance
	first := slices.IndexFunc(w.sites, func(s *simSite) bool { return s.nodes[0].instance() == lowest })
	for i, s := range w.sites {
		for _, n := range s.nodes {
			if i != first {
				*n.replica.views.peers.history(w.sites[first].id) = history{wait: 10 * time.Second, merged: w.now}
			}
		}
	}
	letters := []byte("aaa")
	letters[first] = 'b'
	w.parts(string(letters))
	w.runUntil(10*time.Second, "a cut", func() bool { return w.inView(first, first) })
	w.heal()
	began, before := w.now, w.now
	m := w.sites[first].nodes[0].replica.m
	last := m.view.ID
	w.runUntil(time.Minute, "together again", func() bool {
		if m.view.ID != last {
			views, last = views+1, m.view.ID
		}
		if m.frozen() {
			frozen += w.now - before
		}
		before = w.now
		return w.federated()
	})
	w.check.final()
	report(t, 1, w)
	return views, frozen, w.now - began
}

// TestWhoIsPutOffWaits: a site that others have put off for longer than it would wait itself
// is told so by each of them that it asks, and asks no more until then. It neither has views
// of itself again and again, nor does its own view stand still meanwhile, nor is it taken in
// later than they would have it.
func TestWhoIsPutOffWaits(t *testing.T) {
	views, frozen, took := putOffForLonger(t, 0)
	deaf, still, longer := putOffForLonger(t, deafToNo)
	t.Logf("%d views until all are together after %v, frozen for %v; if it does not listen %d, %v, %v", views, took, frozen, deaf, longer, still)
	if views > 3 || frozen > 2*time.Second || took > 21*time.Second {
		t.Errorf("%d views until all are together after %v, frozen for %v of them", views, took, frozen)
	}
	if still < 10*time.Second {
		t.Errorf("frozen for %v of %v although it does not listen: this test proves nothing", still, longer)
	}
}
