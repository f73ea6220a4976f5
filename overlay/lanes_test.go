package overlay

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var lanesFor = flag.Duration("lanes.for", 0, "measure throughput by number of lanes for that long, in virtual time")

// TestLaneMeter: lanes are doubled while the link is the bottleneck and the last
// doubling helped; what did not help is taken back and not tried again for a while.
func TestLaneMeter(t *testing.T) {
	for _, c := range []struct {
		name string
		rate func(lanes int) uint64 // bytes/s
		held int
		want int
	}{
		{"each lane has its share", func(lanes int) uint64 { return uint64(lanes) << 20 }, 90, maxLanes},
		{"the link is full", func(int) uint64 { return 10 << 20 }, 90, 1},
		{"two help, four do not", func(lanes int) uint64 { return uint64(min(lanes, 2)) << 20 }, 90, 2},
		{"nothing is held up", func(int) uint64 { return 10 << 20 }, 20, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m laneMeter
			lanes, trials := 1, 0
			for range 20 * laneTrial {
				want := m.look(lanes, c.rate(lanes), c.held)
				if want > lanes {
					trials++
				}
				lanes = want
			}
			if lanes != c.want {
				t.Errorf("%d lanes, want %d", lanes, c.want)
			}
			if trials > 6 {
				t.Errorf("%d trials", trials)
			}
			for range laneIdle + 1 {
				lanes = m.look(lanes, 0, 0)
			}
			if lanes != 1 {
				t.Errorf("%d lanes when idle", lanes)
			}
		})
	}
}

// flood keeps a's log full of records for b for that long, and returns how many bytes
// arrived a second in the last half of the time.
func (m *mesh) flood(d time.Duration, size int) (rate float64) {
	source, log := m.gate["a-1"], logOf("a")
	n := uint64(0)
	var half int
	began := time.Now()
	for time.Since(began) < d {
		for int(n)-m.have("b", "a") < 32<<20/size { // enough for any window
			source.Append(log, entries(n, 16, size, "b"))
			n += 16
		}
		if half == 0 && time.Since(began) >= d/2 {
			half = m.have("b", "a")
		}
		source.Trim(log, uint64(m.have("b", "a")))
		time.Sleep(10 * time.Millisecond)
	}
	rate = float64(m.have("b", "a")-half) * float64(size) / (d / 2).Seconds()
	m.until("all records", 5*time.Minute, func() bool { return m.have("b", "a") >= int(n) })
	if got := m.rec["b-1"].got(log); !slices.Equal(got, upTo(n, 1)) {
		m.t.Errorf("%d records, want %d in order", len(got), n)
	}
	return rate
}

// TestLanesStripeALog: on a link that loses packets, lanes are made while they help,
// and a log that comes over all of them comes whole and in order, even when one is lost.
func TestLanesStripeALog(t *testing.T) {
	inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 25 * time.Millisecond}, func(m *mesh) {
		m.link("a-b", func(w *memWay) { w.loss, w.rate, w.queue = 0.01, 5<<20, 50*time.Millisecond })
		m.all().converged()
		m.pull("a")
		rate := m.flood(20*time.Second, 8<<10)
		l := m.gate["b-1"].Status().Links[0]
		t.Logf("%.2f MB/s over %d lanes", rate/1e6, l.Lanes)
		if l.Lanes < 4 {
			t.Errorf("%d lanes", l.Lanes)
		}
		m.gate["a-1"].post(func(c *core) { c.links[m.node["b-1"].ID].lanes[2].close(codeReplaced, "test") })
		m.more(t, 2000)
		// A parent that serves several lanes may end that with a refusal, as when routes change.
		m.gate["a-1"].post(func(c *core) {
			for b := range c.branches {
				b.end(refusedLoop)
			}
		})
		m.more(t, 2000)
		if s := m.gate["b-1"].Status(); s.Links[0].Downs > 0 || s.Counters["ringway_overlay_breaches_total"] > 0 {
			t.Errorf("a refusal is taken for a breach: the link went down %d times", s.Links[0].Downs)
		}
	})
}

// more sends count more records and wants each once and in order.
func (m *mesh) more(t *testing.T, count uint64) {
	t.Helper()
	log := logOf("a")
	from := uint64(m.have("b", "a"))
	m.gate["a-1"].Append(log, entries(from, count, 1000, "b"))
	m.until("all records", time.Minute, func() bool { return m.have("b", "a") >= int(from+count) })
	if got := m.rec["b-1"].got(log); !slices.Equal(got, upTo(from+count, 1)) {
		t.Errorf("%d records, want %d in order", len(got), from+count)
	}
}

// TestThroughputByLanes prints what lanes bring on a path of 50 ms and 200 Mbit/s, to records and
// to pieces of large bodies.
func TestThroughputByLanes(t *testing.T) {
	if *lanesFor == 0 {
		t.Skip("a measurement: -lanes.for=20s")
	}
	for what, flood := range map[string]func(*mesh) float64{
		"records": func(m *mesh) float64 {
			m.pull("a")
			return m.flood(*lanesFor, 8<<10)
		},
		"bodies": func(m *mesh) float64 { return m.floodBulk(*lanesFor, 32<<10) },
	} {
		for _, loss := range []float64{0, 0.001, 0.01} {
			for _, lanes := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s, loss %.1f %%, up to %d lanes", what, 100*loss, lanes), func(t *testing.T) {
					inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 25 * time.Millisecond}, func(m *mesh) {
						m.plug = func(_ string, cfg *Config) { cfg.Lanes = lanes }
						m.link("a-b", func(w *memWay) { w.loss, w.rate, w.queue = loss, 25_000_000, 50*time.Millisecond })
						m.all().converged()
						rate := flood(m)
						t.Logf("%.0f Mbit/s over %d lanes", rate*8/1e6, m.gate["a-1"].Status().Links[0].Lanes)
					})
				})
			}
		}
	}
}

// floodBulk has pieces of so many bytes wait at the link from a to b for a while. It returns how many
// bytes a second went over that.
func (m *mesh) floodBulk(long time.Duration, size int) float64 {
	a, to, piece := m.gate["a-1"], sourceOf(m.gate["b-1"]), make([]byte, size)
	before := a.Status().Links[0].BytesSent
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for a.Status().Links[0].BulkBytes < 4<<20 && a.Bulk(to, piece) {
			time.Sleep(time.Millisecond / 2)
		}
	}
	return float64(a.Status().Links[0].BytesSent-before) / long.Seconds()
}

// TestTurnIsTakenOnce: whatever a parent sends on its streams, the batches of one
// subscription are taken one at a time, and none before what comes without numbers.
func TestTurnIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn()
		early := make(chan error, 1)
		go func() { early <- turn.await(t.Context(), 1) }()
		if synctest.Wait(); len(early) > 0 {
			t.Fatal("batch 1 is taken while entries without numbers may come")
		}
		turn.done()
		if err := <-early; err != nil {
			t.Fatal(err)
		}
		if err := turn.await(t.Context(), 1); !errors.Is(err, errBreach) {
			t.Errorf("batch 1 while it is taken: %v", err)
		}
		turn.done()
		if err := turn.await(t.Context(), 1); !errors.Is(err, errBreach) {
			t.Errorf("batch 1 after it was taken: %v", err)
		}
		if err := turn.await(t.Context(), 2); err != nil {
			t.Error(err)
		}
	})
}
