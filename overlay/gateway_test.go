package overlay

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

func TestLinksComeUpAndHellosMeasure(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	for _, pair := range [][2]string{{"a-1", "b-1"}, {"b-1", "a-1"}} {
		eventually(t, "hellos measured", func() bool {
			l := f.link(pair[0], pair[1])
			return l.State == LinkUp && l.RTT > 0 && l.RTT < time.Second && l.Jitter > 0 && l.Offset != 0 && l.Lanes == 1 && l.BytesSent > 0
		})
	}
	r, _ := f.rec["a-1"].reached(membership.SiteIDOf("b"))
	if r.Instance != instanceOf(r.Site) || r.View != testView || r.Epoch != 1 || r.Delay <= 0 {
		t.Errorf("reach of b: %+v", r)
	}
}

func TestLinkStateFollowsAnnouncementsAndStops(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c").all().converged()
	f.gate["c-1"].Announce(State{Instance: 99, View: testView, Epoch: 5})
	c, before := membership.SiteIDOf("c"), f.link("b-1", "c-1").Flaps // on a busy machine, some
	eventually(t, "a hears what c announces, through b", func() bool {
		r, _ := f.rec["a-1"].reached(c)
		return r.Instance == 99 && r.Epoch == 5
	})
	f.stop["c-1"]()
	eventually(t, "a hears that c is gone", func() bool { return !f.rec["a-1"].reaches(c) })
	if n := f.link("b-1", "c-1").Flaps; n > before {
		t.Errorf("a planned stop counts as %d flaps", n-before)
	}
}

// Each record reaches its destinations once, in order, directly or through a relay,
// and no other site.
func TestRecordsReachTheirDestinations(t *testing.T) {
	for _, c := range []struct {
		name  string
		links []string
	}{
		{"full mesh", []string{"a-b", "a-c", "b-c"}},
		{"c behind b", []string{"a-b", "b-c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1", "c-1"}, c.links...).all().converged()
			log := logOf("a")
			for _, n := range []string{"b-1", "c-1"} {
				f.gate[n].Pull([]Position{{Log: log}})
			}
			const count = 3000
			for n := range uint64(count) {
				to := []string{"b"}
				if n%3 == 0 {
					to = []string{"b", "c"}
				}
				f.gate["a-1"].Append(log, entries(n, 1, 100, to...))
			}
			for name, want := range map[string][]uint64{"b-1": upTo(count, 1), "c-1": upTo(count, 3)} {
				eventually(t, name+" has all", func() bool { return f.rec[name].count(log) >= len(want) })
				if got := f.rec[name].got(log); !slices.Equal(got, want) {
					t.Errorf("%s: %d records, want %d in order", name, len(got), len(want))
				}
			}
		})
	}
}

func TestLargeEntryPassesWhole(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	log := logOf("a")
	f.gate["b-1"].Pull([]Position{{Log: log}})
	list := entries(0, 3, 10, "b")
	list[1].Data = bytes.Repeat([]byte("x"), 9<<20)
	f.gate["a-1"].Append(log, list)
	eventually(t, "three entries", func() bool { return f.rec["b-1"].count(log) == 3 })
	if got := f.rec["b-1"].data[log]; got != 9<<20+20 {
		t.Errorf("%d bytes", got)
	}
}

// A cut is noticed by hellos; after it, every record is there once and in order.
func TestRecordsResumeAfterACut(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	log := logOf("a")
	f.gate["b-1"].Pull([]Position{{Log: log}})
	f.gate["a-1"].Append(log, entries(0, 500, 1000, "b"))
	eventually(t, "first records", func() bool { return f.rec["b-1"].count(log) > 0 })
	before := f.link("a-1", "b-1").Flaps // on a busy machine, some
	f.cut("a-1", "b-1", true)
	f.gate["a-1"].Append(log, entries(500, 500, 1000, "b"))
	eventually(t, "hellos notice the cut", func() bool { return !f.rec["a-1"].reaches(membership.SiteIDOf("b")) })
	f.cut("a-1", "b-1", false)
	f.gate["a-1"].Append(log, entries(1000, 500, 1000, "b"))
	eventually(t, "all records", func() bool { return f.rec["b-1"].count(log) >= 1500 })
	if got := f.rec["b-1"].got(log); !slices.Equal(got, upTo(1500, 1)) {
		t.Errorf("%d records, not 0..1499 in order", len(got))
	}
	if l := f.link("a-1", "b-1"); l.Flaps <= before { // how many, TestVirtualTime asks
		t.Errorf("%d flaps, before the cut %d", l.Flaps, before)
	}
	logs := f.gate["b-1"].Status().Logs
	if i := slices.IndexFunc(logs, func(l LogStatus) bool { return l.Log == log }); i < 0 || logs[i].Resumes == 0 || logs[i].Parent != "a-1" {
		t.Errorf("the status of the log: %+v", logs)
	}
	if n := f.counter("b-1", "route_changes"); n < 3 {
		t.Errorf("%d changes of routes, want that to a, its loss, and that to a again", n)
	}
}

