package merge

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLateness compares the samples that are kept in order with all of them sorted.
func TestLateness(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []int64{1, 5, 1000, 1 << 40} {
		var l lateness
		var all []int64
		for i := range 3*lateWindow + 7 {
			late := rnd.Int64N(spread) - spread/3
			l.add(late)
			all = append(all, late)
			window := slices.Sorted(slices.Values(all[max(0, len(all)-lateWindow):]))
			if got := l.sorted[:len(window)]; !slices.Equal(got, window) {
				t.Fatalf("spread %d, after %d samples: kept %v, want %v", spread, i+1, got, window)
			}
			if want := window[(len(window)*latePercent-1)/100]; l.fresh == 0 && l.quantile != want {
				t.Fatalf("spread %d, after %d samples: quantile %d, want %d", spread, i+1, l.quantile, want)
			}
		}
	}
}

func BenchmarkLateness(b *testing.B) {
	var l lateness
	rnd := rand.New(rand.NewPCG(1, 2))
	var late [4096]int64
	for i := range late {
		late[i] = int64(20e6 + rnd.ExpFloat64()*1e6)
	}
	b.ReportAllocs()
	for i := range b.N {
		l.add(late[i%len(late)])
	}
}
