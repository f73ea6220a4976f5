package site

import (
	"slices"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/pki"
)

// TestARevokedNodeIsOutOfItsRing revokes one of three nodes, which goes on as if nothing
// had happened: the others' ring is without it, and what they say it does not hear.
func TestARevokedNodeIsOutOfItsRing(t *testing.T) {
	topo := newTopology(t, map[string]int{"lan": 3}, "lan")
	f := run(t, topo, nil)
	f.ready()
	for name := range f.nodes {
		f.eventually(name+" to be in the ring of three", func() bool { return len(f.status(name).Ring.Members) == 3 })
	}
	if _, err := pki.Revoke(topo.Certs, topo.Name, "lan-2"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, name := range []string{"lan-1", "lan-3"} {
		f.eventually(name+" to be in a ring without the revoked node", func() bool {
			return slices.Equal(f.status(name).Ring.Members, []string{"lan-1", "lan-3"})
		})
	}
	t.Logf("the revoked node is out %v after the list was written, with a token loss time-out of %v", time.Since(began).Round(10*time.Millisecond), topo.Timing.TokenLoss)
	a, b := f.dial("lan-1", "a"), f.dial("lan-3", "b")
	join(t, "g", 2, a, b)
	send(t, a, client.Safe, "among ourselves", "g")
	if got := messages(t, b, 1); got[0] != a.Name()+":among ourselves" {
		t.Errorf("got %v", got)
	}
	f.eventually("the revoked node to be alone", func() bool {
		return slices.Equal(f.status("lan-2").Ring.Members, []string{"lan-2"})
	})
}
