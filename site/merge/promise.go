package merge

import (
	"fmt"
	"math"
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
)

// A promise tells every member of a view that all this site will still send it lies
// above P, once the records below idx are there. Any promise supersedes older ones.
type promise struct {
	view    membership.ViewID
	src     membership.InstanceID
	counter uint64 // newest wins
	w       int64
	reading int64
	busy    bool // the site had federated traffic lately
	to      []promised
}

// promised is the part of a promise for one member of the view, by its place.
type promised struct {
	p      int64
	idx    uint64
	inNext uint64 // what is expected next of that member
	late   int64  // how late its promises come here, 80 % quantile; zero: unknown
}

const (
	promiseVersion = 1
	promisedBytes  = 24
)

// append encodes the promise. P stands as its distance from the lowest; one that is
// too far up for four bytes is rounded down, which keeps it true. late is in
// microseconds.
func (p *promise) append(b []byte) []byte {
	b = wire.AppendUint64(p.view.Append(append(b, promiseVersion)), uint64(p.src))
	b = wire.AppendInt64(wire.AppendInt64(wire.AppendUint64(b, p.counter), p.w), p.reading)
	base := int64(math.MaxInt64)
	for _, t := range p.to {
		base = min(base, t.p)
	}
	b = append(wire.AppendBool(wire.AppendInt64(b, base), p.busy), byte(len(p.to)))
	for _, t := range p.to {
		b = wire.AppendUint32(b, uint32(min(t.p-base, math.MaxUint32)))
		b = wire.AppendUint64(wire.AppendUint64(b, t.idx), t.inNext)
		b = wire.AppendUint32(b, uint32(min(max(0, t.late/1000), math.MaxUint32)))
	}
	return b
}

func (p *promise) read(data []byte) error {
	r := wire.NewReader(data)
	if v := r.Uint8(); v != promiseVersion && r.Err() == nil {
		return fmt.Errorf("promise: version %d, this node speaks %d", v, promiseVersion)
	}
	p.view, p.src, p.counter = membership.ReadViewID(&r), membership.InstanceID(r.Uint64()), r.Uint64()
	p.w, p.reading = r.Int64(), r.Int64()
	base := r.Int64()
	p.busy = r.Bool()
	n := int(r.Uint8())
	if n > membership.MaxSites {
		r.Fail(fmt.Errorf("%w: promise to %d members", wire.ErrLimit, n))
	}
	p.to = slices.Grow(p.to[:0], min(n, membership.MaxSites))
	for i := 0; i < n && r.Err() == nil; i++ {
		t := promised{p: base + int64(r.Uint32()), idx: r.Uint64(), inNext: r.Uint64()}
		t.late = int64(r.Uint32()) * 1000
		p.to = append(p.to, t)
	}
	return r.Done()
}

// PromiseSource returns the instance that a promise speaks for. Whoever brings it has to
// see that this is whose it is.
func PromiseSource(data []byte) (membership.InstanceID, error) {
	var p promise
	err := p.read(data)
	return p.src, err
}
