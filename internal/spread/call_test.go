package spread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"ringway/membership"
)

func TestRingwayField(t *testing.T) {
	for _, policy := range []string{"", PolicyBlock, PolicyDropOldest, PolicyDisconnect} {
		for _, independent := range []bool{false, true} {
			x := Extras{policy, independent}
			if got, ok := ParseRingway(RingwayField(x)); got != x || !ok {
				t.Errorf("%+v came back as %+v, %v", x, got, ok)
			}
			if n := len(RingwayField(x)); n >= MethodBytes {
				t.Errorf("%+v does not fit", x)
			}
		}
	}
	for _, wrong := range []string{"", "NULL", "RINGWA", "RINGWAYS", "RINGWAY ", "RINGWAY  block", "RINGWAY wait", "ringway",
		"RINGWAY scopes block", "RINGWAY scopes scopes", "RINGWAY scopes ", "RINGWAY block block", "RINGWAYscopes"} {
		if x, ok := ParseRingway(wrong); ok {
			t.Errorf("%q was taken as %+v", wrong, x)
		}
	}
}

func TestTokensFromEveryPrefix(t *testing.T) {
	whole := AppendToken(nil, []byte("secret"))
	for n := range whole {
		if _, _, err := ParseToken(whole[:n]); !errors.Is(err, ErrMore) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if token, n, err := ParseToken(append(whole, "more"...)); string(token) != "secret" || n != len(whole) || err != nil {
		t.Errorf("%q, %d, %v", token, n, err)
	}
	var refused *CodeError
	for _, wrong := range []string{"\x00\x00", "\x10\x01"} {
		if _, _, err := ParseToken([]byte(wrong)); !errors.As(err, &refused) || refused.Code != Refused {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// message returns a message's header and the rest.
func message(t *testing.T, b []byte) (*Header, []byte) {
	t.Helper()
	h, err := ParseHeader(b)
	if err != nil || h.Type != TypeExtension || len(b) != HeaderBytes+h.Groups*GroupBytes+h.DataLen {
		t.Fatalf("%+v, %v, %d bytes", h, err, len(b))
	}
	return &h, b[HeaderBytes:]
}

func TestCallsAndAnswers(t *testing.T) {
	groups := GroupsCall{Tag: 7, After: "g1", Pattern: "g*"}
	h, body := message(t, AppendGroupsCall(nil, "#a#d1", groups))
	if got, err := ParseGroupsCall(h, body); got != groups || err != nil || h.CallKind() != CallGroups {
		t.Errorf("%+v, %v", got, err)
	}
	if err := h.CheckFromClient("#a#d1", true); err != nil {
		t.Error(err)
	}
	if err := h.CheckFromClient("#a#d1", false); !errors.Is(err, ErrType) {
		t.Errorf("a session that did not negotiate may call: %v", err)
	}
	members := MembersCall{Tag: 8, Group: "g", From: 5}
	h, body = message(t, AppendMembersCall(nil, "#a#d1", members))
	if got, err := ParseMembersCall(h, body); got != members || err != nil || h.CallKind() != CallMembers {
		t.Errorf("%+v, %v", got, err)
	}
	list := GroupsAnswer{Tag: 7, More: true, Groups: []GroupInfo{{"a", 1, 2, true}, {"b", 0, 1, false}}}
	h, body = message(t, AppendGroupsAnswer(nil, list))
	if got, err := ParseGroupsAnswer(h, body); !reflect.DeepEqual(got, list) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	view := ViewAnswer{Tag: 9, Weighed: true, Changing: true, Total: 3, Epoch: 1 << 40, Sites: []string{"fra", "lon"}}
	h, body = message(t, AppendViewAnswer(nil, view))
	if got, err := ParseViewAnswer(h, body); !reflect.DeepEqual(got, view) || err != nil || h.CallKind() != CallView {
		t.Errorf("%+v, %v", got, err)
	}
	h, body = message(t, AppendViewCall(nil, "#a#d1", ViewCall{Tag: 9}))
	if got, err := ParseViewCall(h, body); got.Tag != 9 || err != nil || h.CallKind() != CallView {
		t.Errorf("%+v, %v", got, err)
	}
	who := MembersAnswer{Tag: 8, Total: 3, Complete: true, Members: []string{"#a#d1", "#b#d1"}}
	h, body = message(t, AppendMembersAnswer(nil, who))
	if got, err := ParseMembersAnswer(h, body); !reflect.DeepEqual(got, who) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCallsInBigEndian: integers are in the order that the type says.
func TestCallsInBigEndian(t *testing.T) {
	b := binary.BigEndian.AppendUint32(nil, TypeExtension)
	b = binary.BigEndian.AppendUint32(AppendGroup(b, "#a#d1"), 1)
	b = binary.BigEndian.AppendUint32(b, CallMembers<<8)
	b = AppendGroup(binary.BigEndian.AppendUint32(b, 8), "g")
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 9), 3)
	h, body := message(t, b)
	if got, err := ParseMembersCall(h, body); err != nil || got != (MembersCall{9, "g", 3}) || h.CallKind() != CallMembers {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRejectsKeepTheHint(t *testing.T) {
	for _, hint := range [][4]byte{{}, Hint(0), Hint(-3), {0, 0, 7, 0}} {
		b := AppendRejected(nil, TypeAgreed, "#a#d1", []string{"g"}, hint, nil)
		if !bytes.Equal(b[hintAt:hintAt+4], hint[:]) {
			t.Errorf("hint %x became %x", hint, b[hintAt:hintAt+4])
		}
	}
}

func FuzzParseCalls(f *testing.F) {
	f.Add(AppendGroupsCall(nil, "#a#d1", GroupsCall{Tag: 1, Pattern: "*"}))
	f.Add(AppendMembersCall(nil, "#a#d1", MembersCall{Group: "g"}))
	f.Add(AppendGroupsAnswer(nil, GroupsAnswer{Groups: []GroupInfo{{Name: "a"}}}))
	f.Add(AppendMembersAnswer(nil, MembersAnswer{Members: []string{"#a#d1"}}))
	f.Add(AppendViewAnswer(nil, ViewAnswer{Sites: []string{"lon"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderBytes {
			return
		}
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		body := b[HeaderBytes:]
		if c, err := ParseGroupsCall(&h, body); err == nil && len(c.Pattern) > MaxPattern {
			t.Errorf("pattern of %d bytes", len(c.Pattern))
		}
		if c, err := ParseMembersCall(&h, body); err == nil && (c.From < 0 || len(c.Group) > membership.MaxGroupName) {
			t.Errorf("%+v", c)
		}
		if a, err := ParseGroupsAnswer(&h, body); err == nil && len(a.Groups) > MaxListed {
			t.Errorf("%d groups", len(a.Groups))
		}
		if a, err := ParseMembersAnswer(&h, body); err == nil && len(a.Members) > MaxListed {
			t.Errorf("%d members", len(a.Members))
		}
		if a, err := ParseViewAnswer(&h, body); err == nil && len(a.Sites) > MaxListed {
			t.Errorf("%d sites", len(a.Sites))
		}
	})
}

// FuzzWhatFollowsAChoice: tokens and fields of any bytes are bounded, and what was
// accepted comes back.
func FuzzWhatFollowsAChoice(f *testing.F) {
	f.Add(AppendToken(nil, []byte("secret")))
	f.Add([]byte("RINGWAY block"))
	f.Add([]byte("RINGWAY drop-oldest scopes"))
	f.Add([]byte{0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		token, n, err := ParseToken(b)
		if err == nil && (len(token) == 0 || len(token) > MaxTokenBytes || n != 2+len(token) || !bytes.Equal(AppendToken(nil, token), b[:n])) {
			t.Errorf("token %q of %d bytes", token, n)
		}
		if x, ok := ParseRingway(string(b)); ok && RingwayField(x) != string(b) {
			t.Errorf("%q gave %+v", b, x)
		}
	})
}
