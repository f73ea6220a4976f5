package overlay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/pki"
	"ringway/internal/wire"
	"ringway/membership"
)

func noteSample(signed bool) *note {
	n := &note{Hops: 3, Origin: 2, Instance: 4, Incarnation: 5, Number: 6, To: []membership.SiteInstance{{Site: 1, Instance: 2}, {Site: 1, Instance: 3}, {Site: 2, Instance: 1}}, Signed: signed, Data: []byte("note")}
	if signed {
		n.Stamp.Key[1], n.Stamp.Signature[2] = 3, 4
	}
	return n
}

func TestNotesHaveLimits(t *testing.T) {
	for name, change := range map[string]func(n *note){
		"too many hops":     func(n *note) { n.Hops = maxHops + 1 },
		"to nobody":         func(n *note) { n.To = nil },
		"to too many":       func(n *note) { n.To = make([]membership.SiteInstance, maxNoteTo+1) },
		"to somebody twice": func(n *note) { n.To[1] = n.To[0] },
		"not in order":      func(n *note) { n.To[0], n.To[2] = n.To[2], n.To[0] },
		"too large":         func(n *note) { n.Data = make([]byte, MaxDatagramBytes+1) },
	} {
		n := noteSample(true)
		change(n)
		if _, err := decodeGram(n.append(nil)); !errors.Is(err, errBreach) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := wire.NewReader(noteSample(true).append(nil)[1:60])
	if _, err := decodeNote(&r); !errors.Is(err, errBreach) {
		t.Errorf("cut short: %v", err)
	}
}

// TestNoteWindow: a note comes once, and runs of a gateway are told apart.
func TestNoteWindow(t *testing.T) {
	var w noteWindow
	if !w.first(3, 7) || w.first(3, 7) || !w.first(3, 6) {
		t.Error("a note comes twice, or not at all")
	}
	if w.first(2, 8) || !w.first(4, 1) || w.first(4, 1) || w.first(4, 0) {
		t.Error("runs of the gateway are not told apart")
	}
}

// TestFair: each origin has its turn and its places, and the oldest go.
func TestFair(t *testing.T) {
	var q fair[int]
	for i := range maxNotes + 5 {
		if dropped := q.put(1, i); (dropped == 1) != (i >= maxNotes) {
			t.Fatalf("%d: %d dropped", i, dropped)
		}
	}
	q.put(2, -1)
	q.put(2, -2)
	var got []int
	for range 6 {
		x, _ := q.next()
		got = append(got, x)
	}
	if want := []int{5, -1, 6, -2, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	n := 0
	for ; !q.empty(); n++ {
		q.next()
	}
	if _, ok := q.next(); ok || n != maxNotes-4 || len(q.of) != 0 {
		t.Errorf("%d were left, %d origins remembered", n, len(q.of))
	}
}

func TestShare(t *testing.T) {
	var s share
	s.look(0, 1_000_000, false)
	fill := func() (n int) {
		for s.open() {
			s.take(1000)
			n++
		}
		return n
	}
	if n := fill(); n != maxAhead/1000 {
		t.Errorf("%d before QUIC sends any", n)
	}
	s.look(0, 1_003_500, false)
	if n := fill(); n != 4 {
		t.Errorf("%d when it has sent 3500 bytes", n)
	}
	s.look(0, 2_000_000, true)
	if n := fill(); n != maxAhead/1000 {
		t.Errorf("%d when it has sent all and more", n)
	}
	sent, n := uint64(2_000_000), 0
	for i := range 1000 { // a full link of 10 MB/s, looked at each ms
		sent += 10_000
		s.look(time.Duration(i)*time.Millisecond, sent, true)
		n += fill()
	}
	if n < 1200 || n > 1300 {
		t.Errorf("%d kB of 10000 are notes on a full link", n)
	}
	n = 0
	for i := range 1000 { // one that sends nothing else
		s.look(time.Duration(1000+i)*time.Millisecond, sent, true)
		for s.open() {
			s.take(1000)
			sent += 1000
			n++
		}
	}
	if n < noteLeast/1000-1 || n > noteLeast/1000+10 {
		t.Errorf("%d kB in a second of a link that only looks full", n)
	}
}

// grams returns what has come from a gateway's site.
func (m *mesh) grams(at, from string) (list []string) {
	r := m.rec[at]
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.grams {
		if what, ok := strings.CutPrefix(s, fmt.Sprintf("%v:", sourceOf(m.gate[from]).Instance)); ok {
			list = append(list, what)
		}
	}
	return list
}

// TestDatagrams: they come to one gateway of each site that they are for, once, also over
// others, and those that go past others are signed once for all.
func TestDatagrams(t *testing.T) {
	links := map[string]time.Duration{"a-b": 5 * time.Millisecond, "b-c": 5 * time.Millisecond, "b-d": 5 * time.Millisecond}
	inMesh(t, "abcd", 2, links, func(m *mesh) {
		m.all().converged()
		a := m.gate["a-1"]
		to := func(names ...string) (list []membership.SiteInstance) {
			for _, name := range names {
				list = append(list, sourceOf(m.gate[name]))
			}
			return list
		}
		a.Datagram(to("d-1", "b-1", "c-1", "c-2"), []byte("all"))
		a.Datagram(to("c-1"), []byte("c"))
		a.Datagram(to("b-1"), make([]byte, MaxDatagramBytes))
		time.Sleep(100 * time.Millisecond)
		for site, want := range map[string]int{"b": 2, "c": 2, "d": 1} {
			got := append(m.grams(site+"-1", "a-1"), m.grams(site+"-2", "a-1")...)
			if slices.Sort(got); len(got) != want || !slices.Contains(got, "all") {
				t.Errorf("site %s got %q", site, got)
			}
		}
		for name, g := range m.gate {
			n := g.count.snapshot()
			for _, c := range []string{"dropped", "duplicate"} {
				if n["ringway_overlay_datagrams_"+c+"_total"] != 0 {
					t.Errorf("%s: %s is %d", name, c, n["ringway_overlay_datagrams_"+c+"_total"])
				}
			}
		}
		if n := a.count.notesSent.Load(); n != 3 {
			t.Errorf("%d were sent", n)
		}
	})
}

// TestDatagramsToMany: more instances than a copy has room for.
func TestDatagramsToMany(t *testing.T) {
	names := strings.Split("abcdefghijklmno", "")
	links := map[string]time.Duration{"a-b": time.Millisecond}
	for _, x := range names[2:] {
		links["b-"+x] = time.Millisecond
	}
	inMeshOf(t, names, 1, links, func(m *mesh) {
		m.all().converged()
		var to []membership.SiteInstance
		for _, x := range names[1:] {
			to = append(to, sourceOf(m.gate[x+"-1"]))
		}
		m.gate["a-1"].Datagram(to, make([]byte, MaxDatagramBytes))
		time.Sleep(50 * time.Millisecond)
		for _, x := range names[1:] {
			if n := len(m.grams(x+"-1", "a-1")); n != 1 {
				t.Errorf("%s got %d", x, n)
			}
		}
	})
}

// TestDatagramsOverLoss: over a link that loses packets some get lost, and none comes as late
// as if it had been sent again: after three times the way.
func TestDatagramsOverLoss(t *testing.T) {
	inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 40 * time.Millisecond}, func(m *mesh) {
		m.all().converged()
		m.link("a-b", func(w *memWay) { w.loss = 0.1 })
		const count = 1000
		var sent []time.Time
		for i := range count {
			sent = append(sent, time.Now())
			m.gate["a-1"].Datagram([]membership.SiteInstance{sourceOf(m.gate["b-1"])}, fmt.Appendf(nil, "%d", i))
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Second)
		got, worst := m.grams("b-1", "a-1"), time.Duration(0)
		for i, s := range got {
			var n int
			_, _ = fmt.Sscan(s, &n)
			worst = max(worst, m.rec["b-1"].came[i].Sub(sent[n]))
		}
		t.Logf("%d of %d came, the last after %v", len(got), count, worst)
		if len(got) < count*8/10 || len(got) > count*96/100 || worst > 100*time.Millisecond {
			t.Errorf("%d of %d came, the last after %v", len(got), count, worst)
		}
	})
}

