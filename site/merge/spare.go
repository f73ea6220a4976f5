package merge

import (
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// What a Fill spares its receiver (X3): the records that it has said to have. A view changes
// because somebody is not heard, so nothing has become stable for a while, and almost all
// that is held for a member has long been there: sent again, it would stand before what is
// missing, on a link that may be thin. Each promise says what its source expects next of every
// member, as known to every node of its ring, so that none of its heirs lacks what lies below.
//
// Promises come to gateways. The one that leads puts what they say into the ring, once for
// each flush, so that the Fill is the same at all nodes.
type spare struct {
	flush membership.ViewID
	next  [][]uint64 // by places in the view: what the first expects next of the second; empty: unknown
}

func (s *spare) append(b []byte, tag uint64) []byte {
	b = s.flush.Append(wire.AppendUint64(append(b, byte(frameSpare)), tag))
	return s.appendNext(b)
}

func (s *spare) appendNext(b []byte) []byte {
	b = append(b, byte(len(s.next)))
	for _, row := range s.next {
		b = appendUints(append(b, byte(len(row))), row)
	}
	return b
}

func (s *spare) read(r *wire.Reader) (tag uint64, err error) {
	tag, s.flush = r.Uint64(), membership.ReadViewID(r)
	s.readNext(r)
	if r.Err() != nil {
		return tag, r.Err()
	}
	return tag, r.Done()
}

func (s *spare) readNext(r *wire.Reader) {
	s.next = make([][]uint64, min(r.Uint8(), membership.MaxSites))
	for i := range s.next {
		s.next[i] = make([]uint64, min(r.Uint8(), membership.MaxSites))
		readUints(r, s.next[i])
	}
}

// fits says whether the rows are those of a view of so many members.
func (s *spare) fits(members int) bool {
	return len(s.next) == members && !slices.ContainsFunc(s.next, func(row []uint64) bool { return len(row) != 0 && len(row) != members })
}

// has says whether the member at one place has said to have the record at an index of the
// stream from another one.
func (s *spare) has(to, src int, idx uint64) bool {
	return s != nil && len(s.next[to]) > 0 && idx < s.next[to][src]
}

// nextSpare is the frame of it, once in a ring and flush.
func (r *Replica) nextSpare() (ring.Frame, bool) {
	if !r.sparesNow() {
		return ring.Frame{}, false
	}
	m, x := r.m, &r.exchange
	x.spared, x.sparedIn = m.flush.view.ID, r.descent.view.ID
	s := spare{flush: m.flush.view.ID, next: make([][]uint64, len(m.view.Members))}
	for src, rows := range x.rows {
		if src < len(s.next) && len(rows) > 0 {
			s.next[src] = expected(rows)
		}
	}
	return ring.Frame{Stream: controlStream, Service: membership.Agreed, Bound: true, Data: s.append(nil, m.tag)}, true
}

// sparesNow says whether this gateway has to say it.
func (r *Replica) sparesNow() bool {
	f, x := r.m.flush, &r.exchange
	return f != nil && f.spare == nil && r.gateway.is && r.gateway.leads &&
		(x.spared != f.view.ID || x.sparedIn != r.descent.view.ID)
}

// expected is what a source expects next of each member, by the newest of its promises that
// says most: it never expects less than before.
func expected(rows []promiseRow) []uint64 {
	next := make([]uint64, len(rows[0].to))
	for _, row := range rows {
		for i := range next {
			next[i] = max(next[i], row.to[i].next)
		}
	}
	return next
}

// spareIn is the frame at its place: the first of a flush counts.
func (m *machine) spareIn(in *wire.Reader) error {
	s := &spare{}
	tag, err := s.read(in)
	f := m.flush
	if err != nil || tag != m.tag || f == nil || f.view.ID != s.flush || f.spare != nil || !s.fits(len(m.view.Members)) {
		return err
	}
	for _, row := range s.next {
		for i := range row {
			if m.off(spareMore) {
				row[i]++
			}
		}
	}
	f.spare, f.sparePos = s, m.pos
	return nil
}

// mayFill says whether what Fills consist of is fixed, and may leave the site (S2).
func (r *Replica) mayFill(f *flush) bool { return f.spare != nil && r.mayTell(f.sparePos) }
