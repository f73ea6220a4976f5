package merge

import (
	"errors"

	"ringway/internal/wire"
	"ringway/membership"
)

// A change of the view under way in a snapshot.

func (m *machine) appendFlush(b []byte) []byte {
	b = wire.AppendBool(b, m.cut != nil)
	if c := m.cut; c != nil {
		b = wire.AppendUint64(wire.AppendUint64(c.id.Append(b), uint64(c.c)), uint64(c.ts))
		b = appendPosition(appendInts(b, []int64{c.k, c.b, c.f, c.r}), c.pos)
		b = appendRows(b, c.kept)
	}
	f := m.flush
	if b = wire.AppendBool(b, f != nil); f == nil {
		return b
	}
	b = appendPosition(f.view.Append(b), f.pos)
	b = wire.AppendUint32(wire.AppendBlob(b, f.dir), uint32(f.own))
	for _, n := range f.in {
		b = wire.AppendUint32(b, uint32(n))
	}
	if b = wire.AppendBool(b, f.spare != nil); f.spare != nil {
		b = appendPosition(f.spare.appendNext(b), f.sparePos)
	}
	b = appendPosition(wire.AppendBool(b, f.synced), f.syncPos)
	b = appendPosition(wire.AppendBool(b, f.ready), f.readyPos)
	b = appendPosition(b, f.announced)
	for i := range f.parts {
		b = f.parts[i].append(b)
	}
	return b
}

func (p *part) append(b []byte) []byte {
	b = wire.AppendUint32(wire.AppendUint32(b, p.pieces), p.next)
	b = wire.AppendBool(wire.AppendBlob(b, p.buf), p.filled)
	b = wire.AppendBlob(p.key.append(b), p.dir)
	b = appendRows(b, p.evidence)
	b = appendClaim(p.stand.append(wire.AppendBool(b, p.synced)), &p.claim)
	return appendLost(appendPosition(wire.AppendBool(b, p.ready), p.readyPos), p.lost)
}

func (m *machine) readFlush(r *wire.Reader) {
	if r.Bool() {
		c := &cut{id: membership.ReadViewID(r), c: membership.Set(r.Uint64()), self: m.self}
		c.ts = membership.Set(r.Uint64())
		c.k, c.b, c.f, c.r = r.Int64(), r.Int64(), r.Int64(), r.Int64()
		c.pos, c.kept = readPosition(r), readRows(r, membership.MaxSites)
		m.cut = c
	}
	if !r.Bool() {
		return
	}
	f := &flush{view: membership.ReadSiteView(r)}
	if r.Err() != nil {
		return
	}
	self, ok := f.view.Index(m.instance)
	if !ok {
		r.Fail(errors.New("flush of a view without its own instance"))
		return
	}
	f.self, f.pos = self, readPosition(r)
	f.dir, f.own = r.Blob(maxListed), int(r.Uint32())
	valid := f.own <= len(m.held)
	for _, in := range m.heldIn {
		n := int(r.Uint32())
		f.in = append(f.in, n)
		valid = valid && n <= len(in)
	}
	if r.Bool() {
		f.spare = &spare{flush: f.view.ID}
		f.spare.readNext(r)
		f.sparePos = readPosition(r)
		valid = valid && f.spare.fits(len(m.view.Members))
	}
	f.synced, f.syncPos = r.Bool(), readPosition(r)
	f.ready, f.readyPos = r.Bool(), readPosition(r)
	f.announced = readPosition(r)
	f.parts = make([]part, len(f.view.Members))
	for i := range f.parts {
		p := &f.parts[i]
		p.read(r)
		valid = valid && (!p.filled || checkDirectory(p.dir) == nil)
	}
	if !valid || checkDirectory(f.dir) != nil || f.ready && m.cut == nil || !f.parts[self].filled {
		r.Fail(errors.New("flush does not fit the state"))
		return
	}
	m.flush = f
}

func (p *part) read(r *wire.Reader) {
	p.pieces, p.next, p.buf, p.filled = r.Uint32(), r.Uint32(), r.Blob(maxListed), r.Bool()
	p.key, p.dir = readFlushKey(r), r.Blob(maxListed)
	p.evidence, p.synced = readRows(r, maxRows), r.Bool()
	p.stand.read(r)
	p.claim = readClaim(r)
	p.ready, p.readyPos, p.lost = r.Bool(), readPosition(r), readLost(r, maxReadyLost)
}

// readHeldIn reads what is held of a source, and what of it waits.
func (m *machine) readHeldIn(r *wire.Reader, src int) {
	waits := map[uint64]*record{}
	for range r.Count(maxListed, 5) {
		wait := r.Bool()
		rec, _, err := readRecord(r.Blob(maxListed), &m.view, m.self, m.names)
		if r.Err() != nil {
			return
		}
		if err != nil || rec == nil || rec.src != src || rec.ref > 0 {
			r.Fail(errors.New("held record does not belong to its source"))
			return
		}
		if m.heldIn[src] = append(m.heldIn[src], rec); wait {
			waits[rec.at] = rec
		}
	}
	for range r.Count(maxListed, 8) {
		if m.ahead[src] == nil {
			m.ahead[src] = map[uint64]*record{}
		}
		idx := r.Uint64()
		m.ahead[src][idx] = waits[idx]
	}
}
