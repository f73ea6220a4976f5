package overlay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/internal/pki"
)

// A site that starts to pull late, through a relay which already pulls for itself,
// gets everything from its own position on.
func TestRelayGoesBackForALateChild(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c").all().converged()
	log := logOf("a")
	f.gate["b-1"].Pull([]Position{{Log: log}})
	f.gate["a-1"].Append(log, entries(0, 200, 100, "b", "c"))
	eventually(t, "b has all", func() bool { return f.rec["b-1"].count(log) == 200 })
	f.gate["c-1"].Pull([]Position{{Log: log, From: 50}})
	f.gate["a-1"].Append(log, entries(200, 100, 100, "c"))
	eventually(t, "c has all", func() bool { return f.rec["c-1"].count(log) >= 250 })
	if got := f.rec["c-1"].got(log); !slices.Equal(got, upTo(300, 1)[50:]) {
		t.Errorf("c has %v", got)
	}
	if got := f.rec["b-1"].got(log); !slices.Equal(got, upTo(200, 1)) {
		t.Errorf("b has %d records", len(got))
	}
}

// A child that wants what the relay has dropped is refused, finds no other holder,
// and insists: the relay then gets it from the origin once more.
func TestChildInsists(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c").all().converged()
	log, importer := logOf("a"), "c-1"
	f.gate[importer].Pull([]Position{{Log: log}})
	f.gate["a-1"].Append(log, entries(0, 100, 100, "c"))
	eventually(t, "c imports", func() bool { return f.rec[importer].count(log) == 100 })
	// What the relay keeps is made small, so that it drops the first records.
	f.gate["b-1"].post(func(c *core) { c.feeds[log].store.setLimit(10 * (100 + entryOverhead)) })
	f.gate["a-1"].Append(log, entries(100, 100, 100, "c"))
	eventually(t, "the rest", func() bool { return f.rec[importer].count(log) == 200 })
	// The site goes back, as after its ring lost what had been handed to it.
	f.gate[importer].Pull(nil)
	eventually(t, "the importer has forgotten the log", func() bool { return len(f.gate[importer].Status().Logs) == 0 })
	f.gate[importer].Pull([]Position{{Log: log, From: 20}})
	eventually(t, "all from 20 on again", func() bool { return f.rec[importer].count(log) >= 380 })
	if got := f.rec[importer].got(log)[200:]; !slices.Equal(got, upTo(200, 1)[20:]) {
		t.Errorf("again: %v", got)
	}
}

// A subscription to an own log that has not begun waits for it; one from a position
// that never was here is refused.
func TestOwnLogBeginsLater(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	log := logOf("a")
	f.gate["b-1"].Pull([]Position{{Log: log}})
	eventually(t, "the subscription waits", func() bool {
		parked := make(chan int, 1)
		f.gate["a-1"].post(func(c *core) { parked <- len(c.parked) })
		return <-parked == 1
	})
	f.gate["a-1"].Append(log, entries(10, 5, 100, "b"))
	eventually(t, "refused", func() bool { return f.counter("a-1", "refusals_sent") > 0 })
	f.gate["a-1"].Trim(log, 10) // the node knows that nobody lacks the first ten
	eventually(t, "served", func() bool { return f.rec["b-1"].count(log) == 5 })
}

// An intruder is a gateway's connection in the hands of a test.
func (f *federation) intruder(as, victim string) *lane {
	f.t.Helper()
	n := f.node[as]
	id, err := pki.Throwaway(f.top.Name, n.Site.Name, as)
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := Config{Topology: f.top, Node: n, Identity: id, Conn: f.wire[as], Incarnation: 1}
	g, err := New(cfg, newRecorder())
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	addr := f.wire[victim].LocalAddr()
	conn, err := g.transport.Dial(ctx, addr, id.ClientTLS(f.node[victim].Site.Name, victim), quicConfig())
	if err != nil {
		f.t.Fatal(err)
	}
	h, err := g.greet(ctx, conn, f.node[victim], 0)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		cancel()
		_ = conn.CloseWithError(codeDraining, "")
		_ = g.transport.Close()
		_ = g.conn.Close()
	})
	return newLane(g, f.node[victim], conn, h, nil)
}

