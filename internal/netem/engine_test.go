//go:build linux

package netem

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/internal/netlab"

	"github.com/vishvananda/netlink"
)

func newEngine(t *testing.T) *Engine {
	t.Helper()
	e, err := New(Options{Seed: 7})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

// begin is what probes count their time from.
var begin = time.Now()

// probe sends a packet with a number and the time.
func probe(t *testing.T, conn *net.UDPConn, number int) {
	t.Helper()
	packet := binary.BigEndian.AppendUint64(nil, uint64(number))
	packet = binary.BigEndian.AppendUint64(packet, uint64(time.Since(begin)))
	_, err := conn.Write(packet)
	must(t, err)
}

// next returns the next probe that arrives and how long it took, or false if none does
// in time.
func next(t *testing.T, conn *net.UDPConn, wait time.Duration) (number int, took time.Duration, ok bool) {
	t.Helper()
	packet := make([]byte, 100)
	must(t, conn.SetReadDeadline(time.Now().Add(wait)))
	n, err := conn.Read(packet)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, 0, false
	}
	must(t, err)
	if n != 16 {
		t.Fatalf("%d bytes arrived, want 16", n)
	}
	return int(binary.BigEndian.Uint64(packet)), time.Since(begin) - time.Duration(binary.BigEndian.Uint64(packet[8:])), true
}

// want fails unless the next probe has that number, and took as long or longer.
func want(t *testing.T, conn *net.UDPConn, number int, delay time.Duration) time.Duration {
	t.Helper()
	got, took, ok := next(t, conn, patience)
	if !ok || got != number || took < delay {
		t.Fatalf("probe %d arrived (%v) after %v, want %d after %v", got, ok, took, number, delay)
	}
	return took
}

// direction returns the status of the direction from a site.
func direction(t testing.TB, all []Direction, from string) Direction {
	t.Helper()
	for _, d := range all {
		if d.From == from {
			return d
		}
	}
	t.Fatalf("no direction from %s in %v", from, all)
	return Direction{}
}

// adds says whether each packet that came has been accounted for.
func adds(d Direction) bool {
	c := d.Counters
	return c.Came.Packets+c.Duplicated == c.Left.Packets+c.Waiting.Packets+c.Lost+c.Full+c.Down+c.NoMemory+c.Refused
}

func TestALinkDelaysBothWaysAndBothProtocols(t *testing.T) {
	e := newEngine(t)
	g := newGround(t)
	for _, v6 := range []bool{false, true} {
		const delay = 80 * ms
		s := g.connect(e, "delay=80ms", DefaultMTU, v6)
		var worst time.Duration
		for i := range 20 {
			probe(t, s.a, i)
			worst = max(worst, want(t, s.b, i, delay)-delay)
			probe(t, s.b, i)
			worst = max(worst, want(t, s.a, i, delay)-delay)
		}
		for _, d := range e.Status() {
			if d.Counters.Left.Packets < 20 || !adds(d) || d.Fault != "" || d.Down {
				t.Errorf("%+v", d)
			}
		}
		t.Logf("IPv6 %v: up to %v late", v6, worst)
	}
}

// volley sends probes 0 to n-1 from end a, few enough at a time for every buffer, and
// returns the numbers of those that arrive, in their order. It is exact: nothing else
// uses the link, and what the engine says has left will arrive.
func volley(t *testing.T, e *Engine, s *stretch, n int) (arrived []int) {
	t.Helper()
	const some = 500
	before := direction(t, e.Status(), s.siteA).Counters
	for sent := 0; sent < n; {
		for range min(some, n-sent) {
			probe(t, s.a, sent)
			sent++
		}
		var now Counters
		eventually(t, "the link to be empty", func() bool {
			now = direction(t, e.Status(), s.siteA).Counters
			return now.Came.Packets-before.Came.Packets == uint64(sent) && now.Waiting.Packets == 0
		})
		for uint64(len(arrived)) < now.Left.Packets-before.Left.Packets {
			number, _, ok := next(t, s.b, patience)
			if !ok {
				t.Fatalf("%d of %d packets that have left arrived", len(arrived), now.Left.Packets-before.Left.Packets)
			}
			arrived = append(arrived, number)
		}
	}
	if d := direction(t, e.Status(), s.siteA); !adds(d) {
		t.Errorf("not every packet is accounted for: %+v", d)
	}
	return arrived
}

