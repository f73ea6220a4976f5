package overlay

import (
	"slices"
	"testing"
	"time"

	"ringway/routing"
)

// TestHostileRelay: a gateway with a good certificate alters what it relays of another
// site's log. Who pulls from it takes nothing of that, closes the link and names it, and
// gets the whole log by the other way.
func TestHostileRelay(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1", "d-1"}, "a-b", "b-d", "a-c", "c-d")
	for _, l := range f.top.Links { // by way of b
		l.Cost = 10 * time.Millisecond
		if l.Between[0].Name == "c" || l.Between[1].Name == "c" {
			l.Cost = 20 * time.Millisecond
		}
	}
	f.all()
	f.converged()
	log, site, b := logOf("a"), f.node["a-1"].Site.ID, f.node["b-1"].ID
	eventually(t, "the way from d to a leads over b", func() bool {
		return slices.ContainsFunc(f.gate["d-1"].Status().Routes, func(r routing.Route) bool {
			return r.Site == site && slices.Contains(r.Path[1:], b)
		})
	})
	f.gate["a-1"].Append(log, entries(0, 100, 100, "d"))
	pull := func(times int) {
		f.gate["d-1"].Pull([]Position{{Log: log}})
		eventually(t, "d has the log", func() bool { return f.rec["d-1"].count(log) == 100*times })
	}
	pull(1)
	if n := f.counter("b-1", "entries_received"); n < 100 {
		t.Fatalf("b has relayed %d entries", n)
	}
	// d forgets the log and pulls it again, while b still has it: for two seconds, which a
	// busy machine may miss.
	times := 1
	for f.counter("d-1", "tampered") == 0 && times < 6 {
		f.gate["d-1"].Pull(nil)
		eventually(t, "d has forgotten the log", func() bool { return len(f.gate["d-1"].Status().Logs) == 0 })
		f.gate["b-1"].post(func(c *core) {
			feed := c.feeds[log]
			if feed == nil {
				return
			}
			feed.store.mu.Lock()
			defer feed.store.mu.Unlock()
			for i := feed.store.head; i < len(feed.store.entries); i++ {
				feed.store.entries[i].Data = []byte("altered on the way")
			}
		})
		times++
		pull(times)
	}
	var want []uint64
	for range times {
		want = append(want, upTo(100, 1)...)
	}
	if got := f.rec["d-1"].got(log); !slices.Equal(got, want) {
		t.Errorf("d has %v", got)
	}
	f.rec["d-1"].mu.Lock()
	bytes := f.rec["d-1"].data[log]
	f.rec["d-1"].mu.Unlock()
	if bytes != times*100*100 {
		t.Errorf("d has %d bytes of the log, want %d", bytes, times*100*100)
	}
	if n := f.counter("d-1", "tampered"); n == 0 {
		t.Error("b was not found out")
	}
	if n := f.counter("d-1", "breaches"); n == 0 {
		t.Error("b was not disconnected")
	}
	for _, name := range []string{"a-1", "b-1", "c-1"} {
		if n := f.counter(name, "breaches"); n != 0 {
			t.Errorf("%s blames somebody", name)
		}
	}
}
