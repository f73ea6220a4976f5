//go:build linux

package netem

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
)

// serveOn serves an engine to whoever has the other end of the socket.
func serveOn(t *testing.T, e *Engine) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(context.Background(), there, e)
	}()
	t.Cleanup(func() { here.Close(); <-ended })
	return here
}

func TestControl(t *testing.T) {
	p := startEngine(t, 2)
	g := newGround(t)
	s := g.connect(p, "delay=30ms", DefaultMTU, false)
	probe(t, s.a, 1)
	want(t, s.b, 1, 30*ms)
	must(t, p.Set(s.siteA, s.siteB, mustParse(t, "delay=60ms jitter=1ms/25%")))
	must(t, p.Change(s.siteA, s.siteB, "jitter=0ms loss=0.1%"))
	must(t, p.SetOneWay(s.siteB, s.siteA, mustParse(t, "delay=10ms")))
	must(t, p.ChangeOneWay(s.siteB, s.siteA, "rate=1gbit"))
	must(t, p.SetDownOneWay(s.siteA, s.siteB, true))
	all, err := p.Status()
	must(t, err)
	there, back := direction(t, all, s.siteA), direction(t, all, s.siteB)
	if there.Profile.String() != "delay=60ms loss=0.1%" || back.Profile.String() != "delay=10ms rate=1gbit" {
		t.Errorf("profiles %v and %v", there.Profile, back.Profile)
	}
	if !there.Down || back.Down {
		t.Errorf("down: %v and %v", there.Down, back.Down)
	}
	if late := there.Counters.Late; late.Count() == 0 || late.Max() == 0 {
		t.Errorf("lateness %v", &late)
	}
	probe(t, s.b, 2)
	want(t, s.a, 2, 10*ms)
	must(t, p.SetDown(s.siteA, s.siteB, true))
	must(t, p.SetDown(s.siteA, s.siteB, false))
	must(t, p.Set(s.siteA, s.siteB, Profile{}))
	probe(t, s.a, 3)
	want(t, s.b, 3, 0)

	for _, err := range []error{p.Set("x", "y", Profile{}), p.SetDown("x", "y", true), p.Disconnect("x", "y")} {
		if err == nil || !strings.Contains(err.Error(), `no link between "x" and "y"`) {
			t.Errorf("a link that is not there: %v", err)
		}
	}
	if err := p.Change(s.siteA, s.siteB, "delay=fast"); err == nil || !strings.Contains(err.Error(), "not a duration") {
		t.Errorf("settings that are not: %v", err)
	}
	must(t, p.Disconnect(s.siteA, s.siteB))
	if has(t, g.a, "wan0") {
		t.Error("the interface is left")
	}
	must(t, p.Stop())
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after stop: %v", err)
	}
	if _, err := p.Status(); err == nil || !strings.Contains(err.Error(), "has it ended?") {
		t.Errorf("call an engine that has ended: %v", err)
	}
}

// TestControlEnds: whoever serves an engine notices that its client has gone, and that
// it is not wanted any more.
func TestControlEnds(t *testing.T) {
	p := startEngine(t, 1)
	must(t, p.Close())
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after its client left: %v", err)
	}
	here, there := net.Pipe()
	defer here.Close()
	ctx, stop := context.WithCancel(t.Context())
	e := newEngine(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(ctx, there, e)
	}()
	stop()
	<-ended
}

func TestControlHearsNonsense(t *testing.T) {
	e := newEngine(t)
	ask := func(line string) string {
		conn := serveOn(t, e)
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write([]byte(line + "\n")) // it may hang up
		answer := make([]byte, 1000)
		n, _ := conn.Read(answer)
		return string(answer[:n])
	}
	for line, want := range map[string]string{
		`status`:                           "request: invalid character",
		`{"do":"dance"}`:                   `request \"dance\" is not known`,
		`{"do":"connect"}`:                 "it says not what to connect",
		`{"do":"set","from":"a"}`:          "it says not what to set",
		`{"do":"set","profile":"delay=x"}`: "is not a duration",
		`{"do":"status"}`:                  "{}",
	} {
		if got := ask(line); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	if got := ask(strings.Repeat("x", maxRequest+1)); got != "" {
		t.Errorf("a line without end: %s", got)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"do":"connect","link":{"a":{"site":"a","interface":"wan0"},"b":{},"mtu":1500,"profile":"delay=80ms"}}`))
	f.Add([]byte(`{"do":"change","from":"a","to":"b","one_way":true,"settings":"loss=1%"}`))
	f.Add([]byte(`{"do":"set","profile":"delay=80ms","down":true}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRequest(line)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if _, err := decodeRequest(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
