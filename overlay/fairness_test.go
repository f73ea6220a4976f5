package overlay

import (
	"slices"
	"testing"
	"time"
)

// inNarrow runs a test on sites a and c, whose logs both go over r to d; from r on the way
// is narrow.
func inNarrow(t *testing.T, rate int, test func(m *mesh)) {
	t.Helper()
	links := map[string]time.Duration{"a-r": 5 * time.Millisecond, "c-r": 5 * time.Millisecond, "r-d": 10 * time.Millisecond}
	inMesh(t, "acrd", 1, links, func(m *mesh) {
		m.link("r-d", func(w *memWay) { w.rate, w.queue = rate, 25*time.Millisecond })
		m.plug = func(_ string, cfg *Config) { cfg.Lanes = 1 }
		m.all().converged()
		m.gate["d-1"].Pull([]Position{{Log: logOf("a")}, {Log: logOf("c")}})
		time.Sleep(500 * time.Millisecond)
		test(m)
	})
}

// TestLargeRecordsLetOtherLogsPass: while records of half a megabyte of one log fill a link,
// small ones of another log wait for the link's queue and no more: the link takes turns
// between streams, not between records.
func TestLargeRecordsLetOtherLogsPass(t *testing.T) {
	const rate, size = 2_000_000, 500_000
	inNarrow(t, rate, func(m *mesh) {
		m.gate["a-1"].Append(logOf("a"), entries(0, 40, size, "d"))
		time.Sleep(500 * time.Millisecond) // the link is full
		var took []time.Duration
		for n := range uint64(60) {
			m.gate["c-1"].Append(logOf("c"), entries(n, 1, 100, "d"))
			took = append(took, m.until("a small record", 5*time.Second, func() bool { return m.rec["d-1"].count(logOf("c")) == int(n)+1 }))
			time.Sleep(3 * time.Millisecond)
		}
		large := m.rec["d-1"].count(logOf("a"))
		if large == 40 {
			t.Fatal("the large records were all there: nothing was in the way")
		}
		slices.Sort(took)
		median, most := took[len(took)/2], took[len(took)-1]
		t.Logf("beside %d large records: small ones took %v, at most %v", large, median, most)
		// A large record alone takes a quarter of a second.
		if alone := time.Second * size / rate; median > alone/2 || most > 2*alone {
			t.Errorf("a small record took %v, at most %v; a large one alone takes %v", median, most, alone)
		}
	})
}

// TestLogsShareALink: two logs that have more than a link carries get about half of it
// each, however large their records are.
func TestLogsShareALink(t *testing.T) {
	inNarrow(t, 2_000_000, func(m *mesh) {
		m.gate["a-1"].Append(logOf("a"), entries(0, 30, 500_000, "d"))
		m.gate["c-1"].Append(logOf("c"), entries(0, 15_000, 1000, "d"))
		time.Sleep(2 * time.Second)
		rec := m.rec["d-1"]
		bytes := func() (large, small int) {
			rec.mu.Lock()
			defer rec.mu.Unlock()
			return rec.data[logOf("a")], rec.data[logOf("c")]
		}
		large, small := bytes()
		time.Sleep(4 * time.Second)
		largeNow, smallNow := bytes()
		large, small = largeNow-large, smallNow-small
		t.Logf("in four seconds %.1f MB in large records, %.1f MB in small ones", float64(large)/1e6, float64(small)/1e6)
		if large < small/3 || small < large/3 {
			t.Errorf("%d bytes in large records, %d in small ones", large, small)
		}
	})
}
