package window

import (
	"math/rand/v2"
	"testing"
)

// TestWindow holds the window against a plain set of what was accepted.
func TestWindow(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		w, seen, top := &Window{}, map[uint64]bool{}, uint64(0)
		for range 3000 {
			n := uint64(1 + random.IntN(3*Bits))
			if random.IntN(2) == 0 {
				n = top + uint64(random.IntN(200))
			}
			if random.IntN(500) == 0 {
				n = top + uint64(random.IntN(3*Bits))
			}
			want := n > 0 && !seen[n] && n+Bits > top
			if w.Fresh(n) != want || w.Accept(n) != want {
				t.Fatalf("counter %d with top %d: want %v", n, top, want)
			}
			if want {
				seen[n] = true
			}
			if want && n > top {
				top = n
			}
		}
	}
	w := &Window{}
	w.StartAt(1000)
	for n, want := range map[uint64]bool{0: false, 1: false, 999: false, 1000: false, 1001: true} {
		if w.Fresh(n) != want {
			t.Errorf("counter %d in a window that starts at 1000: want %v", n, want)
		}
	}
}

// TestLastNumbers: who counts up to the last number there is does not hold anybody up.
func TestLastNumbers(t *testing.T) {
	const last = ^uint64(0)
	w := &Window{}
	for _, n := range []uint64{1, last - 70, last, last - 1} {
		if !w.Accept(n) || w.Accept(n) {
			t.Errorf("counter %d is not taken once", n)
		}
	}
	if w.Accept(2) {
		t.Error("what is far behind is taken")
	}
}
