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

// A feed is a site's subscription to another's log.
type feed struct {
	next   uint64
	last   time.Duration // arrival of what is on the way
	flying int
}

func (s *simSite) gateways() (up []*simNode) {
	for _, n := range s.nodes[:s.w.opt.gateways] {
		if n.up {
			up = append(up, n)
		}
	}
	return up
}

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
		s.w.check.released(n, r)
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
		if t != s {
			t.pull(s, id)
		}
	}
}

// pull sends a site what it lacks of a log.
func (s *simSite) pull(from *simSite, id membership.LogID) {
	gws := s.gateways()
	log := from.logs[id]
	if len(gws) == 0 || log == nil || !s.w.linked(s.index, from.index) {
		return
	}
	gw := gws[0]
	if gw.replica.m == nil || gw.replica.m.foreign(id) {
		return
	}
	f := s.feeds[id]
	if f == nil {
		f = &feed{}
		s.feeds[id] = f
	}
	if f.flying == 0 {
		f.next = gw.replica.ImportPosition(id)
	}
	var batch [][]byte
	for ; f.next < log.base+uint64(len(log.records)); f.next++ {
		if f.next < log.base {
			s.w.fail("site %d pulls %d, log starts at %d", s.index, f.next, log.base)
			return
		}
		r := log.records[f.next-log.base]
		for _, d := range r.Dests {
			if d == gw.state.Instance {
				batch = append(batch, r.Data)
			}
		}
	}
	if len(batch) == 0 {
		return
	}
	f.flying++
	f.last = max(f.last, s.w.now+s.w.way(from.index, s.index))
	s.w.after(f.last-s.w.now, func() {
		f.flying--
		if !s.w.linked(s.index, from.index) || !gw.up {
			return
		}
		gw.replica.Import(s.w.now, id, batch, &gw.fx)
		gw.carry()
	})
}

// feedLoop pulls again what was lost.
func (s *simSite) feedLoop() {
	for _, gw := range s.gateways() {
		if gw.replica.m == nil || gw.state == nil {
			continue
		}
		for _, from := range s.w.sites {
			for _, id := range gw.state.Logs {
				if id.Site == from.id {
					s.pull(from, id)
				}
			}
		}
		break
	}
	s.w.after(20*time.Millisecond, s.feedLoop)
}

func (s *simSite) broadcast(data []byte) {
	for _, t := range s.w.sites {
		if t == s || s.w.rng.Float64() < s.w.opt.loss {
			continue
		}
		s.w.after(s.w.way(s.index, t.index), func() {
			if !s.w.linked(s.index, t.index) {
				return
			}
			for _, gw := range t.gateways() {
				gw.replica.PromiseIn(s.w.now, data, &gw.fx)
				gw.carry()
			}
		})
	}
}

func (s *simSite) control(from membership.InstanceID, c Control) {
	for _, t := range s.w.sites {
		if t.id != c.To.Site {
			continue
		}
		s.w.after(s.w.way(s.index, t.index), func() {
			if gws := t.gateways(); len(gws) > 0 && s.w.linked(s.index, t.index) {
				gws[0].replica.ControlIn(s.w.now, SiteInstance{Instance: from, Site: s.id}, c.Data, &gws[0].fx)
				gws[0].carry()
			}
		})
	}
}

func (s *simSite) stateChanged(*simNode) {
	for _, t := range s.w.sites {
		if t != s {
			s.w.after(s.w.opt.delay(s.index, t.index), t.tellReach)
		}
	}
}

// tellReach gives the gateways what link state says.
func (s *simSite) tellReach() {
	var reach []Reach
	for _, t := range s.w.sites {
		if t == s || !s.w.linked(s.index, t.index) {
			continue
		}
		for _, gw := range t.gateways() {
			if gw.state != nil && gw.replica.m != nil {
				reach = append(reach, Reach{SiteInstance: SiteInstance{Instance: gw.state.Instance, Site: t.id}, View: gw.state.View, Epoch: gw.state.Epoch, Delay: s.w.opt.delay(s.index, t.index)})
				break
			}
		}
	}
	for _, gw := range s.gateways() {
		gw.replica.Reach(s.w.now, reach, &gw.fx)
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
			if g.prep != nil || g.veiled {
				return false
			}
		}
	}
	return true
}

var _ = ring.Position{}
