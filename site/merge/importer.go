package merge

import (
	"errors"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// An importer holds records of other sites until the machine has taken them in.
// They are injected again after every change of the ring. Not replicated.
type importer struct {
	sources []source // by place in the view
	bytes   int
	turn    int
}

type source struct {
	items    []imported
	injected int           // of items, in this ring
	moved    time.Duration // when the machine last took one, or the first one came
}

type imported struct {
	idx, n uint64
	t      int64
	data   []byte
	ref    int // the size of its body, if that went ahead
	bodyKey
}

// add queues a record of the source at place src; the machine wants the one with index next.
// It returns errGap if the record does not follow what is there.
func (im *importer) add(now time.Duration, src int, it imported, next uint64) error {
	s := &im.sources[src]
	switch want := s.want(next); {
	case it.idx < want:
		return nil
	case it.idx > want:
		return errGap
	case len(s.items) == 0:
		s.moved = now
	}
	s.items = append(s.items, it)
	im.bytes += len(it.data)
	return nil
}

// want is the index of the record that is next to come; the machine wants next.
func (s *source) want(next uint64) uint64 {
	if n := len(s.items); n > 0 {
		return s.items[n-1].idx + 1
	}
	return next
}

// settle drops what the machine has taken in.
func (im *importer) settle(now time.Duration, inNext []uint64) {
	for i := range im.sources {
		s := &im.sources[i]
		for len(s.items) > 0 && s.items[0].idx < inNext[i] {
			im.bytes -= len(s.items[0].data)
			s.items[0] = imported{}
			s.items = s.items[1:]
			s.injected = max(0, s.injected-1)
			s.moved = now
		}
		if len(s.items) == 0 {
			s.items = nil
		}
	}
}

// retry looks after sources that do not move: what is next is injected again. It returns
// when to look again.
func (im *importer) retry(now time.Duration) time.Duration {
	due := noTime
	for i := range im.sources {
		s := &im.sources[i]
		if len(s.items) == 0 {
			continue
		}
		if now-s.moved >= importStuck {
			s.moved, s.injected = now, 0
		}
		if at := s.moved + importStuck; due == noTime || at < due {
			due = at
		}
	}
	return due
}

// again injects everything anew: the ring has changed.
func (im *importer) again() {
	for i := range im.sources {
		im.sources[i].injected = 0
	}
}

// backlog returns how many bytes could be injected. may says of a record whether it may go.
func (im *importer) backlog(may func(src int, it *imported) bool) (n int) {
	for i := range im.sources {
		s := &im.sources[i]
		for k := s.injected; k < len(s.items) && may(i, &s.items[k]); k++ {
			if n += len(s.items[k].data); n > 1<<20 {
				return n
			}
		}
	}
	return n
}

// next returns the frame of the next record, sources in turn.
func (im *importer) next(a *arena, may func(src int, it *imported) bool) (ring.Frame, bool) {
	for range im.sources {
		im.turn = (im.turn + 1) % len(im.sources)
		s := &im.sources[im.turn]
		if s.injected < len(s.items) && may(im.turn, &s.items[s.injected]) {
			it := &s.items[s.injected]
			s.injected++
			data := append(append(a.take(1+len(it.data)), byte(frameInbound)), it.data...)
			return ring.Frame{Stream: importStream + uint64(im.turn), Service: membership.Agreed, Data: data}, true
		}
	}
	return ring.Frame{}, false
}

// errGap says that a record does not follow the one before it, and errMisplaced that it is not
// one of its log for this instance.
var (
	errGap       = errors.New("record: a gap in the stream")
	errMisplaced = errors.New("record: it does not belong into this log")
)

// locate reads where a record stands, without the rest.
func locate(data []byte, v *membership.SiteView, self, src int) (imported, error) {
	r := wire.NewReader(data)
	h := readRecordHead(&r)
	if r.Err() != nil {
		return imported{}, r.Err()
	}
	if h.view != v.ID || h.src != v.Members[src].Instance || h.d&^v.All() != 0 || !h.d.Has(self) {
		return imported{}, errMisplaced
	}
	others := h.d.Without(src)
	rank := others.Rank(self)
	r.Bytes(8 * rank)
	it := imported{idx: r.Uint64(), n: h.n, t: h.t, data: data}
	r.Bytes(8*(others.Len()-1-rank) + 2)
	if r.Uint8()&recordRef != 0 {
		it.ref = readSize(&r)
		it.client, it.seq = membership.ReadClientID(&r), r.Uint64()
	}
	return it, r.Err()
}
