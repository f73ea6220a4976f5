package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort says that the input ended inside a field.
var ErrShort = errors.New("input ends inside a field")

// ErrTrailing says that bytes are left after the last field.
var ErrTrailing = errors.New("bytes left after the last field")

// ErrLimit says that a length or count exceeds its documented limit.
var ErrLimit = errors.New("length exceeds its limit")

// A Reader takes fields off a byte slice. The zero value reads an empty input.
// It is not safe for concurrent use.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a Reader over data, which it aliases and never changes.
func NewReader(data []byte) Reader { return Reader{rest: data} }

// Err returns the first fault, or nil.
func (r *Reader) Err() error { return r.err }

// Done returns the first fault; bytes left over are a fault too.
func (r *Reader) Done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%w: %d", ErrTrailing, len(r.rest))
	}
	return r.err
}

// Len returns the number of bytes not yet read.
func (r *Reader) Len() int { return len(r.rest) }

// Rest returns everything not yet read and leaves the Reader empty.
func (r *Reader) Rest() []byte {
	rest := r.rest
	r.rest = nil
	return rest
}

// Fail records err as the Reader's fault, unless there is one already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// Bytes returns the next n bytes, aliasing the input.
func (r *Reader) Bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.rest) {
		r.Fail(ErrShort)
		return nil
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if r.err != nil || len(r.rest) < 1 {
		r.Fail(ErrShort)
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

// Bool reads one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail(fmt.Errorf("boolean is %d", v))
	}
	return v == 1
}

// Uint16 reads two bytes.
func (r *Reader) Uint16() uint16 {
	if r.err != nil || len(r.rest) < 2 {
		r.Fail(ErrShort)
		return 0
	}
	v := binary.LittleEndian.Uint16(r.rest)
	r.rest = r.rest[2:]
	return v
}

// Uint32 reads four bytes.
func (r *Reader) Uint32() uint32 {
	if r.err != nil || len(r.rest) < 4 {
		r.Fail(ErrShort)
		return 0
	}
	v := binary.LittleEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return v
}

// Uint64 reads eight bytes.
func (r *Reader) Uint64() uint64 {
	if r.err != nil || len(r.rest) < 8 {
		r.Fail(ErrShort)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

// Int64 reads eight bytes in two's complement.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) }

// Count reads a 32-bit element count. It fails if the count exceeds limit or if
// that many elements of at least elementBytes (≥ 1) cannot fit in what is left,
// so the caller may allocate by it.
func (r *Reader) Count(limit, elementBytes int) int {
	n := int64(r.Uint32())
	if r.err != nil {
		return 0
	}
	if n > int64(limit) {
		r.Fail(fmt.Errorf("%w: %d elements, at most %d", ErrLimit, n, limit))
		return 0
	}
	if n*int64(elementBytes) > int64(len(r.rest)) {
		r.Fail(ErrShort)
		return 0
	}
	return int(n)
}

// Blob reads a 32-bit length of at most limit and that many bytes.
func (r *Reader) Blob(limit int) []byte { return r.Bytes(r.Count(limit, 1)) }

// String reads an 8-bit length of at most limit and that many bytes.
func (r *Reader) String(limit int) string {
	n := int(r.Uint8())
	if r.err == nil && n > limit {
		r.Fail(fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, n, limit))
		return ""
	}
	return string(r.Bytes(n))
}
