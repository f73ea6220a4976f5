package overlay

import (
	"slices"
	"testing"
	"time"
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
	log := logOf("a")
	f.gate["a-1"].Append(log, entries(0, 100, 100, "d"))
	pull := func(times int) {
		f.gate["d-1"].Pull([]Position{{Log: log}})
		eventually(t, "d has the log", func() bool { return f.rec["d-1"].count(log) == 100*times })
	}
	pull(1)
	if n := f.counter("b-1", "entries_received"); n < 100 {
		t.Fatalf("b has relayed %d entries", n)
	}
	// d forgets the log and pulls it again, while b still has it.
	f.gate["d-1"].Pull(nil)
	eventually(t, "d has forgotten the log", func() bool { return len(f.gate["d-1"].Status().Logs) == 0 })
	f.gate["b-1"].post(func(c *core) {
		s := c.feeds[log].store
		s.mu.Lock()
		defer s.mu.Unlock()
		s.entries[s.head+50].Data = []byte("altered on the way")
	})
	pull(2)
	if got := f.rec["d-1"].got(log); !slices.Equal(got, append(upTo(100, 1), upTo(100, 1)...)) {
		t.Errorf("d has %v", got)
	}
	f.rec["d-1"].mu.Lock()
	bytes := f.rec["d-1"].data[log]
	f.rec["d-1"].mu.Unlock()
	if bytes != 2*100*100 {
		t.Errorf("d has %d bytes of the log, want %d", bytes, 2*100*100)
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