// behind counts the packets that came after a later one, and those that came twice.
func behind(arrived []int) (late, twice int) {
	last := -1
	for _, number := range arrived {
		switch {
		case number < last:
			late++
		case number == last:
			twice++
		}
		last = max(last, number)
	}
	return late, twice
}

func TestALinkDoesWhatIsAsked(t *testing.T) {
	const probes = 10_000
	e := newEngine(t)
	s := newGround(t).connect(e, "", DefaultMTU, false)
	for _, c := range []struct {
		settings       string
		arrived, twice float64 // shares
		reorders       bool
	}{
		{"delay=20ms", 1, 0, false},
		{"delay=20ms loss=5%", 0.95, 0, false},
		{"delay=20ms loss-model=gemodel:2%:30%", 1 - 2.0/32, 0, false},
		{"delay=20ms jitter=15ms duplicate=10%", 1.1, 0.1, false},
		{"delay=20ms reorder=10%", 1, 0, true},
	} {
		must(t, e.Set(s.siteA, s.siteB, mustParse(t, c.settings)))
		arrived := volley(t, e, s, probes)
		late, twice := behind(arrived)
		tolerance := 5 * math.Sqrt(0.1*0.9/probes)
		near(t, c.settings+": arrived", float64(len(arrived))/probes, c.arrived, tolerance)
		near(t, c.settings+": came twice", float64(twice)/probes, c.twice, tolerance)
		if !c.reorders && late > 0 {
			t.Errorf("%s: %d packets were overtaken, which nobody asked for", c.settings, late)
		}
		// How many are overtaken depends on how fast they are sent; how many jump, not.
		if c.reorders && late == 0 {
			t.Errorf("%s: no packet was overtaken", c.settings)
		}
	}
	d := direction(t, e.Status(), s.siteA)
	near(t, "jumped", float64(d.Counters.Jumped)/probes, 0.1, 0.02)
}

func TestDown(t *testing.T) {
	e := newEngine(t)
	s := newGround(t).connect(e, "delay=100ms", DefaultMTU, false)
	probe(t, s.a, 0)
	want(t, s.b, 0, 100*ms)

	// What is on its way is lost, and nothing comes through.
	const flight = 50
	before := direction(t, e.Status(), s.siteA).Counters
	for i := range flight {
		probe(t, s.a, 1+i)
	}
	eventually(t, "the engine to take the packets", func() bool {
		return direction(t, e.Status(), s.siteA).Counters.Came.Packets >= before.Came.Packets+flight
	})
	start := time.Now()
	must(t, e.SetDown(s.siteB, s.siteA, true))
	t.Logf("down after %v", time.Since(start))
	waiting := direction(t, e.Status(), s.siteA)
	if waiting.Counters.Waiting != (Tally{}) || !waiting.Down || !adds(waiting) {
		t.Errorf("after the cut: %+v", waiting)
	}
	probe(t, s.a, 100)
	probe(t, s.b, 100)
	eventually(t, "packets to be dropped", func() bool {
		all := e.Status()
		return direction(t, all, s.siteA).Counters.Down > waiting.Counters.Down && direction(t, all, s.siteB).Counters.Down > 0
	})
	must(t, e.SetDown(s.siteA, s.siteB, false))
	probe(t, s.a, 200)
	for {
		number, took, ok := next(t, s.b, patience)
		if !ok || number > 200 {
			t.Fatalf("after the link is up again, %d (%v) arrives", number, ok)
		}
		if number == 200 {
			if took < 100*ms {
				t.Errorf("took %v", took)
			}
			break
		}
		// What had arrived before the cut took effect.
		if number >= 100 || took < 100*ms {
			t.Fatalf("probe %d arrived over a link that was down", number)
		}
	}

	must(t, e.SetDownOneWay(s.siteA, s.siteB, true))
	probe(t, s.a, 300)
	probe(t, s.b, 301)
	want(t, s.a, 301, 100*ms)
	if all := e.Status(); !direction(t, all, s.siteA).Down || direction(t, all, s.siteB).Down {
		t.Errorf("one way down: %+v", all)
	}
}

