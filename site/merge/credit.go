package merge

import (
	"slices"
	"time"

	"ringway/membership"
)

// Credit is how much this site may have under way to a member (B3): what the member works off
// in a second or so, and at most creditBytes. What is under way is a queue in front of the
// thinnest link, and everything that a site says to another waits in it: messages of other
// senders, a join's announcement, and the answer to one. 8 MiB are four minutes on 256 kbit/s.
//
// Credit starts small and doubles as often as it has been used and worked off, while the member
// keeps up. It is halved while the member is behind; after that it grows by a quarter a
// second. Each node has its own opinion: it decides when clients' messages are proposed,
// and no more.
type credit struct {
	bytes  int           // zero: startCredit
	at     time.Duration // when it was changed
	worked int           // what the member had worked off by then
	asked  int           // proposed here since the latest Tick: the machine may not know of it yet
	tight  bool          // the member was behind
	calm   time.Duration // since when it has kept up
}

const (
	// creditBytes bounds what is under way to one destination.
	creditBytes = 8 << 20
	// startCredit is what a member has before anything is known of its link: four seconds of
	// 256 kbit/s.
	startCredit = 128 << 10
	// leastCredit lets one record of any size go, and some small ones with it.
	leastCredit = 16 << 10
	// keepsUp and fallsBehind are how late a member's stable line may be, beside what the way
	// and quiet promises take, for its credit to grow, and from when on it shrinks.
	keepsUp     = 300 * time.Millisecond
	fallsBehind = time.Second
	// calmAfter is for how long a member has to keep up, with credit that grows by a quarter
	// a second, until its link is taken for wide again.
	calmAfter = 5 * time.Second
)

// credit says whether every destination of a message has taken enough of what is under way.
// Groups that do not wait for slow sites do not let them set their pace, either: such a site
// gets the whole of creditBytes, falls behind and is taken out (B6).
func (r *Replica) credit(d membership.Set, groups []string) bool {
	patient := r.cfg.SlowAfter == nil || !slices.ContainsFunc(groups, func(g string) bool { return r.cfg.SlowAfter(g) > 0 })
	for rest := d.Without(r.m.self); rest != 0; rest &= rest - 1 {
		i := rest.First()
		c, limit := &r.gateway.credits[i], creditBytes
		if patient {
			limit = c.limit()
		}
		if r.m.owed[i]+c.asked > limit {
			return false
		}
	}
	return true
}

// bulkCredit says whether a large body may follow those under way (B2c).
func (r *Replica) bulkCredit(d membership.Set, size int) bool {
	for rest := d.Without(r.m.self); rest != 0; rest &= rest - 1 {
		if owed := r.m.owedBulk[rest.First()]; owed > 0 && owed+size > bulkWindow {
			return false
		}
	}
	return true
}

// charge notes what is proposed.
func (r *Replica) charge(d membership.Set, bytes int) {
	for rest := d.Without(r.m.self); rest != 0; rest &= rest - 1 {
		r.gateway.credits[rest.First()].asked += bytes
	}
}

func (c *credit) limit() int {
	if c.bytes == 0 {
		return startCredit
	}
	return c.bytes
}

// meterCredit looks, at each Tick, at how far behind the members are.
func (r *Replica) meterCredit() {
	m := r.m
	for i := range r.gateway.credits {
		c := &r.gateway.credits[i]
		c.asked = 0
		if i == m.self || m.owed[i] == 0 {
			continue
		}
		trip := 2 * r.gateway.delays[i]
		behind := time.Duration(m.clock-max(m.w[i], 0)) - trip - r.quiet()
		if behind > keepsUp {
			c.calm = r.now
		}
		worked, patience := m.given[i]-m.owed[i], trip
		if c.tight = c.tight && r.now-c.calm < calmAfter; c.tight || behind > fallsBehind {
			patience += fallsBehind
		}
		switch {
		case m.off(openCredit):
			c.bytes = creditBytes
		case r.now-c.at <= patience:
		case behind > fallsBehind:
			// What is under way may be less than was allowed: the link has become thinner.
			c.change(min(c.limit(), m.owed[i])/2, worked, r.now)
			c.tight = true
		case behind > keepsUp || worked-c.worked < c.limit()/2:
		case c.tight:
			c.change(c.limit()+c.limit()/4, worked, r.now)
		default:
			c.change(2*c.limit(), worked, r.now)
		}
	}
}

func (c *credit) change(bytes, worked int, now time.Duration) {
	c.bytes, c.worked, c.at = min(max(bytes, leastCredit), creditBytes), worked, now
}
