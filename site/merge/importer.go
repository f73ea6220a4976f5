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
}

// add queues a record of the source at place src; the machine wants the one with index next.
// It returns errGap if the record cannot follow what is queued.
func (im *importer) add(now time.Duration, src int, it imported, next uint64) error {
	s := &im.sources[src]
	if len(s.items) > 0 && s.items[0].idx > next && it.idx == next {
		im.drop(src) // left over from a stream that has ended; here is the new one
	}
	if n := len(s.items); n > 0 {
		if tail := s.items[n-1].idx; it.idx <= tail {
			return nil
		} else if it.idx != tail+1 {
			return errGap
		}
	} else if it.idx < next {
		return nil
	} else {
		s.moved = now
	}
	s.items = append(s.items, it)
	im.bytes += len(it.data)
	return nil
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

// drop forgets what is queued of a source.
func (im *importer) drop(src int) {
	s := &im.sources[src]
	for _, it := range s.items {
		im.bytes -= len(it.data)
	}
	*s = source{}
}

// retry looks after sources that do not move: what is next is injected again; a gap
// is left to the overlay, which pulls from the new position. It returns when to look
// again.
func (im *importer) retry(now time.Duration, inNext []uint64) time.Duration {
	due := noTime
	for i := range im.sources {
		s := &im.sources[i]
		if len(s.items) == 0 {
			continue
		}
		if now-s.moved >= importStuck {
			s.moved = now
			if s.items[0].idx > inNext[i] {
				im.drop(i)
				continue
			}
			s.injected = 0
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

// backlog returns how many bytes have not been injected.
func (im *importer) backlog() (n int) {
	for i := range im.sources {
		s := &im.sources[i]
		for _, it := range s.items[s.injected:] {
			if n += len(it.data); n > 1<<20 {
				return n
			}
		}
	}
	return n
}

// next returns the frame of the next record, sources in turn.
func (im *importer) next(a *arena) (ring.Frame, bool) {
	for range im.sources {
		im.turn = (im.turn + 1) % len(im.sources)
		s := &im.sources[im.turn]
		if s.injected < len(s.items) {
			it := s.items[s.injected]
			s.injected++
			data := append(append(a.take(1+len(it.data)), byte(frameInbound)), it.data...)
			return ring.Frame{Stream: importStream + uint64(im.turn), Service: membership.Agreed, Data: data}, true
		}
	}
	return ring.Frame{}, false
}

// errGap says that a record does not follow the one before it. Its source need not have left
// anything out: when a node gets another machine, of the same instance or of another one of its
// site, what the overlay was about to hand over was meant for the former one. The log is
// pulled again, from where the new one is.
var errGap = errors.New("record: a gap in the stream")

// errElsewhere says that a record is for others: it was pulled by an instance that this
// node has left since.
var errElsewhere = errors.New("record: for another instance")

// locate reads where a record stands, without the rest.
func locate(data []byte, v *membership.SiteView, self, src int) (imported, error) {
	r := wire.NewReader(data)
	h := readRecordHead(&r)
	if r.Err() != nil {
		return imported{}, r.Err()
	}
	if h.view != v.ID || h.src != v.Members[src].Instance || h.d&^v.All() != 0 {
		return imported{}, errors.New("record: does not belong into this log")
	}
	if !h.d.Has(self) {
		return imported{}, errElsewhere
	}
	others := h.d.Without(src)
	r.Bytes(8 * others.Rank(self))
	it := imported{idx: r.Uint64(), n: h.n, t: h.t, data: data}
	return it, r.Err()
}
