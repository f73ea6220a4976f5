package merge

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

// talkers are clients of all sites, in one group.
func (w *world) talkers() (all []*simClient) {
	for _, s := range w.sites {
		c := s.nodes[1].connect(fmt.Sprint("talks", s.index))
		c.join("g")
		all = append(all, c)
	}
	return all
}

// talk has each send a message of so many bytes, unless too much of it waits, as with sessions.
func talk(talkers []*simClient, bytes int) {
	body := make([]byte, bytes)
	for _, c := range talkers {
		if c.node.replica.QueuedBytes(c.id) < 1<<20 {
			c.submit(Request{Kind: Send, Service: membership.Agreed, Groups: []string{"g"}, Data: body})
		}
	}
}

// joinBesideThinLink plays three sites of which two have a link of 256 kbit/s, to which
// clients of all would send ten times as much. It returns how long a join to a group of one
// of these sites takes then, and how many messages arrive in five seconds.
func joinBesideThinLink(t *testing.T, off mutant) (took time.Duration, arrived int) {
	opt := plainOptions(3, 2)
	opt.loss, opt.unchecked = 0, true
	thin := false
	opt.rate = func(a, b int) int {
		if thin && a+b == 1 {
			return 32_000
		}
		return 10_000_000
	}
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	talkers := w.talkers()
	w.run(w.now + 2*time.Second)
	thin = true
	chat := func(d time.Duration) {
		for end := w.now + d; w.now < end; w.run(w.now + 40*time.Millisecond) {
			talk(talkers, 4000)
		}
	}
	chat(8 * time.Second)
	before := w.outputs
	chat(5 * time.Second)
	arrived = w.outputs - before
	newcomer := w.sites[0].nodes[1].connect("new")
	newcomer.join("alone")
	from, named := w.now, false
	for w.now < from+11*time.Second {
		if g := newcomer.node.replica.m.groups["alone"]; g != nil && g.Has(newcomer.id) {
			break
		}
		chat(50 * time.Millisecond)
		named = named || saysWhy(newcomer, w.sites[1].id)
	}
	if w.now < from+11*time.Second && (!named || saysWhy(newcomer, w.sites[1].id)) {
		t.Errorf("the node said that the join waits for the thin link: %v; and says so when it is through: %v", named, saysWhy(newcomer, w.sites[1].id))
	}
	if len(w.faults) > 0 {
		t.Errorf("%v", w.faults)
	}
	return w.now - from, arrived
}

// saysWhy says whether a client's node tells that its join to "alone" waits for a site, and that
// something is queued before it.
func saysWhy(c *simClient, site membership.SiteID) bool {
	for _, x := range c.node.replica.JoinsWaiting(4) {
		if x.Group != "alone" {
			continue
		}
		for _, on := range x.On {
			if on.Site == site && x.Clients == 1 && on.Bytes+int(on.Records) > 0 {
				return true
			}
		}
	}
	return false
}

// TestAJoinBesideAThinLink: what sites have under way to each other is a queue that a join
// waits in, and its answer. Credit keeps it short, and the link busy.
func TestAJoinBesideAThinLink(t *testing.T) {
	const most = 10 * time.Second
	took, arrived := joinBesideThinLink(t, 0)
	without, before := joinBesideThinLink(t, openCredit)
	t.Logf("a join takes %v, %d messages arrive in five seconds; with credit as on wide links %v and %d", took, arrived, without, before)
	if took > most {
		t.Errorf("a join takes %v, at most %v may be", took, most)
	}
	if without <= most {
		t.Errorf("with credit as on wide links it takes %v: the test shows nothing", without)
	}
	// What the thin link carries of its two sites' messages, to three clients each.
	if carried := 3 * 2 * 5 * 32_000 / 4200; arrived < carried {
		t.Errorf("%d messages arrive in five seconds, the link carries %d: it stands idle", arrived, carried)
	}
}
