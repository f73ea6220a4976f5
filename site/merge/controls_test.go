package merge

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

// The overlay carries control messages hop by hop: one that was at a gateway that dies, or
// whose way changed, is lost, and nobody is told. So whoever sends one repeats it until it
// is answered. These tests lose them in every step of a flush.

// A controlLoss makes a rule by which control messages of one flush get lost.
type controlLoss struct {
	name string
	rule func(w *world) func(from, to int, kind controlKind) bool
}

// controlLosses are: the first few messages of a kind on each way, and all messages of
// all kinds for longer than it takes to notice that a gateway in the middle has died,
// from the first of a kind on. A Have is said only where something is missing, so its
// losses begin with that of the first Fill.
func controlLosses() (all []controlLoss) {
	const outage = 700 * time.Millisecond
	for _, of := range []struct {
		kind controlKind
		name string
	}{{controlFill, "fill"}, {controlSync, "sync"}, {controlReady, "ready"}, {controlHave, "have"}} {
		for _, copies := range []int{1, 3} {
			all = append(all, controlLoss{fmt.Sprintf("first %d of %s", copies, of.name), func(*world) func(int, int, controlKind) bool {
				return loseFirst(of.kind, copies)
			}})
		}
		all = append(all, controlLoss{"everything from the first " + of.name + " on", func(w *world) func(int, int, controlKind) bool {
			fills := loseFirst(controlFill, 1)
			var began time.Duration
			return func(from, to int, k controlKind) bool {
				if began == 0 && k == of.kind {
					began = w.now
				}
				return began > 0 && w.now < began+outage || of.kind == controlHave && fills(from, to, k)
			}
		}})
	}
	return all
}

// loseFirst loses the first messages of a kind on each way; of Haves, the first Fill as
// well.
func loseFirst(kind controlKind, copies int) func(from, to int, k controlKind) bool {
	type way struct {
		from, to int
		kind     controlKind
	}
	lost := map[way]int{}
	return func(from, to int, k controlKind) bool {
		left := 0
		switch {
		case k == kind:
			left = copies
		case k == controlFill && kind == controlHave:
			left = 1
		}
		if lost[way{from, to, k}] >= left {
			return false
		}
		lost[way{from, to, k}]++
		return true
	}
}

// TestLostControlsAreRepeated: a site is cut off and comes back while control messages
// get lost. A flush counts as stuck only after longer than this test waits, so it is the
// repeating that makes up for what was lost, and not another attempt.
func TestLostControlsAreRepeated(t *testing.T) {
	for _, loss := range controlLosses() {
		t.Run(loss.name, func(t *testing.T) {
			opt := plainOptions(3, 2)
			opt.timing = hasty
			opt.timing.Stuck, opt.loss = 5*time.Second, 0
			w := newWorld(1, opt, nil)
			w.runUntil(10*time.Second, "sites meet", w.federated)
			c := w.sites[0].nodes[0].connect("c")
			c.join("g")
			w.runUntil(10*time.Second, "join", func() bool { return w.quiet() && c.view["g"] != "" })

			lost := 0
			lossy := func() {
				lose := loss.rule(w)
				w.dropControl = func(from, to int, kind controlKind) bool {
					loses := lose(from, to, kind)
					if loses {
						lost++
					}
					return loses
				}
			}
			lossy()
			w.parts("aab")
			began := w.now
			w.runUntil(4*time.Second, "two views", func() bool { return w.inView(0, 0, 1) && w.inView(1, 0, 1) && w.inView(2, 2) })
			cut := w.now - began
			lossy()
			w.heal()
			began = w.now
			w.runUntil(4*time.Second, "together again", w.federated)
			t.Logf("%d lost; two views %v after the cut, together again %v after it healed", lost, cut, w.now-began)
			c.send(membership.Safe, "g")
			w.runUntil(10*time.Second, "nothing under way", w.quiet)
			if lost == 0 {
				w.fail("no message was lost")
			}
			w.check.final()
			report(t, 1, w)
		})
	}
}
