package spread

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"ringway/membership"
)

func TestMethodsComeBackFromEveryPrefix(t *testing.T) {
	for _, methods := range [][]string{{"NULL"}, {"NULL", "TOKEN"}, nil} {
		list := AppendMethods(nil, methods)
		for cut := range list {
			if _, _, err := ParseMethods(list[:cut]); !errors.Is(err, ErrMore) {
				t.Errorf("%q cut at %d: %v", list, cut, err)
			}
		}
		got, n, err := ParseMethods(append(list, "more"...))
		if err != nil || n != len(list) || !slices.Equal(got, methods) {
			t.Errorf("%q: %q, %d, %v", list, got, n, err)
		}
	}
	if list := AppendMethods(nil, nil); string(list) != "\x00" {
		t.Errorf("no methods: %q", list)
	}
}

func TestVerdictsByVersion(t *testing.T) {
	for _, c := range []struct {
		version [3]byte
		want    string
	}{
		{[3]byte{5, 0, 1}, "\x01\x05\x00\x01\x06#p1#d1"},
		{[3]byte{3, 15, 0}, "\x01\x05\x00\x01\x06#p1#d1"},
		{[3]byte{3, 14, 0}, "\x01\x05\x00\x06#p1#d1"},
	} {
		h := Hello{Version: c.version, Name: "p1"}
		verdict := AppendVerdict(nil, &h, "#p1#d1")
		if string(verdict) != c.want {
			t.Errorf("%v: %q, want %q", c.version, verdict, c.want)
		}
		for cut := range verdict {
			if _, _, err := ParseVerdict(verdict[:cut], &h); !errors.Is(err, ErrMore) {
				t.Errorf("%v cut at %d: %v", c.version, cut, err)
			}
		}
		if private, n, err := ParseVerdict(verdict, &h); err != nil || n != len(verdict) || private != "#p1#d1" {
			t.Errorf("%v: %q, %d, %v", c.version, private, n, err)
		}
	}
}

