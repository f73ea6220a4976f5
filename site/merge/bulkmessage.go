package merge

import (
	"fmt"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// A bulkKind is the first byte of a message about a large body. The numbers begin above
// those of other control messages, whose way they take.
type bulkKind uint8

const (
	bulkOffer bulkKind = iota + 16 // the sender has a body for the receiver
	bulkAsk                        // the sender wants pieces of it
	bulkPiece                      // one piece
	bulkHeld                       // every member of the sender's ring holds the whole body
	bulkGone                       // the sender has no such body: nobody will ever refer to it
	bulkEnd                        // not a kind
)

// A bodyKey names a body of an instance. Numbers of a client only grow, and one number never
// stands for two bodies.
type bodyKey struct {
	client membership.ClientID
	seq    uint64
}

// A bulk is a message between gateways of two instances about a body of one of them. All but
// an Ask go on into the ring of the receiver.
type bulk struct {
	kind     bulkKind
	from, to membership.InstanceID
	bodyKey
	size  int           // Offer: bytes
	order ring.Position // Offer: its place among the source's; zero: a record waits for it
	index uint32        // Piece
	wants []uint32      // Ask
	data  []byte        // Piece
}

// isBulk says whether a control message is one about a body.
func isBulk(data []byte) bool {
	return len(data) > 0 && bulkKind(data[0]) >= bulkOffer && bulkKind(data[0]) < bulkEnd
}

// piecesOf is how many pieces a body of that size has.
func piecesOf(size int) int { return (size + pieceBytes - 1) / pieceBytes }

// pieceAt is where a piece begins and ends.
func pieceAt(size int, index uint32) (from, to int) {
	from = int(index) * pieceBytes
	return from, min(from+pieceBytes, size)
}

const bulkHeadBytes = 1 + 8 + 8 + membership.ClientIDBytes + 8

func (b *bulk) append(to []byte) []byte {
	to = wire.AppendUint64(wire.AppendUint64(append(to, byte(b.kind)), uint64(b.from)), uint64(b.to))
	to = wire.AppendUint64(b.client.Append(to), b.seq)
	switch b.kind {
	case bulkOffer:
		return appendPosition(wire.AppendUint32(to, uint32(b.size)), b.order)
	case bulkAsk:
		to = wire.AppendUint32(to, uint32(len(b.wants)))
		for _, index := range b.wants {
			to = wire.AppendUint32(to, index)
		}
	case bulkPiece:
		return append(wire.AppendUint32(to, b.index), b.data...)
	}
	return to
}

// read decodes a message; data is valid as long as the input.
func (b *bulk) read(data []byte) error {
	r := wire.NewReader(data)
	*b = bulk{kind: bulkKind(r.Uint8()), from: membership.InstanceID(r.Uint64()), to: membership.InstanceID(r.Uint64())}
	b.client, b.seq = membership.ReadClientID(&r), r.Uint64()
	switch b.kind {
	case bulkOffer:
		b.size, b.order = readSize(&r), readPosition(&r)
	case bulkAsk:
		b.wants = make([]uint32, r.Count(maxAsk, 4))
		for i := range b.wants {
			b.wants[i] = r.Uint32()
		}
	case bulkPiece:
		b.index = r.Uint32()
		if b.data = r.Rest(); len(b.data) > pieceBytes {
			r.Fail(fmt.Errorf("%w: piece of %d bytes", wire.ErrLimit, len(b.data)))
		}
	case bulkHeld, bulkGone:
	default:
		r.Fail(errKind)
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("message about a body: %w", err)
	}
	return nil
}

// readSize reads the size of a body that travels apart from its record.
func readSize(r *wire.Reader) int {
	size := int(r.Uint32())
	if r.Err() == nil && (size <= inlineMax || size > membership.MaxMessageBytes) {
		r.Fail(fmt.Errorf("%w: a body of %d bytes", wire.ErrLimit, size))
	}
	return size
}
