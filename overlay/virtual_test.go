package overlay

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

var meshLog = flag.Bool("mesh.log", false, "with -v: log what the gateways of the virtual meshes say")

// In virtual time: hellos measure the path's delay, the only way is given up after six
// hellos, and the link carries records again soon after it heals.
func TestVirtualTime(t *testing.T) {
	const delay = 40 * time.Millisecond
	inMesh(t, "ab", 1, map[string]time.Duration{"a-b": delay}, func(m *mesh) {
		m.all().converged()
		a, b := m.gate["a-1"], m.rec["b-1"]
		m.pull("a")
		a.Append(logOf("a"), entries(0, 10, 100, "b"))
		m.until("records", time.Second, func() bool { return m.have("b", "a") == 10 })
		time.Sleep(10 * time.Minute) // virtual; advertisements are repeated just now
		l := a.Status().Links[0]
		if l.State != LinkUp || l.Downs != 0 || l.RTT < 2*delay || l.RTT > 2*delay+time.Millisecond || l.LossPPM != 0 {
			t.Errorf("after calm: %+v", l)
		}
		m.link("a-b", cutWay)
		site := membership.SiteIDOf("a")
		if took := m.until("cut noticed", time.Second, func() bool { return !b.reaches(site) }); took > (goneHellos+1)*meshHello+80*time.Millisecond {
			t.Errorf("the cut is noticed after %v", took)
		}
		a.Append(logOf("a"), entries(10, 10, 100, "b"))
		time.Sleep(10 * time.Second)
		m.link("a-b", mendWay)
		took := m.until("records after the cut", 30*time.Second, func() bool { return m.have("b", "a") == 20 })
		t.Logf("records come %v after the cut heals", took)
		if l := a.Status().Links[0]; l.Downs != 1 || l.Flaps != 1 {
			t.Errorf("after one cut: %+v", l)
		}
		if got := b.got(logOf("a")); !slices.Equal(got, upTo(20, 1)) {
			t.Errorf("records %v", got)
		}
	})
}

// ring is six sites, each with a link to the next.
func ring() map[string]time.Duration {
	return map[string]time.Duration{
		"a-b": 20 * time.Millisecond, "b-c": 30 * time.Millisecond, "c-d": 10 * time.Millisecond,
		"d-e": 40 * time.Millisecond, "e-f": 15 * time.Millisecond, "f-a": 25 * time.Millisecond,
	}
}

// TestCutLinkIsRoutedAround: in a ring of six sites, whichever link is cut, traffic
// flows again within three hellos and a round trip of the way that is left.
func TestCutLinkIsRoutedAround(t *testing.T) {
	phase := time.Duration(0) // of the cut, between two hellos
	for link := range ring() {
		phase = (phase + 23*time.Millisecond) % meshHello
		t.Run(link, func(t *testing.T) {
			inMesh(t, "abcdef", 1, ring(), func(m *mesh) {
				m.all().converged()
				time.Sleep(phase)
				from, to := link[:1], link[2:]
				m.pull(from)
				source := m.gate[from+"-1"]
				n := uint64(0)
				send := func() {
					source.Append(logOf(from), entries(n, 1, 100, "a", "b", "c", "d", "e", "f"))
					n++
				}
				for range 200 {
					send()
					time.Sleep(5 * time.Millisecond)
				}
				var round time.Duration
				for l, d := range ring() {
					if l != link {
						round += 2 * d
					}
				}
				m.link(link, cutWay)
				cut := time.Now()
				send()
				var back time.Duration
				for back == 0 && time.Since(cut) < 2*time.Second {
					if m.have(to, from) >= int(n) {
						back = time.Since(cut)
						break
					}
					time.Sleep(time.Millisecond)
				}
				limit := 3*meshHello + round
				t.Logf("back after %v, limit %v", back, limit)
				if back == 0 || back >= limit {
					t.Errorf("traffic from %s to %s flows again after %v, want less than %v", from, to, back, limit)
				}
				for range 100 {
					send()
				}
				for _, site := range m.top.Sites {
					if site.Name == from {
						continue
					}
					m.until("all at "+site.Name, time.Second, func() bool { return m.have(site.Name, from) >= int(n) })
					if got := m.rec[site.Name+"-1"].got(logOf(from)); !slices.Equal(got, upTo(n, 1)) {
						t.Errorf("%s has %d records, want %d in order", site.Name, len(got), n)
					}
				}
			})
		})
	}
}

