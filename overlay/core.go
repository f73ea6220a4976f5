package overlay

import (
	"context"
	"slices"
	"time"

	"ringway/membership"
	"ringway/routing"
	"ringway/topology"
)

// A core is what the event loop owns: links, link state, routes and subscriptions.
// It is touched by no other goroutine.
type core struct {
	*Gateway
	site  membership.SiteID
	state State

	links map[membership.NodeID]*link
	order []*link // by name

	db          *routing.Database
	publisher   routing.Publisher
	incarnation uint64
	dead        map[membership.NodeID]uint64 // gateways of this site, with their last incarnations
	throttle    routing.Throttle
	routes      *routing.Routes
	reach       []Reach // as last told, by site and instance

	feeds    map[membership.LogID]*feed
	branches map[*branch]struct{}
	parked   []*branch // subscriptions to an own log that has not begun
	waiting  []*branch // subscriptions that the next routes may allow
	own      *store

	numbered uint64 // broadcasts so far
	heard    map[membership.NodeID]*promiseWindows
	noted    uint64 // notes sent so far
	// notes tells which notes of each gateway have come.
	notes    map[membership.NodeID]*noteWindow
	controls uint64 // control messages signed so far
	bulks    uint64 // and those that give way
	// controlled tells which control messages of each gateway have come.
	controlled map[membership.NodeID]*controlWindows
	// stranded control messages wait for new routes, because their lane has ended.
	stranded      [][]byte
	strandedBytes int
	seconds       [][]membership.NodeID // second paths of broadcasts
	second        *promise              // the newest broadcast that has yet to go along them; nil: none
	secondAt      time.Duration         // not before

	helloAt    time.Duration
	lanesAt    time.Duration // when lanes are looked at next
	subscribes uint32        // subscriptions so far
	ctx        context.Context
	draining   bool
	drainTo    time.Duration
}

// A link is the adjacency to one gateway. There is one for each that the topology has:
// those that it does not link are off.
type link struct {
	peer        *topology.Node
	cost        time.Duration      // fixed; zero: measured
	dials       bool               // this end does
	undial      context.CancelFunc // ends that; nil: this end does not
	off         bool               // the topology has no link to it
	gate        linkGate
	meter       meter // of lane 0
	lanes       [maxLanes]*lane
	incarnation uint64 // the peer's, when last connected
	downs       uint64

	lanesFor   laneMeter
	wants      int                          // lanes, for what this end sends
	peerWants  int                          // for what the peer sends
	sentBefore uint64                       // bytes, at the last look
	diallers   [maxLanes]context.CancelFunc // of the lanes above the first
}

// measured returns what the link costs: the time that a packet takes, and what losses add.
func (l *link) measured() time.Duration {
	return routing.Cost(l.meter.way(), l.meter.lineLossPPM(), l.cost)
}

// instance is what this gateway advertises of itself.
func (c *core) instance() membership.SiteInstance {
	return membership.SiteInstance{Instance: c.state.Instance, Site: c.site}
}

// first returns the lane that carries everything that must keep its order; nil
// while the link is down.
func (l *link) first() *lane {
	if l == nil || l.gate.state == LinkDown {
		return nil
	}
	return l.lanes[0]
}

func (l *link) laneCount() (n uint8) {
	for _, lane := range l.lanes {
		if lane != nil {
			n++
		}
	}
	return n
}

func newCore(ctx context.Context, g *Gateway) *core {
	c := &core{
		ctx:     ctx,
		Gateway: g, site: g.self.Site.ID, incarnation: g.cfg.Incarnation,
		links: map[membership.NodeID]*link{}, db: routing.NewDatabase(g.self.ID),
		feeds: map[membership.LogID]*feed{}, branches: map[*branch]struct{}{},
		dead:  map[membership.NodeID]uint64{},
		heard: map[membership.NodeID]*promiseWindows{}, controlled: map[membership.NodeID]*controlWindows{},
		notes: map[membership.NodeID]*noteWindow{},
	}
	for _, peer := range g.peers() {
		l := &link{peer: peer, dials: dials(g.self, peer), off: true}
		c.links[peer.ID] = l
		c.order = append(c.order, l)
		if cost, ok := g.adjacent(peer); ok {
			c.turnOn(l, cost)
		}
	}
	c.routes = routing.Compute(c.db)
	return c
}

