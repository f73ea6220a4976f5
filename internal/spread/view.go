package spread

import (
	"encoding/binary"
	"fmt"
)

// A ViewID is the id of a group view: three integers.
type ViewID [3]uint32

// A ViewBody is the data of a regular membership message.
type ViewBody struct {
	ID   ViewID
	Own  int        // index of the receiver's own set in Sets; -1 if it is not found
	Sets [][]string // private groups that moved together
}

// viewHeadBytes lie before the first set: id, number of sets, offset of the own one,
// which is counted from there.
const viewHeadBytes = 20

// AppendViewID appends an id in little endian.
func AppendViewID(b []byte, id ViewID) []byte {
	for _, part := range id {
		b = binary.LittleEndian.AppendUint32(b, part)
	}
	return b
}

// AppendViewBody appends a membership body whose own set has the given index, and
// returns where in b the own set's offset lies: it is all that differs between
// receivers.
func AppendViewBody(b []byte, id ViewID, sets [][]string, own int) (body []byte, offsetAt int) {
	b = AppendViewID(b, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(sets)))
	offsetAt = len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(SetOffset(sets, own)))
	for _, set := range sets {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
		for _, name := range set {
			b = AppendGroup(b, name)
		}
	}
	return b, offsetAt
}

// SetOffset returns the offset at which the set of that index begins.
func SetOffset(sets [][]string, index int) int {
	at := 0
	for _, set := range sets[:index] {
		at += 4 + GroupBytes*len(set)
	}
	return at
}

// ParseViewID reads an id.
func ParseViewID(b []byte, order Order) (ViewID, error) {
	if len(b) < ViewIDBytes {
		return ViewID{}, fmt.Errorf("view id of %d bytes, want %d", len(b), ViewIDBytes)
	}
	return ViewID{order.Uint32(b), order.Uint32(b[4:]), order.Uint32(b[8:])}, nil
}

// ParseViewBody reads the data of a regular membership message.
func ParseViewBody(b []byte, order Order) (ViewBody, error) {
	body := ViewBody{Own: -1}
	if len(b) < viewHeadBytes {
		return body, fmt.Errorf("membership of %d bytes, at least %d", len(b), viewHeadBytes)
	}
	body.ID, _ = ParseViewID(b, order) // long enough
	count, own := order.Uint32(b[12:]), int64(order.Uint32(b[16:]))
	rest := b[viewHeadBytes:]
	if int64(count)*4 > int64(len(rest)) {
		return body, fmt.Errorf("membership with %d sets in %d bytes", count, len(rest))
	}
	for at := int64(0); len(body.Sets) < int(count); {
		if len(rest) < 4 {
			return body, fmt.Errorf("membership ends before set %d of %d", len(body.Sets)+1, count)
		}
		n := int64(order.Uint32(rest))
		if n*GroupBytes > int64(len(rest)-4) {
			return body, fmt.Errorf("set of %d members in %d bytes", n, len(rest)-4)
		}
		if at == own {
			body.Own = len(body.Sets)
		}
		set := make([]string, n)
		for i := range set {
			name, _ := GroupName(rest[4+i*GroupBytes : 4+(i+1)*GroupBytes])
			set[i] = string(name)
		}
		body.Sets = append(body.Sets, set)
		rest = rest[4+n*GroupBytes:]
		at += 4 + n*GroupBytes
	}
	return body, nil
}
