package merge

import (
	"ringway/membership"
	"ringway/site/ring"
)

// A flush is a change of the site view under way. It is part of the replicated state:
// each step happens at the position of the frame that brings the last thing it needs.
//
//	X2  An ordered Propose, or anything else of its flush, freezes the machine if its
//	    id is above the view and above the flush under way. Frozen: nobody accepts
//	    federated requests, joins or leaves; no promise is taken or given; nothing is
//	    delivered by H. Local traffic and imports go on. Only an install thaws.
//	X3  At that position the instance's Fills are fixed: for each other member all
//	    records that are held and addressed to it, and the own directory; and soon after
//	    it which of the records the member is known to have (see spare).
//	X4  With the Fills of all, Sync is fixed: up to where this instance can complete
//	    what lost sources sent it, and what somebody here may have seen (see stand).
//	X5  With the Syncs of all, the cut is fixed, for good: see cut.
//	X6  When the Readys of all lie at or below L, the old view's tail is delivered and
//	    the new view installed, at that Tick.
//	X7  A later proposal starts at X2. A cut that was computed stays: such an instance
//	    brings its key and no records, and moves with those who have the same cut.
//
// What is sent to others is ring-safe first (S2), Ready by way of a Tick (S3). So every node
// that its instance has not lost by then is bound to the cut, and will deliver the tail,
// alone if need be. Those that were lost while frozen are not, and no record can tell of
// them before the install: Ready names them. Who installs treats them like other lost
// nodes, in the tail and in the views of groups (D3, docs/decisions/0028).
type flush struct {
	view  membership.SiteView // proposed; its id names the flush
	self  int                 // own place in it
	pos   ring.Position       // where it was accepted
	dir   []byte              // own directory there
	own   int                 // how many of held there were then
	in    []int               // and of heldIn, by place in the old view
	parts []part              // by place in the proposal

	spare    *spare // what others have of it; nil: not known yet
	sparePos ring.Position

	synced    bool // own Sync is fixed, at syncPos
	syncPos   ring.Position
	ready     bool // own Ready is, at readyPos
	readyPos  ring.Position
	announced ring.Position // the first Tick whose L covers readyPos; zero: none yet
}

// A part is what is known of a member of the proposal.
type part struct {
	pieces, next uint32 // of its Fill
	buf          []byte
	filled       bool
	key          flushKey
	dir          []byte
	evidence     []promiseRow // promises of the old view that came with its Fill

	synced bool
	stand
	claim    membership.Claim
	ready    bool
	readyPos ring.Position
	lost     []lostNode // that its Ready named
}

// got is how many pieces of others' Fills are here.
func (f *flush) got() (n uint32) {
	for i := range f.parts {
		n += f.parts[i].next
	}
	return n
}

// propose is an ordered Propose (X1, X2). It says whether it was accepted.
func (m *machine) propose(v *membership.SiteView) bool {
	if v.ID.Compare(m.view.ID) <= 0 || m.flush != nil && v.ID.Compare(m.flush.view.ID) <= 0 && !m.off(anyProposal) {
		return false
	}
	i, ok := v.Index(m.instance)
	if !ok || v.Members[i].Site != m.cfg.Site || v.ID.Epoch > m.epoch+maxEpochStep {
		return false
	}
	m.epoch = max(m.epoch, v.ID.Epoch)
	if m.off(noClose) {
		m.cut = nil
	}
	f := &flush{view: *v, self: i, pos: m.pos, dir: m.directory(), own: len(m.held), parts: make([]part, len(v.Members))}
	for _, in := range m.heldIn {
		f.in = append(f.in, len(in))
	}
	own := &f.parts[i]
	own.filled, own.key, own.dir = true, m.flushKey(), f.dir
	m.flush = f
	m.flushStep()
	return true
}

// maxEpochStep bounds how far one proposal moves the epoch, so that a wild one does
// not use up the numbers.
const maxEpochStep = 1 << 32

// flushKey is the state in which this instance comes into a flush now.
func (m *machine) flushKey() flushKey {
	k := flushKey{view: m.view.ID}
	if m.cut != nil {
		if k.cut = m.cut.id; !m.cut.in() {
			k.alone = m.instance
		}
	}
	return k
}

// control is an ordered control message. It says whether the state that others see
// has changed.
func (m *machine) control(c *control) bool {
	fresh := m.propose(&c.view)
	f := m.flush
	if f == nil || f.view.ID != c.view.ID || c.kind == controlPropose || c.to != m.instance {
		return fresh
	}
	from, ok := f.view.Index(c.from)
	if !ok || from == f.self {
		return fresh
	}
	p := &f.parts[from]
	switch c.kind {
	case controlFill:
		m.fillPiece(p, c)
	case controlSync:
		if !p.synced {
			p.synced, p.stand, p.claim = true, c.stand, c.claim
		}
	case controlReady:
		if !p.ready {
			p.ready, p.readyPos, p.lost = true, m.pos, c.lost
		}
	}
	m.flushStep()
	return fresh
}

// flushStep does what has become possible at this position (X4, X5).
func (m *machine) flushStep() {
	f := m.flush
	own := &f.parts[f.self]
	if !f.synced && f.all(func(p *part) bool { return p.filled }) {
		own.stand, own.claim = m.sync(), m.claim()
		own.synced, f.synced, f.syncPos = true, true, m.pos
		for i := range f.parts {
			f.parts[i].evidence = nil // it has served
		}
	}
	if f.synced && !f.ready && f.all(func(p *part) bool { return p.synced }) {
		if m.cut == nil {
			m.cut = m.newCut()
		}
		m.attempt()
		own.ready, own.readyPos = true, m.pos
		f.ready, f.readyPos = true, m.pos
	}
}

func (f *flush) all(ok func(*part) bool) bool {
	for i := range f.parts {
		if !ok(&f.parts[i]) {
			return false
		}
	}
	return true
}

// missing are the places of the members that the next step waits for.
func (f *flush) missing() (who membership.Set) {
	has := func(p *part) bool { return p.ready }
	switch {
	case !f.synced:
		has = func(p *part) bool { return p.filled }
	case !f.ready:
		has = func(p *part) bool { return p.synced }
	}
	for i := range f.parts {
		if !has(&f.parts[i]) {
			who |= membership.SetOf(i)
		}
	}
	return who
}

// last is the position that L has to cover for the install, if all are ready.
func (f *flush) last() (at ring.Position, ok bool) {
	for i := range f.parts {
		if !f.parts[i].ready {
			return at, false
		}
		at = maxPosition(at, f.parts[i].readyPos)
	}
	return at, true
}

// flushTick is a Tick while frozen: L has moved (X6).
func (m *machine) flushTick() {
	f := m.flush
	if f.ready && f.announced == (ring.Position{}) && f.readyPos.Compare(m.line) <= 0 {
		f.announced = m.pos
	}
	if at, ok := f.last(); (ok || f.ready && m.off(fewReady)) && (at.Compare(m.line) <= 0 || m.off(earlyInstall)) {
		m.install()
	}
}

// bump is a node that waits for a view newer than epoch. What is wanted stays as it is while
// proposals raise the highest epoch known: the first of them will do.
func (m *machine) bump(b *bump) bool {
	if b.instance != m.instance || b.epoch > m.epoch+maxEpochStep || m.view.ID.Epoch > b.epoch {
		return false
	}
	changed := b.epoch >= m.wanted
	m.epoch, m.wanted = max(m.epoch, b.epoch), max(m.wanted, b.epoch+1)
	return changed
}