func TestPeersThatBreakRulesAreDisconnected(t *testing.T) {
	stream := func(k streamKind, frame []byte) func(*lane) error {
		return func(l *lane) error {
			s, err := l.openStream(k, 0)
			if err == nil {
				_, err = s.Write(frame)
			}
			return err
		}
	}
	sub := subscribe{Log: logOf("b"), Wants: []want{{2, 0}}}
	wrongOrder := subscribe{Log: logOf("b"), Wants: []want{{2, 0}, {1, 0}}}
	stranger := promise{Origin: 4711, Instance: 4712, Incarnation: 1, Number: 1}
	two := func(frame []byte) func(*lane) error {
		return func(l *lane) error {
			s, err := l.conn.OpenStream()
			if err == nil {
				_, err = s.Write(append([]byte{byte(streamSubscribe)}, frame...))
			}
			return err
		}
	}
	for _, c := range []struct {
		name string
		do   func(*lane) error
	}{
		{"unknown stream", stream(9, nil)},
		{"unknown frame", stream(streamState, []byte{0, 0, 0, 0, 99})},
		{"frame beyond its limit", stream(streamControl, []byte{0xff, 0xff, 0xff, 0xff, byte(frameControl)})},
		{"frame on the wrong stream", stream(streamControl, sub.append(nil))},
		{"malformed subscription", two(wrongOrder.append(nil))},
		{"data after a subscription", two(append(sub.append(nil), "more"...))},
		{"unknown datagram", func(l *lane) error { return l.conn.SendDatagram([]byte{77}) }},
		{"promise of a stranger", func(l *lane) error { return l.conn.SendDatagram(stranger.append([]byte{byte(gramPromise)})) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "a-c", "b-c").start("b-1")
			l := f.intruder("a-1", "b-1")
			if err := c.do(l); err != nil {
				t.Fatal(err)
			}
			<-l.done()
			end, ok := errors.AsType[*quic.ApplicationError](context.Cause(l.conn.Context()))
			if !ok || end.ErrorCode != codeBreach {
				t.Errorf("connection ended with %v", context.Cause(l.conn.Context()))
			}
			if f.counter("b-1", "breaches") == 0 {
				t.Error("not counted")
			}
			eventually(t, "the link is down", func() bool { return f.link("b-1", "a-1").State == LinkDown })
		})
	}
}

// Records stream at many MB/s, small ones included.
func TestThroughput(t *testing.T) {
	for _, size := range []int{100, 1000, 64 << 10} {
		f := newFederation(t, []string{"a-1", "b-1"}, "a-b")
		f.fast = true
		f.all().converged()
		log := logOf("a")
		f.gate["b-1"].Pull([]Position{{Log: log}})
		count := uint64(min(32<<20/size, 100_000))
		list := entries(0, count, size, "b")
		began := time.Now()
		for len(list) > 0 {
			n := min(len(list), 100)
			f.gate["a-1"].Append(log, list[:n])
			list = list[n:]
		}
		eventually(t, "all records", func() bool { return f.rec["b-1"].count(log) == int(count) })
		took := time.Since(began)
		t.Logf("%6d B: %.0f MB/s, %.0f records/s", size, float64(count)*float64(size)/1e6/took.Seconds(), float64(count)/took.Seconds())
		for _, stop := range f.stop {
			stop()
		}
	}
}

// TestSubscriptionsThatLeaveTakeNoPlace: subscriptions wait for an own log that does not
// begin, and those whose child has left do not count.
func TestSubscriptionsThatLeaveTakeNoPlace(t *testing.T) {
	inMesh(t, "ab", 1, map[string]time.Duration{"a-b": 10 * time.Millisecond}, func(m *mesh) {
		m.all().converged()
		log := logOf("a")
		for i := range uint64(maxStreams + 20) {
			log.View.Epoch = 1000 + i // views that site a has not begun
			m.gate["b-1"].Pull([]Position{{Log: log}})
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(2 * linger)
		parked := make(chan int, 1)
		m.gate["b-1"].Pull(nil)
		m.gate["b-1"].Pull([]Position{{Log: log}})
		time.Sleep(time.Second)
		m.gate["a-1"].post(func(c *core) { parked <- len(c.parked) })
		if n := <-parked; n == 0 || n > maxStreams/2 {
			t.Errorf("%d subscriptions wait", n)
		}
		if n := m.gate["a-1"].count.snapshot()["ringway_overlay_refusals_sent_total"]; n != 0 {
			t.Errorf("%d were refused", n)
		}
		m.gate["a-1"].Append(log, entries(0, 3, 100, "b"))
		m.until("its records", time.Second, func() bool { return m.rec["b-1"].count(log) == 3 })
	})
}

// TestWhoHasReadTheAnswerIsLetIn: a caller lets go of the hello's stream as soon as it has
// read the answer, which may be before the other end has closed it.
func TestWhoHasReadTheAnswerIsLetIn(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").start("b-1")
	n := f.node["a-1"]
	id, err := pki.Throwaway(f.top.Name, n.Site.Name, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Config{Topology: f.top, Node: n, Identity: id, Conn: f.wire["a-1"], Incarnation: 1}, newRecorder())
	if err != nil {
		t.Fatal(err)
	}
	defer g.transport.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 100 {
		conn, err := g.transport.Dial(ctx, f.wire["b-1"].LocalAddr(), id.ClientTLS("b", "b-1"), quicConfig())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.greet(ctx, conn, f.node["b-1"], 0); err != nil {
			t.Fatal(err)
		}
		_ = conn.CloseWithError(codeDraining, "")
	}
	if n := f.counter("b-1", "peers_refused"); n != 0 {
		t.Errorf("%d of 100 were refused", n)
	}
}
