package testnode_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/testnode"
)

// TestBodiesOutliveGateways: while large bodies are on their way from one site to another, a
// gateway of either dies by kill -9, and comes back. All bodies arrive, whole and in order.
func TestBodiesOutliveGateways(t *testing.T) {
	const size = 24 << 20 / raceShare
	f := testnode.Start(t, testnode.Site{Name: "lon", Nodes: 3, Gateways: 2}, testnode.Site{Name: "fra", Nodes: 3, Gateways: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dial := func(node, name string) *client.Conn {
		c, err := client.Dial(ctx, f.Address(node), client.Options{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	big, reader := dial("lon-3", "big"), dial("fra-3", "reader")
	if err := reader.Join(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	next := func() *client.Message {
		for {
			event, err := reader.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := event.(*client.Message); ok {
				return m
			}
			if v, ok := event.(*client.View); ok && len(v.Members) == 1 {
				t.Logf("a view of %d", len(v.Members))
			}
		}
	}
	received := func() (pieces uint64) {
		for _, gateway := range []string{"fra-1", "fra-2"} {
			s, err := f.Status(gateway)
			if err != nil {
				t.Fatal(err)
			}
			pieces += s.Counters["merge_bodies_pieces_received"]
		}
		return pieces
	}
	body := func(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("body %d ", i)), size/7) }
	if err := big.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"g"}, Data: body(0)}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	next()
	t.Logf("a body of %d MiB takes %v", size>>20, time.Since(began))
	for i, victim := range []string{"fra-1", "lon-1", "fra-2", "lon-2"} {
		began, before := time.Now(), received()
		if err := big.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"g"}, Data: body(i + 1)}); err != nil {
			t.Fatal(err)
		}
		f.Eventually("half of the body to be on its way", func() bool { return received()-before >= size/(32<<10)/2 })
		f.Kill(victim)
		m := next()
		t.Logf("with the death of %s it takes %v", victim, time.Since(began))
		if !bytes.Equal(m.Data, body(i+1)) {
			t.Fatalf("body %d was changed on its way", i+1)
		}
		f.Start(victim)
		f.Ready()
	}
}