// TestDatagramsLetPromisesPass: on a thin link that is full of datagrams, promises take
// little longer than without, and hellos keep the link up.
func TestDatagramsLetPromisesPass(t *testing.T) {
	const promises, late = 200, 250 * time.Millisecond
	for _, flood := range []bool{false, true} {
		inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 20 * time.Millisecond}, func(m *mesh) {
			m.all().converged()
			m.link("a-b", func(w *memWay) { w.rate, w.queue = 1_000_000, 100*time.Millisecond })
			a, b := m.gate["a-1"], m.rec["b-1"]
			to := []membership.SiteInstance{sourceOf(m.gate["b-1"])}
			var waits []time.Duration
			for i := range promises {
				said := time.Now()
				a.Broadcast(fmt.Appendf(nil, "promise %d", i))
				for range 10 {
					for range 20 { // 20 MB/s
						if flood {
							a.Datagram(to, make([]byte, 1000))
						}
					}
					time.Sleep(time.Millisecond)
				}
				came := func() bool { return b.has(&b.promises, fmt.Sprintf("promise %d", i)) }
				for !came() && time.Since(said) <= late {
					time.Sleep(time.Millisecond)
				}
				if came() {
					waits = append(waits, time.Since(said))
				}
			}
			if len(waits) == 0 {
				t.Fatalf("flood %v: no promise came within %v", flood, late)
			}
			slices.Sort(waits)
			t.Logf("flood %v: %d of %d promises come in time and take %v, at most %v; %d datagrams came",
				flood, len(waits), promises, waits[len(waits)/2], waits[len(waits)-1], len(m.grams("b-1", "a-1")))
			// A full link loses packets now and then, and a promise with one: the next takes its place.
			if lost := promises - len(waits); lost > 0 && !flood || lost > promises/50 {
				t.Errorf("%d promises took more than %v, or were lost", lost, late)
			}
			if flood && len(m.grams("b-1", "a-1")) < 100 {
				t.Error("hardly any datagram came")
			}
			if l := a.Status().Links[0]; l.Downs > 0 {
				t.Errorf("the link went down %d times", l.Downs)
			}
		})
	}
}

