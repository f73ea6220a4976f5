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

// A strike is what was seen of a gateway's death.
type strike struct {
	node  string
	left  time.Duration // from the kill to the last view without its member
	stall time.Duration // longest time without a message of its site in the other sites
	back  time.Duration // from its new start until its new member is in everybody's view
}

// strike kills a gateway with SIGKILL while everybody speaks, and starts it again.
func (d *demo) strike(ctx context.Context) (*strike, error) {
	c, site := d.cast, d.plan.sites[strikeSite]
	victim := site.nodes[1-site.anchor()]
	r := &strike{node: victim.name}
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

func (r *strike) checks() []check {
	return []check{{"a gateway may die", true, fmt.Sprintf("%s was killed: its member left all views after %.2f s, the longest stall of its site's messages was %.2f s, and it came back in %.2f s",
		r.node, r.left.Seconds(), r.stall.Seconds(), r.back.Seconds())}}
}
