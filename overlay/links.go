package overlay

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/routing"
)

// laneUp takes a lane whose ends have said hello.
func (c *core) laneUp(lane *lane) {
	l := c.links[lane.peer.ID]
	switch {
	case c.draining:
		lane.close(codeDraining, "gateway stops")
		return
	case l.off: // the links have just changed
		lane.close(codeRefused, "the topology does not have this link")
		return
	}
	if !c.admitted(lane) {
		return
	}
	if old := l.lanes[lane.index]; old != nil {
		if old.incarnation == lane.incarnation {
			c.succeed(l, old, lane)
			return
		}
		old.close(codeReplaced, "a newer connection takes over")
		c.laneLost(l, old, true)
	}
	now := c.now()
	l.lanes[lane.index] = lane
	c.log.Info("lane connected", "peer", lane.peer.Name, "site", lane.peer.Site.Name, "lane", lane.index, "address", lane.conn.RemoteAddr())
	if lane.index != 0 {
		return
	}
	l.incarnation = lane.incarnation
	l.meter.start(now, lane.conn.ConnectionStats().SmoothedRTT)
	l.gate.connected(now, 0)
	c.logLink(l)
	c.sendHello(l, now)
	lane.state.putDigest(c.db.Digest())
}

// laneDown takes the end of a lane.
func (c *core) laneDown(lane *lane, cause error) {
	l := c.links[lane.peer.ID]
	if l.lanes[lane.index] != lane {
		return // replaced, or given up by this end
	}
	planned := false
	if end, ok := errors.AsType[*quic.ApplicationError](cause); ok {
		planned = end.Remote && end.ErrorCode == codeDraining
	}
	c.log.Info("lane lost", "peer", lane.peer.Name, "site", lane.peer.Site.Name, "lane", lane.index, "cause", cause)
	c.laneLost(l, lane, planned)
}

// laneLost forgets a lane and what went over it. Without its first lane the link is
// down.
func (c *core) laneLost(l *link, lane *lane, planned bool) {
	l.lanes[lane.index] = nil
	c.moveSubscriptions(lane)
	c.strand(lane)
	if lane.index == 0 {
		c.closeLanes(l)
	}
	if lane.index == 0 && l.gate.state != LinkDown {
		l.downs++
		l.gate.down(c.now(), planned)
		c.logLink(l)
	}
}

func (c *core) logLink(l *link) {
	c.log.Info("link "+l.gate.state.String(), "peer", l.peer.Name, "site", l.peer.Site.Name, "rtt", l.meter.rtt, "flaps", l.gate.flaps)
}

// hellos sends the hellos that are due, judges links on which nothing comes, and
// returns when to look again.
func (c *core) hellos(now time.Duration) time.Duration {
	interval := c.cfg.Topology.Timing.Hello
	next := now + interval
	for _, l := range c.order {
		lane := l.lanes[0]
		if lane == nil {
			continue
		}
		if l.meter.gone(now, interval) {
			c.count.silences.Add(1)
			c.warn("hellos unanswered: link given up", "peer", l.peer.Name, "site", l.peer.Site.Name, "silent", now-l.meter.heard)
			c.laneLost(l, lane, false)
			lane.close(codeSilent, "hellos unanswered")
			continue
		}
		before := l.gate.state
		if l.meter.silent(now, interval) {
			l.gate.doubt(now, l.meter.answers)
		}
		l.gate.check(now, l.meter.answers)
		if l.gate.state != before {
			c.logLink(l)
		}
		if now >= l.meter.nextHello(interval) {
			c.sendHello(l, now)
		}
		next = min(next, l.meter.nextHello(interval))
		if at := l.meter.silentAt(interval); at > now {
			next = min(next, at)
		}
	}
	return next
}

// sendHello sends a hello, unless the one before still waits for the lane: replacing it
// would look like a loss.
func (c *core) sendHello(l *link, now time.Duration) {
	grams := l.lanes[0].grams
	if grams.helloWaits() {
		l.meter.sent = now
		return
	}
	h := l.meter.send(now)
	h.Lanes = uint8(l.wants)
	grams.putHello(h.append(nil))
	c.helloAt = min(c.helloAt, now+c.cfg.Topology.Timing.Hello)
}

