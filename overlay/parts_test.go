package overlay

import (
	"errors"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

func TestMeter(t *testing.T) {
	var m meter
	m.start(0, 40*time.Millisecond)
	now := time.Duration(0)
	for range 100 {
		now += 100 * time.Millisecond
		h := m.send(now)
		rtt := 50 * time.Millisecond
		// The peer's wall clock is one second ahead.
		m.takeAnswer(now+rtt, int64(now+rtt), answer{h, int64(now + rtt/2 + time.Second)})
	}
	if m.rtt < 49*time.Millisecond || m.rtt > 51*time.Millisecond || m.jitter > time.Millisecond {
		t.Errorf("rtt %v, jitter %v", m.rtt, m.jitter)
	}
	if m.offset != time.Second {
		t.Errorf("offset %v", m.offset)
	}
	before := m
	for _, a := range []answer{{hello: hello{Seq: 0}}, {hello: hello{Seq: 9999}}, {hello: hello{Seq: 1, Sent: now + time.Hour}}, {hello: hello{Seq: 1, Sent: -1}}} {
		m.takeAnswer(now, 0, a)
	}
	if m != before {
		t.Error("an answer to no hello counts")
	}
}

func TestMeterCountsLoss(t *testing.T) {
	var m meter
	for seq := uint32(1); seq <= 400; seq++ {
		if seq%4 != 0 {
			m.heardHello(0, seq)
		}
	}
	if got := m.lossPPM(); got < 240_000 || got > 260_000 {
		t.Errorf("%d ppm of a quarter", got)
	}
	for seq := uint32(401); seq <= 401+lossWindow; seq++ {
		m.heardHello(0, seq)
	}
	if got := m.lossPPM(); got != 0 {
		t.Errorf("%d ppm after the window has passed", got)
	}
	m.heardHello(0, 1) // late
	m.heardHello(0, 1<<30)
	if got := m.lossPPM(); got < 900_000 {
		t.Errorf("%d ppm after a gap beyond the window", got)
	}
}

// TestMeterKnowsQueues: what routes are chosen by are the way and its own losses, not what
// a queue adds; a way that gets longer is believed in the end.
func TestMeterKnowsQueues(t *testing.T) {
	const hello = 100 * time.Millisecond
	var m meter
	now, seq := time.Duration(0), uint32(0)
	m.start(now, 50*time.Millisecond)
	round := func(n int, rtt time.Duration) {
		for range n {
			now += hello
			h := m.send(now)
			m.takeAnswer(now+rtt, 0, answer{hello: h})
			if seq++; seq%20 != 0 { // one in twenty is lost
				m.heardHello(now, seq)
			}
		}
	}
	round(200, 40*time.Millisecond)
	if m.way() != 40*time.Millisecond || m.queued() || m.crammed() || m.lineLossPPM() < 40_000 {
		t.Errorf("a lossy line: way %v, queued %v, %d ppm lost", m.way(), m.queued(), m.lineLossPPM())
	}
	round(50, 200*time.Millisecond)
	if m.way() != 40*time.Millisecond || !m.queued() || !m.crammed() {
		t.Errorf("a queue: way %v of a round trip of %v", m.way(), m.rtt)
	}
	for range 20 { // the queue is empty for a moment now and then
		round(9, 200*time.Millisecond)
		round(1, 40*time.Millisecond)
	}
	if m.way() != 40*time.Millisecond || m.lineLossPPM() > 0 || m.lossPPM() < 40_000 {
		t.Errorf("losses of a queue: way %v, %d of %d ppm", m.way(), m.lineLossPPM(), m.lossPPM())
	}
	round(int(2*quickWindow/hello)+1, 200*time.Millisecond)
	if m.way() != 200*time.Millisecond || m.queued() {
		t.Errorf("a way that got longer is taken for %v", m.way())
	}
	round(1, 30*time.Millisecond)
	if m.way() != 30*time.Millisecond {
		t.Errorf("a way that got shorter is taken for %v", m.way())
	}
}

// TestRation: promises that take most of a full link come more and more seldom, down to ten
// a second, and all again when it is not full or when they are little of what it carries.
func TestRation(t *testing.T) {
	for _, c := range []struct {
		name   string
		others uint64 // bytes a millisecond, beside promises of 300
		full   bool
		want   time.Duration // at least
	}{
		{"not full", 100, false, 0},
		{"full of records", 5000, true, 0},
		{"full of promises", 0, true, gapMost * 3 / 4},
	} {
		var r ration
		now, sent := time.Duration(0), uint64(0)
		for range 2000 {
			now += time.Millisecond
			sent += c.others
			if r.due(now) {
				r.look(now, sent, c.full)
			}
			if r.wait(now) == 0 {
				r.take(now, 300)
				sent += 300
			}
		}
		if r.gap < c.want || r.gap > gapMost || c.want == 0 && r.gap > 0 {
			t.Errorf("%s: a gap of %v, want %v", c.name, r.gap, c.want)
		}
		for i := 0; r.gap > 0; i++ {
			if now += rationLook; i > 100 {
				t.Fatalf("%s: a gap of %v lasts", c.name, r.gap)
			}
			r.look(now, sent, false)
		}
	}
}

func TestLinkGate(t *testing.T) {
	var g linkGate
	g.connected(0, 0)
	if g.state != LinkUp {
		t.Fatal("a first connect is not up at once")
	}
	g.down(time.Second, true)
	if g.connected(2*time.Second, 0); g.state != LinkUp {
		t.Error("after a planned stop: not up at once")
	}
	now := 3 * time.Second
	var waits []time.Duration
	for range 4 {
		g.down(now, false)
		g.connected(now, 100)
		from := now
		for answers := uint64(100); g.state != LinkUp; answers++ {
			now += 100 * time.Millisecond
			g.check(now, answers+1)
		}
		waits = append(waits, now-from)
	}
	if !slices.Equal(waits, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}) {
		t.Errorf("link is up again after %v", waits)
	}
	for range 4 {
		now += flapDecay
		g.check(now, 0)
	}
	if g.flaps != 0 {
		t.Errorf("%d flaps after calm", g.flaps)
	}
}

