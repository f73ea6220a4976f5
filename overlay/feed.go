package overlay

import (
	"slices"
	"time"

	"ringway/membership"
)

// A feed is a log of another instance that this gateway imports, relays, or both: a
// store, who takes from it, and the subscription at the parent that fills it. It
// belongs to the event loop.
type feed struct {
	id    membership.LogID
	store *store

	pulled     bool   // the own instance wants it
	importFrom uint64 // everything below is there already
	importer   *importer
	branches   map[*branch]struct{}

	sites    []want    // what the store covers; see want
	up       *upstream // nil: none now
	refused  map[membership.NodeID]refusal
	insist   bool // no other holder is left: the parent shall go back for it
	reset    bool // the store has to begin anew
	failures int
	begun    uint64        // subscriptions, this one and those before
	retryAt  time.Duration // no new subscription before
	shrunkAt time.Duration // since when less is wanted than covered; 0: not so
	wakeAt   time.Duration // when reconcile wants to be called; 0: no need
}

// feed returns the feed of a log, making it if need be.
func (c *core) feed(id membership.LogID) *feed {
	f := c.feeds[id]
	if f == nil {
		f = &feed{id: id, store: newStore(id, false, minRelayBytes), branches: map[*branch]struct{}{}, refused: map[membership.NodeID]refusal{}}
		c.feeds[id] = f
		c.shareMemory()
	}
	return f
}

// shareMemory gives each relayed log its share.
func (c *core) shareMemory() {
	for _, f := range c.feeds {
		f.store.setLimit(max(maxRelayBytes/len(c.feeds), minRelayBytes))
	}
}

// pull follows what the site imports now.
func (c *core) pull(positions []pullPosition) {
	wanted := map[membership.LogID]bool{}
	for _, p := range positions {
		if p.Log.Source() == c.instance() || len(wanted) >= membership.MaxSites {
			continue
		}
		wanted[p.Log] = true
		f := c.feed(p.Log)
		if p.fresh || !f.pulled {
			c.stopImporter(f)
			if f.importer != nil {
				f.importer.rewound = true
			}
			f.importFrom = p.From
		}
		f.pulled = true
		f.importFrom = max(f.importFrom, p.From)
		if f.importer != nil {
			f.importer.skip.Store(f.importFrom)
		}
	}
	for id, f := range c.feeds {
		if f.pulled && !wanted[id] {
			f.pulled = false
		}
	}
}

// rerouted lets a feed try again what the old routes did not allow, and lets go
// children through whom the own path leads now.
func (c *core) rerouted(f *feed) {
	clear(f.refused)
	if f.up == nil {
		f.retryAt = 0
	}
	parent, _ := c.routes.Parent(f.id.Source(), c.self.ID)
	for b := range f.branches {
		if b.lane.peer.ID == parent {
			b.end(refusedLoop)
		}
	}
}

// reconcile brings a feed to what is wanted of it now: its importer, the sites its
// store covers, and the subscription at the right parent.
func (c *core) reconcile(f *feed, now time.Duration) {
	f.wakeAt = 0
	c.reconcileImporter(f)
	f.endHolds(now)
	wants := f.wants()
	c.cover(f, wants)
	if len(wants) == len(f.sites) {
		f.shrunkAt = 0
	} else if f.lingered(now) {
		c.narrow(f, wants)
	}
	if len(f.sites) == 0 && !f.pulled && f.importer == nil && len(f.branches) == 0 {
		f.store.close()
		delete(c.feeds, f.id)
		c.shareMemory()
		return
	}
	c.follow(f, now)
}

// wants returns what the feed's takers need: for each instance, from where.
func (f *feed) wants() (wants []want) {
	if m := f.importer; m != nil && !m.stopping {
		wants = addWant(wants, m.of.Instance, max(m.cursor.Load(), m.skip.Load()))
	}
	for b := range f.branches {
		for _, w := range b.sub.Wants {
			wants = addWant(wants, w.Instance, max(w.From, b.cursor.Load()))
		}
	}
	return wants
}