func TestStrangeVerdictsAreNoSpreadPort(t *testing.T) {
	h := Hello{Version: Version}
	for _, b := range []string{"\x00\x05\x00\x01\x00", "\x02\x05\x00\x01\x00", "\x01\x02\x00\x01\x00", "\x01\x80\x00\x01\x00", "\x01\x05\x00\x01\x20", "HTTP/1.1 400"} {
		if _, _, err := ParseVerdict([]byte(b), &h); err == nil || errors.Is(err, ErrMore) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func TestRefusalsStandInTwoPlaces(t *testing.T) {
	for _, code := range []int8{TooManySessions, NoName, IllegalName, NameInUse, VersionTooOld, Refused, -42} {
		b := AppendRefusal(nil, code)
		if len(b) != 1 {
			t.Fatalf("code %d has %d bytes", code, len(b))
		}
		_, _, inList := ParseMethods(b)
		_, _, inVerdict := ParseVerdict(b, &Hello{Version: Version})
		for _, err := range []error{inList, inVerdict} {
			var refusal *CodeError
			if !errors.As(err, &refusal) || refusal.Code != code || refusal.Why == "" {
				t.Errorf("code %d: %v", code, err)
			}
		}
	}
}

func TestRejectNamesItsSenderLast(t *testing.T) {
	many := slices.Repeat([]string{"g"}, membership.MaxGroups)
	for _, c := range []struct {
		kind, old uint32
		groups    []string
		want      []string
	}{
		{TypeSafe | TypeSelfDiscard, TypeSafe | TypeSelfDiscard, []string{"g", "h"}, []string{"g", "h", "#a#d1"}},
		{TypeJoin, TypeByJoin, []string{"g"}, []string{"g", "#a#d1"}},
		{TypeLeave, TypeByLeave, []string{"g"}, []string{"g", "#a#d1"}},
		{TypeFIFO, TypeFIFO, many, append(many[:99:99], "#a#d1")},
	} {
		b := AppendRejected(nil, c.kind, "#a#d1", c.groups, Hint(7), []byte("data"))
		h, err := ParseHeader(b)
		if err != nil || h.Type != TypeReject|c.kind&TypeSelfDiscard || h.Groups != len(c.want) || h.DataLen != 4 {
			t.Fatalf("%#x: %+v, %v", c.kind, h, err)
		}
		b = b[HeaderBytes:]
		if old, err := ParseRejected(b, h.Order()); err != nil || old != c.old {
			t.Errorf("%#x: old type %#x, %v", c.kind, old, err)
		}
		b = b[RejectBytes:]
		for i, want := range c.want {
			if name, ok := GroupName(b[i*GroupBytes : (i+1)*GroupBytes]); !ok || string(name) != want {
				t.Errorf("%#x: group %d is %q", c.kind, i, name)
			}
		}
		if string(b[len(c.want)*GroupBytes:]) != "data" {
			t.Errorf("%#x: the data is gone", c.kind)
		}
	}
	if _, err := ParseRejected([]byte{1, 2, 3}, binary.LittleEndian); !errors.Is(err, ErrReject) {
		t.Errorf("a short reject: %v", err)
	}
}

// Bytes as they lie on the wire, put together from the tables of the protocol's
// description and not from this package.
func TestGoldenBytes(t *testing.T) {
	nul := func(n int) string { return strings.Repeat("\x00", n) }
	for _, c := range []struct{ name, got, want string }{
		{
			"join", string(AppendGroup(AppendHeader(nil, TypeJoin, "#p1#d1", 1, [4]byte{}, 0), "g")),
			"\x80\x00\x01\x80" + "#p1#d1" + nul(26) + "\x01\x00\x00\x00" + "\x80\x00\x00\x80" + "\x00\x00\x00\x00" + "g" + nul(31),
		},
		{
			"agreed, type -2", string(AppendHeader(nil, TypeAgreed, "#p1#d1", 1, Hint(-2), 0x123456)),
			"\x90\x00\x00\x80" + "#p1#d1" + nul(26) + "\x01\x00\x00\x00" + "\x80\xfe\xff\x80" + "\x56\x34\x12\x00",
		},
		{
			"own leave", string(AppendHeader(nil, TypeByLeave, "g", 0, [4]byte{}, 0)),
			"\x80\x02\x00\x80" + "g" + nul(31) + nul(4) + "\x80\x00\x00\x80" + nul(4),
		},
		{
			"transition", string(AppendViewID(AppendHeader(nil, TypeTransitional, "g", 0, [4]byte{}, ViewIDBytes), ViewID{1, 2, 3})),
			"\x80\x20\x00\x80" + "g" + nul(31) + nul(4) + "\x80\x00\x00\x80" + "\x0c\x00\x00\x00" + "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00",
		},
		{
			"longest private group", string(AppendPrivateGroup(nil, "0123456789", "nineteen-characters")),
			"#0123456789#nineteen-characters\x00",
		},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n%q\n%q", c.name, c.got, c.want)
		}
	}
}

func TestNamesAreOfDollarToTilde(t *testing.T) {
	for c := range 256 {
		if got, want := LegalName([]byte{'a', byte(c)}), c >= 0x24 && c <= 0x7e; got != want {
			t.Errorf("byte %#x: %v", c, got)
		}
	}
}

func FuzzParseMethods(f *testing.F) {
	f.Add([]byte("\x05NULL "))
	f.Add([]byte{0xf7})
	f.Fuzz(func(t *testing.T, b []byte) {
		methods, n, err := ParseMethods(b)
		if n > len(b) || err == nil && len(strings.Join(methods, " ")) > len(b) {
			t.Fatalf("%q, %d of %d bytes", methods, n, len(b))
		}
	})
}

func FuzzParseVerdict(f *testing.F) {
	f.Add([]byte("\x01\x05\x00\x01\x0d#p1#localhost"), true)
	f.Add([]byte("\x01\x05\x00\x06#p1#d1"), false)
	f.Fuzz(func(t *testing.T, b []byte, patch bool) {
		h := Hello{Version: Version}
		if !patch {
			h.Version = [3]byte{3, 14, 0}
		}
		private, n, err := ParseVerdict(b, &h)
		if n > len(b) || len(private) >= GroupBytes {
			t.Fatalf("%q, %d of %d bytes", private, n, len(b))
		}
		if errors.Is(err, ErrMore) && len(b) > 5+GroupBytes {
			t.Fatal("a long enough verdict wants more")
		}
	})
}

func FuzzParseRejected(f *testing.F) {
	f.Add(AppendRejected(nil, TypeJoin, "#a#d1", []string{"g"}, Hint(0), nil)[HeaderBytes:])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, order := range []Order{binary.LittleEndian, binary.BigEndian} {
			if kind, err := ParseRejected(b, order); err == nil && kind&markers != 0 {
				t.Fatalf("%#x keeps its marker", kind)
			}
		}
	})
}