func TestChangeWhileRunning(t *testing.T) {
	e := newEngine(t)
	s := newGround(t).connect(e, "delay=1500ms loss-model=gemodel:0.0001%:100%", DefaultMTU, false)
	probe(t, s.a, 1)
	eventually(t, "the packet to be on its way", func() bool {
		return direction(t, e.Status(), s.siteA).Counters.Waiting.Packets > 0
	})
	must(t, e.Change(s.siteA, s.siteB, "delay=20ms"))
	probe(t, s.a, 2) // does not overtake
	want(t, s.b, 1, 1500*ms)
	want(t, s.b, 2, 20*ms)
	must(t, e.ChangeOneWay(s.siteB, s.siteA, "delay=150ms rate=100mbit"))
	probe(t, s.b, 3)
	want(t, s.a, 3, 150*ms)
	const here, back = "delay=20ms loss-model=gemodel:0.0001%:100%:100%:0%", "delay=150ms loss-model=gemodel:0.0001%:100%:100%:0% rate=100mbit"
	all := e.Status()
	if a, b := direction(t, all, s.siteA).Profile.String(), direction(t, all, s.siteB).Profile.String(); a != here || b != back {
		t.Errorf("profiles %s and %s, want %s and %s", a, b, here, back)
	}
	// All or nothing: without a rate, one direction cannot have a limit.
	if err := e.Change(s.siteA, s.siteB, "limit=10ms"); err == nil || !strings.Contains(err.Error(), `"a0" to "b0": limit is of the queue at a rate`) {
		t.Errorf("error %v", err)
	}
	if again := e.Status(); direction(t, again, s.siteB).Profile.String() != back {
		t.Error("the other direction was changed")
	}
}

func TestRateAndBigPackets(t *testing.T) {
	e := newEngine(t)
	s := newGround(t).connect(e, "rate=8mbit limit=50ms", 9000, false)
	before := direction(t, e.Status(), s.siteA).Counters
	const burst, payload = 20, 8972 // one packet of 9000 bytes each, which takes 9 ms
	for range burst {
		_, err := s.a.Write(make([]byte, payload))
		must(t, err)
	}
	eventually(t, "the queue to be empty", func() bool {
		c := direction(t, e.Status(), s.siteA).Counters
		return c.Came.Bytes-before.Came.Bytes >= burst*9000 && c.Waiting.Packets == 0
	})
	d := direction(t, e.Status(), s.siteA)
	if d.Counters.Full == 0 || d.Counters.Full > burst-6 || !adds(d) {
		t.Errorf("%d of %d packets found a full queue: %+v", d.Counters.Full, burst, d)
	}
	buffer := make([]byte, 10000)
	must(t, s.b.SetReadDeadline(time.Now().Add(patience)))
	if n, err := s.b.Read(buffer); err != nil || n != payload {
		t.Errorf("%d bytes arrived (%v), want %d", n, err, payload)
	}
}