// lingered says whether fewer sites than covered have been wanted for long enough.
func (f *feed) lingered(now time.Duration) bool {
	if f.shrunkAt == 0 {
		f.shrunkAt = now
	}
	f.wake(f.shrunkAt + linger)
	return now >= f.shrunkAt+linger
}

// wake makes reconcile be called at that time, or before.
func (f *feed) wake(at time.Duration) {
	if f.wakeAt == 0 || at < f.wakeAt {
		f.wakeAt = at
	}
}

// endHolds lets go of children that insisted and had their time.
func (f *feed) endHolds(now time.Duration) {
	for b := range f.branches {
		switch {
		case b.holdTo == 0:
		case now >= b.holdTo:
			b.holdTo = 0
			f.store.release(b)
		default:
			f.wake(b.holdTo)
		}
	}
}

// narrow pulls for fewer sites from now on.
func (c *core) narrow(f *feed, wants []want) {
	c.stopUpstream(f)
	f.sites, f.shrunkAt = wants, 0
	f.store.narrow(wants)
}

// cover lets the store begin anew where it lacks what is wanted: a new site, or a
// position of the importer's or of an insisting child that it no longer holds.
// Other children that fell behind are refused, and look elsewhere first.
func (c *core) cover(f *feed, wants []want) {
	for _, w := range wants {
		if !slices.ContainsFunc(f.sites, func(s want) bool { return s.Instance == w.Instance }) {
			f.reset = true
		}
		if m := f.importer; m != nil && w.Instance == m.of.Instance && !f.store.holds([]want{w}, 0) {
			f.reset = true
		}
	}
	if !f.reset || len(wants) == 0 {
		return
	}
	c.stopUpstream(f)
	f.sites, f.reset, f.retryAt = wants, false, 0
	f.store.reset(wants)
	c.count.resets.Add(1)
}

// reconcileImporter starts or stops the importer: routing says which gateway of an
// instance imports a log.
func (c *core) reconcileImporter(f *feed) {
	chosen, ok := c.routes.Importer(c.instance(), f.id.Source())
	if c.draining && f.importer != nil && f.pulled && f.importer.of == c.instance() {
		return // the one that is chosen now has to begin first; what both import counts once
	}
	if !f.pulled || !ok || chosen != c.self.ID && !c.dying(chosen) || f.importer != nil && f.importer.of != c.instance() {
		c.stopImporter(f)
		return
	}
	if f.importer != nil {
		return
	}
	m := &importer{store: f.store, handler: c.handler, of: c.instance(), stop: make(chan struct{})}
	m.skip.Store(f.importFrom)
	m.cursor.Store(f.importFrom)
	f.importer = m
	f.store.hold(m, f.importFrom)
	c.log.Info("gateway took over a log", "log", f.id, "from", f.importFrom)
	c.wg.Go(func() {
		m.run()
		c.post(func(c *core) { c.importerEnded(f, m) })
	})
}

// dying says whether another gateway of the own site has just fallen silent: the rest of
// the network, which decides who imports, may not have noticed yet. Till it has, or till
// the link is down, this one imports too.
func (c *core) dying(id membership.NodeID) bool {
	l := c.links[id]
	return l != nil && l.peer.Site == c.self.Site && l.first() != nil && l.meter.silent(c.now(), c.cfg.Topology.Timing.Hello)
}

// stopImporter lets the importer end after what it is handing over.
func (c *core) stopImporter(f *feed) {
	if m := f.importer; m != nil && !m.stopping {
		m.stopping = true
		close(m.stop)
		f.store.release(m)
	}
}

func (c *core) importerEnded(f *feed, m *importer) {
	f.importer = nil
	if f.pulled && !m.rewound {
		f.importFrom = max(f.importFrom, m.cursor.Load())
	}
}
