package ring

import (
	"encoding/binary"
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
)

// Every packet begins with
//
//	0  magic, version, kind, flags   one byte each
//	4  label                         hash of federation and site
//	8  sender                        node id
//	12 incarnation                   of the sender
//
// and most go on with a ring id (20: representative, 24: counter).
const (
	magic       = 'R'
	version     = 1
	headerBytes = 20
	ringBytes   = headerBytes + 12
	dataBytes   = ringBytes + 16 // seq, hop
	wrapBytes   = 12             // sender and seq of an old ring's packet inside a new ring's
)

type kind uint8

const (
	kindData kind = iota + 1
	kindToken
	kindCommit
	kindJoin
	kindHello
	kindWake
	kindProbe
	kindLeave
	kindEnd
)

// Flags of data packets.
const (
	flagAfterToken = 1 << iota // left its sender after the token
	flagSafe                   // ends a frame of service safe: held back until stable
	flagWrapped                // carries a packet of an older ring (recovery)
	flagsKnown     = flagAfterToken | flagSafe | flagWrapped
)

type header struct {
	kind        kind
	flags       uint8
	label       uint32
	sender      membership.NodeID
	incarnation uint64
}

// parseHeader says whether packet begins like one of ours.
func parseHeader(packet []byte) (header, bool) {
	if len(packet) < headerBytes || len(packet) > MaxPacketBytes || packet[0] != magic || packet[1] != version {
		return header{}, false
	}
	h := header{
		kind:        kind(packet[2]),
		flags:       packet[3],
		label:       binary.LittleEndian.Uint32(packet[4:]),
		sender:      membership.NodeID(binary.LittleEndian.Uint32(packet[8:])),
		incarnation: binary.LittleEndian.Uint64(packet[12:]),
	}
	ok := h.kind >= kindData && h.kind < kindEnd && h.flags&^flagsKnown == 0 && (h.flags == 0 || h.kind == kindData)
	return h, ok
}

// IsToken says whether packet is one that Machine.PreferToken speaks of.
func IsToken(packet []byte) bool {
	return len(packet) >= headerBytes && packet[0] == magic && packet[1] == version &&
		(kind(packet[2]) == kindToken || kind(packet[2]) == kindCommit)
}

func (m *Machine) appendHeader(b []byte, k kind, flags uint8) []byte {
	b = append(b, magic, version, byte(k), flags)
	b = wire.AppendUint32(b, m.cfg.Label)
	b = wire.AppendUint32(b, uint32(m.cfg.Self))
	return wire.AppendUint64(b, m.cfg.Incarnation)
}

func appendID(b []byte, id ID) []byte {
	return wire.AppendUint64(wire.AppendUint32(b, uint32(id.Representative)), id.Counter)
}

func readID(r *wire.Reader) ID {
	return ID{Representative: membership.NodeID(r.Uint32()), Counter: r.Uint64()}
}

// idAt reads the ring id behind the header of a packet of at least ringBytes.
func idAt(packet []byte) ID {
	return ID{
		Representative: membership.NodeID(binary.LittleEndian.Uint32(packet[headerBytes:])),
		Counter:        binary.LittleEndian.Uint64(packet[headerBytes+4:]),
	}
}

func appendNodes(b []byte, nodes []membership.NodeID) []byte {
	b = append(b, byte(len(nodes)))
	for _, n := range nodes {
		b = wire.AppendUint32(b, uint32(n))
	}
	return b
}

// readNodes reads at most MaxNodes ids, which must ascend.
func readNodes(r *wire.Reader) []membership.NodeID {
	n := int(r.Uint8())
	if n > MaxNodes || n*4 > r.Len() {
		r.Fail(wire.ErrLimit)
		return nil
	}
	nodes := make([]membership.NodeID, n)
	for i := range nodes {
		nodes[i] = membership.NodeID(r.Uint32())
		if i > 0 && nodes[i] <= nodes[i-1] {
			r.Fail(errOrder)
			return nil
		}
	}
	return nodes
}

