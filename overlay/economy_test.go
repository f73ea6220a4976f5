package overlay

import (
	"slices"
	"testing"
	"time"
)

// traffic returns the bytes that have gone over each way so far.
func (m *mesh) traffic() map[[2]string]int {
	total := map[[2]string]int{}
	for a := range m.node {
		for b := range m.node {
			if a != b {
				total[[2]string{a, b}], _ = m.sent(a, b)
			}
		}
	}
	return total
}

// TestPayloadCrossesEachLinkOnce measures the bytes on every link while one site sends
// messages of 1000 bytes to some of the others: the links of its tree carry them once,
// with less than 5 % on top, and no other link carries any.
func TestPayloadCrossesEachLinkOnce(t *testing.T) {
	const count, size = 3000, 1000
	for _, c := range []struct {
		name  string
		dests []string
		tree  []string // ways that carry the payload
	}{
		{"to all", []string{"b", "c", "d", "e", "f"}, []string{"ab", "bc", "cd", "af", "fe"}},
		{"to far ones, relayed by sites that are none", []string{"c", "d"}, []string{"ab", "bc", "cd"}},
		{"to a neighbour", []string{"f"}, []string{"af"}},
		{"to nobody", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inMesh(t, "abcdef", 1, ring(), func(m *mesh) {
				m.all().converged()
				m.pull("a")
				source := m.gate["a-1"]
				source.Append(logOf("a"), entries(0, 1, size, "b", "c", "d", "e", "f"))
				time.Sleep(5 * time.Second)
				before := m.traffic()
				for n := range uint64(count / 10) {
					source.Append(logOf("a"), entries(1+10*n, 10, size, c.dests...))
					time.Sleep(time.Millisecond)
				}
				for _, d := range c.dests {
					m.until("all at "+d, 10*time.Second, func() bool { return m.have(d, "a") == 1+count })
				}
				after := m.traffic()
				worst := 0.0
				for way, bytes := range after {
					bytes -= before[way]
					if slices.Contains(c.tree, way[0][:1]+way[1][:1]) {
						over := float64(bytes)/(count*size) - 1
						worst = max(worst, over)
						if over < 0 || over >= 0.05 {
							t.Errorf("%v carries %d bytes, %.1f %% more than the payload", way, bytes, 100*over)
						}
					} else if bytes > count*size/20 {
						t.Errorf("%v is not on a way to a destination and carries %d bytes", way, bytes)
					}
				}
				if len(c.tree) > 0 {
					t.Logf("at most %.2f %% on top of the payload", 100*worst)
				}
			})
		})
	}
}

// TestIdleLinksAreQuiet: with nothing to carry, a link costs a few kilobytes a second.
func TestIdleLinksAreQuiet(t *testing.T) {
	inMesh(t, "abcdef", 2, ring(), func(m *mesh) {
		m.all().converged()
		time.Sleep(10 * time.Second)
		m.idle(20)
	})
}

// idle lets links carry nothing for some virtual seconds, and holds them to what that may
// cost.
func (m *mesh) idle(seconds int) {
	m.t.Helper()
	before := m.traffic()
	time.Sleep(time.Duration(seconds) * time.Second)
	most := 0
	for way, bytes := range m.traffic() {
		most = max(most, bytes-before[way])
	}
	m.t.Logf("an idle link carries at most %d bytes/s, one way", most/seconds)
	if most/seconds >= 50_000 {
		m.t.Errorf("an idle link carries %d bytes/s", most/seconds)
	}
}
