package site

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/admin"
	"ringway/internal/pki"
)

// status asks a node how it is.
func (f *federation) status(name string) (s admin.Status) {
	f.t.Helper()
	c := http.Client{Timeout: patience}
	answer, err := c.Get("http://" + f.nodes[name].Admin.String() + "/status")
	if err != nil {
		return s
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		f.t.Logf("status of %s: %v", name, err)
	}
	return s
}

// heard is what a member of a group was told.
type heard struct {
	messages, views []string
}

// listen receives until n messages have come.
func listen(ctx context.Context, c *client.Conn, total <-chan int) (h heard, err error) {
	want := -1
	for want < 0 || len(h.messages) < want {
		select {
		case want = <-total:
			continue
		default:
		}
		waiting, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		event, err := c.Receive(waiting)
		cancel()
		if waiting.Err() != nil && ctx.Err() == nil && err != nil {
			continue
		}
		if err != nil {
			return h, fmt.Errorf("%s has %d of %d messages: %w", c.Name(), len(h.messages), want, err)
		}
		switch e := event.(type) {
		case *client.Message:
			h.messages = append(h.messages, e.Sender+":"+string(e.Data))
		default:
			h.views = append(h.views, fmt.Sprintf("%T %+v", event, event))
		}
	}
	return h, nil
}

// TestRotationUnderTraffic: all nodes get new keys and certificates while every member
// sends. No ring, no view and no link goes down; nothing is lost, and the order stays
// one. Then a gateway is revoked: the others close their links with it.
func TestRotationUnderTraffic(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 2, "fra": 2, "nyc": 1}, "lon", "fra", "nyc")
	// The machine may be busy: a process that is not scheduled for a moment has no link
	// down, and what is looked for here depends neither on hellos nor on the token.
	topo.Timing.Hello = time.Second
	topo.Timing.TokenLoss = 10 * time.Second
	f := run(t, topo, nil)
	f.ready()
	var members []*client.Conn
	for _, s := range topo.Sites {
		for _, n := range s.Nodes {
			members = append(members, f.dial(n.Name, "m"))
		}
	}
	join(t, "feed", len(members), members...)
	before := map[string]admin.Status{}
	for name := range f.nodes {
		before[name] = f.status(name)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	stop := make(chan struct{})
	sent := make([]int, len(members))
	got := make([]heard, len(members))
	totals := make([]chan int, len(members))
	var senders, listeners sync.WaitGroup
	for i, c := range members {
		totals[i] = make(chan int, 1)
		listeners.Go(func() {
			var err error
			if got[i], err = listen(ctx, c, totals[i]); err != nil {
				t.Error(err)
			}
		})
		senders.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				if err := c.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"feed"}, Data: []byte(fmt.Sprint(sent[i]))}); err != nil {
					t.Error(err)
					return
				}
				sent[i]++
			}
		})
	}
	renewed := time.Now()
	for _, s := range topo.Sites {
		for _, n := range s.Nodes {
			if _, err := pki.Renew(topo.Certs, topo.Name, s.Name, n.Name, time.Hour, 2*time.Hour, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range f.nodes {
		f.eventually(name+" to show its new certificate", func() bool {
			s := f.status(name)
			return s.Certificate.Serial != "" && s.Certificate.Serial != before[name].Certificate.Serial
		})
	}
	f.eventually("every link to be made anew", func() bool {
		for name := range f.nodes {
			s := f.status(name)
			made := s.Counters["overlay_lanes_renewed"]
			for _, l := range s.Links {
				// On a busy machine a handshake may take too long, and a link may fall and come back.
				if l.State != "down" && l.Up < time.Since(renewed).Seconds() {
					made++
				}
			}
			if want := map[bool]uint64{true: 2}[f.nodes[name].IsGateway()]; made < want {
				return false
			}
		}
		return true
	})
	close(stop)
	senders.Wait()
	sum := 0
	for _, n := range sent {
		sum += n
	}
	for i := range totals {
		totals[i] <- sum
	}
	listeners.Wait()
	for i, c := range members {
		if !slices.Equal(got[i].messages, got[0].messages) {
			t.Errorf("%s and %s saw different orders", c.Name(), members[0].Name())
		}
		if len(got[i].views) > 0 {
			t.Errorf("%s was told of %v", c.Name(), got[i].views)
		}
	}
	for name := range f.nodes {
		now, then := f.status(name), before[name]
		if now.View.ID != then.View.ID || now.Ring.ID != then.Ring.ID {
			t.Errorf("%s: view %s, before %s; ring %s, before %s", name, now.View.ID, then.View.ID, now.Ring.ID, then.Ring.ID)
		}
		for _, what := range []string{"overlay_breaches", "overlay_bad_signatures", "overlay_tampered", "merge_broken_invariants"} {
			if now.Counters[what] != 0 {
				t.Errorf("%s: %s is %d", name, what, now.Counters[what])
			}
		}
	}
	t.Logf("%d messages to each of %d members while all certificates changed", sum, len(members))

	if _, err := pki.Revoke(topo.Certs, topo.Name, "nyc-1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, name := range []string{"lon-1", "fra-1"} {
		f.eventually(name+" to have no link with the revoked gateway", func() bool {
			s := f.status(name)
			for _, l := range s.Links {
				if l.Peer == "nyc-1" && l.State != "down" {
					return false
				}
			}
			return s.Certificate.Revoked > 0
		})
	}
	t.Logf("the revoked gateway is out %v after the list was written", time.Since(began).Round(10*time.Millisecond))
}
