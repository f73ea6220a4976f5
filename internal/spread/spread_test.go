package spread

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"ringway/membership"
)

func TestHeaderIsReadInBothByteOrders(t *testing.T) {
	little := AppendHeader(nil, TypeAgreed|TypeSelfDiscard, "#a#d1", 2, Hint(-2), 5)
	if len(little) != HeaderBytes {
		t.Fatalf("%d bytes", len(little))
	}
	big := slices.Clone(little)
	for _, at := range []int{0, 36, 44} {
		v := binary.LittleEndian.Uint32(little[at:])
		if at == 0 {
			v &^= markers
		}
		binary.BigEndian.PutUint32(big[at:], v)
	}
	for name, b := range map[string][]byte{"little": little, "big": big} {
		h, err := ParseHeader(b)
		if err != nil || h.Type != TypeAgreed|TypeSelfDiscard || h.Groups != 2 || h.DataLen != 5 || h.Big != (name == "big") {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
		if group, ok := GroupName(h.Group[:]); !ok || string(group) != "#a#d1" {
			t.Errorf("%s: group %q", name, group)
		}
		if kind, bigHint := HintType(h.Hint); kind != -2 || bigHint {
			t.Errorf("%s: hint %d, %v", name, kind, bigHint)
		}
	}
}

func TestHintKeepsItsWritersOrder(t *testing.T) {
	for _, kind := range []int16{0, 1, -1, 32767, -32768, 0x1234} {
		little := Hint(kind)
		if got, big := HintType(little); got != kind || big {
			t.Errorf("little endian %d comes back as %d, %v", kind, got, big)
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(uint16(kind))<<8)
		if got, big := HintType(b); got != kind || !big {
			t.Errorf("big endian %d comes back as %d, %v", kind, got, big)
		}
	}
}

func TestGoldenHandshake(t *testing.T) {
	hello := Hello{Version: [3]byte{5, 0, 1}, Membership: true, Name: "p1"}
	if got := string(hello.Append(nil)); got != "\x05\x00\x01\x01\x02p1" {
		t.Errorf("hello %q", got)
	}
	if got := string(AppendMethods(nil, []string{"NULL"})); got != "\x05NULL " {
		t.Errorf("methods %q", got)
	}
	if got := string(AppendChoice(nil, "NULL")); got != "NULL"+strings.Repeat("\x00", 86) {
		t.Errorf("choice %q", got)
	}
	if got := string(AppendVerdict(nil, &hello, "#p1#localhost")); got != "\x01\x05\x00\x01\x0d#p1#localhost" {
		t.Errorf("verdict %q", got)
	}
}

func TestGoldenViewOfAMerge(t *testing.T) {
	// Three members of which one comes from elsewhere: 124 bytes, the own set of the
	// first two at offset 36.
	sets := [][]string{{"#c#d3"}, {"#a#d1", "#b#d2"}}
	body, at := AppendViewBody(nil, ViewID{1, 2, 1}, sets, 1)
	if len(body) != 124 || binary.LittleEndian.Uint32(body[at:]) != 36 {
		t.Fatalf("%d bytes, offset %d", len(body), binary.LittleEndian.Uint32(body[at:]))
	}
	got, err := ParseViewBody(body, binary.LittleEndian)
	if err != nil || got.Own != 1 || !slices.Equal(got.Sets[1], sets[1]) || got.ID != (ViewID{1, 2, 1}) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestServicesAndTypes(t *testing.T) {
	for s := membership.Unreliable; s <= membership.Safe; s++ {
		if got, ok := ServiceOf(TypeOf(s)); !ok || got != s {
			t.Errorf("%v comes back as %v", s, got)
		}
	}
	if _, ok := ServiceOf(TypeAgreed | TypeSafe); ok {
		t.Error("two services are one")
	}
}

func FuzzParseHello(f *testing.F) {
	f.Add([]byte("\x05\x00\x01\x01\x02p1"))
	f.Add([]byte("\x03\x0e\x01\x01c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseHello(b)
		if errors.Is(err, ErrMore) && len(b) > 5+membership.MaxPrivateName {
			t.Fatal("a long enough hello wants more")
		}
		if err == nil && (n > len(b) || len(h.Name) > membership.MaxPrivateName) {
			t.Fatalf("%+v of %d bytes", h, n)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	f.Add(AppendHeader(nil, TypeAgreed, "#a#d1", 1, Hint(7), 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderBytes {
			return
		}
		h, err := ParseHeader(b)
		if err == nil && h.CheckFromClient("#a#d1", false) == nil && h.Groups*GroupBytes+h.DataLen > membership.MaxSpreadMessage {
			t.Fatalf("accepted %+v", h)
		}
	})
}

func FuzzParseChoice(f *testing.F) {
	f.Add(AppendChoice(nil, "NULL", "RINGWAY"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range ParseChoice(b) {
			if m == "" || len(m) > MethodBytes {
				t.Fatalf("method %q", m)
			}
		}
	})
}

func FuzzParseViewBody(f *testing.F) {
	body, _ := AppendViewBody(nil, ViewID{1, 2, 3}, [][]string{{"#a#d1"}, {"#b#d2", "#c#d3"}}, 1)
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, order := range []Order{binary.LittleEndian, binary.BigEndian} {
			v, err := ParseViewBody(b, order)
			if err != nil {
				continue
			}
			names := 0
			for _, set := range v.Sets {
				names += len(set)
			}
			if names*GroupBytes > len(b) || v.Own >= len(v.Sets) {
				t.Fatalf("%d names, own set %d, of %d bytes", names, v.Own, len(b))
			}
		}
	})
}
