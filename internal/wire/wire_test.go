package wire

import (
	"errors"
	"testing"
)

func TestFieldsComeBackAsWritten(t *testing.T) {
	b := AppendUint16(nil, 0xbeef)
	b = AppendUint32(b, 0xdeadbeef)
	b = AppendUint64(b, 1<<63)
	b = AppendInt64(b, -5)
	b = AppendBool(b, true)
	b = AppendString(b, "lon-1")
	b = AppendBlob(b, []byte{1, 2, 3})

	r := NewReader(b)
	if got := r.Uint16(); got != 0xbeef {
		t.Errorf("Uint16 = %#x", got)
	}
	if got := r.Uint32(); got != 0xdeadbeef {
		t.Errorf("Uint32 = %#x", got)
	}
	if got := r.Uint64(); got != 1<<63 {
		t.Errorf("Uint64 = %#x", got)
	}
	if got := r.Int64(); got != -5 {
		t.Errorf("Int64 = %d", got)
	}
	if !r.Bool() {
		t.Error("Bool = false")
	}
	if got := r.String(19); got != "lon-1" {
		t.Errorf("String = %q", got)
	}
	if got := r.Blob(3); len(got) != 3 || got[2] != 3 {
		t.Errorf("Blob = %v", got)
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

func TestFaultsStick(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		read func(*Reader)
		want error
	}{
		{"short integer", []byte{1, 2, 3}, func(r *Reader) { r.Uint32() }, ErrShort},
		{"count over limit", AppendUint32(nil, 9), func(r *Reader) { r.Count(8, 1) }, ErrLimit},
		{"count over input", AppendUint32(nil, 8), func(r *Reader) { r.Count(8, 1) }, ErrShort},
		{"string over limit", AppendString(nil, "abc"), func(r *Reader) { _ = r.String(2) }, ErrLimit},
		{"trailing", []byte{1, 2}, func(r *Reader) { r.Uint8(); _ = r.Done() }, ErrTrailing},
		{"huge length", []byte{0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Blob(1 << 40) }, ErrShort},
	} {
		r := NewReader(c.in)
		c.read(&r)
		if !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: %v, want %v", c.name, r.Err(), c.want)
		}
		if r.Uint64() != 0 || r.Len() != 0 {
			t.Errorf("%s: reading goes on after a fault", c.name)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, []byte("\x03\x00\x00\x00abc"))
	f.Fuzz(func(t *testing.T, script, in []byte) {
		r := NewReader(in)
		for _, op := range script {
			switch op % 8 {
			case 0:
				r.Uint8()
			case 1:
				r.Uint16()
			case 2:
				r.Uint32()
			case 3:
				r.Uint64()
			case 4:
				if n := r.Count(1<<20, 4); n*4 > len(in) {
					t.Fatalf("count %d from %d bytes", n, len(in))
				}
			case 5:
				r.Blob(1 << 20)
			case 6:
				_ = r.String(31)
			case 7:
				r.Bytes(int(int8(op)))
			}
		}
		_ = r.Done()
	})
}
