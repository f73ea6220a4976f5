package overlay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestBulkGivesWay: pieces of a large body fill a thin link for many seconds, through a gateway in
// the middle. Control messages and records pass them: they wait for what is in the network, and
// not for the pieces in front of it. All pieces arrive, but for a few that are on a lane when it
// is given up because it does not help.
func TestBulkGivesWay(t *testing.T) {
	const (
		rate, size, pieces = 250_000, 32 << 10, 120 // sixteen seconds
		delay, queue       = 10 * time.Millisecond, 100 * time.Millisecond
	)
	links := map[string]time.Duration{"a-b": delay, "b-c": delay}
	inMesh(t, "abc", 1, links, func(m *mesh) {
		m.all().converged()
		m.thin("b", "c", rate, queue)
		a, to := m.gate["a-1"], sourceOf(m.gate["c-1"])
		c := &chatter{mesh: m, rand: rand.New(rand.NewPCG(1, 2)), sent: map[string][]time.Time{}}
		for i := range pieces {
			if !a.Bulk(to, append(fmt.Appendf(nil, "piece %03d ", i), make([]byte, size)...)) {
				t.Error("a piece is refused")
			}
		}
		if a.Bulk(to, make([]byte, MaxBulkBytes+1)) {
			t.Error("a piece beyond the limit is not refused")
		}
		arrived := func(what string) (n int) {
			r := m.rec["c-1"]
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, x := range r.controls {
				if strings.Contains(x[:min(len(x), 60)], what) {
					n++
				}
			}
			return n
		}
		var longest time.Duration
		for i := range 50 {
			sent := time.Now()
			a.Control(to, fmt.Appendf(nil, "small %d", i))
			c.sent["a"] = append(c.sent["a"], sent)
			a.Append(logOf("a"), entries(uint64(i), 1, 100, "a", "b", "c"))
			c.tell()
			for arrived("small ") <= i || c.reached("c", "a") <= uint64(i) {
				if longest = max(longest, time.Since(sent)); longest > 5*time.Second {
					t.Fatal("a message does not arrive")
				}
				time.Sleep(time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if n := arrived("piece "); n == 0 || n == pieces {
			t.Errorf("%d pieces had come: the link was not full of them", n)
		}
		t.Logf("of 50 control messages and records the last took %v at most", longest)
		if limit := 2*delay + queue + 4*size*time.Second/rate; longest > limit { // a few pieces' time
			t.Errorf("that is more than %v", limit)
		}
		for end := time.Now().Add(20 * time.Second); arrived("piece ") < pieces*9/10; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of %d pieces arrive", arrived("piece "), pieces)
			}
		}
		r := m.rec["c-1"]
		r.mu.Lock()
		defer r.mu.Unlock()
		came := map[string]bool{}
		for _, x := range r.controls {
			if _, piece, ok := strings.Cut(x[:min(len(x), 80)], "piece "); ok {
				if came[piece[:3]] || !bytes.HasSuffix([]byte(x), make([]byte, size)) {
					t.Fatalf("piece %.3q comes twice, or was changed", piece)
				}
				came[piece[:3]] = true
			}
		}
	})
}
