package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

// An origin is a gateway that seals a log and never runs.
func (f *certified) idle(name string) *Gateway {
	f.t.Helper()
	g, err := New(Config{Topology: f.top, Node: f.node[name], Identity: f.ids[name], Conn: f.wire[name], Incarnation: 1}, newRecorder())
	f.must(err)
	f.t.Cleanup(func() { f.wire[name].Close() })
	return g
}

// sealBy puts everything that a store has under the gateway's seals.
func sealBy(g *Gateway, s *store) {
	for d := s.draft(); d != nil; d = s.draft() {
		g.finish(s, d, g.cfg.Identity.Signer(), newHasher(), nil)
	}
}

// stream returns what a subscription for wants from cursor on brings.
func stream(t *testing.T, s *store, wants []want, cursor uint64) []item {
	t.Helper()
	var all []item
	for {
		items, next, wait, err := s.take(nil, wants, cursor, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if wait != nil {
			return all
		}
		all, cursor = append(all, items...), next
	}
}

// prove feeds a stream to a proof.
func prove(v *verifier, log membership.LogID, wants []want, items []item) (numbers []uint64, err error) {
	p := newProof(log, v, wants)
	for i := range items {
		it := items[i]
		if it.kind == frameSeal { // as it travels: every proof has its own
			again, err := decodeSeal(it.seal.append(nil, true)[frameHeaderBytes:])
			if err != nil {
				return numbers, err
			}
			it.seal = again
		}
		b, err := p.take(&it)
		if err != nil {
			return numbers, err
		}
		if b != nil {
			for _, e := range b.entries {
				numbers = append(numbers, e.N)
			}
		}
	}
	return numbers, nil
}

// mixed makes entries of which every third is for b and c, others for b or c alone, and
// every tenth for nobody.
func mixed(from, to uint64) (list []LogEntry) {
	for n := from; n < to; n++ {
		e := entries(n, 1, 20, [][]string{{"b", "c"}, {"b"}, {"c"}}[n%3]...)[0]
		if n%10 == 9 {
			e.Dests = nil
		}
		list = append(list, e)
	}
	return list
}

func numbersFor(list []LogEntry, dest membership.InstanceID, from uint64) (numbers []uint64) {
	for _, e := range list {
		if e.N >= from && slices.Contains(e.Dests, dest) {
			numbers = append(numbers, e.N)
		}
	}
	return numbers
}

// TestSealsOfPartsOfALog: whoever asks for some destinations from some number on can
// prove what comes, wherever blocks begin and end.
func TestSealsOfPartsOfALog(t *testing.T) {
	f := newCertified(t, []string{"a-1", "a-2", "b-1"}, "a-b")
	origin, other, v := f.idle("a-1"), f.idle("a-2"), f.idle("b-1").verifier
	log, list := logOf("a"), mixed(0, 700)
	b, c := instances("b")[0], instances("c")[0]
	s := newStore(log, true, 1<<20)
	for i := 0; i < len(list); i += 50 {
		s.appendOwn(list[i : i+50])
		if i%150 == 0 {
			sealBy(origin, s)
		}
	}
	sealBy(origin, s)
	// The other gateway of the site joined later, and cuts its blocks elsewhere.
	second := newStore(log, true, 1<<20)
	second.appendOwn(list[33:])
	sealBy(other, second)
	for _, from := range []uint64{0, 1, 17, 60, 149, 150, 151, 400, 699} {
		for name, st := range map[string]*store{"a-1": s, "a-2": second} {
			if name == "a-2" && from < 33 {
				continue
			}
			wants := []want{{b, from}}
			got, err := prove(v, log, wants, stream(t, st, wants, from))
			if want := numbersFor(list, b, from); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, b from %d: %v, got %d, want %d entries", name, from, err, len(got), len(want))
			}
			both := []want{{b, from}, {c, from / 2}}
			if both[0].Instance > both[1].Instance {
				both[0], both[1] = both[1], both[0]
			}
			if name == "a-1" {
				if _, err := prove(v, log, both, stream(t, st, both, from/2)); err != nil {
					t.Errorf("%s, b from %d, c from %d: %v", name, from, from/2, err)
				}
			}
		}
	}
	// A relay that got the first half from one and the rest from the other serves both
	// halves, to children who want less than it has, from anywhere.
	relay := relayed(t, v, log, []want{{b, 0}}, s, second, 320)
	for _, from := range []uint64{0, 100, 300, 319, 320, 321, 500} {
		wants := []want{{b, from}}
		got, err := prove(v, log, wants, stream(t, relay, wants, from))
		if want := numbersFor(list, b, from); err != nil || !slices.Equal(got, want) {
			t.Errorf("relayed, from %d: %v, got %d, want %d entries", from, err, len(got), len(want))
		}
	}
	// What is trimmed at the origin is no gap.
	s.trim(300)
	wants := []want{{b, 0}}
	if got := stream(t, s, wants, 0); len(got) > 0 {
		t.Errorf("%d items under seals that do not know of the trim", len(got))
	}
	sealBy(origin, s)
	got, err := prove(v, log, wants, stream(t, s, wants, 0))
	if want := numbersFor(list, b, 300); err != nil || !slices.Equal(got, want) {
		t.Errorf("after the trim: %v, got %d, want %d entries", err, len(got), len(want))
	}
}

