package site

import (
	"context"
	"fmt"
	"testing"

	"ringway/client"
)

// TestStopInOrder: what clients have sent just before their node is told to stop comes to
// the other sites, though it is the only one that can send it; and nobody in a ring has
// to find out that a node has gone.
func TestStopInOrder(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 3, "fra": 1}, "lon", "fra")
	f := run(t, topo, nil)
	f.ready()
	near, far := f.dial("lon-2", "near"), f.dial("fra-1", "far")
	join(t, "feed", 2, near, far)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const n = 2000
	var batch []client.Message
	for i := range n {
		batch = append(batch, client.Message{Service: client.Agreed, Groups: []string{"feed"}, Data: fmt.Append(nil, i)})
	}
	if err := far.SendBatch(ctx, batch); err != nil {
		t.Fatal(err)
	}
	// The last one back says that all were accepted; the others need not have any yet.
	messages(t, far, n)
	f.stop("fra-1")
	for i, m := range messages(t, near, n) {
		if want := fmt.Sprintf("%s:%d", far.Name(), i); m != want {
			t.Fatalf("message %d is %q, want %q", i, m, want)
		}
	}
	awaitView(t, near, "feed", 1)

	before := f.status("lon-2").Counters // a busy machine may have lost some at the start
	f.stop("lon-3")
	f.eventually("a ring of the others", func() bool { return len(f.status("lon-1").Ring.Members) == 2 })
	f.stop("lon-1")
	f.eventually("a ring of the last", func() bool { return len(f.status("lon-2").Ring.Members) == 1 })
	after := f.status("lon-2").Counters
	for what, want := range map[string]uint64{"ring_departures": 2, "ring_neighbours_lost": 0, "ring_tokens_lost": 0} {
		if n := after[what] - before[what]; n != want {
			t.Errorf("%s: %d while two nodes left in order, want %d", what, n, want)
		}
	}
}
