package demo

import (
	"context"
	"fmt"
	"time"
)

// strikeSite is where a gateway is killed: neither the first site, which speaks among
// itself, nor always the one that was cut off.
const strikeSite = 1

// afterTime is for how long everybody speaks after the killed node came back.
const afterTime = time.Second

// What a strike may take on a machine that runs all nodes at once. A good one takes a tenth of
// it; a node that is allowed to be silent for longer is missed later.
const (
	strikeBound = 2 * time.Second  // until its member has left, and for a stall
	backBound   = 10 * time.Second // from its new start on
	tokenLosses = 3                // more of it, where a token loss is not the default
)

// A strike is what was seen of a gateway's death.
type strike struct {
	node  string
	slack time.Duration // more than the bounds
	left  time.Duration // from the kill to the last view without its member
	stall time.Duration // longest time without a message of its site in the other sites
	back  time.Duration // from its new start until its new member is in everybody's view
}

// strike kills a gateway with SIGKILL while everybody speaks, and starts it again.
func (d *demo) strike(ctx context.Context) (*strike, error) {
	c, site := d.cast, d.plan.sites[strikeSite]
	victim := site.nodes[1-site.anchor()]
	r := &strike{node: victim.name, slack: tokenLosses * d.patience.tokenLoss}
	d.report.say("\nKilling gateway %s with SIGKILL, without a word of warning to anybody.", victim.name)
	for _, m := range c.all() {
		if m.node == victim.name {
			m.die()
		}
	}
	killed := d.now()
	if err := d.fleet.kill(victim.name); err != nil {
		return nil, err
	}
	at, err := d.awaitView(ctx, c.everybody, "without the member at "+victim.name)
	if err != nil {
		return nil, err
	}
	r.left = at - killed
	d.report.say("   Its member is out of the group everywhere %.2f s later. The other gateway carries on.", r.left.Seconds())
	if err := sleep(ctx, afterTime); err != nil {
		return nil, err
	}
	if err := d.heardOf(ctx, strikeSite); err != nil {
		return nil, err
	}
	r.stall = longestStall(c.living(c.everybody&^siteSet(strikeSite)), c.publishers[strikeSite].name, killed, d.now())
	d.report.say("   Longest wait of the other sites for %s meanwhile: %.2f s.", site.name, r.stall.Seconds())

	d.report.say("Starting %s again.", victim.name)
	began := d.now()
	if err := d.fleet.restart(ctx, victim.name); err != nil {
		return nil, err
	}
	m, err := c.connectMember(ctx, victim, strikeSite)
	if err != nil {
		return nil, err
	}
	if err := c.join(ctx, m); err != nil {
		return nil, err
	}
	if at, err = d.awaitView(ctx, c.everybody, "with "+victim.name+" again"); err != nil {
		return nil, err
	}
	m.born = d.now()
	c.settle()
	r.back = at - began
	d.report.say("   It is back with a member in the group, %.2f s later.", r.back.Seconds())
	d.report.strike(r)
	return r, sleep(ctx, afterTime)
}

// longestStall is the longest time without a message of a publisher at any of the
// members, between two moments.
func longestStall(members []*member, publisher string, from, to time.Duration) time.Duration {
	var longest time.Duration
	for _, m := range members {
		last := from
		for _, got := range m.history(feedGroup).deliveries {
			if got.sender != publisher || got.at < from {
				continue
			}
			longest, last = max(longest, got.at-last), got.at
		}
		longest = max(longest, to-last)
	}
	return longest
}

// heardOf waits until all other sites have what a site's publisher has sent so far.
func (d *demo) heardOf(ctx context.Context, site int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, viewTime, fmt.Errorf("nothing of %s came within %v after its gateway's death", d.plan.sites[site].name, viewTime))
	defer cancel()
	for _, m := range d.cast.living(d.cast.everybody &^ siteSet(site)) {
		if err := m.awaitLast(ctx, feedGroup, d.cast.publishers[site]); err != nil {
			return err
		}
	}
	return nil
}

func (r *strike) checks() []check {
	ok := r.left < strikeBound+r.slack && r.stall < strikeBound+r.slack && r.back < backBound+r.slack
	return []check{{"a gateway may die", ok, fmt.Sprintf("%s was killed: its member left all views after %.2f s and the longest stall of its site's messages was %.2f s, less than %.1f; it came back in %.2f s, less than %.1f",
		r.node, r.left.Seconds(), r.stall.Seconds(), (strikeBound + r.slack).Seconds(), r.back.Seconds(), (backBound + r.slack).Seconds())}}
}
