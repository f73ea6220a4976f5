package overlay

import (
	"testing"
	"time"
)

// TestObituary: a gateway of whose end its own site knows is left at once by all, long before
// its links are noticed to be silent; the stream stands still for a round trip and little more.
// The next life counts again.
func TestObituary(t *testing.T) {
	const way = 20 * time.Millisecond
	inMesh(t, "ab", 2, map[string]time.Duration{"a-b": way}, func(m *mesh) {
		m.all().converged()
		s := &pairStream{m: m}
		s.pull()
		s.run(500 * time.Millisecond)
		for _, victim := range []string{"a-1", "b-1", "a-1"} {
			mate := victim[:2] + "2"
			incarnation := m.gate[victim].cfg.Incarnation
			m.kill(victim)
			s.moved = time.Now()         // the end of a gateway's goroutines takes time in which nothing flows
			s.run(10 * time.Millisecond) // what its site takes to find out
			m.gate[mate].Dead(m.node[victim].ID, incarnation)
			took := m.until("no path to the dead", time.Second, func() bool {
				s.look()
				for name := range m.gate {
					if m.path(name, victim) != "[]" {
						return false
					}
				}
				return true
			})
			if most := way + floodDelay + 20*time.Millisecond; took > most {
				t.Errorf("%s is dead: all left it after %v, at most %v are fine", victim, took, most)
			}
			s.run(700 * time.Millisecond)
			m.start(victim)
			s.restore(victim)
			s.run(4 * time.Second) // until its links have proved themselves
			if m.path("b-2", victim) == "[]" {
				t.Errorf("the next life of %s does not count", victim)
			}
		}
		s.finish()
		if most := 2*way + 50*time.Millisecond; s.stall > most {
			t.Errorf("the stream stood still for %v, at most %v are fine", s.stall, most)
		}
	})
}

// TestTheLivingRefute: a gateway that another one of its site calls dead is back at once, and
// one of another site is not believed.
func TestTheLivingRefute(t *testing.T) {
	inMesh(t, "ab", 2, map[string]time.Duration{"a-b": 20 * time.Millisecond}, func(m *mesh) {
		m.all().converged()
		m.gate["a-2"].Dead(m.node["a-1"].ID, m.gate["a-1"].cfg.Incarnation+5)
		m.until("the refutation", time.Second, func() bool {
			answer := make(chan bool, 1)
			m.gate["b-1"].post(func(c *core) {
				s, ok := c.db.Get(m.node["a-1"].ID)
				answer <- ok && s.Incarnation > m.gate["a-1"].cfg.Incarnation+5
			})
			return <-answer
		})
		m.until("a path", time.Second, func() bool { return m.path("b-1", "a-1") != "[]" })
		m.gate["a-2"].Dead(m.node["b-1"].ID, 1<<40)
		time.Sleep(2 * time.Second)
		if m.path("a-2", "b-1") == "[]" {
			t.Error("a gateway of another site was believed")
		}
	})
}