// Records keep coming, through the other way round, while a link is cut.
func TestRecordsTakeAnotherWay(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "a-c", "b-c").all().converged()
	log := logOf("a")
	for _, n := range []string{"b-1", "c-1"} {
		f.gate[n].Pull([]Position{{Log: log}})
	}
	f.gate["a-1"].Append(log, entries(0, 100, 100, "b", "c"))
	eventually(t, "first records", func() bool { return f.rec["c-1"].count(log) == 100 })
	f.cut("a-1", "c-1", true)
	f.gate["a-1"].Append(log, entries(100, 100, 100, "b", "c"))
	for _, n := range []string{"b-1", "c-1"} {
		eventually(t, n+" has all", func() bool { return f.rec[n].count(log) >= 200 })
		if got := f.rec[n].got(log); !slices.Equal(got, upTo(200, 1)) {
			t.Errorf("%s: %d records, not 0..199 in order", n, len(got))
		}
	}
	f.stop["a-1"]()
}

// When the importing gateway of a site stops, the other one goes on.
func TestAnotherGatewayTakesOver(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "b-2"}, "a-b").all().converged()
	log := logOf("a")
	for _, n := range []string{"b-1", "b-2"} {
		f.gate[n].Pull([]Position{{Log: log}})
	}
	imports := func(name string) bool {
		for _, l := range f.gate[name].Status().Logs {
			if l.Log == log {
				return l.Importing && l.Parent != ""
			}
		}
		return false
	}
	f.gate["a-1"].Append(log, entries(0, 100, 100, "b"))
	// The nearer one imports. Here both are as near, and a busy machine may make it one and
	// then the other, which begins at the site's position.
	first, second := "b-1", "b-2"
	eventually(t, "exactly one gateway imports, and has all", func() bool {
		first, second = second, first
		return imports(first) && !imports(second) && f.rec[first].end(log) == 100
	})
	f.gate[second].Pull([]Position{{Log: log, From: 100}}) // as the ring has told its node
	f.stop[first]()
	f.gate["a-1"].Append(log, entries(100, 100, 100, "b"))
	eventually(t, "the other gateway imports", func() bool { return f.rec[second].end(log) == 200 })
	if got := f.rec[second].got(log); !slices.Equal(got[len(got)-100:], upTo(200, 1)[100:]) {
		t.Errorf("%s imports %v", second, got)
	}
}

func TestPromisesReachAllSites(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1", "d-1"}, "a-b", "b-c", "c-d", "d-a").all().converged()
	others := []string{"b-1", "c-1", "d-1"}
	// One may be lost, as a datagram or where routes are just changing: there will be others.
	arrives := func(what, text string) {
		t.Helper()
		n, said := 0, time.Time{}
		eventually(t, what, func() bool {
			if time.Since(said) > 50*time.Millisecond {
				n, said = n+1, time.Now()
				f.gate["a-1"].Broadcast(fmt.Appendf(nil, "%s%d", text, n))
			}
			return !slices.ContainsFunc(others, func(name string) bool {
				r := f.rec[name]
				r.mu.Lock()
				defer r.mu.Unlock()
				return !slices.ContainsFunc(r.promises, func(p string) bool { return strings.HasPrefix(p, text) })
			})
		})
	}
	arrives("a promise at every site", "p")
	arrives("a large promise at every site", strings.Repeat("L", 8000)) // beyond a datagram
	for _, name := range others {
		r := f.rec[name]
		r.mu.Lock()
		sorted := slices.Sorted(slices.Values(r.promises))
		if len(slices.Compact(sorted)) != len(r.promises) {
			t.Errorf("%s: a promise came twice: %v", name, len(r.promises))
		}
		r.mu.Unlock()
	}
	f.rec["a-1"].mu.Lock()
	defer f.rec["a-1"].mu.Unlock()
	if len(f.rec["a-1"].promises) > 0 {
		t.Error("the own promise came back")
	}
}