// The body of a data packet is a row of entries:
//
//	0 service; pieceBit set: a piece of a cut frame
//	1 length of the data, two bytes
//	3 of a piece only: frame number of the sender, offset, size of the frame, four bytes each
//	  data
const (
	entryBytes = 3
	pieceBytes = entryBytes + 12
	pieceBit   = 0x80
)

type entry struct {
	service membership.Service
	piece   bool
	frame   uint32 // of a piece: number of the cut frame, per sender
	offset  uint32
	size    uint32
	data    []byte
}

// last says whether e completes a frame.
func (e *entry) last() bool { return !e.piece || e.offset+uint32(len(e.data)) == e.size }

// nextEntry takes an entry off body.
func nextEntry(body []byte) (e entry, rest []byte, ok bool) {
	if len(body) < entryBytes {
		return e, nil, false
	}
	e.service = membership.Service(body[0] &^ pieceBit)
	e.piece = body[0]&pieceBit != 0
	size := int(binary.LittleEndian.Uint16(body[1:]))
	at := entryBytes
	if e.piece {
		if len(body) < pieceBytes {
			return e, nil, false
		}
		e.frame = binary.LittleEndian.Uint32(body[3:])
		e.offset = binary.LittleEndian.Uint32(body[7:])
		e.size = binary.LittleEndian.Uint32(body[11:])
		at = pieceBytes
		if size == 0 || e.size > MaxFrameBytes || uint64(e.offset)+uint64(size) > uint64(e.size) {
			return e, nil, false
		}
	}
	if !e.service.Valid() || size > len(body)-at {
		return e, nil, false
	}
	e.data = body[at : at+size : at+size]
	return e, body[at+size:], true
}

// checkBody says whether all of body is entries, whether some are to be handed
// up on arrival, and whether some complete a safe frame.
func checkBody(body []byte) (arrivals, safe, ok bool) {
	if len(body) == 0 {
		return false, false, false
	}
	for len(body) > 0 {
		e, rest, ok := nextEntry(body)
		if !ok {
			return false, false, false
		}
		arrivals = arrivals || onArrival(&e)
		safe = safe || e.service == membership.Safe && e.last()
		body = rest
	}
	return arrivals, safe, true
}

// onArrival says whether e is handed up as soon as its packet comes. Pieces are
// put together in the ring's order, whatever their service.
func onArrival(e *entry) bool { return !e.piece && e.service < membership.FIFO }

func appendEntry(b []byte, f Frame) []byte {
	b = append(b, byte(f.Service))
	b = wire.AppendUint16(b, uint16(len(f.Data)))
	return append(b, f.Data...)
}

func appendPiece(b []byte, f Frame, number uint32, offset, n int) []byte {
	b = append(b, byte(f.Service)|pieceBit)
	b = wire.AppendUint16(b, uint16(n))
	b = wire.AppendUint32(b, number)
	b = wire.AppendUint32(b, uint32(offset))
	b = wire.AppendUint32(b, uint32(len(f.Data)))
	return append(b, f.Data[offset:offset+n]...)
}

// A set is a subset of a site's nodes, by their place in Config.Members.
type set [MaxNodes / 64]uint64

func (s set) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }
func (s *set) add(i int)     { s[i/64] |= 1 << (i % 64) }
func (s *set) drop(i int)    { s[i/64] &^= 1 << (i % 64) }

func (s set) union(t set) set {
	for i := range s {
		s[i] |= t[i]
	}
	return s
}

func (s set) minus(t set) set {
	for i := range s {
		s[i] &^= t[i]
	}
	return s
}

// nodesOf lists the members of s, ascending.
func (m *Machine) nodesOf(s set) []membership.NodeID {
	nodes := make([]membership.NodeID, 0, len(m.cfg.Members))
	for i, n := range m.cfg.Members {
		if s.has(i) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// setOf returns the known ones of nodes.
func (m *Machine) setOf(nodes []membership.NodeID) (s set) {
	for _, n := range nodes {
		if i, ok := m.place(n); ok {
			s.add(i)
		}
	}
	return s
}

// place returns where n stands in Config.Members.
func (m *Machine) place(n membership.NodeID) (int, bool) {
	return slices.BinarySearch(m.cfg.Members, n)
}
