package sim

import (
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/merge"
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

func TestPathsGoRoundACut(t *testing.T) {
	p, err := Lookup("calm")
	if err != nil {
		t.Fatal(err)
	}
	f := newFederation(1, p)
	w := f.wan
	direct := w.path[0][1]
	w.cut[0][1], w.cut[1][0] = true, true
	w.findPaths()
	if round := w.path[0][1]; round >= noPath || round < direct {
		t.Errorf("direct %v, round %v", direct, round)
	}
	w.cut[0][2], w.cut[2][0] = true, true
	w.findPaths()
	if w.path[0][1] < noPath || w.reachable(f.sites[0], f.sites[2]) {
		t.Error("a site without links is still reached")
	}
	w.heal()
	if w.path[0][1] != direct {
		t.Errorf("after healing %v, before %v", w.path[0][1], direct)
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