func TestPromiseWindow(t *testing.T) {
	var w promiseWindow
	for _, c := range []struct {
		incarnation, number uint64
		want                bool
	}{
		{1, 1, true}, {1, 1, false}, {1, 3, true}, {1, 2, true}, {1, 2, false},
		{1, 200, true}, {1, 136, false}, {1, 137, true}, {1, 3, false},
		{2, 1, true}, {1, 999, false}, {2, 1, false}, {2, 1 << 60, true},
	} {
		if got := w.first(c.incarnation, c.number); got != c.want {
			t.Errorf("(%d, %d): %v", c.incarnation, c.number, got)
		}
	}
}

func all(t *testing.T, s *store, wants []want, cursor uint64) (numbers []uint64) {
	t.Helper()
	for {
		batch, next, wait, err := s.take(nil, wants, cursor, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if wait != nil {
			sealed := s.sealedTo
			if sealAll(s); s.sealedTo == sealed {
				return numbers
			}
		}
		for _, e := range entriesOf(batch) {
			numbers = append(numbers, e.N)
		}
		cursor = next
	}
}

// sealAll puts everything in an own log under seals that nobody checks.
func sealAll(s *store) {
	h := newHasher()
	for d := s.draft(); d != nil; d = s.draft() {
		leaves := make([]leaf, len(d.entries))
		for i := range d.entries {
			leaves[i] = h.leaf(&d.entries[i])
		}
		s.seal(d, leaves)
	}
}

// blockOf makes a block that nobody checks.
func blockOf(entries []LogEntry) *incoming {
	return &incoming{entries: entries, leaves: make([]leaf, len(entries)), seal: &seal{Low: entries[0].N, High: entries[len(entries)-1].N + 1}}
}

func TestStoreServesByDestination(t *testing.T) {
	s := newStore(logOf("a"), true, 1<<20)
	for n := range uint64(20) {
		to := "b"
		if n%2 == 1 {
			to = "c"
		}
		s.appendOwn(entries(n, 1, 10, to))
		if n%3 == 0 {
			sealAll(s)
		}
	}
	sealAll(s)
	b, c := instances("b")[0], instances("c")[0]
	if got := all(t, s, []want{{b, 10}}, 0); !slices.Equal(got, []uint64{10, 12, 14, 16, 18}) {
		t.Errorf("b from 10: %v", got)
	}
	if got := all(t, s, []want{{b, 16}, {c, 13}}, 0); !slices.Equal(got, []uint64{13, 15, 16, 17, 18, 19}) {
		t.Errorf("b from 16, c from 13: %v", got)
	}
	s.appendOwn(entries(5, 3, 10, "b")) // known numbers
	if got := all(t, s, []want{{b, 18}, {c, 18}}, 0); !slices.Equal(got, []uint64{18, 19}) {
		t.Errorf("after a repetition: %v", got)
	}
}

func TestStoreBound(t *testing.T) {
	s := newStore(logOf("a"), true, 100*(100+entryOverhead))
	b, c := instances("b")[0], instances("c")[0]
	s.appendOwn(entries(0, 1, 100, "c"))
	sealAll(s)
	if dropped := s.appendOwn(entries(1, 299, 100, "b")); dropped != 200 {
		t.Errorf("%d dropped", dropped)
	}
	sealAll(s)
	if st := s.stats(); st.entries != 100 || st.bytes > s.limit {
		t.Errorf("%+v", st)
	}
	if _, _, _, err := s.take(nil, []want{{b, 199}}, 0, 1, 1); !errors.Is(err, refusedDropped) {
		t.Errorf("a dropped position: %v", err)
	}
	if got := all(t, s, []want{{b, 200}}, 0); len(got) != 100 {
		t.Errorf("%d entries from the first held", len(got))
	}
	// Nothing of c's from 1 on was dropped.
	if got := all(t, s, []want{{c, 1}}, 0); got != nil {
		t.Errorf("c: %v", got)
	}
	// Once it is stable everywhere, nobody lacks what was dropped.
	s.trim(250)
	if got := all(t, s, []want{{b, 0}}, 0); len(got) != 50 || got[0] != 250 {
		t.Errorf("after the trim: %v", got)
	}
}

func TestStoreHoldsBackUpstream(t *testing.T) {
	s := newStore(logOf("a"), false, 1) // always beyond its share
	b := instances("b")[0]
	s.reset([]want{{b, 0}})
	term, from := s.newTerm([]want{{b, 0}})
	if from[0].From != 0 {
		t.Errorf("begins at %d", from[0].From)
	}
	s.hold("importer", 0)
	if err := s.append(term, blockOf(entries(0, 300, 10_000, "b")), nil); err != nil {
		t.Fatal(err)
	}
	if st := s.stats(); st.entries != 300 {
		t.Errorf("the importer lost entries: %+v", st)
	}
	done := make(chan struct{})
	close(done)
	if err := s.append(term, blockOf(entries(300, 1, 1, "b")), done); !errors.Is(err, errStale) {
		t.Errorf("append beyond the importer's lag: %v", err)
	}
	s.takenTo("importer", 300)
	if err := s.append(term, blockOf(entries(300, 1, 1, "b")), done); err != nil {
		t.Errorf("append after the importer took all: %v", err)
	}
	if _, from = s.newTerm([]want{{b, 0}}); from[0].From != 301 {
		t.Errorf("goes on at %d", from[0].From)
	}
	if err := s.append(term, blockOf(entries(301, 1, 1, "b")), done); !errors.Is(err, errStale) {
		t.Errorf("append of a former stream: %v", err)
	}
}

func TestQueuesAreBounded(t *testing.T) {
	q := newFrameQueue()
	to := membership.SiteInstance{Instance: 1, Site: 2}
	for range maxControlQueue {
		if !q.put(to, []byte("x")) {
			t.Fatal("full too early")
		}
	}
	if q.put(to, []byte("x")) {
		t.Error("frames beyond the bound")
	}
	q.take()
	if !q.put(to, make([]byte, maxControlQueueBytes)) || q.put(to, []byte("x")) {
		t.Error("bytes beyond the bound")
	}
	if frames, bytes := q.size(); frames != 1 || bytes != maxControlQueueBytes {
		t.Errorf("%d frames, %d bytes wait", frames, bytes)
	}
	q.take()
	for range 2 * maxControlQueue { // what the peer never proves to have
		q.put(to, []byte("x"))
		q.next()
	}
	if n := len(q.unproved.frames); n != maxControlQueue {
		t.Errorf("%d frames are kept that may not have arrived", n)
	}
	for range 8 {
		q.put(to, make([]byte, MaxControlBytes))
		q.next()
	}
	if q.unproved.bytes > maxUnprovedBytes || q.unproved.bytes < maxUnprovedBytes/2 {
		t.Errorf("%d bytes are kept that may not have arrived", q.unproved.bytes)
	}
	o := newOutbox()
	for i := range maxControlQueue + 1 {
		if o.putControl(controlMessage{Data: []byte("x")}) != (i < maxControlQueue) {
			t.Fatalf("outbox at %d", i)
		}
	}
	var p promiseSet
	lost := 0
	for i := range byte(10) {
		lost += p.put(1, membership.SiteInstance{}, []byte{i})
		lost += p.put(membership.NodeID(2), membership.SiteInstance{}, []byte{i})
	}
	got := p.take(nil)
	if lost != 2*(10-maxPromiseBacklog) || len(got) != 2*maxPromiseBacklog || got[len(got)-1][0] != 9 {
		t.Errorf("%d lost, %d left", lost, len(got))
	}
}
