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
	now, epoch := time.Duration(0), uint64(0)
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
			if left, early := p.early(now+after, membership.InstanceID(2), &timing); early != want || left != wait-after {
				t.Errorf("its proposals %v after it is back, of %v: refused is %v, for %v", after, wait, early, left)
			}
		}
		proposal := func() membership.ViewID { return membership.ViewID{Epoch: epoch, Proposer: 2} }
		epoch++
		if !p.refuses(now, proposal(), &timing) || !p.refuses(now+wait, proposal(), &timing) {
			t.Errorf("a proposal that came too early is accepted")
		}
		if epoch++; p.refuses(now+wait, proposal(), &timing) {
			t.Errorf("a proposal that came in time is refused")
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

// putOffForLonger: two sites lose sight of a third for a moment. The first, which may be that
// one, would soon have the others back; who it lost sight of has put it off for much longer. It
// returns how many views the first had until all were together, for how much of that time it was
// frozen, and how long it took.
func putOffForLonger(t *testing.T, off mutant, lonely bool) (views int, frozen, took time.Duration) {
	opt := plainOptions(3, 2)
	opt.timing = hasty
	opt.timing.MaxRejoin = time.Minute
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	// The lowest instance has the first turn, and proposes whatever the others think of it.
	lowest := w.sites[0].nodes[0].replica.m.view.Members[0].Instance
	first := slices.IndexFunc(w.sites, func(s *simSite) bool { return s.nodes[0].instance() == lowest })
	cut := first
	if !lonely {
		cut = (first + 1) % 3
	}
	for i, s := range w.sites {
		for j, other := range w.sites {
			for _, n := range s.nodes {
				if i != j && (i == cut) != lonely {
					*n.replica.views.peers.history(other.id) = history{wait: 10 * time.Second, merged: w.now}
				}
			}
		}
	}
	letters := []byte("aaa")
	letters[cut] = 'b'
	w.parts(string(letters))
	w.runUntil(10*time.Second, "a cut", func() bool { return w.inView(cut, cut) })
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
	for _, lonely := range []bool{true, false} {
		views, frozen, took := putOffForLonger(t, 0, lonely)
		deaf, still, longer := putOffForLonger(t, deafToNo, lonely)
		t.Logf("%d views until all are together after %v, frozen for %v; if it does not listen %d, %v, %v", views, took, frozen, deaf, longer, still)
		if views > 3 || frozen > 2*time.Second || took > 21*time.Second {
			t.Errorf("%d views until all are together after %v, frozen for %v of them", views, took, frozen)
		}
		if still < 3*time.Second {
			t.Errorf("frozen for %v of %v although it does not listen: this test proves nothing", still, longer)
		}
	}
}

// aWaitForOne: the lowest instance, which has the first turn, lost two sites that stay
// together, and has one of them back soon and the other one after a wait. It returns how many
// views the latter had until all were together, and how long that took.
func aWaitForOne(t *testing.T, off mutant, wait time.Duration) (views int, took time.Duration) {
	opt := plainOptions(3, 2)
	opt.timing = hasty
	opt.timing.MaxRejoin = time.Minute
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	members := w.sites[0].nodes[0].replica.m.view.Members
	at := func(place int) int {
		return slices.IndexFunc(w.sites, func(s *simSite) bool { return s.nodes[0].instance() == members[place].Instance })
	}
	for _, n := range w.sites[at(0)].nodes {
		*n.replica.views.peers.history(members[1].Site) = history{wait: wait, merged: w.now}
	}
	letters := []byte("bbb")
	letters[at(0)] = 'a'
	w.parts(string(letters))
	w.runUntil(10*time.Second, "a cut", func() bool { return w.inView(at(0), at(0)) && w.inView(at(1), at(1), at(2)) })
	w.heal()
	began := w.now
	m := w.sites[at(1)].nodes[0].replica.m
	last := m.view.ID
	w.runUntil(time.Minute, "together again", func() bool {
		if m.view.ID != last {
			views, last = views+1, m.view.ID
		}
		return w.federated() || views > manyViews
	})
	w.check.final()
	report(t, 1, w)
	return views, w.now - began
}

// manyViews are so many that they would go on and on.
const manyViews = 8

// TestNobodyIsTakenApart: a site that may have one of two back, and the other one later, waits
// for both, or until they ask it. Taking the one out of their view gives the other two views more.
func TestNobodyIsTakenApart(t *testing.T) {
	for _, wait := range []time.Duration{2 * time.Second, 20 * time.Second} {
		views, took := aWaitForOne(t, 0, wait)
		more, sooner := aWaitForOne(t, apart, wait)
		t.Logf("%d views until all are together after %v; one by one %d, %v", views, took, more, sooner)
		if views > 2 || took > sooner+time.Second {
			t.Errorf("%d views until all are together, %v; one by one %v", views, took, sooner)
		}
		if more < 4 {
			t.Errorf("%d views although nobody waits: this test proves nothing", more)
		}
	}
}

// aBriefLink: one of three sites comes within reach again and again, for hardly longer than it
// has to wait before a view takes it in. It returns for how much of that time the other two were frozen.
func aBriefLink(t *testing.T, off mutant) (frozen, took time.Duration) {
	const flaps = 20
	opt := plainOptions(3, 2)
	opt.timing = hasty
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	w.parts("aab")
	w.runUntil(10*time.Second, "a cut", func() bool { return w.inView(0, 0, 1) && w.inView(2, 2) })
	began, m := w.now, w.sites[0].nodes[0].replica.m
	play := func(d time.Duration) {
		for end := w.now + d; w.now < end; {
			before := w.now
			w.run(w.now + 5*time.Millisecond)
			if m.frozen() {
				frozen += w.now - before
			}
		}
	}
	for range flaps {
		w.heal()
		play(opt.timing.Rejoin + 100*time.Millisecond) // and the view is under way
		w.parts("aab")
		play(2 * opt.timing.Rejoin)
	}
	took = w.now - began
	w.heal()
	w.runUntil(time.Minute, "together again", w.federated)
	w.check.final()
	report(t, 1, w)
	return frozen, took
}

// TestABriefLink: a site that gets out of reach whenever a view is about to take it in does not
// stop the others each time.
func TestABriefLink(t *testing.T) {
	frozen, of := aBriefLink(t, 0)
	light, _ := aBriefLink(t, lightFall)
	t.Logf("frozen for %v of %v; %v if who falls may try again at once", frozen, of, light)
	if frozen > of/20 {
		t.Errorf("frozen for %v of %v", frozen, of)
	}
	if light < of/5 {
		t.Errorf("frozen for %v of %v if who falls may try again at once: this test proves nothing", light, of)
	}
}
