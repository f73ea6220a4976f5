package merge

import (
	"bytes"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// The wide area network of a world: logs that others pull, promises that get lost,
// control messages, link state.

type simLog struct {
	records []Record
	base    uint64
}

type feedKey struct {
	to  *simNode
	log membership.LogID
}

// A feed is a gateway's subscription to another site's log.
type feed struct {
	of     *machine // that it is for: a gateway that has got another one begins anew
	next   uint64
	from   uint64        // the number behind the last record sent
	last   time.Duration // arrival of what is on the way
	flying int
}

// gateways are the site's gateways that are up and part of an instance.
func (s *simSite) gateways() (up []*simNode) {
	for _, n := range s.nodes[:s.w.opt.gateways] {
		if n.up {
			up = append(up, n)
		}
	}
	return up
}

// instance returns what a node has a part in, zero if in nothing.
func (n *simNode) instance() membership.InstanceID {
	if n.replica.m == nil {
		return 0
	}
	return n.replica.m.instance
}

// gatewaysOf are the gateways of an instance.
func (s *simSite) gatewaysOf(i membership.InstanceID) (up []*simNode) {
	for _, n := range s.gateways() {
		if n.instance() == i {
			up = append(up, n)
		}
	}
	return up
}

// linked says whether there is a way between two sites; two instances of one site have
// one if the site is linked to itself.
func (w *world) linked(a, b int) bool { return !w.cut[[2]int{min(a, b), max(a, b)}] }

func (w *world) way(a, b int) time.Duration { return w.opt.delay(a, b) + w.upTo(w.opt.jitter) }

func (s *simSite) append(n *simNode, records []Record) {
	id := membership.LogID{Site: s.id, Instance: n.state.Instance, View: n.state.View}
	log := s.logs[id]
	if log == nil {
		log = &simLog{base: records[0].N}
		s.logs[id] = log
	}
	for _, r := range records {
		if !s.w.opt.unchecked {
			s.w.check.released(n, r)
		}
		switch at := r.N - log.base; {
		case r.N < log.base:
		case at < uint64(len(log.records)):
			if old := log.records[at]; len(r.Dests) > 0 && len(old.Dests) > 0 && !bytes.Equal(old.Data, r.Data) {
				s.w.fail("two gateways of site %d differ in record %d", s.index, r.N)
			}
		case at == uint64(len(log.records)):
			log.records = append(log.records, r)
		default:
			s.w.fail("site %d: record %d after %d", s.index, r.N, log.base+uint64(len(log.records)))
		}
	}
	for _, t := range s.w.sites {
		for _, gw := range t.gateways() {
			t.pull(gw, s, id)
		}
	}
}

// pull sends a gateway what its instance lacks of a log. One gateway of each imports.
func (s *simSite) pull(gw *simNode, from *simSite, id membership.LogID) {
	log := from.logs[id]
	if log == nil || !s.w.linked(s.index, from.index) || s.w.stuck[[2]int{from.index, s.index}] || gw.replica.m == nil || gw.replica.m.foreign(id) || s.gatewaysOf(gw.instance())[0] != gw {
		return
	}
	if len(from.gatewaysOf(id.Instance)) == 0 {
		return // nobody has the log any more
	}
	key := feedKey{gw, id}
	f := s.feeds[key]
	if f == nil || f.of != gw.replica.m {
		f = &feed{of: gw.replica.m}
		s.feeds[key] = f
	}
	if f.flying == 0 {
		f.next, _ = gw.replica.ImportPosition(id)
		f.from = f.next
	}
	batch := Batch{Log: id, For: gw.instance(), From: f.from}
	for ; f.next < log.base+uint64(len(log.records)); f.next++ {
		if f.next < log.base {
			s.w.fail("site %d pulls %d, log starts at %d", s.index, f.next, log.base)
			return
		}
		r := log.records[f.next-log.base]
		for _, d := range r.Dests {
			if d == gw.instance() {
				batch.Records = append(batch.Records, r.Data)
				f.from = r.N + 1
			}
		}
	}
	if len(batch.Records) == 0 {
		return
	}
	f.flying++
	bytes := 0
	for _, data := range batch.Records {
		bytes += len(data)
	}
	f.last = max(f.last, s.w.link(from.index, s.index).through(bytes)+s.w.way(from.index, s.index))
	s.w.after(f.last-s.w.now, func() {
		f.flying--
		if s.feeds[key] != f || !gw.up {
			return
		}
		if !s.w.linked(s.index, from.index) {
			delete(s.feeds, key) // the stream breaks, and what is on its way is lost
			return
		}
		gw.replica.Import(s.w.now, &batch, &gw.fx)
		gw.carry()
	})
}

// feedLoop pulls again what was lost.
func (s *simSite) feedLoop() {
	for _, gw := range s.gateways() {
		if gw.replica.m == nil || gw.state == nil {
			continue
		}
		for _, id := range gw.state.Logs {
			for _, from := range s.w.sites {
				if id.Site == from.id {
					s.pull(gw, from, id)
				}
			}
		}
	}
	s.w.after(20*time.Millisecond, s.feedLoop)
}

func (s *simSite) broadcast(n *simNode, data []byte) {
	from := n.instance()
	for _, t := range s.w.sites {
		if s.w.rng.Float64() < s.w.opt.loss {
			continue
		}
		s.w.after(s.w.way(s.index, t.index), func() {
			if !s.w.linked(s.index, t.index) {
				return
			}
			for _, gw := range t.gateways() {
				if gw.instance() != from {
					gw.replica.PromiseIn(s.w.now, data, &gw.fx)
					gw.carry()
				}
			}
		})
	}
}

// A simLink is a link of so many bytes a second, of records and control messages. What is sent by the class of bodies' pieces
// waits until nothing else does.
type simLink struct {
	w    *world
	k    [2]int        // from, to
	busy time.Duration // until when
	low  []lowPiece
	at   time.Duration // when the first of low is looked at; zero: none is
}

type lowPiece struct {
	bytes int
	f     func()
}

func (w *world) link(from, to int) *simLink {
	k := [2]int{from, to}
	l := w.links[k]
	if l == nil {
		l = &simLink{w: w, k: k}
		w.links[k] = l
	}
	return l
}

// through is when so many bytes have gone into the link.
func (l *simLink) through(bytes int) time.Duration {
	rate := 0
	if l.w.opt.rate != nil {
		rate = l.w.opt.rate(l.k[0], l.k[1])
	}
	if rate == 0 {
		return l.w.now
	}
	l.busy = max(l.busy, l.w.now) + time.Duration(bytes)*time.Second/time.Duration(rate)
	return l.busy
}

// behind calls f when a piece has gone into the link, behind all else.
func (l *simLink) behind(bytes int, f func()) {
	if l.low = append(l.low, lowPiece{bytes, f}); l.at == 0 {
		l.pump()
	}
}

func (l *simLink) pump() {
	l.at = 0
	if len(l.low) == 0 {
		return
	}
	if l.busy > l.w.now {
		l.at = l.busy
		l.w.after(l.busy-l.w.now, l.pump)
		return
	}
	p := l.low[0]
	l.low = l.low[1:]
	l.at = max(l.through(p.bytes), l.w.now+1)
	l.w.after(l.at-l.w.now, func() {
		p.f()
		l.pump()
	})
}

func (s *simSite) control(from membership.InstanceID, c Control) {
	for _, t := range s.w.sites {
		if t.id != c.To.Site || s.w.rng.Float64() < s.w.opt.loss/2 || s.w.dropControl != nil && s.w.dropControl(s.index, t.index, controlKind(c.Data[0])) {
			continue
		}
		send := func(f func()) {
			s.w.after(s.w.link(s.index, t.index).through(len(c.Data))-s.w.now+s.w.way(s.index, t.index), f)
		}
		if c.Bulk {
			send = func(f func()) {
				s.w.link(s.index, t.index).behind(len(c.Data), func() { s.w.after(s.w.way(s.index, t.index), f) })
			}
		}
		send(func() {
			gws := t.gatewaysOf(c.To.Instance)
			if len(gws) == 0 || !s.w.linked(s.index, t.index) {
				return
			}
			gw := gws[s.w.rng.IntN(len(gws))]
			if s.w.opt.byTheLast {
				gw = gws[len(gws)-1]
			}
			gw.replica.ControlIn(s.w.now, SiteInstance{Instance: from, Site: s.id}, c.Data, &gw.fx)
			gw.carry()
		})
	}
}

func (s *simSite) stateChanged(*simNode) {
	for _, t := range s.w.sites {
		s.w.after(s.w.opt.delay(s.index, t.index), t.tellReach)
	}
}

// tellReach gives the gateways what link state says.
func (s *simSite) tellReach() {
	var reach []Reach
	for _, t := range s.w.sites {
		if !s.w.linked(s.index, t.index) {
			continue
		}
		seen := map[membership.InstanceID]bool{}
		for _, gw := range t.gateways() {
			if i := gw.instance(); gw.state != nil && i == gw.state.Instance && !seen[i] {
				seen[i] = true
				reach = append(reach, Reach{SiteInstance: SiteInstance{Instance: i, Site: t.id}, View: gw.state.View,
					Epoch: gw.state.Epoch, Wanted: gw.state.Wanted, Delay: s.w.opt.delay(s.index, t.index)})
			}
		}
	}
	for _, gw := range s.gateways() {
		var others []Reach
		for _, r := range reach {
			if r.Instance != gw.instance() {
				others = append(others, r)
			}
		}
		gw.replica.Reach(s.w.now, others, &gw.fx)
		gw.carry()
	}
}

func (s *simSite) reachLoop() {
	s.tellReach()
	s.w.after(100*time.Millisecond, s.reachLoop)
}

// federated says whether all sites are in one view with all.
func (w *world) federated() bool {
	var view membership.ViewID
	for _, s := range w.sites {
		for _, n := range s.alive() {
			m := n.replica.m
			if m == nil || !n.replica.attached || m.frozen() || len(m.view.Members) != len(w.sites) {
				return false
			}
			if view == (membership.ViewID{}) {
				view = m.view.ID
			}
			if m.view.ID != view {
				return false
			}
			for _, x := range m.view.Members { // and every member still lives
				for _, t := range w.sites {
					if t.id != x.Site {
						continue
					}
					for _, y := range t.alive() {
						if y.replica.m == nil || y.replica.m.instance != x.Instance {
							return false
						}
					}
				}
			}
		}
	}
	return true
}

// quiet says whether nothing is under way.
func (w *world) quiet() bool {
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		m := n.replica.m
		if m == nil || len(m.pend)+len(m.fifoWait) > 0 || n.replica.proposer.count > 0 || len(m.lost) > 0 {
			return false
		}
		for _, g := range m.groups {
			if g.prep != nil {
				return false
			}
		}
	}
	return true
}

var _ = ring.Position{}
