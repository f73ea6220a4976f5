package merge

import (
	"errors"
	"fmt"

	"ringway/internal/wire"
	"ringway/membership"
)

// A change of the view under way in a snapshot.

func (m *machine) appendFlush(b []byte) []byte {
	b = wire.AppendBool(b, m.cut != nil)
	if c := m.cut; c != nil {
		b = wire.AppendUint64(wire.AppendUint64(c.id.Append(b), uint64(c.c)), uint64(c.ts))
		b = appendPosition(appendInts(b, []int64{c.k, c.b, c.f}), c.pos)
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
	b = wire.AppendUint32(b, uint32(len(p.evidence)))
	for _, e := range p.evidence {
		b = wire.AppendUint64(wire.AppendInt64(append(b, byte(e.src)), e.p), e.idx)
	}
	b = wire.AppendInt64(wire.AppendInt64(wire.AppendBool(b, p.synced), p.b), p.f)
	return appendPosition(wire.AppendBool(b, p.ready), p.readyPos)
}

func (m *machine) readFlush(r *wire.Reader) {
	if r.Bool() {
		c := &cut{id: membership.ReadViewID(r), c: membership.Set(r.Uint64()), ts: membership.Set(r.Uint64()), self: m.self}
		c.k, c.b, c.f = r.Int64(), r.Int64(), r.Int64()
		c.pos = readPosition(r)
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
	f.synced, f.syncPos = r.Bool(), readPosition(r)
	f.ready, f.readyPos = r.Bool(), readPosition(r)
	f.announced = readPosition(r)
	f.parts = make([]part, len(f.view.Members))
	for i := range f.parts {
		p := &f.parts[i]
		p.read(r, len(m.view.Members))
		valid = valid && (!p.filled || checkDirectory(p.dir) == nil)
	}
	if !valid || checkDirectory(f.dir) != nil || f.ready && m.cut == nil || !f.parts[self].filled {
		r.Fail(errors.New("flush does not fit the state"))
		return
	}
	m.flush = f
}

func (p *part) read(r *wire.Reader, members int) {
	p.pieces, p.next, p.buf, p.filled = r.Uint32(), r.Uint32(), r.Blob(maxListed), r.Bool()
	p.key, p.dir = readFlushKey(r), r.Blob(maxListed)
	for range r.Count(maxRows, 17) {
		e := evidence{int(r.Uint8()), r.Int64(), r.Uint64()}
		if e.src >= members {
			r.Fail(fmt.Errorf("%w: evidence of member %d", wire.ErrLimit, e.src))
		}
		p.evidence = append(p.evidence, e)
	}
	p.synced, p.b, p.f = r.Bool(), r.Int64(), r.Int64()
	p.ready, p.readyPos = r.Bool(), readPosition(r)
}

// readHeldIn reads what is held of a source.
func (m *machine) readHeldIn(r *wire.Reader, src int) {
	for range r.Count(maxListed, 5) {
		only := r.Bool()
		rec, _, err := readRecord(r.Blob(maxListed), &m.view, m.self, m.names)
		if r.Err() != nil {
			return
		}
		if err != nil || rec == nil || rec.src != src {
			r.Fail(errors.New("held record does not belong to its source"))
			return
		}
		if m.heldIn[src] = append(m.heldIn[src], rec); only {
			m.counted[recordID{src, rec.n}] = struct{}{}
		}
	}
	for range r.Count(maxListed, 8) {
		if m.ahead[src] == nil {
			m.ahead[src] = map[uint64]struct{}{}
		}
		m.ahead[src][r.Uint64()] = struct{}{}
	}
}
