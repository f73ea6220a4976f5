package overlay

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringway/internal/pki"
	"ringway/internal/wire"
	"ringway/membership"
	"ringway/routing"
)

// samples are one of each frame, as they travel.
func samples() map[frameKind][]byte {
	h := linkHello{Version: 1, Lane: 3, Node: 77, Incarnation: 1 << 40, Federation: "acme"}
	sub := subscribe{Log: logOf("a"), Distance: 5 * time.Millisecond, Insist: true, Wants: []want{{1, 10}, {2, 1 << 50}}}
	c := controlMessage{From: membership.SiteInstance{Instance: 3, Site: 1}, To: membership.SiteInstance{Instance: 4, Site: 2}, Hops: maxHops, Data: []byte("control")}
	bulk := c
	bulk.Bulk = true
	p := promise{Hops: 2, Origin: 9, Instance: 8, Incarnation: 7, Number: 6, Routed: true, Route: []membership.NodeID{5, 4}, Data: []byte("promise")}
	e := LogEntry{N: 12, Dests: []membership.InstanceID{3, 4}, Data: []byte("entry")}
	adv := routing.Advertisement{Gateway: 1, Site: 2, Incarnation: 3, Counter: 4, Edges: []routing.Edge{{To: 5, Cost: time.Millisecond, RTT: time.Millisecond, Lanes: 1}}}
	signed := &routing.Signed{Advertisement: adv, Body: adv.Append(nil), Certificate: []byte("c"), Signature: []byte("s")}
	return map[frameKind][]byte{
		frameHello:     h.append(nil),
		frameAdvert:    appendAdvert(nil, signed),
		frameDigest:    appendDigest(nil, []routing.Summary{{Gateway: 1, Incarnation: 2, Counter: 3}}),
		frameControl:   c.append(nil),
		frameBulk:      bulk.append(nil),
		framePromise:   endFrame(p.append(beginFrame(nil, framePromise)), 0),
		frameSubscribe: sub.append(nil),
		frameRefusal:   refusedLoop.append(nil),
		frameStripe:    stripeHello{9}.append(nil),
		frameBatch:     batchHead{8, 7}.append(nil),
		frameSkip:      (&skip{N: 11, Dests: []membership.InstanceID{3}, leaf: leaf{1, 2}}).append(nil),
		frameSeal:      sealSample().append(nil, true),
		frameEntry:     append(new(entryEncoder).append(nil, &e), e.Data...),
	}
}

func sealSample() *seal {
	return &seal{
		Gateway: 9, Low: 10, High: 13, Floor: 4, Dests: []sealed{{Dest: 3, After: 5, Digest: leaf{7}}, {Dest: 4, After: 10, Digest: leaf{8}}},
		Certificate: []byte("c"), Signature: bytes.Repeat([]byte("s"), pki.SignatureBytes),
	}
}

// decode decodes a frame's body into a value, whatever its kind.
func decode(k frameKind, body []byte) (any, error) {
	switch k {
	case frameHello:
		return decodeHello(body)
	case frameAdvert:
		return decodeAdvert(body)
	case frameDigest:
		return decodeDigest(body)
	case frameControl:
		return decodeControl(body)
	case frameBulk:
		c, err := decodeControl(body)
		c.Bulk = true
		return c, err
	case framePromise:
		return decodePromiseFrame(body)
	case frameSubscribe:
		return decodeSubscribe(body)
	case frameRefusal:
		return decodeRefusal(body)
	case frameStripe:
		return decodeStripe(body)
	case frameBatch:
		return decodeBatch(body)
	case frameSkip:
		return decodeSkip(body)
	case frameSeal:
		return decodeSeal(body)
	}
	return nil, errFrame
}

// encode is decode's inverse.
func encode(v any) []byte {
	switch v := v.(type) {
	case linkHello:
		return v.append(nil)
	case *routing.Signed:
		return appendAdvert(nil, v)
	case []routing.Summary:
		return appendDigest(nil, v)
	case controlMessage:
		return v.append(nil)
	case *promise:
		return endFrame(v.append(beginFrame(nil, framePromise)), 0)
	case subscribe:
		return v.append(nil)
	case refusal:
		return v.append(nil)
	case stripeHello:
		return v.append(nil)
	case batchHead:
		return v.append(nil)
	case skip:
		return v.append(nil)
	case *seal:
		return v.append(nil, true)
	}
	return nil
}

func TestFramesComeBackAsWritten(t *testing.T) {
	for k, frame := range samples() {
		if k == frameEntry {
			it, err := newEntryReader(bytes.NewReader(frame)).next()
			if e := it.entry; err != nil || e.N != 12 || !slices.Equal(e.Dests, []membership.InstanceID{3, 4}) || string(e.Data) != "entry" {
				t.Errorf("entry: %+v, %v", e, err)
			}
			continue
		}
		_, body, err := readFrame(bytes.NewReader(frame), k)
		if err != nil {
			t.Errorf("kind %d: %v", k, err)
			continue
		}
		v, err := decode(k, body)
		if err != nil {
			t.Errorf("kind %d: %v", k, err)
		} else if again := encode(v); !bytes.Equal(again, frame) {
			t.Errorf("kind %d: %x, again %x", k, frame, again)
		}
		if _, _, err := readFrame(bytes.NewReader(frame), k+1); !errors.Is(err, errBreach) {
			t.Errorf("kind %d on the wrong stream: %v", k, err)
		}
	}
}