func (c *core) heardHello(lane *lane, now time.Duration, h hello) {
	if l := c.links[lane.peer.ID]; l.lanes[0] == lane {
		l.peerWants = int(h.Lanes)
		l.meter.heardHello(now, h.Seq)
	}
}

func (c *core) heardAnswer(lane *lane, now time.Duration, wall int64, a answer) {
	if l := c.links[lane.peer.ID]; l.lanes[0] == lane {
		if l.meter.takeAnswer(now, wall, a) {
			// What was written before that hello has come as well, but for what was lost and
			// sent again: the time between two hellos is for that.
			lane.control.proved(a.Sent - c.cfg.Topology.Timing.Hello)
		}
		lane.pressure.queued.Store(l.meter.crammed())
		lane.pressure.longest.Store(int64(l.meter.crammedRTT() + 4*l.meter.jitter))
	}
}

// publish says anew what this gateway has to say of itself, if it is time.
func (c *core) publish(now time.Duration) {
	want := routing.Advertisement{
		Gateway: c.self.ID, Site: c.site, Incarnation: c.incarnation,
		Instance: c.state.Instance, View: c.state.View, Epoch: c.state.Epoch, Wanted: c.state.Wanted,
	}
	if c.draining {
		want.Flags |= routing.Draining
	}
	if c.cfg.Node.Site.NoTransit {
		want.Flags |= routing.NoTransit
	}
	for _, l := range c.order {
		if l.first() != nil {
			cost := l.measured()
			if l.gate.state == LinkProving {
				cost += routing.Doubt
			}
			if l.meter.silent(now, c.cfg.Topology.Timing.Hello) {
				cost += routing.Doubt // one that only has to prove itself is better
			}
			want.Edges = append(want.Edges, routing.Edge{
				To: l.peer.ID, Cost: cost,
				RTT: l.meter.way(), LossPPM: l.meter.lossPPM(), Lanes: l.laneCount(),
			})
		}
	}
	want.Dead = c.obituary()
	slices.SortFunc(want.Edges, func(a, b routing.Edge) int { return cmp.Compare(a.To, b.To) })
	said, due := c.publisher.Next(now, want)
	if !due {
		return
	}
	body := said.Append(nil)
	signer := c.cfg.Identity.Signer()
	signed := &routing.Signed{Advertisement: said, Body: body, Certificate: signer.CertificateDER(), Signature: signer.Sign(pki.Advertisement, body)}
	if c.db.Expire(now-advertLife) > 0 {
		c.throttle.Change(now)
		c.forget()
	}
	former, _ := c.db.Get(c.self.ID)
	c.db.PutOwn(now, signed)
	c.flood(signed, nil)
	c.changed(former, signed, now)
}

// forget drops what is known of gateways that advertise nothing any more: one that comes
// back after so long may number its messages from lower on, and nobody would tell it.
func (c *core) forget() {
	gone := func(id membership.NodeID) bool { _, ok := c.db.Get(id); return !ok }
	maps.DeleteFunc(c.heard, func(id membership.NodeID, _ *promiseWindows) bool { return gone(id) })
	maps.DeleteFunc(c.notes, func(id membership.NodeID, _ *noteWindow) bool { return gone(id) })
	maps.DeleteFunc(c.controlled, func(id membership.NodeID, _ *controlWindows) bool { return gone(id) })
}

// changed asks for new routes if an advertisement says anything new. One that is
// merely repeated must not use up what the throttle allows.
func (c *core) changed(former, s *routing.Signed, now time.Duration) {
	if former != nil && former.Flags == s.Flags && former.Instance == s.Instance && former.View == s.View &&
		former.Epoch == s.Epoch && former.Wanted == s.Wanted && slices.Equal(former.Dead, s.Dead) && slices.EqualFunc(former.Edges, s.Edges, sameEdge) {
		return
	}
	c.throttle.Change(now)
}

// sameEdge compares what routes follow from.
func sameEdge(a, b routing.Edge) bool { return a.To == b.To && a.Cost == b.Cost }