// eventBurst bounds the events that are taken between two looks at everything else.
const eventBurst = 64

// run is the event loop. It ends some time after ctx.
func (c *core) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop := ctx.Done()
	for {
		select {
		case event := <-c.events:
			event(c)
			for range eventBurst {
				select {
				case event := <-c.events:
					event(c)
					continue
				default:
				}
				break
			}
		case <-c.in.wake:
			c.takeInbox()
		case <-timer.C:
		case <-stop:
			stop = nil
			c.drain()
		}
		c.turn()
		if c.drained() {
			return
		}
		timer.Reset(max(c.deadline()-c.now(), 0))
	}
}

// turn does what time and the last events call for.
func (c *core) turn() {
	now := c.now()
	if now >= c.helloAt {
		c.helloAt = c.hellos(now)
	}
	c.lookAtLanes(now)
	c.publish(now)
	if c.throttle.Take(now) {
		c.recompute()
	}
	for _, f := range c.feeds {
		c.reconcile(f, now)
	}
	if c.second != nil && now >= c.secondAt {
		c.alongSeconds(now)
	}
}

// deadline returns when the next turn is due.
func (c *core) deadline() time.Duration {
	next := c.helloAt
	if at, armed := c.throttle.Deadline(); armed {
		next = min(next, at)
	}
	for _, f := range c.feeds {
		if f.wakeAt > 0 {
			next = min(next, f.wakeAt)
		}
	}
	if c.second != nil {
		next = min(next, c.secondAt)
	}
	if c.draining {
		for _, at := range []time.Duration{c.toldAt(), c.drainTo} {
			if at > c.now() {
				next = min(next, at)
			}
		}
	}
	return next
}

// takeInbox takes what the node had for the overlay.
func (c *core) takeInbox() {
	in := &c.in
	in.mu.Lock()
	state, controls, promises, own := in.state, in.controls, slices.Clone(in.promises), in.own
	in.state, in.controls, in.bytes = nil, nil, 0
	clear(in.promises)
	in.promises = in.promises[:0]
	notes := in.takeNotes()
	var pulls []pullPosition
	pulled := in.pulled
	if pulled {
		pulls, in.pulled = slices.Clone(in.pulls), false
		for i := range in.pulls {
			in.pulls[i].fresh = false
		}
	}
	in.mu.Unlock()

	if state != nil {
		c.state = *state
	}
	if state != nil || own != c.own {
		c.own = own
		c.unpark()
	}
	if pulled {
		c.pull(pulls)
	}
	for _, p := range promises {
		c.broadcast(p)
	}
	for _, m := range controls {
		c.sendControl(m)
	}
	for i := range notes {
		c.sendNote(&notes[i])
	}
}

// drain begins a planned stop: the neighbours learn that no path should lead here.
func (c *core) drain() {
	c.draining = true
	c.drainTo = c.now() + drainTime
	c.log.Info("gateway drains", "gateway", c.self.Name)
}

// drained says whether the loop may end: nobody depends on this gateway, and it had
// time to say so, or the time is up.
func (c *core) drained() bool {
	if !c.draining {
		return false
	}
	now := c.now()
	connected := slices.ContainsFunc(c.order, func(l *link) bool { return l.lanes[0] != nil })
	return !connected || now >= c.toldAt() && len(c.branches) == 0 && !c.relieved() || now >= c.drainTo
}

// toldAt is when the neighbours of a gateway that drains have been told.
func (c *core) toldAt() time.Duration { return c.drainTo - drainTime + 4*floodDelay }

// relieved says whether another gateway of the site takes over a log that this one still
// imports: until that one has begun, this one goes on.
func (c *core) relieved() bool {
	for _, f := range c.feeds {
		if chosen, ok := c.routes.Importer(c.instance(), f.id.Source()); f.importer != nil && ok && chosen != c.self.ID {
			return true
		}
	}
	return false
}

// stop ends everything that the loop has started.
func (c *core) stop() {
	for _, f := range c.feeds {
		c.stopUpstream(f)
		c.stopImporter(f)
		f.store.close()
	}
	for b := range c.branches {
		b.end(refusedGone)
	}
	for _, l := range c.order {
		for _, lane := range l.lanes {
			if lane != nil {
				lane.close(codeDraining, "gateway stops")
			}
		}
	}
}
