package demo

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The act in which a site is cut off from the others.
const (
	warmTime   = time.Second            // of talk before the cut, to compare with
	apartTime  = 2 * time.Second        // both sides go on for this long
	quietTime  = 300 * time.Millisecond // longer than a message is under way on one side
	underWay   = time.Second            // longer than any message is, on a machine that is busy
	viewTime   = 30 * time.Second       // for a view to change, on a machine that is busy
	localBound = 500 * time.Millisecond // median of local messages
)

// An isolation is what was seen of a cut.
type isolation struct {
	cut          sites            // who was cut off
	noticed      [2]time.Duration // from the cut to the last view: of the others, of those cut off
	sent         [2]int           // messages, while each side had a view of its own
	merged       time.Duration    // from healing to the last view of all
	lasted       time.Duration
	before, then []time.Duration // latencies within the first site before and while cut, ascending
}

// isolate cuts the last site off while everybody speaks, shows that both sides go on
// with views of their own, and heals the cut.
func (d *demo) isolate(ctx context.Context) (*isolation, error) {
	c := d.cast
	all := c.everybody
	r := &isolation{cut: siteSet(len(d.plan.sites) - 1)}
	sides := [2]sites{all &^ r.cut, r.cut}
	names := [2]string{sides[0].names(d.plan), sides[1].names(d.plan)}
	if err := sleep(ctx, warmTime); err != nil {
		return nil, err
	}

	d.report.say("\nCutting %s off: every link to it is dead from now on. Everybody goes on speaking.", names[1])
	for _, side := range sides {
		c.address(side, audience{must: side, may: all})
	}
	local := c.local.count()
	cutAt := d.now()
	c.cut.Store(true)
	d.fleet.cutOff(r.cut)
	defer d.fleet.cutOff(0)
	for _, side := range sides {
		c.narrow(side, cutAt-underWay)
	}
	for i, side := range sides {
		at, err := d.awaitView(ctx, side, fmt.Sprintf("of %s alone, after %s was cut off", names[i], names[1]))
		if err != nil {
			return nil, err
		}
		r.noticed[i] = at - cutAt
		d.partedWays(side, cutAt-underWay)
		d.report.say("   %-14s see only themselves in the group: a new view, %.2f s after the cut", names[i], r.noticed[i].Seconds())
	}
	c.parted.Store(&r.cut)
	for _, side := range sides {
		c.address(side, audience{must: side, may: side})
	}
	before := c.sentEach()
	if err := sleep(ctx, apartTime); err != nil {
		return nil, err
	}
	for i, n := range c.sentEach() {
		side := 0
		if r.cut.has(i) {
			side = 1
		}
		r.sent[side] += n - before[i]
	}
	for _, side := range sides {
		c.address(side, audience{must: side, may: all})
	}
	if err := d.goneOn(ctx, sides); err != nil {
		return nil, err
	}
	d.report.say("   Both sides went on: %d messages among %s, %d in %s.", r.sent[0], names[0], r.sent[1], names[1])

	d.report.say("Healing the links.")
	if err := sleep(ctx, quietTime); err != nil {
		return nil, err
	}
	r.lasted = d.now() - cutAt
	end := c.local.count()
	healed := d.now()
	d.fleet.cutOff(0)
	at, err := d.awaitView(ctx, all, "of all, after the links were healed")
	if err != nil {
		return nil, err
	}
	r.merged = at - healed
	for _, side := range sides { // before healing, all of a side had all that was said there
		d.partedWays(side, healed-underWay)
	}
	c.cut.Store(false)
	c.parted.Store(nil)
	c.address(all, audience{all, all})
	d.report.say("   One view of all again, %.2f s after healing; the sites came back together in it.", r.merged.Seconds())
	r.before, r.then, err = d.localTimes(ctx, local, end)
	if err == nil {
		d.report.cut(d.plan, r)
	}
	return r, err
}

// partedWays looks whether the sites of one side came together into their new view. A
// site that cannot know whether it misses something of others, because they are gone or the
// change took too long, takes the step by itself, and says so in the view; what was under
// way then has to arrive in the sender's own part only.
func (d *demo) partedWays(side sites, since time.Duration) {
	for _, p := range d.cast.publishers {
		if !side.has(p.site) {
			continue
		}
		var with sites
		for _, m := range d.cast.living(siteSet(p.site)) {
			view := m.lastView(feedGroup)
			for _, other := range d.cast.living(side) {
				if view.cameWith(other.name) {
					with |= siteSet(other.site)
				}
			}
		}
		if with != side {
			p.narrow(since, with)
			d.report.say("   (%s takes that step with %s only: it cannot know all that others had sent.)", d.plan.sites[p.site].name, with.names(d.plan))
		}
	}
}

// awaitView waits until the living members in some sites are alone in the feed's group.
func (d *demo) awaitView(ctx context.Context, in sites, what string) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, viewTime, fmt.Errorf("no view %s within %v", what, viewTime))
	defer cancel()
	return d.cast.awaitMembers(ctx, feedGroup, in)
}

// goneOn waits until on each side everybody has what was said there.
func (d *demo) goneOn(ctx context.Context, sides [2]sites) error {
	ctx, cancel := context.WithTimeoutCause(ctx, viewTime, fmt.Errorf("a side of the cut did not go on within %v", viewTime))
	defer cancel()
	for _, side := range sides {
		for _, m := range d.cast.living(side) {
			for _, p := range d.cast.publishers {
				if !side.has(p.site) {
					continue
				}
				if err := m.awaitLast(ctx, feedGroup, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// localTimes returns how long the local messages took to the first site's members:
// those before number from, and those from there to number to, ascending.
func (d *demo) localTimes(ctx context.Context, from, to int) (before, then []time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, viewTime, fmt.Errorf("local messages did not arrive within %v", viewTime))
	defer cancel()
	sent := d.cast.local.sendings()[:to]
	for _, m := range d.cast.living(siteSet(0)) {
		if err := m.awaitCount(ctx, localGroup, to); err != nil {
			return nil, nil, err
		}
		for i, got := range m.history(localGroup).deliveries[:to] {
			if took := got.at - sent[i].at; i < from {
				before = append(before, took)
			} else {
				then = append(then, took)
			}
		}
	}
	slices.Sort(before)
	slices.Sort(then)
	return before, then, nil
}

// checks says what of the cut must hold beside what the comparison finds.
func (r *isolation) checks(p *plan) []check {
	side := (allSites(len(p.sites)) &^ r.cut).names(p)
	half := quantile(r.then, 0.5)
	return []check{
		{"both sides go on", r.sent[0] > 0 && r.sent[1] > 0, fmt.Sprintf("with views of their own after %.2f s (%s) and %.2f s (%s); merged %.2f s after healing",
			r.noticed[0].Seconds(), side, r.noticed[1].Seconds(), r.cut.names(p), r.merged.Seconds())},
		{"local traffic does not notice", half < localBound, fmt.Sprintf("within %s: p50 %.2f ms and p99 %.2f ms before the cut, %.2f and %.2f while it lasted",
			p.sites[0].name, ms(quantile(r.before, 0.5)), ms(quantile(r.before, 0.99)), ms(half), ms(quantile(r.then, 0.99)))},
	}
}
