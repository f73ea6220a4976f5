package overlay

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

// A promiseWindow tells which of an origin's latest 64 broadcasts have come. It
// begins anew with each incarnation.
type promiseWindow struct {
	incarnation uint64
	newest      uint64
	seen        uint64 // bit i: newest - i has come
}

// first says whether a broadcast comes for the first time, and remembers it. What is
// older than the window counts as seen: it has long been superseded.
func (w *promiseWindow) first(incarnation, number uint64) bool {
	if incarnation < w.incarnation {
		return false
	}
	if incarnation > w.incarnation {
		*w = promiseWindow{incarnation: incarnation}
	}
	if number > w.newest {
		shift := number - w.newest
		w.newest = number
		w.seen = w.seen<<shift | 1
		return true
	}
	age := w.newest - number
	if age >= 64 || w.seen&(1<<age) != 0 {
		return false
	}
	w.seen |= 1 << age
	return true
}

// has says whether a broadcast counts as seen.
func (w promiseWindow) has(incarnation, number uint64) bool { return !w.first(incarnation, number) }

// promiseWindows are an origin's: what came down its tree must go on down even if
// the second path was quicker.
type promiseWindows struct {
	any, tree promiseWindow
	proved    *promise // the latest whose signature was checked
}

// secondGap is the time between two broadcasts that go along second paths. There they only
// serve until the next one comes, if the tree has lost one, or until there are new routes, if it
// has lost a branch: a promise supersedes those before it. All of them would be more than half
// of what promises cost, since along these paths each gateway has to check the signature.
const secondGap = 20 * time.Millisecond

// broadcast sends a promise of the own instance down its tree; turn sends it along second
// paths.
func (c *core) broadcast(data []byte) {
	if c.state.Instance == 0 {
		return
	}
	c.numbered++
	p := promise{
		Hops: maxHops, Origin: c.self.ID, Instance: c.state.Instance,
		Incarnation: c.incarnation, Number: c.numbered, Data: data,
	}
	p.Stamp = c.sign(pki.Promise, p.text())
	c.count.promisesSent.Add(1)
	c.passDown(&p, nil)
	if len(c.seconds) > 0 {
		c.second = &p
	}
}

// alongSeconds sends the newest broadcast along second paths.
func (c *core) alongSeconds(now time.Duration) {
	p := c.second
	for _, path := range c.seconds {
		p.Routed, p.Route = true, path[1:]
		c.sendPromise(path[0], p)
	}
	c.second, c.secondAt = nil, now+secondGap
}

// passDown sends a promise to this gateway's children in the origin's tree. The
// origin also gives it to the other gateways of its instance, whose subtrees it cannot
// reach otherwise.
func (c *core) passDown(p *promise, from *lane) {
	gram := p.append([]byte{byte(gramPromise)})
	for _, child := range c.routes.Children(c.sourceOf(p), c.self.ID) {
		if lane := c.links[child].first(); lane != nil && lane != from {
			lane.promise(p.Origin, gram)
		}
	}
	if p.Origin != c.self.ID {
		return
	}
	for _, l := range c.order {
		if lane := l.first(); lane != nil && c.ours(l.peer.ID) {
			lane.promise(p.Origin, gram)
		}
	}
}

// ours says whether a gateway advertises the own instance.
func (c *core) ours(id membership.NodeID) bool {
	s, ok := c.db.Get(id)
	return ok && s.Site == c.site && s.Instance == c.state.Instance
}

// sendPromise sends a promise to a neighbour on its own route.
func (c *core) sendPromise(to membership.NodeID, p *promise) {
	if lane := c.links[to].first(); lane != nil {
		lane.promise(p.Origin, p.append([]byte{byte(gramPromise)}))
	}
}

// secondPaths chooses, for each other instance, a path that shares no gateway with the
// tree's; where there is none, two that share none with each other.
func (c *core) secondPaths() {
	c.seconds = nil
	if len(c.cfg.Topology.Sites) > maxDisjointSites {
		return
	}
	for _, of := range c.routes.Instances() {
		if of == c.instance() {
			continue
		}
		nearest, ok := c.routes.Nearest(of)
		if !ok {
			continue
		}
		paths := c.routes.DisjointPaths(nearest)
		if len(paths) < 2 {
			continue
		}
		shortest := c.routes.Path(nearest)
		for _, path := range paths {
			if !slices.Equal(path, shortest) && len(path) <= maxRoute+2 {
				c.seconds = append(c.seconds, path[1:])
			}
		}
	}
}

