package merge

import (
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// twoWhoDecline: the lowest instance asks two that stay together and have put it off for equally
// long, but not at the same time. It returns how long it took until all were together, at
// most a minute, and how many views the two had.
func twoWhoDecline(t *testing.T, off mutant) (took time.Duration, views int) {
	opt := plainOptions(3, 1)
	opt.timing = hasty
	opt.timing.MaxRejoin, opt.timing.Stuck, opt.timing.Meet = time.Minute, 2*time.Second, 500*time.Millisecond
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	members := w.sites[0].nodes[0].replica.m.view.Members
	at := func(place int) int {
		return slices.IndexFunc(w.sites, func(s *simSite) bool { return s.nodes[0].instance() == members[place].Instance })
	}
	remembers := func(who, of int, wait time.Duration) {
		for _, n := range w.sites[at(who)].nodes {
			*n.replica.views.peers.history(members[of].Site) = history{wait: wait, merged: w.now}
		}
	}
	for _, other := range []int{1, 2} {
		remembers(0, other, 1500*time.Millisecond)
		remembers(other, 0, 4*time.Second)
	}
	letters := []byte("bbb")
	letters[at(0)] = 'a'
	w.parts(string(letters))
	w.runUntil(10*time.Second, "a cut", func() bool { return w.inView(at(0), at(0)) && w.inView(at(1), at(1), at(2)) })
	w.run(w.now + 5*time.Second)
	w.heal()
	w.run(w.now + 300*time.Millisecond)
	for _, n := range w.sites[at(2)].nodes { // it has seen the first one for so much longer
		if x := n.replica.views.peers.known[members[0].Instance]; x != nil {
			x.since, x.away = x.since-4*time.Second, x.away-4*time.Second
		}
	}
	began, m, last := w.now, w.sites[at(1)].nodes[0].replica.m, membership.ViewID{}
	for w.now < began+time.Minute && !w.federated() {
		w.run(w.now + 10*time.Millisecond)
		if m.view.ID != last {
			views, last = views+1, m.view.ID
		}
	}
	w.check.final()
	report(t, 1, w)
	return w.now - began, views
}

// TestTurnsToDecline is X8: of two sites that are together one declines, so that the other, which
// had accepted, is left in a change that goes on without it. That does not make it put off who
// asked: it would decline the next time, and the first one be left, and so on.
func TestTurnsToDecline(t *testing.T) {
	took, views := twoWhoDecline(t, 0)
	longer, more := twoWhoDecline(t, begrudge)
	t.Logf("together after %v and %d views; if whoever is left puts off who asked, %v and %d", took, views, longer, more)
	if took > 10*time.Second || views > 4 {
		t.Errorf("together after %v and %d views", took, views)
	}
	if longer < 2*took {
		t.Errorf("%v although each puts off who asked: this test proves nothing", longer)
	}
}

// TestAViewThatIsLearned: a node that learns a view holds nothing against its members that it
// has from before, and gives those whom it could not see itself the time of one it never heard of.
func TestAViewThatIsLearned(t *testing.T) {
	timing := DefaultTiming
	near, far := SiteInstance{Instance: 2, Site: 2}, SiteInstance{Instance: 3, Site: 3}
	p := newPeers()
	p.update(0, []Reach{{SiteInstance: near}, {SiteInstance: far}})
	for _, x := range []SiteInstance{near, far} {
		p.putOff(time.Second, x, &timing)
		p.known[x.Instance].firm = true
	}
	p.update(2*time.Second, []Reach{{SiteInstance: near}})
	p.adopted(3*time.Second, &timing, []SiteInstance{{Instance: 1, Site: 1}, near, far})
	if x := p.at(2); x == nil || x.away != noTime || x.firm {
		t.Errorf("what it has against a member that it sees: %+v", x)
	}
	if x := p.known[3]; x != nil {
		t.Errorf("what it has of a member that it could not see: %+v", x)
	}
}