func TestGramsComeBackAsWritten(t *testing.T) {
	p := promise{Hops: 1, Origin: 2, Instance: 3, Incarnation: 4, Number: 5, Data: []byte("x")}
	for _, c := range []struct {
		gram []byte
		want any
	}{
		{hello{7, 8, 2}.append(nil), hello{7, 8, 2}},
		{answer{hello{7, 8, 2}, 9}.append(nil), answer{hello{7, 8, 2}, 9}},
		{p.append([]byte{byte(gramPromise)}), &p},
		{noteSample(true).append(nil), noteSample(true)},
		{noteSample(false).append(nil), noteSample(false)},
	} {
		if got, err := decodeGram(c.gram); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, %v; want %+v", got, err, c.want)
		}
	}
}

// A length alone must not make the reader allocate: the peer has to send the bytes.
func TestBodyIsAllocatedAsItComes(t *testing.T) {
	e := LogEntry{N: 1, Dests: instances("b"), Data: nil}
	head := new(entryEncoder).append(nil, &e)
	copy(head, wire.AppendUint32(nil, uint32(len(head)-frameHeaderBytes+MaxEntryBytes)))
	short := append(head, make([]byte, 1000)...)
	if n := testing.AllocsPerRun(1, func() {
		if _, err := newEntryReader(bytes.NewReader(short)).next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("truncated entry: %v", err)
		}
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
	over := slices.Clone(head)
	copy(over, wire.AppendUint32(nil, uint32(maxFrame(frameEntry)+1)))
	if _, err := newEntryReader(bytes.NewReader(over)).next(); !errors.Is(err, errBreach) {
		t.Errorf("entry beyond the limit: %v", err)
	}
}

// Entries of one stream come back, whatever repeats from one to the next.
func TestEntriesComeBack(t *testing.T) {
	list := []LogEntry{
		{N: 0, Dests: instances("b"), Data: []byte("0")}, {N: 1, Dests: instances("b"), Data: []byte("1")},
		{N: 300, Dests: instances("c", "b")}, {N: 301, Dests: instances("c", "b"), Data: bytes.Repeat([]byte("x"), 20<<10)},
		{N: 1 << 63, Dests: instances("b"), Data: []byte("far")},
	}
	var all []byte
	var w entryEncoder
	for i := range list {
		all = append(w.append(all, &list[i]), list[i].Data...)
	}
	r := newEntryReader(bytes.NewReader(all))
	for _, want := range list {
		it, err := r.next()
		got := it.entry
		if err != nil || got.N != want.N || !slices.Equal(got.Dests, want.Dests) || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("entry %d: %d for %v, %v", want.N, got.N, got.Dests, err)
		}
	}
	for _, bad := range [][]byte{{0, 0, 'x'}, {0, 65}, {0, 1, 1}, {}, {0x80}, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 1}} {
		frame := append(wire.AppendUint32(nil, uint32(len(bad))), byte(frameEntry))
		if _, err := newEntryReader(bytes.NewReader(append(frame, bad...))).next(); !errors.Is(err, errBreach) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	first := append(new(entryEncoder).append(nil, &LogEntry{N: 1, Dests: instances("b")}), 2, 0, 0, 0, byte(frameEntry), 0, 0)
	r = newEntryReader(bytes.NewReader(first))
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.next(); !errors.Is(err, errBreach) {
		t.Errorf("the same number again: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	for k, frame := range samples() {
		f.Add(byte(k), frame[frameHeaderBytes:])
	}
	f.Fuzz(func(t *testing.T, k byte, body []byte) {
		v, err := decode(frameKind(k), body)
		if err != nil {
			if !errors.Is(err, errBreach) {
				t.Fatalf("error blames nobody: %v", err)
			}
			return
		}
		frame := encode(v)
		if again, err := decode(frameKind(k), frame[frameHeaderBytes:]); err != nil || !bytes.Equal(encode(again), frame) {
			t.Fatalf("%+v does not come back: %+v, %v", v, again, err)
		}
	})
}

func FuzzFrameStream(f *testing.F) {
	var all []byte
	for _, frame := range samples() {
		all = append(all, frame...)
		f.Add(frame)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			_, body, err := readFrame(r, frameHello, frameAdvert, frameDigest, frameControl, frameBulk, framePromise, frameSubscribe)
			if err != nil {
				break
			}
			if len(body) > len(in) {
				t.Fatal("body larger than the input")
			}
		}
		entries := newEntryReader(bytes.NewReader(in))
		for {
			it, err := entries.next()
			if err != nil {
				break
			}
			if it.kind == frameSeal {
				continue
			}
			e := it.entry
			if len(e.Data) > len(in) || len(e.Dests) == 0 || len(e.Dests) > membership.MaxSites {
				t.Fatalf("entry with %d bytes and %d sites", len(e.Data), len(e.Dests))
			}
		}
	})
}

func FuzzFrameDatagram(f *testing.F) {
	p := promise{Hops: 1, Routed: true, Route: []membership.NodeID{1}, Data: []byte("x")}
	f.Add(hello{7, 8, 2}.append(nil))
	f.Add(answer{hello{7, 8, 2}, 9}.append(nil))
	f.Add(p.append([]byte{byte(gramPromise)}))
	f.Add(noteSample(true).append(nil))
	f.Add(noteSample(false).append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		gram, err := decodeGram(in)
		if err != nil {
			if !errors.Is(err, errBreach) {
				t.Fatalf("error blames nobody: %v", err)
			}
			return
		}
		var again []byte
		switch g := gram.(type) {
		case hello:
			again = g.append(nil)
		case answer:
			again = g.append(nil)
		case *promise:
			again = g.append([]byte{byte(gramPromise)})
		case *note:
			again = g.append(nil)
			if len(g.To) > maxNoteTo || len(again) > maxNoteBytes {
				t.Fatal("beyond the limits")
			}
		}
		if !bytes.Equal(in, again) {
			t.Fatalf("%x comes back as %x", in, again)
		}
	})
}
