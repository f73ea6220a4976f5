package site

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/relay"
)

// TestSmallMessagesBesideALargeBody: over links of 20 Mbit/s a body goes from one site to a second,
// where it takes seconds to get, while a third sends small messages to another group there. None
// of those waits for the body.
func TestSmallMessagesBesideALargeBody(t *testing.T) {
	const size, rate = 8 << 20, 20_000_000
	link := time.Duration(size) * 8 * time.Second / rate
	topo := newTopology(t, map[string]int{"lon": 2, "fra": 2, "nyc": 1}, "lon", "fra", "nyc")
	_, dial := wanLinks(t, topo, relay.Profile{Delay: 10 * time.Millisecond, Rate: rate})
	f := run(t, topo, dial)
	f.ready()
	big, reader, small, other := f.dial("lon-2", "big"), f.dial("fra-2", "reader"), f.dial("nyc-1", "small"), f.dial("fra-1", "other")
	join(t, "bodies", 1, reader)
	join(t, "small", 1, other)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()

	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	began, took := time.Now(), make(chan time.Duration, 1)
	go func() {
		defer close(took)
		if err := big.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"bodies"}, Data: data}); err != nil {
			t.Error(err)
			return
		}
		for {
			event, err := reader.Receive(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if m, ok := event.(*client.Message); ok {
				if !bytes.Equal(m.Data, data) {
					t.Error("the body was changed on its way")
				}
				took <- time.Since(began)
				return
			}
		}
	}()
	var slowest time.Duration
	n := 0
	for body := time.Duration(0); body == 0; n++ {
		sent, text := time.Now(), fmt.Sprint("small ", n)
		send(t, small, client.Agreed, text, "small")
		if got := messages(t, other, 1); got[0] != small.Name()+":"+text {
			t.Fatalf("got %v", got)
		}
		slowest = max(slowest, time.Since(sent))
		select {
		case body = <-took:
			t.Logf("the body took %v, %v of it on the link; of %d small messages the slowest %v", body, link, n, slowest)
			if body < link*9/10 {
				t.Errorf("the link was faster than it should be")
			}
			if body == 0 {
				return
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	if slowest > link/3 {
		t.Errorf("a small message took %v beside a body of %v", slowest, link)
	}
}