// path returns the gateways between which a promise or control message would go.
func (m *mesh) path(from, to string) string {
	answer := make(chan []membership.NodeID, 1)
	m.gate[from].post(func(c *core) { answer <- c.routes.Path(m.node[to].ID) })
	return fmt.Sprint(<-answer)
}

// TestLossyLinkIsRoutedAround: a link that begins to lose a fifth of its packets is
// left, and taken again when it is well.
func TestLossyLinkIsRoutedAround(t *testing.T) {
	inMesh(t, "abcdef", 1, ring(), func(m *mesh) {
		m.all().converged()
		direct := m.path("a-1", "b-1")
		m.link("a-b", func(w *memWay) { w.loss = 0.2 })
		took := m.until("routed around", 20*time.Second, func() bool { return m.path("a-1", "b-1") != direct })
		t.Logf("a link that loses 20 %% is left after %v", took)
		if l := m.gate["a-1"].Status().Links[0]; l.State != LinkUp {
			t.Errorf("the lossy link is %v", l.State)
		}
		m.link("a-b", func(w *memWay) { w.loss = 0 })
		took = m.until("taken again", time.Minute, func() bool { return m.path("a-1", "b-1") == direct })
		t.Logf("it is taken again %v after it is well", took)
	})
}

// TestFlappingLinkDoesNotMoveRoutes: a link that flaps once a second moves routes once.
func TestFlappingLinkDoesNotMoveRoutes(t *testing.T) {
	for _, down := range []time.Duration{300, 500, 700} {
		t.Run(fmt.Sprintf("down %d ms of each second", down), func(t *testing.T) {
			inMesh(t, "abc", 1, map[string]time.Duration{"a-b": 20 * time.Millisecond, "b-c": 20 * time.Millisecond, "c-a": 30 * time.Millisecond}, func(m *mesh) {
				m.all().converged()
				moves, was := 0, m.path("a-1", "b-1")
				look := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
						if is := m.path("a-1", "b-1"); is != was {
							moves, was = moves+1, is
						}
					}
				}
				for range 60 {
					m.link("a-b", cutWay)
					look(down * time.Millisecond)
					m.link("a-b", mendWay)
					look((1000 - down) * time.Millisecond)
				}
				if moves != 1 {
					t.Errorf("routes moved %d times in a minute of flaps", moves)
				}
				took := m.until("the link is taken again", 3*time.Minute, func() bool { return m.path("a-1", "b-1") != was })
				t.Logf("the link is taken again after %v of calm", took)
			})
		})
	}
}

// TestNoTransit: a site that lets nobody through lies on the short way between two others,
// which take the long one; what it sends and gets itself takes the short one.
func TestNoTransit(t *testing.T) {
	links := map[string]time.Duration{"a-b": 10 * time.Millisecond, "b-c": 10 * time.Millisecond, "a-c": 50 * time.Millisecond}
	inMesh(t, "abc", 1, links, func(m *mesh) {
		m.node["b-1"].Site.NoTransit = true
		m.all().converged()
		for _, way := range []string{"ac", "ca", "ab", "ba", "bc", "cb"} {
			from, to := m.node[way[:1]+"-1"], m.node[way[1:]+"-1"]
			want := fmt.Sprint([]membership.NodeID{from.ID, to.ID})
			m.until("the way from "+from.Name+" to "+to.Name, 10*time.Second, func() bool { return m.path(from.Name, to.Name) == want })
		}
		m.pull("a")
		m.gate["a-1"].Append(logOf("a"), entries(0, 100, 1000, "b", "c"))
		for _, site := range []string{"b", "c"} {
			m.until("all at "+site, 5*time.Second, func() bool { return m.have(site, "a") == 100 })
		}
		if sent := m.traffic()[[2]string{"b-1", "c-1"}]; sent >= 100*1000 {
			t.Errorf("b sent %d bytes to c, payloads of a among them", sent)
		}
	})
}