// relayed returns the store of a relay that pulled from one origin up to a number, and
// then from another.
func relayed(t *testing.T, v *verifier, log membership.LogID, wants []want, first, second *store, upTo uint64) *store {
	t.Helper()
	r := newStore(log, false, 1<<20)
	r.reset(wants)
	for _, from := range []*store{first, second} {
		term, next := r.newTerm(wants)
		p := newProof(log, v, next)
		for _, it := range stream(t, from, next, next[0].From) {
			b, err := p.take(&it)
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				continue
			}
			if err := r.append(term, b, nil); err != nil {
				t.Fatal(err)
			}
			if from == first && r.next >= upTo {
				break
			}
		}
	}
	return r
}

// TestTamperedLogs: whatever a relay with a good certificate of its own does to another
// site's log, nothing of it is taken.
func TestTamperedLogs(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c")
	origin, hostile, v := f.idle("a-1"), f.idle("b-1"), f.idle("c-1").verifier
	log, list := logOf("a"), mixed(0, 60)
	b, c := instances("b")[0], instances("c")[0]
	make60 := func(g *Gateway, log membership.LogID) *store {
		s := newStore(log, true, 1<<20)
		for i := 0; i < len(list); i += 20 {
			s.appendOwn(list[i : i+20])
			sealBy(g, s)
		}
		return s
	}
	s := make60(origin, log)
	wants := []want{{c, 5}}
	good := stream(t, s, wants, 5)
	entry := func(n int) int { // index of the nth entry
		for i := range good {
			if good[i].kind == frameEntry {
				if n--; n < 0 {
					return i
				}
			}
		}
		t.Fatal("no such entry")
		return 0
	}
	seals := func(items []item) (at []int) {
		for i := range items {
			if items[i].kind == frameSeal {
				at = append(at, i)
			}
		}
		return at
	}
	editSeal := func(items []item, n int, edit func(*seal)) []item {
		at := seals(items)[n]
		changed := *items[at].seal
		changed.Dests = slices.Clone(changed.Dests)
		edit(&changed)
		items[at].seal = &changed
		return items
	}
	resign := func(g *Gateway, as membership.NodeID) func(*seal) {
		return func(x *seal) {
			x.Gateway, x.Certificate = as, g.cfg.Identity.CertificateDER()
			x.Signature = g.cfg.Identity.Sign(pki.LogSeal, x.text(log))
		}
	}
	asSkip := func(it item, n uint64) item {
		return item{kind: frameSkip, entry: LogEntry{N: n, Dests: it.entry.Dests}, leaf: newHasher().leaf(&it.entry)}
	}
	if got, err := prove(v, log, wants, good); err != nil || !slices.Equal(got, numbersFor(list, c, 5)) {
		t.Fatalf("the honest stream: %v, %v", got, err)
	}
	third := entry(3)
	for name, tamper := range map[string]func(items []item) []item{
		"altered": func(items []item) []item {
			items[third].entry.Data = []byte("altered")
			return items
		},
		"another number": func(items []item) []item {
			items[third].entry.N++
			return items
		},
		"fewer destinations": func(items []item) []item {
			i := slices.IndexFunc(items, func(it item) bool { return len(it.entry.Dests) == 2 && it.kind == frameEntry })
			items[i].entry.Dests = []membership.InstanceID{c}
			return items
		},
		"more destinations": func(items []item) []item {
			i := slices.IndexFunc(items, func(it item) bool { return len(it.entry.Dests) == 1 && it.kind == frameEntry })
			items[i].entry.Dests = []membership.InstanceID{c, b}
			return items
		},
		"for somebody else": func(items []item) []item {
			items[third].entry.Dests = []membership.InstanceID{b}
			return items
		},
		"left out": func(items []item) []item { return slices.Delete(items, third, third+1) },
		"left out as a skip": func(items []item) []item {
			items[third] = asSkip(items[third], items[third].entry.N)
			return items
		},
		"left out as an old skip": func(items []item) []item {
			it := items[third]
			return slices.Insert(slices.Delete(items, third, third+1), 0, asSkip(it, 0))
		},
		"last one left out": func(items []item) []item {
			i := seals(items)[0] - 1
			return slices.Delete(items, i, i+1)
		},
		"block left out": func(items []item) []item {
			at := seals(items)
			return slices.Delete(items, at[0]+1, at[1]+1)
		},
		"first block left out": func(items []item) []item { return items[seals(items)[0]+1:] },
		"two swapped": func(items []item) []item {
			items[third], items[third+1] = items[third+1], items[third]
			return items
		},
		"numbers of two swapped": func(items []item) []item {
			items[third].entry.Data, items[third+1].entry.Data = items[third+1].entry.Data, items[third].entry.Data
			items[third].entry.Data = append(slices.Clone(items[third].entry.Data), 1)
			return items
		},
		"twice": func(items []item) []item { return slices.Insert(items, third, items[third]) },
		"invented": func(items []item) []item {
			it := items[third]
			it.entry.N, it.entry.Data = 1000, []byte("invented")
			return slices.Insert(items, seals(items)[0], it)
		},
		"block twice": func(items []item) []item {
			at := seals(items)[0]
			return slices.Insert(items, at+1, items[:at+1]...)
		},
		"blocks swapped": func(items []item) []item {
			at := seals(items)
			first, second := slices.Clone(items[:at[0]+1]), slices.Clone(items[at[0]+1:at[1]+1])
			return append(append(second, first...), items[at[1]+1:]...)
		},
		"seal left out": func(items []item) []item {
			at := seals(items)[0]
			return slices.Delete(items, at, at+1)
		},
		"seal of the block before": func(items []item) []item {
			at := seals(items)
			items[at[1]].seal = items[at[0]].seal
			return items
		},
		"signature altered": func(items []item) []item {
			return editSeal(items, 0, func(x *seal) { x.Signature = append([]byte{x.Signature[0] ^ 1}, x.Signature[1:]...) })
		},
		"after altered": func(items []item) []item { return editSeal(items, 1, func(x *seal) { x.Dests[0].After = 0 }) },
		"floor altered": func(items []item) []item {
			return editSeal(items[seals(items)[0]+1:], 0, func(x *seal) { x.Floor = 1000 })
		},
		"signed by the relay, in its name": func(items []item) []item {
			return editSeal(items, 0, resign(hostile, hostile.self.ID))
		},
		"signed by the relay, in the origin's name": func(items []item) []item {
			return editSeal(items, 0, resign(hostile, origin.self.ID))
		},
		"another view's log": func([]item) []item {
			former := log
			former.View.Epoch--
			return stream(t, make60(origin, former), wants, 5)
		},
		"the relay's own log": func([]item) []item { return stream(t, make60(hostile, logOf("b")), wants, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			changed := tamper(slices.Clone(good))
			got, err := prove(v, log, wants, changed)
			if !errors.Is(err, errBreach) && name != "seal left out" {
				t.Errorf("no breach: %v", err)
			}
			if err == nil {
				t.Error("was taken")
			}
			// What was taken before is what the origin has.
			if honest := numbersFor(list, c, 5); len(got) > len(honest) || !slices.Equal(got, honest[:len(got)]) {
				t.Errorf("took %v", got)
			}
		})
	}
}

