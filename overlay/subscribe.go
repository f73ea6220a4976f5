package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"ringway/membership"
)

// maxFeeds bounds the logs that are imported and relayed at one time: one for each
// other site in the present view, and those of the views before and after it.
const maxFeeds = 3 * membership.MaxSites

// depth returns the cost from the gateways of a log's origin to this one.
func (c *core) depth(id membership.LogID) (time.Duration, bool) {
	return c.routes.Depth(id.Source(), c.self.ID)
}

// follow keeps the feed subscribed at the right parent.
func (c *core) follow(f *feed, now time.Duration) {
	if len(f.sites) == 0 {
		c.stopUpstream(f)
		return
	}
	lane := c.parent(f)
	if lane == nil || f.up != nil && f.up.lane == lane {
		if f.up != nil {
			c.stripeOver(f.up)
		}
		return // what runs is as good as it gets
	}
	if now < f.retryAt {
		f.wake(f.retryAt)
		return
	}
	distance, ok := c.depth(f.id)
	if !ok {
		return
	}
	c.stopUpstream(f)
	term, wants := f.store.newTerm(f.sites)
	ctx, stop := context.WithCancel(context.Background())
	u := &upstream{
		lane: lane, store: f.store, term: term, ctx: ctx, stop: stop, turn: newTurn(), proof: newProof(f.id, c.verifier, wants),
		sub: subscribe{Log: f.id, Distance: distance, Insist: f.insist, ID: c.subscribes, Wants: wants},
	}
	c.subscribes++
	f.up, f.insist = u, false
	f.begun++
	c.count.subscriptions.Add(1)
	c.log.Debug("subscribed", "log", f.id, "parent", lane.peer.Name, "from", wants[0].From, "insist", u.sub.Insist)
	c.wg.Go(func() { u.run(ctx) })
}

// parent returns where to subscribe: the gateway before this one in the tree of the
// log's origin or, if that refused, another one that is nearer to it.
func (c *core) parent(f *feed) *lane {
	tree, ok := c.routes.Parent(f.id.Source(), c.self.ID)
	if !ok {
		return nil
	}
	if _, refused := f.refused[tree]; !refused {
		return c.links[tree].first()
	}
	for _, l := range c.order {
		if _, refused := f.refused[l.peer.ID]; !refused && l.first() != nil && c.nearer(l, f.id) {
			return l.first()
		}
	}
	// Everybody refused. The tree's parent has the best claim to be asked again.
	for _, why := range f.refused {
		f.insist = f.insist || why == refusedDropped
	}
	clear(f.refused)
	f.retryAt = max(f.retryAt, c.now()+backoff(f.failures))
	return c.links[tree].first()
}

// nearer says whether a neighbour is nearer to a log's origin than this gateway.
func (c *core) nearer(l *link, id membership.LogID) bool {
	own, ok := c.depth(id)
	theirs, known := c.routes.Depth(id.Source(), l.peer.ID)
	return ok && known && theirs < own
}

func backoff(failures int) time.Duration {
	return min(retryMin<<min(failures, 10), retryMax)
}

func (c *core) stopUpstream(f *feed) {
	if f.up != nil {
		f.up.stop()
		f.up = nil
	}
}

// upstreamEnded takes the end of a subscription and its reason.
func (c *core) upstreamEnded(u *upstream, err error) {
	u.stop()
	f := c.feeds[u.sub.Log]
	if f == nil || f.up != u {
		return
	}
	f.up = nil
	if u.progress.Load() {
		f.failures = 0
	}
	now := c.now()
	var why refusal
	if errors.As(err, &why) {
		c.log.Debug("subscription refused", "log", f.id, "parent", u.lane.peer.Name, "reason", why.Error())
		f.refused[u.lane.peer.ID] = why
	} else if innocent(err) {
		// What it holds was signed by a certificate that does not count any longer.
		c.count.untrusted.Add(1)
		c.warn("log cannot be trusted as it was signed", "log", f.id, "parent", u.lane.peer.Name, "error", err)
		f.refused[u.lane.peer.ID] = refusedDropped
	} else {
		f.retryAt = now + backoff(f.failures)
	}
	f.failures++
}

