package overlay

import (
	"fmt"
	"testing"
	"time"
)

// TestSecondPaths: while its link to a site is silent, and nobody has noticed yet, a site's
// promises come over the third one, each secondGap and the last one too; while all is well few
// take that way, or pass here on theirs to the third one.
func TestSecondPaths(t *testing.T) {
	const delay = 10 * time.Millisecond
	inMesh(t, "abc", 1, map[string]time.Duration{"a-b": delay, "b-c": delay, "a-c": delay}, func(m *mesh) {
		m.all().converged()
		b := m.rec["b-1"]
		said := 0
		say := func() {
			said++
			m.gate["a-1"].Broadcast(fmt.Append(nil, said))
		}
		came := func() (n int, latest string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if n = len(b.promises); n > 0 {
				latest = b.promises[n-1]
			}
			return n, latest
		}
		const each = 2 * time.Millisecond
		again := func() uint64 { return m.gate["b-1"].count.snapshot()["ringway_overlay_promises_duplicate_total"] }
		twice := again()
		for range 500 {
			say()
			time.Sleep(each)
		}
		m.until("all promises", time.Second, func() bool { n, _ := came(); return n == said })
		twice = again() - twice
		if most := 2*uint64(time.Second/secondGap) + 4; twice == 0 || twice > most {
			t.Errorf("%d of %d promises came twice, want at most %d", twice, said, most)
		}

		m.link("a-b", cutWay)
		before, _ := came()
		for range 50 { // 100 ms: nobody notices before 200
			say()
			time.Sleep(each)
		}
		took := m.until("the last promise", time.Second, func() bool { _, latest := came(); return latest == fmt.Sprint(said) })
		if limit := 2*delay + secondGap + each; took > limit {
			t.Errorf("the last promise came %v after it was made, want %v", took, limit)
		}
		n, _ := came()
		if few := 100 * int(time.Millisecond) / int(secondGap); n-before < few {
			t.Errorf("%d promises came while the link was silent, want %d", n-before, few)
		}
	})
}
