package spread

import (
	"encoding/binary"
	"errors"

	"ringway/membership"
)

// RejectBytes lie between the header of a reject and its groups: the old type.
const RejectBytes = 4

// hintAt is where a header has its hint.
const hintAt = 40

// ErrReject says that a reject ends within its old type.
var ErrReject = errors.New("reject without the type of what it rejects")

// oldType returns the type by which a reject names what was refused: joins and leaves
// by the causes that they would have been.
func oldType(kind uint32) uint32 {
	switch {
	case kind&TypeJoin != 0:
		return kind&^TypeJoin | TypeByJoin
	case kind&TypeLeave != 0:
		return kind&^TypeLeave | TypeByLeave
	}
	return kind
}

// AppendRejected appends the message with which a server refuses a join, leave or
// message: it goes back to its sender, named as one more group, or in place of the last
// where there were as many as there may be.
func AppendRejected(b []byte, kind uint32, private string, groups []string, hint [4]byte, data []byte) []byte {
	if len(groups) >= membership.MaxGroups {
		groups = groups[:membership.MaxGroups-1]
	}
	start := len(b)
	b = AppendHeader(b, TypeReject|kind&TypeSelfDiscard, private, len(groups)+1, hint, len(data))
	copy(b[start+hintAt:], hint[:]) // as it came: a big-endian one may be all zero
	b = binary.LittleEndian.AppendUint32(b, oldType(kind)|markers)
	for _, g := range groups {
		b = AppendGroup(b, g)
	}
	return append(AppendGroup(b, private), data...)
}

// ParseRejected reads the old type, which follows the header of a reject.
func ParseRejected(b []byte, order Order) (kind uint32, err error) {
	if len(b) < RejectBytes {
		return 0, ErrReject
	}
	return order.Uint32(b) &^ markers, nil
}