func TestControlReachesAllSites(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c").all().converged()
	for i := range 100 {
		f.gate["a-1"].Control(of("c"), fmt.Appendf(nil, "%d", i))
	}
	f.gate["a-1"].Control(of("b"), []byte("to b"))
	// A flush is many pieces at once; none may be missing.
	piece := bytes.Repeat([]byte("f"), 256<<10)
	const pieces = 40 // 10 MiB
	for range pieces {
		if !f.gate["a-1"].Control(of("c"), piece) {
			t.Error("a piece of a flush was refused")
		}
	}
	from := of("a").Instance.String() + ":"
	b, c := f.rec["b-1"], f.rec["c-1"]
	eventually(t, "the neighbour's", func() bool { return b.has(&b.controls, from+"to b") })
	eventually(t, "the relayed", func() bool { return c.has(&c.controls, from+"99") })
	eventually(t, "the flush", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.controls) == 100+pieces
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, got := range c.controls[:100] {
		if got != fmt.Sprintf("%s%d", from, i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	for _, c := range []struct{ name, federation, node, counter string }{
		{"certificate of another federation", "other", "b-1", "dial_failures"},
		{"certificate of another node", "test", "x-9", "dial_failures"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1"}, "a-b")
			f.plug = func(name string, cfg *Config) {
				if name == "b-1" {
					id, err := pki.Throwaway(c.federation, "b", c.node)
					if err != nil {
						t.Fatal(err)
					}
					cfg.Identity = id
				}
			}
			f.all()
			eventually(t, "refused and counted", func() bool { return f.counter("a-1", c.counter) > 1 })
			if l := f.link("a-1", "b-1"); l.State != LinkDown {
				t.Errorf("link is %v", l.State)
			}
		})
	}
	t.Run("a stranger dials", func(t *testing.T) {
		f := newFederation(t, []string{"a-1", "b-1"}, "a-b")
		f.plug = func(name string, cfg *Config) {
			if name == "a-1" { // dials
				id, err := pki.Throwaway("other", "a", "a-1")
				if err != nil {
					t.Fatal(err)
				}
				cfg.Identity = id
			}
		}
		f.all()
		eventually(t, "refused by both", func() bool {
			return f.counter("a-1", "dial_failures") > 0 && f.counter("b-1", "wrong_federation")+f.counter("b-1", "peers_refused") > 0
		})
	})
	t.Run("another federation's label in the hello", func(t *testing.T) {
		f := newFederation(t, []string{"a-1", "b-1"}, "a-b")
		f.plug = func(name string, cfg *Config) {
			if name == "a-1" {
				top := *f.top
				top.Name = "other"
				cfg.Topology = &top
			}
		}
		f.all()
		eventually(t, "refused and counted", func() bool { return f.counter("b-1", "wrong_federation") > 0 })
	})
	t.Run("no link between the sites", func(t *testing.T) {
		f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "b-c")
		f.plug = func(name string, cfg *Config) {
			if name == "a-1" { // believes in a full mesh
				top := *f.top
				top.Links = newFederation(t, []string{"a-1", "b-1"}, "a-b").top.Links
				top.Links[0].Between = [2]*topology.Site{f.node["a-1"].Site, f.node["b-1"].Site}
				cfg.Topology = &top
			}
		}
		f.all()
		eventually(t, "refused and counted", func() bool { return f.counter("b-1", "peers_refused") > 0 })
	})
}

