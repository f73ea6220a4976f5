package merge

import (
	"math"

	"ringway/membership"
	"ringway/site/ring"
)

// A cut says how a view ends for the instances that come into a flush with one key.
// Once computed it is final for the old view, whatever happens to the proposal: others
// may act on it.
//
//	C   the members of the proposal with that key: they have all records of each other
//	F*  the highest F of C: what anybody in C may have delivered lies at or below
//	TS  the members of C that can complete everything up to F*
//	K   the lowest B of TS: all of TS complete everything up to K
//
// Members of TS deliver all up to K and then what comes from C: the same everywhere.
// Who is not in TS ends alone: all up to its own B, then its own.
type cut struct {
	id    membership.ViewID // of the flush that computed it
	c, ts membership.Set    // places in the old view
	self  int
	k, b  int64
	f     int64         // F*
	pos   ring.Position // where it was computed
}

// in says whether this instance is in TS.
func (c *cut) in() bool { return c.ts.Has(c.self) }

// everything is B of who has lost no source.
const everything = int64(math.MaxInt64)

// company are the members of the proposal with this instance's key, as places in the
// old view.
func (m *machine) companyNow() (c membership.Set) {
	f := m.flush
	for i := range f.parts {
		if f.parts[i].key == m.flushKey() {
			if at, ok := m.view.Index(f.view.Members[i].Instance); ok {
				c |= membership.SetOf(at)
			}
		}
	}
	return c
}

// sync is X4.
func (m *machine) sync() (b, f int64) {
	if m.cut != nil {
		return everything, -1
	}
	b = everything
	c := m.companyNow()
	for lost := m.view.All() &^ c; lost != 0; lost &= lost - 1 {
		b = min(b, m.completeUpTo(lost.First()))
	}
	h := m.h
	if n := len(m.horizons); n > 0 {
		h = max(h, m.horizons[n-1].h)
	}
	f = m.maxDelivered
	for _, r := range m.pend {
		if r.t <= h && r.safe() && !m.off(noSafeF) {
			f = max(f, r.t)
		}
	}
	return b, f
}

// completeUpTo is up to where everything that a lost source sent to this instance is in
// hand.
func (m *machine) completeUpTo(lost int) int64 {
	best := m.prom[lost]
	for i := range m.flush.parts {
		p := &m.flush.parts[i]
		if p.key != m.flushKey() {
			continue
		}
		for _, e := range p.evidence {
			if e.src == lost && e.idx <= m.inNext[lost] {
				best = max(best, e.p)
			}
		}
	}
	return best
}

// newCut is X5.
func (m *machine) newCut() *cut {
	f := m.flush
	c := &cut{id: f.view.ID, self: m.self, c: m.companyNow(), k: everything, b: f.parts[f.self].b, pos: m.pos}
	c.f = f.reached(m.flushKey())
	for i := range f.parts {
		p := &f.parts[i]
		at, ok := m.view.Index(f.view.Members[i].Instance)
		if !ok || !c.c.Has(at) || p.b < c.f && !m.off(noExclusion) {
			continue
		}
		c.ts |= membership.SetOf(at)
		c.k = min(c.k, p.b)
	}
	if m.off(noExclusion) {
		c.k = max(c.k, c.f)
	}
	m.traceCut(c)
	return c
}

// reached is F* of those with a key.
func (f *flush) reached(k flushKey) int64 {
	most := int64(-1)
	for i := range f.parts {
		if f.parts[i].key == k {
			most = max(most, f.parts[i].f)
		}
	}
	return most
}

// keysAfter are the keys of all members of the proposal when the flush has computed
// its cuts: those with one key go on together. Every member works out the same.
func (f *flush) keysAfter() []flushKey {
	keys := make([]flushKey, len(f.parts))
	for i := range f.parts {
		p := &f.parts[i]
		if keys[i] = p.key; p.key.cut != (membership.ViewID{}) {
			continue
		}
		keys[i].cut = f.view.ID
		if p.b < f.reached(p.key) {
			keys[i].alone = f.view.Members[i].Instance
		}
	}
	return keys
}

func (m *machine) traceCut(c *cut) {
	if m.cfg.Trace == nil {
		return
	}
	list := func(s membership.Set) (found []SiteInstance) {
		for ; s != 0; s &= s - 1 {
			found = append(found, m.view.Members[s.First()])
		}
		return found
	}
	m.cfg.Trace(&TraceEvent{Kind: TraceCut, Instance: m.instance, View: m.view.ID, Next: c.id,
		Members: list(c.c), Together: list(c.ts), P: c.k, W: c.b, T: c.f})
}
