package merge

import (
	"testing"
	"time"
)

// viewsOverAThinLink plays three sites of which two have a link of 400 kbit/s, to which clients
// of all would send far more; the third is cut off and comes back. It returns how long either
// change of the view takes, and how many pieces of Fills go over the thin link for it.
func viewsOverAThinLink(t *testing.T, off mutant) (cut, heal time.Duration, pieces int) {
	opt := plainOptions(3, 2)
	opt.loss, opt.unchecked = 0, true
	opt.rate = func(a, b int) int {
		if a+b == 1 {
			return 50_000
		}
		return 10_000_000
	}
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	talkers := w.talkers()
	chat := func(d time.Duration, until func() bool) time.Duration {
		from := w.now
		for w.now < from+d && !until() {
			talk(talkers, 30_000)
			w.run(w.now + 20*time.Millisecond)
		}
		return w.now - from
	}
	chat(10*time.Second, func() bool { return false })
	w.dropControl = func(from, to int, kind controlKind) bool {
		if kind == controlFill && from+to == 1 {
			pieces++
		}
		return false
	}
	w.parts("aab")
	cut = chat(time.Minute, func() bool { return w.inView(0, 0, 1) && w.inView(1, 0, 1) && w.inView(2, 2) })
	chat(5*time.Second, func() bool { return false })
	w.heal()
	heal = chat(time.Minute, w.federated)
	if len(w.faults) > 0 {
		t.Errorf("%v", w.faults)
	}
	return cut, heal, pieces
}

// TestFillsOverAThinLink: what a change of the view has to send waits at a thin link, and so do
// the answers. It is not sent again and again meanwhile, which everything else would wait behind.
func TestFillsOverAThinLink(t *testing.T) {
	cut, heal, pieces := viewsOverAThinLink(t, 0)
	slowCut, slowHeal, more := viewsOverAThinLink(t, impatient)
	t.Logf("two views %v after the cut, together %v after it healed, %d pieces; %v, %v and %d if all is sent again at each Have", cut, heal, pieces, slowCut, slowHeal, more)
	if limit := 10 * time.Second; cut > limit/2 || heal > limit {
		t.Errorf("two views %v after the cut, together %v after it healed", cut, heal)
	}
	if more < pieces*3/2 {
		t.Errorf("%d pieces, and %d if all is sent again at each Have: this test proves nothing", pieces, more)
	}
}