// promiseCame takes a promise from a neighbour: it is delivered once and passed on.
func (c *core) promiseCame(from *lane, p *promise) {
	if p.Origin == c.self.ID {
		return
	}
	if c.gateways[p.Origin] == nil || p.Instance == 0 {
		from.breach(breach(fmt.Errorf("promise of gateway %v, which the topology does not have, or of no instance", p.Origin)))
		return
	}
	w := c.heard[p.Origin]
	if w == nil {
		w = &promiseWindows{}
		c.heard[p.Origin] = w
	}
	// From the origin itself a promise is what the link's own keys prove; but what is
	// passed on has to stand the next gateway's check.
	if (from.peer.ID != p.Origin && !w.any.has(p.Incarnation, p.Number) || c.passesOn(w, p)) && !c.proved(from, w, p) {
		return
	}
	if w.any.first(p.Incarnation, p.Number) {
		if c.sourceOf(p) != c.instance() {
			c.count.promisesReceived.Add(1)
			c.count.promisesDropped.Add(uint64(c.out.putPromise(p.Origin, c.sourceOf(p), p.Data)))
		}
	} else {
		c.count.promisesDuplicate.Add(1)
	}
	if p.Hops == 0 {
		return
	}
	p.Hops--
	switch {
	case len(p.Route) > 0:
		next := p.Route[0]
		p.Route = p.Route[1:]
		c.sendPromise(next, p)
	case !p.Routed && w.tree.first(p.Incarnation, p.Number):
		c.passDown(p, from)
	}
}

// passesOn says whether a promise that has come goes on from here.
func (c *core) passesOn(w *promiseWindows, p *promise) bool {
	switch {
	case p.Hops == 0:
		return false
	case p.Routed:
		return len(p.Route) > 0
	}
	return !w.tree.has(p.Incarnation, p.Number) && len(c.routes.Children(c.sourceOf(p), c.self.ID)) > 0
}

// proved says whether a promise is its origin's. The same one comes on several ways, so
// the latest that was checked is remembered.
func (c *core) proved(from *lane, w *promiseWindows, p *promise) bool {
	if q := w.proved; q != nil && q.Number == p.Number && q.Incarnation == p.Incarnation && q.Instance == p.Instance &&
		q.Stamp == p.Stamp && bytes.Equal(q.Data, p.Data) {
		return true
	}
	if !c.believe(from, p.Origin, pki.Promise, p.text(), &p.Stamp) {
		return false
	}
	w.proved = p
	return true
}

// sourceOf returns the instance that a promise is of.
func (c *core) sourceOf(p *promise) membership.SiteInstance {
	site := c.site
	if p.Origin != c.self.ID {
		site = c.gateways[p.Origin].Site.ID
	}
	return membership.SiteInstance{Instance: p.Instance, Site: site}
}

// route sends a control message on its way.
func (c *core) route(m controlMessage) {
	if m.To == c.instance() {
		if !c.out.putControl(m) {
			c.count.controlsDropped.Add(1)
		}
		return
	}
	nearest, ok := c.routes.Nearest(m.To)
	if !ok || m.Hops == 0 {
		c.count.controlsDropped.Add(1)
		return
	}
	m.Hops--
	next, _ := c.routes.NextHop(nearest)
	lane := c.links[next].first()
	if lane == nil || !lane.put(&m) {
		c.count.controlsDropped.Add(1)
		return
	}
	c.count.controlsSent.Add(1)
}

// sendControl signs a control message of the own instance and sends it on its way.
func (c *core) sendControl(m controlMessage) {
	number := &c.controls
	if m.Bulk {
		number = &c.given
	}
	*number++
	m.From, m.Gateway, m.Incarnation, m.Number = c.instance(), c.self.ID, c.incarnation, *number
	m.Stamp = c.sign(m.purpose(), m.text())
	c.route(m)
}

// controlCame takes a control message from a neighbour. Like a promise it is believed
// if it comes from its origin itself, and otherwise, or to be passed on, if the origin
// signed it. One that came before is out.
func (c *core) controlCame(from *lane, m controlMessage) {
	origin := c.gateways[m.Gateway]
	switch {
	case m.Gateway == c.self.ID:
		return // went round while routes changed
	case origin == nil || origin.Site.ID != m.From.Site || !knownSite(c.cfg.Topology, m.To.Site):
		from.breach(breach(fmt.Errorf("control message of gateway %v from site %v to %v", m.Gateway, m.From.Site, m.To.Site)))
		return
	case (from.peer.ID != m.Gateway || m.To != c.instance()) && !c.believe(from, m.Gateway, m.purpose(), m.text(), &m.Stamp):
		return
	}
	if m.To == c.instance() && !m.Bulk { // whoever asked for those looks whether one comes twice
		w := c.controlled[m.Gateway]
		if w == nil {
			w = &controlWindow{}
			c.controlled[m.Gateway] = w
		}
		if !w.pass(m.Incarnation, m.Number) {
			c.count.controlsLate.Add(1)
			return
		}
	}
	c.route(m)
}

func (c *controlMessage) purpose() pki.Purpose {
	if c.Bulk {
		return pki.Bulk
	}
	return pki.Control
}

// put lets a message wait for the lane or its link; false: there is no room.
func (l *lane) put(m *controlMessage) bool {
	if m.Bulk {
		return l.bulk.put(m.append(nil))
	}
	return l.control.put(m.To, m.append(nil))
}

func knownSite(t *topology.Topology, id membership.SiteID) bool {
	for _, s := range t.Sites {
		if s.ID == id {
			return true
		}
	}
	return false
}