// TestOwnLogIsSealedAnew: seals of a certificate that is replaced are, too.
func TestOwnLogIsSealedAnew(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1"}, "a-b")
	origin, v := f.idle("a-1"), f.idle("b-1").verifier
	log, list := logOf("a"), mixed(0, 100)
	b := instances("b")[0]
	s := newStore(log, true, 1<<20)
	s.appendOwn(list[:50])
	sealBy(origin, s)
	s.trim(20)
	s.appendOwn(list[50:])
	s.unseal()
	sealBy(origin, s)
	wants := []want{{b, 30}}
	got, err := prove(v, log, wants, stream(t, s, wants, 30))
	if want := numbersFor(list, b, 30); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %v", err, got)
	}
}

// TestSealerNeverSleepsOnATaker: a taker that waits is served however its looks fall
// between those of the sealer.
func TestSealerNeverSleepsOnATaker(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1"}, "a-b")
	g, b := f.idle("a-1"), instances("b")[0]
	s := newStore(logOf("a"), true, 1<<20)
	s.appendOwn(entries(0, 1, 10, "b"))
	sealBy(g, s)
	_, cursor, _, _ := s.take(nil, []want{{b, 0}}, 0, 10, 1<<20)
	if _, _, wait, _ := s.take(nil, []want{{b, 0}}, cursor, 10, 1<<20); wait == nil {
		t.Fatal("there is more")
	}
	if s.draft() != nil { // the sealer looks whether there is more
		t.Fatal("there is more to seal")
	}
	s.appendOwn(entries(1, 1, 10, "b"))
	select {
	case <-s.wanted:
	default:
		t.Error("nobody tells the sealer that the taker waits")
	}
}

