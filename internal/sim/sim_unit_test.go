package sim

import (
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

func TestAgendaKeepsOrder(t *testing.T) {
	var a agenda
	var got []int
	note := func(i int) func() { return func() { got = append(got, i) } }
	a.after(2*time.Second, note(3))
	a.after(time.Second, note(1))
	a.after(time.Second, note(2))
	a.after(9*time.Second, note(9))
	a.run(5*time.Second, new(bool))
	if len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 3 || a.now != 5*time.Second {
		t.Errorf("got %v at %v", got, a.now)
	}
}

// TestRoutesGoRoundACut: what routing knows follows what is there, a while later.
func TestRoutesGoRoundACut(t *testing.T) {
	s, err := ParseSchedule(`schedule 2 profile x seed 1 answers 0 length 3s
site s0 nodes 1 gateways 1 ahead 0s
site s1 nodes 1 gateways 1 ahead 0s
site s2 nodes 1 gateways 1 ahead 0s
lan delay 1µs 2µs jitter 0s loss 0 double 0 late 0 0s
wan detect 300ms hints 0 promises loss 0 double 0 late 0 0s
link s0 s1 delay 10ms 10ms jitter 0s loss 0
link s0 s2 delay 20ms 20ms jitter 0s loss 0
link s1 s2 delay 30ms 30ms jitter 0s loss 0
0s start n0
0s start n1
0s start n2
1s cut s0 s1 1s
1.6s cut s0 s2 400ms
`)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlay(s)
	w := p.f.wan
	for _, step := range []struct {
		at          time.Duration
		real, known time.Duration // from s0 to s1, without what hops cost
	}{{990 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}, {1010 * time.Millisecond, 50 * time.Millisecond, 10 * time.Millisecond},
		{1500 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond}, {1610 * time.Millisecond, noPath, 50 * time.Millisecond},
		{1950 * time.Millisecond, noPath, noPath}, {2010 * time.Millisecond, 10 * time.Millisecond, noPath}, {2900 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}} {
		p.f.agenda.run(step.at, &p.f.over)
		if real := w.real.dist[0][1].Truncate(time.Millisecond); real != step.real.Truncate(time.Millisecond) {
			t.Errorf("%v: the way is %v long, want %v", step.at, real, step.real)
		}
		if known := w.known.dist[0][1].Truncate(time.Millisecond); known != step.known.Truncate(time.Millisecond) {
			t.Errorf("%v: routing knows %v, want %v", step.at, known, step.known)
		}
	}
}

func TestPayloadShowsDamage(t *testing.T) {
	id := membership.ClientID{Node: 7, Session: 9}
	for _, size := range []int{-headBytes, -1, 0, 1, 100, 5000} {
		m := &merge.Message{Sender: id, Data: payload(id, 5, size), Hint: hint(5)}
		if seq, whole := readPayload(m); seq != 5 || !whole || len(m.Data) != headBytes+size {
			t.Errorf("size %d: read %d %v", size, seq, whole)
		}
		for at := range m.Data {
			if size >= 0 && at >= membership.ClientIDBytes && at < membership.ClientIDBytes+8 {
				continue // the number itself is what is read
			}
			m.Data[at] ^= 1
			if _, whole := readPayload(m); whole {
				t.Errorf("size %d: damage at %d not seen", size, at)
			}
			m.Data[at] ^= 1
		}
		if m.Hint[0]++; size >= 0 {
			if _, whole := readPayload(m); whole {
				t.Errorf("size %d: a wrong hint counts as right", size)
			}
		}
	}
}

func TestLocalClockInverts(t *testing.T) {
	l := &life{f: &federation{}, start: 3 * time.Second}
	for _, l.drift = range []int64{-maxDrift, 0, maxDrift} {
		for local := time.Duration(0); local < 30*time.Second; local += 777_777_777 {
			l.f.now = l.global(local)
			if got := l.local(); got < local-time.Microsecond || got > local+5*time.Microsecond {
				t.Errorf("drift %d: %v became %v", l.drift, local, got)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	if _, err := Lookup("storm"); err == nil {
		t.Error("an unknown profile is found")
	}
	for _, p := range Profiles() {
		if got, err := Lookup(p.Name); err != nil || got.Name != p.Name {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// TestInHand: what was under way when the play last looked has to be in hand, what has come
// since then need not; in a site by itself, which has no Ticks, nothing is under way at rest.
func TestInHand(t *testing.T) {
	now := ring.ID{Representative: 1, Counter: 7}
	for _, test := range []struct {
		sites  int
		mark   mark
		status ring.Status
		want   bool
	}{
		{2, mark{}, ring.Status{Ring: now, Seq: 5, Aru: 5, Stable: 5}, true},
		{2, mark{now, 5}, ring.Status{Ring: now, Seq: 6, Aru: 6, Stable: 5}, true},
		{2, mark{now, 6}, ring.Status{Ring: now, Seq: 6, Aru: 6, Stable: 5}, false},
		{2, mark{now, 6}, ring.Status{Ring: now, Seq: 7, Aru: 5, Stable: 5}, false},
		{2, mark{ring.ID{Representative: 1, Counter: 6}, 5}, ring.Status{Ring: now, Seq: 6, Aru: 6, Stable: 5}, false},
		{1, mark{now, 5}, ring.Status{Ring: now, Seq: 6, Aru: 6, Stable: 5}, false},
	} {
		l := &life{f: &federation{sites: make([]*site, test.sites)}, mark: test.mark}
		if got := l.inHand(&test.status); got != test.want {
			t.Errorf("of %d sites, marked %v, at %v: in hand %v", test.sites, test.mark, test.status, got)
		}
	}
}

// TestBehind: a gateway that asks for what is trimmed is excused if others had gone on with its
// instance in a newer ring when it asked, also if those have crashed, or it has found them since.
func TestBehind(t *testing.T) {
	s, err := ParseSchedule("schedule 2 profile x seed 1 answers 0 length 2s\nsite s0 nodes 1 gateways 1 ahead 0s\nlan delay 20µs 260µs jitter 64µs loss 0 double 0 late 0 0s\n1ms start n0\n")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlay(s)
	p.f.agenda.run(s.Length, &p.f.over)
	l := p.f.places[0].life
	own := l.core.Replica.Status().Instance
	for _, test := range []struct {
		asked, mine, newest uint64
		want                bool
	}{
		{3, 3, 3, false},
		{3, 3, 4, true},
		{3, 4, 4, true},
		{answered, 4, 4, false},
		{answered, 3, 4, true},
	} {
		l.carried, l.site.carried = map[string]uint64{own.String(): test.mine}, map[string]uint64{own.String(): test.newest}
		q := &pull{to: l, own: own, asked: test.asked}
		if got := q.behind(1); got != test.want {
			t.Errorf("asked in ring %d, now in %d, others in %d: behind %v", test.asked, test.mine, test.newest, got)
		}
	}
}
