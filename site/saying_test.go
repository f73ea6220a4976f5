package site

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

func newTestSayings() (*sayings, *bytes.Buffer) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	s := newSayings(log, func(id membership.NodeID) string { return fmt.Sprintf("n%d", id) },
		func(id membership.SiteID) string { return fmt.Sprintf("s%d", id) })
	return &s, &out
}

func ids(list ...membership.NodeID) []membership.NodeID { return list }

// TestRingChangesAreTold: who came and who went, and for how long there was no ring.
func TestRingChangesAreTold(t *testing.T) {
	s, out := newTestSayings()
	const ms = time.Millisecond
	said := func(want string) {
		t.Helper()
		if got := out.String(); !strings.HasSuffix(got, want+"\n") {
			t.Errorf("got %swant %s", got, want)
		}
		out.Reset()
	}
	s.look(10*ms, ring.Gather)
	s.ring(25*ms, &ring.View{Members: ids(1)})
	said(`members=n1 came=n1 went="" took=25ms`)
	s.look(30*ms, ring.Operational)
	s.look(100*ms, ring.Gather)
	s.look(200*ms, ring.Recovery)
	s.ring(250*ms, &ring.View{Members: ids(1, 2, 3), Together: ids(1)})
	said(`members="n1 n2 n3" came="n2 n3" went="" took=150ms`)
	// Between two looks; and 3 was restarted.
	s.ring(300*ms, &ring.View{Members: ids(1, 3), Together: ids(1)})
	said(`members="n1 n3" came=n3 went="n2 n3" took=0s`)
}

// TestLinesAreFew: a storm does not fill the disk, and what was left out is counted.
func TestLinesAreFew(t *testing.T) {
	s, out := newTestSayings()
	s.faults.limiter.SetLimit(0)
	for range 1000 {
		s.fault(&merge.Fault{What: "a lie"}, "fra")
	}
	if n := strings.Count(out.String(), "site=fra what=\"a lie\""); n != linesAtOnce {
		t.Errorf("%d lines about 1000 faults", n)
	}
	s.faults.limiter.SetLimit(1e9)
	for s.faults.unsaid > 0 {
		s.fault(&merge.Fault{What: "another"}, "fra")
	}
	if !strings.Contains(out.String(), "what=another unsaid=") {
		t.Errorf("nobody is told of what was left out: %.500s", out.String())
	}
}

// TestASiteViewIsToldOnce: its logs may change, and the node says nothing new.
func TestASiteViewIsToldOnce(t *testing.T) {
	s, out := newTestSayings()
	state := merge.State{Instance: 7, View: membership.ViewID{Epoch: 1, Proposer: 7}}
	for _, logs := range []int{0, 1, 2} {
		state.Logs = make([]membership.LogID, logs)
		s.siteView(&state, "off")
	}
	members := func(sites ...membership.SiteID) (list []membership.SiteInstance) {
		for _, id := range sites {
			list = append(list, membership.SiteInstance{Instance: membership.InstanceID(6 + id), Site: id})
		}
		return list
	}
	for _, sites := range [][]membership.SiteID{{1, 2, 3}, {1, 3, 4}} {
		state.View.Epoch++
		state.Members = members(sites...)
		s.siteView(&state, "off")
	}
	if n := strings.Count(out.String(), "site view"); n != 3 {
		t.Errorf("%d lines:\n%s", n, out)
	}
	for _, want := range []string{`members=3 sites="s1 s2 s3" came="s1 s2 s3" went=""`, `sites="s1 s3 s4" came=s4 went=s2`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nobody is told %s:\n%s", want, out)
		}
	}
}

// TestTheOverlayWaitsForTheLoop: what it hands over is done when it goes on, and a loop
// that has ended holds nobody.
func TestTheOverlayWaitsForTheLoop(t *testing.T) {
	done := make(chan struct{})
	w := &wan{in: newInbox(), done: done}
	handed := make(chan struct{})
	for _, end := range []func(){
		func() {
			<-w.in.wake
			taken := w.in.take(work{})
			for _, call := range taken.calls {
				call()
			}
		},
		func() { close(done) },
	} {
		ran := false
		go func() {
			w.hand(func() { ran = true })
			handed <- struct{}{}
		}()
		select {
		case <-handed:
			t.Fatal("it did not wait")
		default:
		}
		end()
		<-handed
		if closed := isClosed(done); ran == closed {
			t.Errorf("ran %v, loop ended %v", ran, closed)
		}
	}
	w.in.close()
	w.hand(func() { t.Error("ran after the end") })
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
