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
//	TS  the members of C that lack nothing that somebody in C depends on: see outcome
//	K   the lowest B of TS: all of TS complete everything up to K
//	W   of each lost source the promise below which all of TS have what it sent
//
// Members of TS deliver all up to K, and then what comes from C and the data of lost
// sources below W: the same everywhere. Who is not in TS ends alone: all up to its own B,
// then its own.
type cut struct {
	id   membership.ViewID // of the flush that computed it
	c    membership.Set    // places in the old view
	self int
	b    int64 // of this instance
	outcome
	pos ring.Position // where it was computed
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
		if f.parts[i].key == m.flushKey() || m.off(anyCompany) {
			if at, ok := m.view.Index(f.view.Members[i].Instance); ok {
				c |= membership.SetOf(at)
			}
		}
	}
	return c
}

// sync is X4.
func (m *machine) sync() stand {
	s := stand{place: m.self, b: everything, f: -1, moved: m.maxMoved}
	if m.cut != nil {
		return s
	}
	for lost := m.view.All() &^ m.companyNow(); lost != 0; lost &= lost - 1 {
		b, newest := m.completeUpTo(lost.First())
		s.b, s.known = min(s.b, b), append(s.known, newest)
	}
	h := m.h
	if n := len(m.horizons); n > 0 {
		h = max(h, m.horizons[n-1].h)
	}
	s.f = m.maxDelivered
	for _, r := range m.pend {
		if r.t <= h && r.safe() && !m.off(noSafeF) {
			s.f = max(s.f, r.t)
		}
	}
	return s
}

// completeUpTo is up to where everything that a lost source sent to this instance is in
// hand, and the newest of the source's promises below which nothing is missing.
func (m *machine) completeUpTo(lost int) (b int64, newest promiseRow) {
	b, newest = m.prom[lost], promiseRow{src: uint8(lost), to: make([]promiseEntry, len(m.view.Members))}
	for i := range newest.to {
		newest.to[i] = nothingKnown
	}
	for i := range m.flush.parts {
		p := &m.flush.parts[i]
		for j := range p.evidence {
			e := &p.evidence[j]
			if own := e.at(m.self); int(e.src) == lost && (own.idx <= m.inNext[lost] || m.off(torn)) {
				b = max(b, own.p)
				if e.compare(&newest) > 0 {
					newest = *e
				}
			}
		}
	}
	return b, newest
}

// newCut is X5.
func (m *machine) newCut() *cut {
	f := m.flush
	c := &cut{id: f.view.ID, self: m.self, c: m.companyNow(), b: f.parts[f.self].b, pos: m.pos}
	var all []stand
	for i := range f.parts {
		at, ok := m.view.Index(f.view.Members[i].Instance)
		if ok && c.c.Has(at) {
			s := f.parts[i].stand
			s.place = at // whatever it says
			all = append(all, s)
		}
	}
	c.outcome = judge(all, m.off)
	m.traceCut(c)
	return c
}

// keeps says whether a lost source's record above K lies below W.
func (c *cut) keeps(r *record) bool {
	w := c.row(r.src)
	return w != nil && r.kind == kindData && r.at < w.at(c.self).idx && (r.t <= c.r || !r.ordered())
}

// keysAfter are the keys of all members of the proposal when the flush has computed
// its cuts: those with one key go on together. Every member works out the same.
func (f *flush) keysAfter(off func(mutant) bool) []flushKey {
	keys := make([]flushKey, len(f.parts))
	outcomes := map[flushKey]outcome{}
	for i := range f.parts {
		p := &f.parts[i]
		if keys[i] = p.key; p.key.cut != (membership.ViewID{}) {
			continue
		}
		v, ok := outcomes[p.key]
		if !ok {
			v = judge(f.stands(p.key), off)
			outcomes[p.key] = v
		}
		keys[i].cut = f.view.ID
		if !v.ts.Has(p.place) {
			keys[i].alone = f.view.Members[i].Instance
		}
	}
	return keys
}

// stands are those of who comes with a key.
func (f *flush) stands(k flushKey) (all []stand) {
	for i := range f.parts {
		if f.parts[i].key == k {
			all = append(all, f.parts[i].stand)
		}
	}
	return all
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