// BenchmarkSeals is what seals cost an origin and a receiver, for each entry, in full
// blocks and in blocks of one.
func BenchmarkSeals(b *testing.B) {
	ca := b.TempDir()
	if err := pki.Init(ca, "test", time.Hour); err != nil {
		b.Fatal(err)
	}
	site := &topology.Site{ID: membership.SiteIDOf("a"), Name: "a"}
	node := &topology.Node{ID: membership.NodeIDOf("a-1"), Name: "a-1", Site: site}
	if err := pki.Issue(ca, "test", "a", "a-1", time.Hour); err != nil {
		b.Fatal(err)
	}
	id, err := pki.LoadIdentity(ca, "test", "a", "a-1")
	if err != nil {
		b.Fatal(err)
	}
	g := &Gateway{cfg: Config{Identity: id}, self: node}
	v := newVerifier(id, map[membership.NodeID]*topology.Node{node.ID: node})
	log, to := logOf("a"), instances("b")[0]
	for _, size := range []uint64{1, maxBlockEntries} {
		list := entries(0, size, 1000, "b", "c")
		b.Run(fmt.Sprintf("made/%d", size), func(b *testing.B) {
			h := newHasher()
			for i := 0; i < b.N; i += int(size) {
				s := newStore(log, true, 1<<20)
				s.appendOwn(list)
				g.finish(s, s.draft(), id.Signer(), h, nil)
			}
		})
		s := newStore(log, true, 1<<20)
		s.appendOwn(list)
		g.finish(s, s.draft(), id.Signer(), newHasher(), nil)
		items, _, _, _ := s.take(nil, []want{{to, 0}}, 0, 1<<20, 1<<30)
		b.Run(fmt.Sprintf("checked/%d", size), func(b *testing.B) {
			for i := 0; i < b.N; i += int(size) {
				p := newProof(log, v, []want{{to, 0}})
				for j := range items {
					if _, err := p.take(&items[j]); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// FuzzProof: whatever bytes a relay makes of a log's stream, what is taken of it is a
// beginning of what the origin has.
func FuzzProof(f *testing.F) {
	ca := f.TempDir()
	site := &topology.Site{ID: membership.SiteIDOf("a"), Name: "a"}
	node := &topology.Node{ID: membership.NodeIDOf("a-1"), Name: "a-1", Site: site}
	err := errors.Join(pki.Init(ca, "test", time.Hour), pki.Issue(ca, "test", "a", "a-1", time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	id, err := pki.LoadIdentity(ca, "test", "a", "a-1")
	if err != nil {
		f.Fatal(err)
	}
	g, log := &Gateway{cfg: Config{Identity: id}, self: node}, logOf("a")
	v := newVerifier(id, map[membership.NodeID]*topology.Node{node.ID: node})
	s, list, to := newStore(log, true, 1<<20), mixed(0, 30), instances("c")[0]
	for i := 0; i < len(list); i += 6 {
		s.appendOwn(list[i : i+6])
		g.finish(s, s.draft(), id.Signer(), newHasher(), nil)
	}
	wants := []want{{to, 7}}
	honest := numbersFor(list, to, 7)
	items, _, _, _ := s.take(nil, wants, 7, 1<<20, 1<<30)
	var stream bytes.Buffer
	var w entryEncoder
	var frames [][]byte
	for i := range items {
		var b []byte
		switch it := &items[i]; it.kind {
		case frameSkip:
			b = (&skip{it.entry.N, it.entry.Dests, it.leaf}).append(nil)
		case frameSeal:
			b = it.seal.append(nil, true)
		default:
			b = append(w.append(nil, &it.entry), it.entry.Data...)
		}
		frames = append(frames, b)
		stream.Write(b)
	}
	whole := stream.Bytes()
	// at and with change a byte; cut leaves a frame out, and swap exchanges it with the
	// next one: the frames' heads alone would rarely be hit.
	f.Add(uint16(0), byte(0), byte(255), byte(255))
	f.Add(uint16(60), byte(1), byte(255), byte(255))
	f.Add(uint16(0), byte(0), byte(3), byte(255))
	f.Add(uint16(0), byte(0), byte(255), byte(2))
	f.Fuzz(func(t *testing.T, at uint16, with, cut, swap byte) {
		changed := slices.Clone(frames)
		if int(swap)+1 < len(changed) {
			changed[swap], changed[swap+1] = changed[swap+1], changed[swap]
		}
		if int(cut) < len(changed) {
			changed = slices.Delete(changed, int(cut), int(cut)+1)
		}
		in := bytes.Join(changed, nil)
		if len(in) > 0 {
			in[int(at)%len(in)] ^= with
		}
		r, p := newEntryReader(bytes.NewReader(in)), newProof(log, v, wants)
		var got []uint64
		for {
			it, err := r.next()
			if err != nil {
				break
			}
			b, err := p.take(&it)
			if err != nil {
				break
			}
			if b == nil {
				continue
			}
			for _, e := range b.entries {
				got = append(got, e.N)
				if i := slices.IndexFunc(list, func(x LogEntry) bool { return x.N == e.N }); i < 0 || !bytes.Equal(list[i].Data, e.Data) {
					t.Fatalf("entry %d is not the origin's", e.N)
				}
			}
		}
		if len(got) > len(honest) || !slices.Equal(got, honest[:len(got)]) {
			t.Fatalf("took %v", got)
		}
		if bytes.Equal(in, whole) && len(got) != len(honest) {
			t.Fatalf("an honest stream: took %v", got)
		}
	})
}