// TestForgedNotes: a gateway with a good certificate passes on notes that their origin
// never sent.
func TestForgedNotes(t *testing.T) {
	for name, forge := range map[string]func(f *federation, g *Gateway, n *note){
		"not signed":               func(_ *federation, _ *Gateway, n *note) { n.Signed = false },
		"signed by the relay":      func(_ *federation, g *Gateway, n *note) { n.Stamp.Signature = g.sign(pki.Datagram, n.text()).Signature },
		"another signature":        func(_ *federation, _ *Gateway, n *note) { n.Stamp.Signature[9] = 9 },
		"of a stranger":            func(_ *federation, _ *Gateway, n *note) { n.Origin = 4711 },
		"of no instance":           func(_ *federation, _ *Gateway, n *note) { n.Instance = 0 },
		"to a site that is none":   func(_ *federation, _ *Gateway, n *note) { n.To = []membership.SiteInstance{{Site: 4711, Instance: 1}} },
		"to no instance":           func(_ *federation, _ *Gateway, n *note) { n.To[0].Instance = 0 },
		"signed as something else": func(f *federation, _ *Gateway, n *note) { n.Stamp = f.gate["a-1"].sign(pki.Promise, n.text()) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-c", "b-c").start("a-1", "c-1").converged()
			l := f.intruder("b-1", "c-1")
			a, c := f.gate["a-1"], f.gate["c-1"]
			n := note{Hops: 3, Origin: a.self.ID, Instance: sourceOf(a).Instance, Incarnation: 1 << 62, Number: 1, To: []membership.SiteInstance{sourceOf(c)}, Signed: true, Data: []byte("forged")}
			n.Stamp.Key = a.cfg.Identity.Signer().KeyID()
			forge(f, l.g, &n)
			if err := l.conn.SendDatagram(n.append(nil)); err != nil {
				t.Fatal(err)
			}
			<-l.done()
			if f.counter("c-1", "breaches") != 1 {
				t.Error("not counted")
			}
			eventually(t, "the true one", func() bool {
				a.Datagram([]membership.SiteInstance{sourceOf(c)}, []byte("true"))
				r := f.rec["c-1"]
				return r.has(&r.grams, fmt.Sprintf("%v:true", sourceOf(a).Instance))
			})
			if r := f.rec["c-1"]; r.has(&r.grams, fmt.Sprintf("%v:forged", sourceOf(a).Instance)) {
				t.Error("a forged one was delivered")
			}
		})
	}
}

// TestRepeatedNotesAreTakenOnce: whatever a relay says again, and what is for nobody here.
func TestRepeatedNotesAreTakenOnce(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-c", "b-c").start("a-1", "c-1").converged()
	l := f.intruder("b-1", "c-1")
	a, c := f.gate["a-1"], f.gate["c-1"]
	say := func(number uint64, data string, hops uint8, to membership.SiteInstance) {
		n := note{Hops: hops, Origin: a.self.ID, Instance: sourceOf(a).Instance, Incarnation: 5, Number: number, To: []membership.SiteInstance{to}, Signed: true, Data: []byte(data)}
		n.Stamp = a.sign(pki.Datagram, n.text())
		if err := l.conn.SendDatagram(n.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []uint64{2, 1, 2, 1, 3, 3} {
		say(n, "x", 1, sourceOf(c))
	}
	say(4, "far", 0, membership.SiteInstance{Site: f.node["b-1"].Site.ID, Instance: 9})
	r := f.rec["c-1"]
	eventually(t, "all have come", func() bool {
		return f.counter("c-1", "datagrams_duplicate") == 3 && f.counter("c-1", "datagrams_received") == 3 && f.counter("c-1", "datagrams_dropped") == 1
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.grams) > 3 {
		t.Errorf("got %q", r.grams)
	}
}
