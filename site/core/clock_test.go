package core

import (
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/merge"
)

// TestClock: what counts of the time between two steps (R5).
func TestClock(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		passed, due        time.Duration // due is after the step before
		ring, awake, slept time.Duration
	}{
		{passed: 5 * ms, due: 5 * ms, ring: 5 * ms, awake: 5 * ms},
		{passed: 5 * ms, due: beat, ring: 5 * ms, awake: 5 * ms}, // something came
		{passed: late, due: -time.Hour, ring: late, awake: late}, // a busy machine
		{passed: 30 * ms, due: 12 * ms, ring: 30 * ms, awake: 30 * ms},
		// A leap, or a process that was stopped.
		{passed: time.Hour, due: 2 * ms, ring: time.Hour, awake: 22 * ms, slept: time.Hour - 22*ms},
		{passed: -time.Hour, due: 2 * ms},
		{passed: 0, due: 0},
	} {
		k := clock{shell: 7 * time.Second, ring: 9 * time.Second, awake: 8 * time.Second}
		slept := k.step(7*time.Second+c.passed, 7*time.Second+c.due)
		want := clock{shell: 7*time.Second + c.passed, ring: 9*time.Second + c.ring, awake: 8*time.Second + c.awake}
		if k != want || slept != c.slept {
			t.Errorf("%v pass, due after %v: %+v, slept %v; want %+v, slept %v", c.passed, c.due, k, slept, want, c.slept)
		}
		if ring, awake := k.fromRing(k.ring+ms), k.fromAwake(k.awake+ms); ring != k.shell+ms || awake != ring {
			t.Errorf("%v pass: a millisecond from now is %v and %v by the shell, want %v", c.passed, ring, awake, k.shell+ms)
		}
	}
}

// TestALeapIsNoTime: another site is reachable for a millisecond when the clock leaps by an
// hour, ahead or back. Neither makes it a steady one that a view could take in: it is one
// after as long as ever. Without R5 it is one at once, or an hour later.
func TestALeapIsNoTime(t *testing.T) {
	want := merge.DefaultTiming.Meet
	for _, leap := range []time.Duration{time.Hour, -time.Hour, 0} {
		for _, plain := range []bool{false, true} {
			took := meets(t, leap, plain)
			if right := took >= want-beat-late && took <= want+beat; right != (!plain || leap == 0) {
				t.Errorf("leap by %v, without R5 %v: a view with the other site is proposed after %v, it has to be there for %v", leap, plain, took, want)
			}
		}
	}
}

// meets returns how long it takes until a node proposes a view with another site, if its
// clock leaps by so much a millisecond after it has heard of that.
func meets(t *testing.T, leap time.Duration, plain bool) time.Duration {
	c, now := one(t)
	c.clock.plain = plain
	var fx Effects
	there := merge.Reach{SiteInstance: merge.SiteInstance{Instance: 1 << 60, Site: membership.SiteIDOf("there")}, Delay: time.Millisecond}
	c.Reach(now, []merge.Reach{there}, &fx)
	shell := now + time.Millisecond + leap
	for passed := time.Millisecond; passed < 2*time.Second; {
		c.Wake(shell, &fx)
		if c.Replica.Status().Frozen {
			return passed
		}
		fx.Reset()
		wait := max(0, c.Deadline()-shell) + 10*time.Microsecond
		passed, shell = passed+wait, shell+wait
	}
	return 2 * time.Second
}
