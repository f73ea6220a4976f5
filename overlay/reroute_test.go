package overlay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ringway/membership"
)

func TestFrameQueueKeepsWhatMayBeLost(t *testing.T) {
	east, west := membership.SiteInstance{Instance: 1, Site: 1}, membership.SiteInstance{Instance: 2, Site: 2}
	q := newFrameQueue()
	left := func(to map[membership.SiteInstance]bool) (s string) {
		for _, frame := range q.leave(to) {
			s += string(frame)
		}
		return s
	}
	for i, name := range "abcdefg" {
		q.put([]membership.SiteInstance{east, west, {}}[i%3], []byte(string(name)))
	}
	for i := range 4 { // a, b, c and d; d is with the writer still
		q.next()
		if i < 3 {
			q.wrote(time.Duration(i) * time.Second)
		}
	}
	if q.proved(time.Second); left(map[membership.SiteInstance]bool{west: true}) != "be" {
		t.Error("what goes west is not b, which may not have arrived, and e, which waits")
	}
	q.wrote(3 * time.Second)
	if q.proved(3 * time.Second); len(q.unproved.frames) != 1 {
		t.Errorf("%d frames may not have arrived, want d", len(q.unproved.frames))
	}
	if got := left(nil); got != "dg" {
		t.Errorf("left %q: want d and g, and no promise", got)
	}
	if frames, bytes := q.size(); frames != 1 || bytes != 1 || q.unproved.bytes != 0 {
		t.Errorf("%d frames, %d bytes are left, want the promise f", frames, bytes)
	}
}

func TestControlWindow(t *testing.T) {
	var w controlWindow
	for _, c := range []struct {
		incarnation, number uint64
		want                bool
	}{{1, 1, true}, {1, 1, false}, {1, 3, true}, {1, 2, false}, {2, 1, true}, {1, 9, false}, {2, 1, false}, {2, 2, true}} {
		if got := w.pass(c.incarnation, c.number); got != c.want {
			t.Errorf("(%d, %d): %v", c.incarnation, c.number, got)
		}
	}
}

// TestControlsTakeAnotherWay cuts a link under control messages that nobody repeats: the
// first link of their way, or the second. What waits for it, or was written and has not
// arrived, goes around, so they arrive no later than the silence takes to be noticed and
// the longer way; once and in order. All of them if the link was the first: what its
// origin sends later comes behind. What another gateway sends around may be overtaken by
// the origin's next, and is left out then, as if it were lost.
func TestControlsTakeAnotherWay(t *testing.T) {
	links := map[string]time.Duration{
		"a-b": 10 * time.Millisecond, "b-d": 10 * time.Millisecond,
		"a-c": 30 * time.Millisecond, "c-d": 30 * time.Millisecond, "b-c": 30 * time.Millisecond,
	}
	for link, mayMiss := range map[string]int{"a-b": 0, "b-d": 10} {
		t.Run(link, func(t *testing.T) {
			inMesh(t, "abcd", 1, links, func(m *mesh) {
				m.all().converged()
				to, got := sourceOf(m.gate["d-1"]), m.rec["d-1"]
				const total = 200
				var sent []time.Time
				var came []string // in the order in which they came
				worst := time.Duration(0)
				look := func() {
					got.mu.Lock()
					defer got.mu.Unlock()
					for _, c := range got.controls[len(came):] {
						_, number, _ := strings.Cut(c, ":")
						i, _ := strconv.Atoi(number)
						came, worst = append(came, number), max(worst, time.Since(sent[i]))
					}
				}
				for i := range total + 100 {
					if i == 50 {
						m.link(link, cutWay)
					}
					if i < total {
						sent = append(sent, time.Now())
						m.gate["a-1"].Control(to, fmt.Appendf(nil, "%03d", i))
					}
					time.Sleep(5 * time.Millisecond)
					look()
				}
				counted := func(name, what string) uint64 {
					return m.gate[name].count.snapshot()["ringway_overlay_control_messages_"+what+"_total"]
				}
				at := link[:1] + "-1"
				t.Logf("%d of %d came; %s sent %d of them another way, %d came twice or late; the longest took %v",
					len(came), total, at, counted(at, "rerouted"), counted("d-1", "late"), worst)
				if ordered := slices.Compact(slices.Sorted(slices.Values(came))); !slices.Equal(came, ordered) || len(came) < total-mayMiss {
					t.Errorf("%d came: %q", len(came), came)
				}
				// 2¼ hellos, up to one more for jitter, and what routes and the longer way take.
				if limit := 4*meshHello + 120*time.Millisecond; worst > limit {
					t.Errorf("one took %v, more than %v", worst, limit)
				}
				if counted(at, "rerouted") == 0 {
					t.Error("none took another way")
				}
			})
		})
	}
}

// TestControlQueueIsShownAndBounded fills the queue of a link that carries nothing.
func TestControlQueueIsShownAndBounded(t *testing.T) {
	inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 10 * time.Millisecond}, func(m *mesh) {
		m.all().converged()
		a := m.gate["a-1"]
		to := sourceOf(m.gate["b-1"])
		m.link("a-b", cutWay)
		const count, size = 96, MaxControlBytes / 2
		for i := range count {
			if i%16 == 0 {
				time.Sleep(time.Millisecond) // the loop empties its inbox, which has a bound of its own
			}
			if !a.Control(to, make([]byte, size)) {
				t.Fatal("the inbox is full")
			}
		}
		time.Sleep(time.Millisecond)
		l, counters := a.Status().Links[0], a.count.snapshot()
		if l.ControlBytes > maxControlQueueBytes || l.ControlBytes < maxControlQueueBytes-2*size || l.ControlQueue != l.ControlBytes/size {
			t.Errorf("%d messages of %d bytes wait", l.ControlQueue, l.ControlBytes)
		}
		if dropped := counters["ringway_overlay_control_messages_dropped_total"]; dropped == 0 || int(dropped)+l.ControlQueue > count {
			t.Errorf("%d were dropped", dropped)
		}
		time.Sleep(2 * time.Second) // the link is down: what waited had no other way
		if l, dropped := a.Status().Links[0], a.count.snapshot()["ringway_overlay_control_messages_dropped_total"]; l.ControlQueue != 0 || int(dropped) != count {
			t.Errorf("link down: %d wait, %d were dropped", l.ControlQueue, dropped)
		}
	})
}

// TestClockThatWentBack: a gateway whose clock was ahead comes back with a lower
// incarnation. What it sends counts again as soon as somebody has shown it what it said
// before.
func TestClockThatWentBack(t *testing.T) {
	inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 10 * time.Millisecond}, func(m *mesh) {
		incarnation := uint64(1000)
		m.plug = func(name string, cfg *Config) {
			if name == "a-1" {
				cfg.Incarnation = incarnation
			}
		}
		m.all().converged()
		heard := func(what string) bool {
			to := sourceOf(m.gate["b-1"])
			m.gate["a-1"].Broadcast([]byte("promise " + what))
			m.gate["a-1"].Control(to, []byte("control "+what))
			time.Sleep(100 * time.Millisecond)
			r := m.rec["b-1"]
			return r.has(&r.promises, "promise "+what) && r.has(&r.controls, of("a").Instance.String()+":control "+what)
		}
		for i := range 3 {
			if !heard(fmt.Sprint("before", i)) {
				t.Fatal("nothing comes before")
			}
		}
		m.kill("a-1")
		time.Sleep(time.Second)
		incarnation = 500
		m.start("a-1").converged()
		if !heard("after") {
			t.Error("nothing comes after the clock went back")
		}
	})
}