// subscribed takes a child's subscription.
func (c *core) subscribed(b *branch) {
	if b.sub.Log.Source() == c.instance() {
		c.serveOwn(b)
	} else {
		c.serveRelay(b)
	}
}

// refuse answers a subscription with no. Writing may wait, so the loop does not.
func (c *core) refuse(b *branch, why refusal) {
	c.wg.Go(func() { b.refuse(why) })
}

// serveOwn serves the own instance's log. One that has not begun is waited for.
func (c *core) serveOwn(b *branch) {
	id := b.sub.Log
	switch {
	case c.own != nil && c.own.id == id:
		if c.own.holds(b.sub.Wants, 0) {
			c.begin(b, c.own)
		} else {
			c.refuse(b, refusedDropped)
		}
	case c.own != nil && c.own.id.Instance == id.Instance && id.View.Compare(c.own.id.View) < 0:
		c.refuse(b, refusedGone)
	default:
		c.park(b)
	}
}

// park lets a subscription wait for an own log that has not begun. A peer has as many
// places as it may have streams; those whose child has left are free again.
func (c *core) park(b *branch) {
	mine := 0
	c.parked = slices.DeleteFunc(c.parked, func(p *branch) bool {
		if p.stream.Context().Err() != nil {
			return true
		}
		if p.lane.peer == b.lane.peer {
			mine++
		}
		return false
	})
	if mine >= maxStreams {
		c.refuse(b, refusedLimit)
		return
	}
	c.parked = append(c.parked, b)
}

// unpark looks again at the subscriptions that wait for an own log.
func (c *core) unpark() {
	parked := c.parked
	c.parked = nil
	for _, b := range parked {
		if b.stream.Context().Err() == nil {
			c.subscribed(b)
		}
	}
}

// serveWaiting looks again, after new routes, at subscriptions that the last ones did
// not allow.
func (c *core) serveWaiting() {
	waiting := c.waiting
	c.waiting = nil
	for _, b := range waiting {
		if b.stream.Context().Err() == nil {
			c.subscribed(b)
		}
	}
}

// serveRelay serves another instance's log, which this gateway has or gets for it.
func (c *core) serveRelay(b *branch) {
	id := b.sub.Log
	distance, ok := c.depth(id)
	tree, _ := c.routes.Parent(id.Source(), c.self.ID)
	switch {
	case !ok:
		c.refuse(b, refusedUnknown)
		return
	case distance >= b.sub.Distance || tree == b.lane.peer.ID:
		if _, due := c.throttle.Deadline(); due && !b.waited && len(c.waiting) < maxStreams {
			b.waited = true // what the child knows already, this gateway is about to compute
			c.waiting = append(c.waiting, b)
			return
		}
		c.refuse(b, refusedLoop)
		return
	case c.feeds[id] == nil && len(c.feeds) >= maxFeeds:
		c.refuse(b, refusedLimit)
		return
	}
	f := c.feed(id)
	covered := true
	for _, w := range b.sub.Wants {
		covered = covered && slices.ContainsFunc(f.sites, func(s want) bool { return s.Instance == w.Instance })
	}
	if covered && !f.store.holds(b.sub.Wants, 0) {
		if !b.sub.Insist {
			c.refuse(b, refusedDropped)
			return
		}
		f.reset = true
		b.goal.Store(f.store.stats().next)
		b.holdTo = c.now() + insistTime
		f.store.hold(b, 0)
	}
	f.branches[b] = struct{}{}
	c.reconcile(f, c.now()) // before the branch looks into the store
	c.begin(b, f.store)
}

// begin starts a branch's writer.
func (c *core) begin(b *branch, s *store) {
	b.store, b.stop, b.broken = s, make(chan struct{}), make(chan struct{})
	b.cut.begun = make(chan struct{})
	if s.own && !s.sealing {
		s.sealing = true
		c.wg.Go(func() { c.keepSealing(s) })
	}
	from := b.sub.Wants[0].From
	for _, w := range b.sub.Wants {
		from = min(from, w.From)
	}
	b.cursor.Store(from)
	c.branches[b] = struct{}{}
	c.wg.Go(b.serve)
}

func (c *core) branchEnded(b *branch) {
	delete(c.branches, b)
	if f := c.feeds[b.sub.Log]; f != nil {
		delete(f.branches, b)
	}
}