// flood passes an advertisement on to all neighbours but the one it came from.
func (c *core) flood(s *routing.Signed, from *lane) {
	for _, l := range c.order {
		if lane := l.lanes[0]; lane != nil && lane != from {
			lane.state.put(s)
		}
	}
}

// advertCame takes a verified advertisement.
func (c *core) advertCame(from *lane, s *routing.Signed) {
	now := c.now()
	former, _ := c.db.Get(s.Gateway)
	switch c.db.Put(now, s) {
	case routing.Newer:
		c.flood(s, from)
		c.changed(former, s, now)
		c.refute(s)
	case routing.Older:
		if ours, ok := c.db.Get(s.Gateway); ok {
			from.state.put(ours)
		}
	case routing.OwnNewer:
		// An earlier run of this gateway, whose clock was ahead: out-number it, and what it
		// broadcast and sent.
		if s.Incarnation > c.incarnation {
			c.incarnation = s.Incarnation + 1
		}
		c.publisher.Outnumber(s.Counter)
	case routing.Full:
		c.warn("link-state database is full: advertisement ignored", "gateway", s.Gateway, "limit", routing.MaxGateways)
	}
}

// digestCame sends a neighbour what it lacks.
func (c *core) digestCame(from *lane, digest []routing.Summary) {
	for _, s := range c.db.Missing(digest) {
		from.state.put(s)
	}
}

// recompute finds the routes anew and tells the Handler what changed for it.
func (c *core) recompute() {
	began, former := c.now(), c.routes
	c.routes = routing.Compute(c.db)
	c.throttle.Took(c.now() - began)
	c.count.recomputes.Add(1)
	c.tellRoutes(former)
	c.rerouteControls()
	c.secondPaths()
	for _, f := range c.feeds {
		c.rerouted(f)
	}
	c.serveWaiting()
	reach := c.reachable()
	if !slices.Equal(reach, c.reach) {
		c.reach = reach
		c.out.putReach(slices.Clone(reach))
	}
}

// tellRoutes logs to which gateways the way has changed, at a bounded rate, and counts.
func (c *core) tellRoutes(former *routing.Routes) {
	for _, n := range c.gateways {
		was, is := former.Path(n.ID), c.routes.Path(n.ID)
		if n.ID == c.self.ID || slices.Equal(was, is) {
			continue
		}
		c.count.routeChanges.Add(1)
		if !c.moves.Allow() {
			continue // the counter says how many there were
		}
		if is == nil {
			c.log.Info("route lost", "to", n.Name, "site", n.Site.Name, "was", c.pathNames(was))
			continue
		}
		cost, _ := c.routes.Distance(n.ID)
		c.log.Info("route changed", "to", n.Name, "site", n.Site.Name, "path", c.pathNames(is), "cost", cost, "was", c.pathNames(was))
	}
}

// pathNames writes a path for people.
func (c *core) pathNames(path []membership.NodeID) string {
	if path == nil {
		return "none"
	}
	names := make([]string, len(path))
	for i, id := range path {
		names[i] = c.nodeName(id)
	}
	return strings.Join(names, " ")
}

// reachable lists the other instances that can be reached. What the gateways of one
// advertise differs for a moment when it moves on; the newest counts, because all of
// them follow one ring.
func (c *core) reachable() []Reach {
	reach := []Reach{} // not nil: nobody to be reached is news as well
	own := c.instance()
	for _, s := range c.db.All() {
		of := membership.SiteInstance{Instance: s.Instance, Site: s.Site}
		delay, ok := c.routes.Delay(s.Gateway)
		if !ok || of.Instance == 0 || of == own {
			continue
		}
		i := slices.IndexFunc(reach, func(r Reach) bool { return r.SiteInstance == of })
		if i < 0 {
			i = len(reach)
			reach = append(reach, Reach{SiteInstance: of, View: s.View, Delay: delay})
		}
		r := &reach[i]
		if s.View.Compare(r.View) > 0 {
			r.View = s.View
		}
		r.Epoch, r.Wanted, r.Delay = max(r.Epoch, s.Epoch), max(r.Wanted, s.Wanted), min(r.Delay, delay)
	}
	slices.SortFunc(reach, func(a, b Reach) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Instance, b.Instance))
	})
	return reach
}
