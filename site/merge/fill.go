package merge

import (
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
)

// A Fill is a stream of bytes, cut into pieces: the sender's directory, then the
// records that it holds for the receiver. It is the same at all nodes of the sender.

// fillFor encodes this instance's Fill for the member at a place in the proposal.
func (m *machine) fillFor(place int) []byte {
	f := m.flush
	b := wire.AppendBlob(nil, f.dir)
	to, ok := m.view.Index(f.view.Members[place].Instance)
	if !ok || f.parts[f.self].key.cut != (membership.ViewID{}) {
		return wire.AppendUint32(b, 0)
	}
	at, n := len(b), uint32(0)
	b = wire.AppendUint32(b, 0)
	for _, r := range m.held[:f.own] {
		if r != nil && r.dests.Has(to) && !f.spare.has(to, m.self, r.idx[r.dests.Without(m.self).Rank(to)]) {
			b = wire.AppendBlob(b, r.append(nil, &m.view))
			n++
		}
	}
	for src, count := range f.in {
		for _, r := range m.heldIn[src][:count] {
			if src != to && r.dests.Has(to) && !f.spare.has(to, src, indexTo(r.raw, src, to)) {
				b = wire.AppendBlob(b, r.full())
				n++
			}
		}
	}
	copy(b[at:], wire.AppendUint32(nil, n))
	return b
}

// pieceOf is a piece of a Fill, and how many there are.
func pieceOf(fill []byte, i uint32) (piece []byte, of uint32) {
	of = uint32((len(fill) + fillPieceBytes - 1) / fillPieceBytes)
	from := int(i) * fillPieceBytes
	return fill[from:min(from+fillPieceBytes, len(fill))], of
}

// fillPiece takes in the next piece of a member's Fill (X3).
func (m *machine) fillPiece(p *part, c *control) {
	if p.filled || c.piece != p.next || p.next > 0 && c.pieces != p.pieces {
		return
	}
	if c.piece == 0 {
		p.key, p.pieces = c.key, c.pieces
		p.evidence = m.evidenceIn(c)
	}
	p.buf = append(p.buf, c.data...)
	if p.next++; p.next < p.pieces {
		return
	}
	p.filled = true
	in := wire.NewReader(p.buf)
	p.buf = nil
	p.dir = in.Blob(maxListed)
	if checkDirectory(p.dir) != nil {
		m.badFrames++
		p.dir = make([]byte, 4)
	}
	if p.key != m.flushKey() || m.cut != nil {
		return // not of our part of our view
	}
	from, ok := m.view.Index(c.from)
	for range in.Count(maxListed, 4) {
		if raw := in.Blob(maxListed); ok && in.Err() == nil {
			m.fillRecord(from, raw)
		}
	}
	if in.Done() != nil {
		m.badFrames++
	}
}

// fillRecord takes in a record that the member at a place holds. What is ordered by its
// key may come in any order. What is acted on at arrival waits until all before it in its
// stream is there, whoever brings that: a client gets what came on arrival from a sender
// in the sender's order, and before whatever the sender accepted behind it. Behind a gap
// nothing of a lost source is acted on.
func (m *machine) fillRecord(from int, raw []byte) {
	r, idx, err := readRecord(raw, &m.view, m.self, m.names)
	if err != nil || r == nil || r.ref > 0 {
		m.badFrames++
		m.breach(from, "fill: a record that does not belong here")
		return
	}
	if _, there := m.ahead[r.src][idx]; there || idx < m.inNext[r.src] {
		return
	}
	if r.t <= m.prom[r.src] { // I3
		m.fault(from, "fill: deadline of a record breaks its source's promise") // whose doing it is nobody can tell
		return
	}
	m.heldIn[r.src] = append(m.heldIn[r.src], r)
	m.traceImport(r, idx, true)
	m.imported++
	if m.ahead[r.src] == nil {
		m.ahead[r.src] = map[uint64]*record{}
	}
	if m.ahead[r.src][idx] = nil; r.ordered() || m.off(outOfTurn) {
		m.absorb(r)
	} else {
		m.ahead[r.src][idx] = r
	}
	m.closeUp(r.src)
}

// closeUp moves inNext over what Fills have brought, acts on what waited for that, and
// takes up promises that did.
func (m *machine) closeUp(src int) {
	for {
		r, ok := m.ahead[src][m.inNext[src]]
		if !ok {
			break
		}
		delete(m.ahead[src], m.inNext[src])
		if m.inNext[src]++; r != nil {
			m.absorb(r)
		}
	}
	m.retryPromises(src)
}

// evidenceIn are the promises that came with a Fill, as far as they are about our view.
func (m *machine) evidenceIn(c *control) []promiseRow {
	if c.key != m.flushKey() && !m.off(anyEvidence) {
		return nil
	}
	return slices.DeleteFunc(c.vectors, func(row promiseRow) bool {
		return int(row.src) >= len(m.view.Members) || int(row.src) == m.self || len(row.to) != len(m.view.Members)
	})
}

// directory encodes who of this site is in which groups, as far as accepted. While
// frozen that does not change, but for nodes that are lost.
func (m *machine) directory() []byte {
	in := map[*group][]membership.Member{}
	for _, id := range m.sortedClients() {
		c := m.clients[id]
		for g := range c.groups {
			if !g.scoped {
				in[g] = append(in[g], membership.Member{Client: id, Name: c.name})
			}
		}
	}
	for _, g := range m.groups {
		if !g.scoped && len(g.ghosts) > 0 {
			in[g] = append(in[g], g.ghosts...)
			slices.SortFunc(in[g], func(a, b Member) int { return a.Client.Compare(b.Client) })
		}
	}
	shared := m.sortedGroups(func(g *group) bool { return in[g] != nil })
	b := wire.AppendUint32(nil, uint32(len(shared)))
	for _, g := range shared {
		b = appendMembers(wire.AppendString(b, g.Name), in[g])
	}
	return b
}

// eachEntry calls f for every group of a directory.
func eachEntry(dir []byte, names *interner, f func(name string, members []membership.Member)) error {
	r := wire.NewReader(dir)
	for range r.Count(maxListed, 1+4) {
		name := string(readName(&r, membership.MaxGroupName))
		members := readMembers(&r, names, maxListed)
		if r.Err() != nil {
			return r.Err()
		}
		f(name, members)
	}
	return r.Done()
}

func checkDirectory(dir []byte) error {
	return eachEntry(dir, &interner{}, func(string, []membership.Member) {})
}
