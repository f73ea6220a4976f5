package merge

import (
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// all brings promises of all members, whose view time is reading.
func (r *riser) all(reading time.Duration) {
	for i := y; i <= n; i++ {
		r.hearsOf(i, reading)
	}
}

// brings brings a record of a member, with that deadline.
func (r *riser) brings(t time.Duration) {
	rec := r.d.record(y, membership.Agreed, int64(t), "m")
	from := r.d.view.Members[y]
	r.Import(r.now, &Batch{Log: membership.LogID{Site: from.Site, Instance: from.Instance, View: r.d.view.ID}, For: r.m.instance, Records: [][]byte{r.d.raw(rec)}}, &r.d.fx)
}

// TestWhoIsAheadOfWhom: a member is to blame whose clock gets far ahead after all clocks have
// been seen to agree, and not one that is found ahead while ours may be behind.
func TestWhoIsAheadOfWhom(t *testing.T) {
	const far = time.Duration(maxAhead) + time.Second
	const deadline = time.Duration(maxAhead+maxLead) + time.Second
	both := []breachKind{breachClock, breachDeadline}
	for _, c := range []struct {
		what   string
		before func(r *riser)
		blamed bool
	}{
		{"all agreed", func(r *riser) { r.all(0) }, true},
		{"all agreed, and time has passed", func(r *riser) {
			r.all(0)
			r.now += 10 * time.Second
			r.base, r.m.clock = timeBase{int64(10 * time.Second), r.now}, int64(10*time.Second)
		}, true},
		{"the view has just begun", func(*riser) {}, false},
		{"one has not been heard of, and the others may follow it", func(r *riser) {
			for i := y; i < n; i++ {
				r.hearsOf(i, 0)
			}
		}, false},
		{"this node slept", func(r *riser) { r.all(0); r.Slept(time.Hour) }, false},
		{"it slept, and what came before that is read now", func(r *riser) { r.all(0); r.Slept(time.Hour); r.all(0) }, false},
		{"it slept long ago", func(r *riser) {
			r.Slept(time.Hour)
			r.now += makeUpTime + 1
			r.all(time.Duration(r.viewNow(r.now)))
		}, true},
		{"the ring stood still", func(r *riser) {
			r.all(0)
			r.now += standstill + time.Second
			r.tick = tick{tag: r.m.tag, leads: make([]int64, 5)}
			r.ticked(false, &r.tick)
		}, false},
		{"another site has just come into the view", func(r *riser) { r.all(0); r.gatewayReset() }, false},
	} {
		for _, off := range []mutant{0, rash} {
			r := newRiser(t, off)
			c.before(r)
			clock := time.Duration(r.viewNow(r.now))
			r.brings(clock + deadline)
			r.hearsOf(y, clock+far)
			var got []breachKind
			for _, b := range r.witness.breaches {
				got = append(got, b.kind)
			}
			slices.Sort(got)
			if blamed := slices.Equal(got, both); blamed != (c.blamed || off == rash) || !blamed && len(got) > 0 {
				t.Errorf("%s, without the rule %v: blamed for %q", c.what, off == rash, got)
			}
		}
	}
}
