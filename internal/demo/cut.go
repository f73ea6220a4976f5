package demo

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The step in which every WAN link is cut.
const (
	localMessages = 100                   // within the first site, while cut
	localEvery    = 10 * time.Millisecond // so the cut lasts a second and more
	localBound    = 500 * time.Millisecond
	settleTime    = 300 * time.Millisecond // what was on its way when the links were cut
	afterEach     = 20                     // messages of each site after healing
	afterEvery    = 10 * time.Millisecond
	localTime     = 10 * time.Second
	healTime      = 45 * time.Second // for the links to come back and all to arrive
)

// A cutResult is what was seen while every link was cut, and afterwards.
type cutResult struct {
	local  []time.Duration // latencies, ascending
	checks []check
}

// cutAndHeal cuts every WAN link, shows that the first site goes on by itself, heals the
// links, and shows that the federation goes on.
func (d *demo) cutAndHeal(ctx context.Context) (*cutResult, error) {
	c, first := d.cast, d.plan.sites[0].name
	d.report.say("\nCutting every link between the sites.")
	before := c.sent()
	d.fleet.cut(true)
	defer d.fleet.cut(false)
	cutAt := d.now()
	if err := sleep(ctx, settleTime); err != nil {
		return nil, err
	}
	// A message for all sites must wait now, in whatever site it is sent.
	for _, p := range c.publishers {
		if err := p.send(ctx, feedGroup, fmt.Appendf(nil, "sent in %s while every link was cut", d.plan.sites[p.site].name), d.now); err != nil {
			return nil, err
		}
	}
	local, err := d.speakLocally(ctx)
	if err != nil {
		return nil, err
	}
	early := 0
	for _, m := range c.members {
		early += m.count(feedGroup) - before
	}
	lasted := d.now() - cutAt
	d.report.say("For %.1f s %s heard its own %d messages as ever; those for all sites wait.\nHealing the links.", lasted.Seconds(), first, localMessages)

	d.fleet.cut(false)
	healed := d.now()
	ctx, cancel := context.WithTimeoutCause(ctx, healTime, fmt.Errorf("the federation did not go on within %v", healTime))
	defer cancel()
	if err := c.awaitAll(ctx, c.sent()); err != nil {
		return nil, err
	}
	resumed := d.now() - healed
	waited := len(c.publishers)
	if err := d.speakEverywhere(ctx); err != nil {
		return nil, err
	}
	d.report.say("What had waited was everywhere %.1f s later, and the federation goes on.", resumed.Seconds())
	after := afterEach * len(c.publishers)
	d.report.object(cutJSON{"cut", ms(lasted), localMessages, waited, ms(resumed), after})
	return &cutResult{local: local, checks: []check{
		{"local goes on while cut", quantile(local, 0.5) < localBound, fmt.Sprintf("%d messages within %s arrived while every link was cut, half of them within %.2f ms", localMessages, first, ms(quantile(local, 0.5)))},
		{"federated waits while cut", early == 0, fmt.Sprintf("%d messages for all sites were sent while every link was cut, %d deliveries of them before the links were healed", waited, early)},
		{"federation goes on after", true, fmt.Sprintf("what waited arrived %.1f s after healing, and %d new messages after it", resumed.Seconds(), after)},
	}}, nil
}

// speakLocally sends messages within the first site and returns how long each took to
// each of its members, ascending.
func (d *demo) speakLocally(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, localTime, fmt.Errorf("local messages did not arrive within %v while every link was cut", localTime))
	defer cancel()
	for i := range localMessages {
		if err := d.cast.local.send(ctx, localGroup, fmt.Appendf(nil, "local %d", i), d.now); err != nil {
			return nil, err
		}
		if err := sleep(ctx, localEvery); err != nil {
			return nil, err
		}
	}
	var took []time.Duration
	for _, m := range d.cast.members {
		if m.site != 0 {
			continue
		}
		if err := m.awaitCount(ctx, localGroup, localMessages); err != nil {
			return nil, err
		}
		for i, got := range m.deliveries(localGroup)[:localMessages] {
			took = append(took, got.at-d.cast.local.sent[i].at)
		}
	}
	slices.Sort(took)
	return took, nil
}

// speakEverywhere publishes some more to all sites and waits until all have it.
func (d *demo) speakEverywhere(ctx context.Context) error {
	for i := range afterEach {
		for _, p := range d.cast.publishers {
			if err := p.send(ctx, feedGroup, fmt.Appendf(nil, "sent in %s after healing, number %d", d.plan.sites[p.site].name, i), d.now); err != nil {
				return err
			}
		}
		if err := sleep(ctx, afterEvery); err != nil {
			return err
		}
	}
	return d.cast.awaitAll(ctx, d.cast.sent())
}
