package merge

import (
	"testing"
	"time"
)

// afterACut: one of three sites is cut off. It returns how much later the second of the other
// two has the view of both.
func afterACut(t *testing.T, seed uint64, off mutant) time.Duration {
	opt := plainOptions(3, 2)
	opt.timing = hasty
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	w.parts("abb")
	has := func(i int) bool { return len(w.sites[i].nodes[0].replica.m.view.Members) == 2 }
	w.runUntil(10*time.Second, "one has the view of two", func() bool { return has(1) || has(2) })
	first := w.now
	w.runUntil(10*time.Second, "both have", func() bool { return w.inView(1, 1, 2) && w.inView(2, 1, 2) })
	w.check.final()
	report(t, seed, w)
	return w.now - first
}

// TestReadyAfterInstall: a site whose own Ready was the last that it waited for may install before
// that goes out. The others need it, and are told without asking.
func TestReadyAfterInstall(t *testing.T) {
	const cuts = 200
	slow, mute := 0, 0
	for seed := range uint64(cuts) {
		if afterACut(t, seed, 0) > repeatInterval/2 {
			slow++ // something else got lost
		}
		if afterACut(t, seed, muteReady) > repeatInterval/2 {
			mute++
		}
	}
	t.Logf("%d of %d times the second site had to ask; %d if nobody tells", slow, cuts, mute)
	if slow > cuts/20 {
		t.Errorf("%d of %d times the second site had to ask", slow, cuts)
	}
	if mute < cuts/5 {
		t.Errorf("%d of %d times although nobody tells: this test proves nothing", mute, cuts)
	}
}
