package overlay

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"ringway/routing"
	"ringway/topology"
)

// SetLinks puts other links between the sites of the topology in force while the gateway
// runs: new ones are dialled, those that are left out are closed, and others get their
// new costs. Streams go on by what ways there are then. The gateways of a link may learn
// of it at different times: the one that has it is refused by the other until then.
//
// Sites and gateways stay those that the Gateway was made with; links of others are
// ignored.
func (g *Gateway) SetLinks(links []*topology.Link) {
	g.linked.Store(&links)
	g.post((*core).relink)
}

// relink makes the links those that are in force.
func (c *core) relink() {
	for _, l := range c.order {
		cost, ok := c.adjacent(l.peer)
		switch {
		case ok && l.off:
			if c.turnOn(l, cost) {
				c.log.Info("link is new in the topology", "peer", l.peer.Name, "site", l.peer.Site.Name)
				c.keepLinked(l)
			}
		case ok && l.cost != cost:
			c.log.Info("link has another cost in the topology", "peer", l.peer.Name, "site", l.peer.Site.Name, "cost", cost, "was", l.cost)
			l.cost = cost
			c.publisher.Again()
		case !ok && !l.off:
			c.turnOff(l)
		}
	}
}

// turnOn puts a link in force. False: there are as many as can be advertised.
func (c *core) turnOn(l *link, cost time.Duration) bool {
	on := 0
	for _, other := range c.order {
		if !other.off {
			on++
		}
	}
	if on >= routing.MaxEdges {
		c.warn("more links than a gateway can have: this one is left out", "peer", l.peer.Name, "limit", routing.MaxEdges)
		return false
	}
	l.off, l.cost = false, cost
	return true
}

// keepLinked dials a link's first lane, and again, as long as the topology has the link.
func (c *core) keepLinked(l *link) {
	if l.off || !l.dials {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	l.undial = cancel
	c.wg.Go(func() { c.keepDialling(ctx, l.peer, 0) })
}

// turnOff takes a link out of force.
func (c *core) turnOff(l *link) {
	c.log.Info("link is no longer in the topology", "peer", l.peer.Name, "site", l.peer.Site.Name)
	l.off = true
	if l.undial != nil {
		l.undial()
		l.undial = nil
	}
	if lane := l.lanes[0]; lane != nil {
		c.laneLost(l, lane, true)
		lane.close(codeRefused, "the topology has this link no longer")
	}
	l.gate = linkGate{} // it has no past if it comes back
}

// peers lists the other gateways of the topology, by name.
func (g *Gateway) peers() []*topology.Node {
	return slices.SortedFunc(maps.Values(g.gateways), func(a, b *topology.Node) int { return strings.Compare(a.Name, b.Name) })
}

// adjacent says whether the links in force connect this gateway with a peer, and with
// which fixed cost (zero: measured). Gateways of one site are always connected.
func (g *Gateway) adjacent(peer *topology.Node) (cost time.Duration, ok bool) {
	own, far := g.self.Site.ID, peer.Site.ID
	if own == far {
		return routing.LANCost, true
	}
	for _, l := range *g.linked.Load() {
		if a, b := l.Between[0].ID, l.Between[1].ID; a == own && b == far || b == own && a == far {
			return l.Cost, true
		}
	}
	return 0, false
}
