package overlay

import (
	"fmt"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// A gramKind is the first byte of a QUIC datagram.
type gramKind uint8

const (
	gramHello gramKind = iota + 1
	gramAnswer
	gramPromise
	gramNote
)

// A hello goes out at a fixed interval; the peer sends it back at once.
type hello struct {
	Seq  uint32
	Sent time.Duration // the sender's clock, opaque to the peer
	// Lanes is how many lanes the sender wants for what it sends.
	Lanes uint8
}

func (h hello) append(b []byte) []byte {
	b = append(b, byte(gramHello))
	b = wire.AppendUint32(b, h.Seq)
	return append(wire.AppendInt64(b, int64(h.Sent)), h.Lanes)
}

// An answer is a hello sent back.
type answer struct {
	hello
	Wall int64 // the answerer's wall clock in Unix nanoseconds: estimates its offset
}

func (a answer) append(b []byte) []byte {
	b = append(b, byte(gramAnswer))
	b = wire.AppendUint32(b, a.Seq)
	b = append(wire.AppendInt64(b, int64(a.Sent)), a.Lanes)
	return wire.AppendInt64(b, a.Wall)
}

// A promise is a broadcast on its way. (Incarnation, Number) order those of one
// origin.
type promise struct {
	Hops        uint8 // how often it may still be passed on
	Origin      membership.NodeID
	Instance    membership.InstanceID // of Origin
	Incarnation uint64
	Number      uint64
	// Routed says that the origin chose the path, and Route which gateways are still
	// to come on it; otherwise the promise goes down the origin's tree.
	Routed bool
	Route  []membership.NodeID
	Stamp  stamp // the origin's, of all but how the promise travels
	Data   []byte
}

const promiseHeaderBytes = 31 + stampBytes

// text is what the origin signs.
func (p *promise) text() []byte {
	return signedText(p.Origin, p.Instance, p.Incarnation, p.Number, p.Data)
}

// signedText is what a gateway signs of what it sends as datagrams; each kind for a purpose of its own.
func signedText(origin membership.NodeID, instance membership.InstanceID, incarnation, number uint64, data []byte) []byte {
	b := make([]byte, 0, 28+len(data))
	b = wire.AppendUint32(b, uint32(origin))
	b = wire.AppendUint64(b, uint64(instance))
	b = wire.AppendUint64(b, incarnation)
	b = wire.AppendUint64(b, number)
	return append(b, data...)
}

// append appends p without the byte or header that goes before it.
func (p *promise) append(b []byte) []byte {
	b = append(b, p.Hops)
	b = wire.AppendUint32(b, uint32(p.Origin))
	b = wire.AppendUint64(b, uint64(p.Instance))
	b = wire.AppendUint64(b, p.Incarnation)
	b = wire.AppendUint64(b, p.Number)
	b = wire.AppendBool(b, p.Routed)
	b = append(b, byte(len(p.Route)))
	for _, g := range p.Route {
		b = wire.AppendUint32(b, uint32(g))
	}
	return append(p.Stamp.append(b), p.Data...)
}

func decodePromise(r *wire.Reader) (promise, error) {
	p := promise{Hops: r.Uint8(), Origin: membership.NodeID(r.Uint32()), Instance: membership.InstanceID(r.Uint64()), Incarnation: r.Uint64(), Number: r.Uint64(), Routed: r.Bool()}
	n := int(r.Uint8())
	if p.Hops > maxHops || n > maxRoute || n > 0 && !p.Routed {
		r.Fail(fmt.Errorf("%w: promise with %d hops and a route of %d", wire.ErrLimit, p.Hops, n))
		n = 0
	}
	if n > 0 {
		p.Route = make([]membership.NodeID, n)
		for i := range p.Route {
			p.Route[i] = membership.NodeID(r.Uint32())
		}
	}
	p.Stamp = readStamp(r)
	if r.Len() > MaxPromiseBytes {
		r.Fail(wire.ErrLimit)
	}
	p.Data = r.Rest()
	return p, breach(r.Done())
}

var errGram = fmt.Errorf("%w: datagram of an unknown kind", errBreach)

// decodeGram decodes a datagram into a hello, an answer, a promise or a note.
func decodeGram(b []byte) (any, error) {
	r := wire.NewReader(b)
	switch k := gramKind(r.Uint8()); k {
	case gramHello:
		h := hello{r.Uint32(), time.Duration(r.Int64()), r.Uint8()}
		return h, breach(r.Done())
	case gramAnswer:
		a := answer{hello{r.Uint32(), time.Duration(r.Int64()), r.Uint8()}, r.Int64()}
		return a, breach(r.Done())
	case gramPromise:
		p, err := decodePromise(&r)
		return &p, err
	case gramNote:
		n, err := decodeNote(&r)
		return &n, err
	default:
		return nil, fmt.Errorf("%w: %d", errGram, k)
	}
}

// decodePromiseFrame decodes a promise that was too large for a datagram.
func decodePromiseFrame(body []byte) (*promise, error) {
	r := wire.NewReader(body)
	p, err := decodePromise(&r)
	return &p, err
}