func TestDisconnect(t *testing.T) {
	e := newEngine(t)
	g := newGround(t)
	gone, stays := g.connect(e, "delay=10ms", DefaultMTU, false), g.connect(e, "delay=10ms", DefaultMTU, false)
	must(t, e.Disconnect(gone.siteB, gone.siteA))
	if has(t, g.a, "wan0") || has(t, g.b, "wan0") || !has(t, g.a, "wan1") {
		t.Error("not the interfaces of that link are gone")
	}
	probe(t, stays.a, 1)
	want(t, stays.b, 1, 10*ms)
	// The names are free again.
	g.made = 0
	g.connect(e, "delay=10ms", DefaultMTU, false)
	must(t, e.Close())
	must(t, e.Close())
	if has(t, g.a, "wan0") || has(t, g.b, "wan1") {
		t.Error("interfaces are left after Close")
	}
	for _, err := range []error{e.Connect(g.link("", 0)), e.Disconnect("a", "b"), e.SetDown("a", "b", true)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if all := e.Status(); len(all) != 0 {
		t.Errorf("after Close: %v", all)
	}
}

func TestAnInterfaceThatSomebodyRemoves(t *testing.T) {
	e := newEngine(t)
	g := newGround(t)
	broken, whole := g.connect(e, "delay=10ms", DefaultMTU, false), g.connect(e, "delay=10ms", DefaultMTU, false)
	must(t, g.b.Do(func() error {
		link, err := netlink.LinkByName("wan0")
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}))
	eventually(t, "the fault to be noticed", func() bool {
		return strings.Contains(direction(t, e.Status(), broken.siteB).Fault, "interface wan0")
	})
	probe(t, broken.a, 1)
	eventually(t, "a packet to be refused", func() bool {
		return direction(t, e.Status(), broken.siteA).Counters.Refused > 0
	})
	probe(t, whole.a, 1)
	want(t, whole.b, 1, 10*ms)
	must(t, e.Disconnect(broken.siteA, broken.siteB))
	g.made = 0
	again := g.connect(e, "delay=10ms", DefaultMTU, false)
	probe(t, again.a, 2)
	want(t, again.b, 2, 10*ms)
}

func TestSpacesThatGoBeforeTheEngine(t *testing.T) {
	e := newEngine(t)
	lab, err := netlab.New("gone")
	must(t, err)
	a, err := lab.Space("a")
	must(t, err)
	b, err := lab.Space("b")
	must(t, err)
	g := &ground{t: t, a: a, b: b, port: 7000}
	s := g.connect(e, "delay=10ms", DefaultMTU, false)
	s.a.Close()
	s.b.Close()
	must(t, lab.Close())
	if all := e.Status(); len(all) != 2 {
		t.Errorf("status %v", all)
	}
	must(t, e.Disconnect(s.siteA, s.siteB))
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	e := newEngine(t)
	g := newGround(t)
	g.connect(e, "", DefaultMTU, false)
	good := g.link("", 0)
	for name, c := range map[string]struct {
		change func(*Link)
		want   string
	}{
		"no name":     {func(l *Link) { l.A.Site = "" }, "name both sites"},
		"long name":   {func(l *Link) { l.B.Site = strings.Repeat("x", 65) }, "at most 64 bytes"},
		"same site":   {func(l *Link) { l.A.Site = l.B.Site }, "both ends are the same site"},
		"second":      {func(l *Link) { l.A.Site, l.B.Site = "b0", "a0" }, "there is one already"},
		"MTU":         {func(l *Link) { l.MTU = 1000 }, "from 1280 to 65535"},
		"profile":     {func(l *Link) { l.Profile.Loss = 2 }, "loss of 2 is out of range"},
		"no device":   {func(l *Link) { l.A.Interface = "" }, "1 to 15 printable"},
		"template":    {func(l *Link) { l.A.Interface = "wan%d" }, "without '/', ':' and '%'"},
		"taken":       {func(l *Link) { l.B.Interface = "wan0" }, "one of that name already"},
		"taken by lo": {func(l *Link) { l.B.Interface = "lo" }, "interface lo of site b1: "},
		"no space":    {func(l *Link) { l.A.Space = "/run/netns/not-there" }, "enter network namespace /run/netns/not-there"},
		"not a space": {func(l *Link) { l.A.Space = "/dev/null" }, "enter network namespace /dev/null: invalid argument"},
	} {
		link := good
		c.change(&link)
		if err := e.Connect(link); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		if has(t, g.a, "wan1") || has(t, g.b, "wan1") {
			t.Fatalf("%s: an interface is left", name)
		}
	}
	must(t, e.Connect(good))
	if err := e.Set("a0", "b1", Profile{}); err == nil || !strings.Contains(err.Error(), `no link between "a0" and "b1"`) {
		t.Errorf("set a link that is not there: %v", err)
	}
	if err := e.Set("a0", "b0", Profile{Delay: -1}); err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("set a profile that is not valid: %v", err)
	}
	if _, err := New(Options{Workers: 1000}); err == nil || !strings.Contains(err.Error(), "want 1 to 64") {
		t.Errorf("1000 workers: %v", err)
	}
}

// TestKilled: nothing stays of an engine that is killed.
func TestKilled(t *testing.T) {
	p := startEngine(t, 1)
	g := newGround(t)
	s := g.connect(p, "delay=50ms", DefaultMTU, false)
	probe(t, s.a, 1)
	want(t, s.b, 1, 50*ms)
	probe(t, s.a, 2)
	must(t, p.cmd.Process.Signal(syscall.SIGKILL))
	p.cmd.Wait()
	// Its files are closed when Wait has returned, and with them the interfaces.
	if has(t, g.a, "wan0") || has(t, g.b, "wan0") {
		t.Error("interfaces are left")
	}
	// Another engine makes them again.
	again := newEngine(t)
	g.made = 0
	s = g.connect(again, "delay=50ms", DefaultMTU, false)
	probe(t, s.a, 3)
	want(t, s.b, 3, 50*ms)
}