func TestGarbageOnThePortIsHarmless(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(f.node["b-1"].Gateway))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 2000 {
		packet := bytes.Repeat([]byte{byte(i), byte(i * 7), byte(i >> 3)}, 1+i%400)
		_, _ = conn.Write(packet)
	}
	eventually(t, "garbage counted", func() bool { return f.counter("b-1", "garbage_packets") > 0 })
	log := logOf("a")
	f.gate["b-1"].Pull([]Position{{Log: log}})
	f.gate["a-1"].Append(log, entries(0, 10, 10, "b"))
	eventually(t, "records still come", func() bool { return f.rec["b-1"].count(log) == 10 })
	if n := f.counter("b-1", "breaches"); n != 0 {
		t.Errorf("%d breaches", n)
	}
}

// A Handler that blocks holds the origin's stream, not memory.
func TestBlockedHandlerHoldsTheStream(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	log := logOf("a")
	gate := make(chan struct{})
	f.rec["b-1"].mu.Lock()
	f.rec["b-1"].gate = gate
	f.rec["b-1"].mu.Unlock()
	f.gate["b-1"].Pull([]Position{{Log: log}})
	const size, count = 16 << 10, 2 << 10 // 32 MiB: twice the stream's window
	list := entries(0, count, size, "b")
	f.gate["a-1"].Append(log, list)
	var held LogStatus
	eventually(t, "the importer's bound is reached", func() bool {
		for _, l := range f.gate["b-1"].Status().Logs {
			if l.Log == log {
				held = l
			}
		}
		return held.LagBytes > maxImportLag
	})
	// What QUIC's windows admit may still come, but none of it into the store.
	if held.Bytes > maxImportLag+4*writeBatch+importBatch {
		t.Errorf("store holds %d bytes", held.Bytes)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	eventually(t, "the child's lag shows at the origin", func() bool {
		for _, l := range f.gate["a-1"].Status().Logs {
			for _, s := range l.Subscribers {
				return s.Lag > 0
			}
		}
		return false
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > connWindow {
		t.Errorf("heap grew by %d bytes", grown)
	}
	close(gate)
	eventually(t, "all records", func() bool { return f.rec["b-1"].count(log) == count })
}

func TestTrimForgets(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	log := logOf("a")
	var s LogStatus
	own := func() bool { // the loop may not answer in time
		all := f.gate["a-1"].Status().Logs
		if len(all) == 1 {
			s = all[0]
		}
		return len(all) == 1
	}
	f.gate["a-1"].Append(log, entries(0, 1000, 1000, "b"))
	eventually(t, "appended", func() bool { return own() && s.Entries == 1000 })
	f.gate["a-1"].Trim(log, 900)
	if eventually(t, "an answer", own); s.Entries != 100 || s.First != 900 || s.Bytes > 120_000 {
		t.Errorf("after the trim: %+v", s)
	}
	// Stable everywhere means that this site has them from somewhere: no refusal.
	f.gate["b-1"].Pull([]Position{{Log: log, From: 0}})
	eventually(t, "the rest", func() bool { return f.rec["b-1"].count(log) == 100 })
	// A new log drops the former.
	next := log
	next.View.Epoch++
	f.gate["a-1"].Append(next, entries(0, 1, 1, "b"))
	eventually(t, "only the new log", func() bool { s := f.gate["a-1"].Status(); return len(s.Logs) == 1 && s.Logs[0].Log == next })
	f.gate["b-1"].Pull([]Position{{Log: next}})
	eventually(t, "the new log's record", func() bool { return f.rec["b-1"].count(next) == 1 })
}

// Pull rewinds a log that was left out of one call, and only then.
func TestPullRewinds(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").all().converged()
	log := logOf("a")
	f.gate["b-1"].Pull([]Position{{Log: log}})
	f.gate["a-1"].Append(log, entries(0, 10, 10, "b"))
	eventually(t, "all", func() bool { return f.rec["b-1"].count(log) == 10 })
	f.gate["b-1"].Pull([]Position{{Log: log, From: 3}})
	f.gate["b-1"].Pull(nil)
	f.gate["b-1"].Pull([]Position{{Log: log, From: 7}})
	eventually(t, "the last three again", func() bool { return f.rec["b-1"].count(log) == 13 })
	if got := f.rec["b-1"].got(log)[10:]; !slices.Equal(got, []uint64{7, 8, 9}) {
		t.Errorf("again: %v", got)
	}
}
