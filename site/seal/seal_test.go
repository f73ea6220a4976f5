package seal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// pair returns the keyrings of two nodes that know each other, in a ring of the two.
func pair(t testing.TB) (a, b *Keyring, data []byte) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{2})
	var rings [2]*Keyring
	for i := range rings {
		var err error
		if rings[i], err = NewKeyring(membership.NodeID(i+1), []membership.NodeID{1, 2}, random); err != nil {
			t.Fatal(err)
		}
	}
	a, b = rings[0], rings[1]
	meet(a, b)
	id := ring.ID{Representative: 1, Counter: 1e18}
	v, err := a.found(id, []membership.NodeID{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	secret, ok := b.openOffer(id, v.offers)
	if !ok {
		t.Fatal("an offer cannot be opened")
	}
	b.addView(newView(id, &secret, v.offers, 2))
	return a, b, dataPacket(t, id)
}

func meet(a, b *Keyring) {
	share, _ := a.ShareFor(b.self)
	b.Learn(a.self, &share)
	share, _ = b.ShareFor(a.self)
	a.Learn(b.self, &share)
}

// dataPacket is a packet of a ring as its machine makes it, with the ring's id changed.
func dataPacket(t testing.TB, id ring.ID) []byte {
	t.Helper()
	s := newSite(&testing.T{}, 2, false)
	var data []byte
	s.cut = func(membership.NodeID, membership.NodeID) bool { return data != nil }
	s.run(time.Second, s.together(1, 2))
	s.say(1, strings.Repeat("x", 1000))
	s.run(time.Second, func() bool {
		for _, f := range s.air {
			if e := ring.Describe(f.data); e.Class == ring.ClassRing && len(f.data) > 1000 && f.from == 1 {
				data = bytes.Clone(f.data)
			}
		}
		return data != nil
	})
	if data == nil {
		t.Fatal("no data packet")
	}
	copy(data[20:], ofRing(id))
	return data
}

func sealed(t testing.TB, k *Keyring, p ring.Packet) []byte {
	t.Helper()
	out, err := k.Next(p)
	if err != nil {
		t.Fatal(err)
	}
	packet := out.Seal(nil, &Work{})
	if len(packet) != out.Size() {
		t.Fatalf("%d bytes, foretold %d", len(packet), out.Size())
	}
	return packet
}

func open(k *Keyring, packet []byte) ([]byte, Fault) {
	in, fault := k.Find(packet)
	if fault != None {
		return nil, fault
	}
	plain, ok := in.Open(nil, packet, &Work{})
	if !ok {
		return nil, Forged
	}
	return k.Accept(&in, plain)
}

func TestFaults(t *testing.T) {
	a, b, data := pair(t)
	good := sealed(t, a, ring.Packet{To: 2, Data: data})
	other, _, _ := pair(t) // the same first draws: so let it differ
	if err := other.Rotate(); err != nil {
		t.Fatal(err)
	}
	other.Switch()
	changed := func(at int, bits byte) []byte {
		c := bytes.Clone(good)
		c[at] ^= bits
		return c
	}
	for _, c := range []struct {
		what   string
		packet []byte
		want   Fault
	}{
		{"plain", data, Unsealed},
		{"empty", nil, Unsealed},
		{"short", good[:Overhead], Malformed},
		{"unknown flag", changed(3, 0x80), Malformed},
		{"unknown kind", changed(2, 8), Malformed},
		{"key id", changed(4, 1), UnknownKey},
		{"sender", changed(8, 8), Stranger},
		{"own", changed(8, 3), Own},
		{"kind of key", changed(2, 3), UnknownKey},
		{"counter", changed(12, 4), Forged},
		{"no longer for one node", changed(3, flagDirect), Forged},
		{"first byte", changed(HeaderBytes, 1), Forged},
		{"tag", changed(len(good)-1, 1), Forged},
		{"cut", good[:len(good)-1], Forged},
		{"longer", append(bytes.Clone(good), 0), Forged},
	} {
		if _, fault := open(b, c.packet); fault != c.want {
			t.Errorf("%s: fault %d, want %d", c.what, fault, c.want)
		}
	}
	if got, fault := open(b, good); fault != None || !bytes.Equal(got, data) {
		t.Fatalf("the packet itself: fault %d", fault)
	}
	if _, fault := open(b, good); fault != Replayed {
		t.Errorf("again: fault %d", fault)
	}
}

// TestWrongPlace seals what a node must not seal under that key.
func TestWrongPlace(t *testing.T) {
	a, b, data := pair(t)
	v := a.views[0]
	other := bytes.Clone(data)
	copy(other[20:], ofRing(ring.ID{Representative: 1, Counter: 5}))
	relayed := bytes.Clone(data)
	relayed[8] = 2
	token := bytes.Clone(data)
	token[2], token[3] = 2, 0
	foreignToken := bytes.Clone(token)
	foreignToken[8] = 9
	seal := func(kind kind, key key, used *uint64, plain []byte) []byte {
		o := Outgoing{header: header{kind: kind, sender: 1}, plain: plain}
		if err := o.use(key, used); err != nil {
			t.Fatal(err)
		}
		return o.Seal(nil, &Work{})
	}
	for _, c := range []struct {
		what   string
		packet []byte
		want   Fault
	}{
		{"data under the view key", seal(kindView, v.key, &v.used, data), None},
		{"somebody's data, sent again", seal(kindView, v.key, &v.used, relayed), None},
		{"a token", seal(kindView, v.key, &v.used, token), None},
		{"somebody else's token", seal(kindView, v.key, &v.used, foreignToken), Misplaced},
		{"another ring's data", seal(kindView, v.key, &v.used, other), Misplaced},
		{"garbage", seal(kindView, v.key, &v.used, []byte("garbage")), Misplaced},
		{"data under the sender key", seal(kindSender, a.own.key, &a.own.used, data), Misplaced},
	} {
		if _, fault := open(b, c.packet); fault != c.want {
			t.Errorf("%s: fault %d, want %d", c.what, fault, c.want)
		}
	}
}

// TestOffersCountOnce replays an offer to a node that has dropped the key: it does not
// get the key, and with it counters from one, again.
func TestOffersCountOnce(t *testing.T) {
	a, b, _ := pair(t)
	id := ring.ID{Representative: 1, Counter: 2e18}
	v, err := a.found(id, []membership.NodeID{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.openOffer(ring.ID{Representative: 1, Counter: 3e18}, v.offers); ok {
		t.Error("an offer was opened for another ring")
	}
	if _, ok := b.openOffer(id, v.offers); !ok {
		t.Fatal("an offer cannot be opened")
	}
	if _, ok := b.openOffer(id, v.offers); ok {
		t.Error("an offer was opened twice")
	}
}

// TestWrapKeysAreOfOneLife starts the representative again: it gets the same wrap secret,
// counts from one, and still never seals two secrets alike.
func TestWrapKeysAreOfOneLife(t *testing.T) {
	random := rand.NewChaCha8([32]byte{3})
	b, err := NewKeyring(2, []membership.NodeID{1}, random)
	if err != nil {
		t.Fatal(err)
	}
	id := ring.ID{Representative: 1, Counter: 2e18}
	var ids []uint32
	for range 2 {
		a, err := NewKeyring(1, []membership.NodeID{2}, random)
		if err != nil {
			t.Fatal(err)
		}
		meet(a, b)
		v, err := a.found(id, []membership.NodeID{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := b.openOffer(id, v.offers); !ok {
			t.Fatal("an offer cannot be opened")
		}
		ids = append(ids, a.peers[2].wrap.key.id)
	}
	if ids[0] == ids[1] {
		t.Error("two lives wrap under one key")
	}
}

// TestRotate changes the keys of one node under way.
func TestRotate(t *testing.T) {
	a, b, data := pair(t)
	join := bytes.Clone(data[:41])
	join[2], join[3] = 4, 0
	old := sealed(t, a, ring.Packet{Data: join})
	late := sealed(t, a, ring.Packet{Data: join})
	if err := a.Rotate(); err != nil {
		t.Fatal(err)
	}
	share, _ := a.ShareFor(2)
	if !b.Learn(1, &share) || b.Learn(1, &share) {
		t.Error("a new share is not new, or twice")
	}
	if _, fault := open(b, old); fault != None {
		t.Errorf("under the old key, which is still in use: fault %d", fault)
	}
	a.Switch()
	if _, fault := open(b, sealed(t, a, ring.Packet{Data: join})); fault != None {
		t.Errorf("under the new key: fault %d", fault)
	}
	if _, fault := open(b, late); fault != UnknownKey {
		t.Errorf("under the old key after the new one was used: fault %d", fault)
	}
}

func TestNoKey(t *testing.T) {
	a, _, data := pair(t)
	copy(data[20:], ofRing(ring.ID{Representative: 1, Counter: 77}))
	if _, err := a.Next(ring.Packet{Data: data}); !errors.Is(err, ErrNoKey) {
		t.Errorf("a ring without a key: %v", err)
	}
	if _, err := a.Next(ring.Packet{Data: []byte("no packet")}); err == nil {
		t.Error("garbage was sealed")
	}
	a.own.used = maxCounter
	data[2], data[3] = 4, 0
	if _, err := a.Next(ring.Packet{Data: data}); !errors.Is(err, ErrWornOut) {
		t.Errorf("a worn out key: %v", err)
	}
}

// TestViewsAreBounded founds more rings than are kept.
func TestViewsAreBounded(t *testing.T) {
	a, _, _ := pair(t)
	first := a.views[0].id
	a.Installed(first)
	for i := range uint64(20) {
		if _, err := a.found(ring.ID{Representative: 1, Counter: 2e18 + i}, []membership.NodeID{1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.views) != maxViews || a.view(first) == nil {
		t.Errorf("%d views; the installed one: %v", len(a.views), a.view(first))
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := Share{Sender: Secret{0xAA, 0xBB}, Wrap: Secret{170, 187}}
	for _, format := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		if text := fmt.Sprintf(format, s); strings.Contains(text, "aabb") || strings.Contains(text, "170") || strings.Contains(text, "0xaa") {
			t.Errorf("%s: %s", format, text)
		}
	}
}

// FuzzOpen gives a keyring whatever comes, as it is and with the seal made good.
func FuzzOpen(f *testing.F) {
	a, _, data := pair(f)
	f.Add(sealed(f, a, ring.Packet{To: 2, Data: data}), uint8(0))
	f.Add(data, uint8(1))
	f.Add(append(bytes.Clone(data), 1), uint8(2))
	f.Fuzz(func(t *testing.T, packet []byte, dress uint8) {
		a, b, _ := pair(t)
		if dress > 0 {
			o := Outgoing{header: header{kind: kindSender, flags: dress & flagOffers, sender: 1}, plain: packet}
			if err := o.use(a.own.key, &a.own.used); err != nil {
				t.Fatal(err)
			}
			packet = o.Seal(nil, &Work{})
		}
		got, fault := open(b, packet)
		if fault == None && ring.Describe(got).Class == 0 {
			t.Errorf("%x was handed up", got)
		}
		if _, again := open(b, packet); again == None {
			t.Error("handed up twice")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	a, other, data := pair(b)
	w, buffer, plain := &Work{}, make([]byte, 0, 2000), make([]byte, 0, 2000)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		out, err := a.Next(ring.Packet{Data: data})
		if err != nil {
			b.Fatal(err)
		}
		packet := out.Seal(buffer, w)
		in, _ := other.Find(packet)
		opened, _ := in.Open(plain, packet, w)
		if _, fault := other.Accept(&in, opened); fault != None {
			b.Fatal(fault)
		}
	}
}
