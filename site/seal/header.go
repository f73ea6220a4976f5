package seal

import (
	"encoding/binary"

	"ringway/membership"
)

// The layout of a sealed packet; see doc.go.
const (
	magic       = 'S'
	version     = 1
	HeaderBytes = 20
	tagBytes    = 16
	// Overhead is by how much a sealed packet is larger than the ring's.
	Overhead = HeaderBytes + tagBytes
	minBytes = Overhead + 1
)

// kind says which kind of key a packet is sealed under.
type kind uint8

const (
	kindSender kind = 1
	kindView   kind = 2
)

// Flags.
const (
	flagDirect = 1 << iota // for one node only, whose id is authenticated too
	flagOffers             // offers follow the ring's packet (commit tokens)
	flagsKnown = flagDirect | flagOffers
)

// IsSealed says whether a packet is, or claims to be, a sealed one.
func IsSealed(packet []byte) bool {
	_, ok := parseHeader(packet)
	return ok
}

type header struct {
	kind    kind
	flags   uint8
	key     uint32
	sender  membership.NodeID
	counter uint64
}

func parseHeader(packet []byte) (h header, ok bool) {
	if len(packet) < minBytes || packet[0] != magic || packet[1] != version {
		return header{}, false
	}
	h = header{
		kind:    kind(packet[2]),
		flags:   packet[3],
		key:     binary.LittleEndian.Uint32(packet[4:]),
		sender:  membership.NodeID(binary.LittleEndian.Uint32(packet[8:])),
		counter: binary.LittleEndian.Uint64(packet[12:]),
	}
	ok = (h.kind == kindSender || h.kind == kindView) && h.flags&^flagsKnown == 0 && (h.flags&flagOffers == 0 || h.kind == kindSender)
	return h, ok
}

func (h *header) append(b []byte) []byte {
	b = append(b, magic, version, byte(h.kind), h.flags)
	b = binary.LittleEndian.AppendUint32(b, h.key)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.sender))
	return binary.LittleEndian.AppendUint64(b, h.counter)
}

// nonce is where the nonce stands in a sealed packet.
func nonce(packet []byte) []byte { return packet[8:HeaderBytes] }

// A Work is scratch memory for sealing and opening, for one goroutine.
type Work struct{ extra [HeaderBytes + 4]byte }

// authenticated returns what is authenticated besides the sealed bytes.
func (w *Work) authenticated(packet []byte, flags uint8, to membership.NodeID) []byte {
	copy(w.extra[:], packet[:HeaderBytes])
	if flags&flagDirect == 0 {
		to = 0
	}
	binary.LittleEndian.PutUint32(w.extra[HeaderBytes:], uint32(to))
	return w.extra[:]
}
