package spread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"ringway/membership"
)

// A Header is the fixed part of a message.
type Header struct {
	Type    uint32 // without markers
	Big     bool   // the writer's byte order is big endian
	Group   [GroupBytes]byte
	Groups  int // how many follow
	Hint    [4]byte
	DataLen int
}

// An Order reads and appends integers.
type Order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// Order returns the header's byte order.
func (h *Header) Order() Order { return orderOf(h.Big) }

func orderOf(big bool) Order {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// ParseHeader reads the HeaderBytes bytes of a header. It checks nothing but that
// the counts are not negative.
func ParseHeader(b []byte) (Header, error) {
	_ = b[HeaderBytes-1]
	h := Header{Big: b[0]&0x80 == 0}
	order := h.Order()
	h.Type = order.Uint32(b) &^ markers
	copy(h.Group[:], b[4:36])
	groups, length := int32(order.Uint32(b[36:])), int32(order.Uint32(b[44:]))
	copy(h.Hint[:], b[40:44])
	if groups < 0 || length < 0 {
		return h, fmt.Errorf("header with %d groups and %d bytes of data", groups, length)
	}
	h.Groups, h.DataLen = int(groups), int(length)
	return h, nil
}

// AppendType appends a message's type in little endian, with its marker.
func AppendType(b []byte, kind uint32) []byte {
	return binary.LittleEndian.AppendUint32(b, kind|markers)
}

// AppendHeader appends a header in little endian. The hint is taken as it is; the zero
// one of a message without gets its marker. (A big-endian hint may be all zero too:
// what goes through unchanged must not come here.)
func AppendHeader(b []byte, kind uint32, group string, groups int, hint [4]byte, dataLen int) []byte {
	b = AppendType(b, kind)
	b = AppendGroup(b, group)
	b = binary.LittleEndian.AppendUint32(b, uint32(groups))
	if hint == ([4]byte{}) {
		hint = Hint(0)
	}
	b = append(b, hint[:]...)
	return binary.LittleEndian.AppendUint32(b, uint32(dataLen))
}

var zeros [GroupBytes]byte

// AppendGroup appends a group's 32-byte field. Longer names are cut so that a NUL
// remains.
func AppendGroup(b []byte, group string) []byte {
	if len(group) > GroupBytes-1 {
		group = group[:GroupBytes-1]
	}
	b = append(b, group...)
	return append(b, zeros[:GroupBytes-len(group)]...)
}

// AppendPrivateGroup appends the 32-byte field of a session's private group.
func AppendPrivateGroup(b []byte, name, node string) []byte {
	start := len(b)
	b = append(append(b, '#'), name...)
	b = append(append(b, '#'), node...)
	b = b[:min(len(b), start+GroupBytes-1)]
	return append(b, zeros[:GroupBytes-(len(b)-start)]...)
}

// GroupName returns the name in a 32-byte field, up to its NUL; ok is false if there
// is none.
func GroupName(field []byte) (name []byte, ok bool) {
	end := bytes.IndexByte(field, 0)
	if end < 0 {
		return field, false
	}
	return field[:end], true
}

// Hint returns the hint of a message type, little endian with its marker.
func Hint(messageType int16) [4]byte {
	var hint [4]byte
	binary.LittleEndian.PutUint32(hint[:], uint32(uint16(messageType))<<8|markers)
	return hint
}

// HintType returns the message type in a hint, and whether its writer's byte order
// is big endian: then an application's payload may need turning.
func HintType(hint [4]byte) (messageType int16, big bool) {
	value, big := hintValue(hint)
	return int16(value >> 8), big
}

// hintValue returns the hint's number. It calls no interface: that would move the hint
// to the heap, for every message.
func hintValue(hint [4]byte) (value uint32, big bool) {
	if hint[0]&0x80 == 0 {
		return binary.BigEndian.Uint32(hint[:]), true
	}
	return binary.LittleEndian.Uint32(hint[:]), false
}

// hintBits are those that a hint may have.
const hintBits = 0x80ffff80

// Faults of a client's header.
var (
	ErrType   = errors.New("not exactly one type bit")
	ErrSender = errors.New("not the session's own private group")
	ErrGroups = errors.New("too many groups")
	ErrHint   = errors.New("stray bits in the hint")
	ErrSize   = errors.New("message too large")
)

// CheckFromClient says whether a session with that private group may send the header.
// large allows what was negotiated with MethodRingway: large messages and calls.
func (h *Header) CheckFromClient(private string, large bool) error {
	call := large && h.Type&TypeExtension != 0
	if bits.OnesCount32(h.Type&Calls) != 1 || h.Type&TypeExtension != 0 && !large {
		return fmt.Errorf("%w: type %#x", ErrType, h.Type)
	}
	if name, ok := GroupName(h.Group[:]); !ok || string(name) != private {
		return fmt.Errorf("%w: %.32q", ErrSender, string(h.Group[:])) // a copy, so that h stays off the heap
	}
	if h.Groups > membership.MaxGroups {
		return fmt.Errorf("%w: %d, at most %d", ErrGroups, h.Groups, membership.MaxGroups)
	}
	if value, _ := hintValue(h.Hint); value&^hintBits != 0 {
		return fmt.Errorf("%w: %x", ErrHint, h.Hint)
	}
	if call {
		return h.checkCall()
	}
	if large {
		if h.DataLen > membership.MaxMessageBytes {
			return fmt.Errorf("%w: %d bytes, at most %d", ErrSize, h.DataLen, membership.MaxMessageBytes)
		}
		return nil
	}
	if h.DataLen+GroupBytes*h.Groups > membership.MaxSpreadMessage-HeaderBytes {
		return fmt.Errorf("%w: %d bytes and %d groups, together at most %d", ErrSize, h.DataLen, h.Groups, membership.MaxSpreadMessage-HeaderBytes)
	}
	return nil
}
