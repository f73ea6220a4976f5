//go:build linux

package scenario

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// How a stranger behaves in the tests.
const (
	floodRate  = 50_000 // packets a second
	meddleRate = 2_000
	hostile    = 3 * time.Second
)

var errNothingYet = errors.New("too few")

// TestStranger puts a machine without a certificate on the LAN: it repeats, reorders,
// changes and cuts what it hears, and floods the nodes with joins and tokens. No view
// changes, clients see what they would have seen, each cause is counted and logged in one
// line.
func TestStranger(t *testing.T) {
	r := start(t)
	stranger, err := r.site.NewStranger()
	r.must(err)
	defer stranger.Close()
	r.wait("the stranger to hear something", func(ctx context.Context) error {
		return poll(ctx, "packets", func() error {
			if stranger.Heard() < 100 {
				return errNothingYet
			}
			return nil
		})
	})
	before := r.counters("ring_installed")

	ctx, cancel := context.WithTimeout(t.Context(), hostile)
	defer cancel()
	var both sync.WaitGroup
	var sent [2]int
	for i, attack := range []func() (int, error){
		func() (int, error) { return stranger.Meddle(ctx, meddleRate) },
		func() (int, error) { return stranger.Flood(ctx, floodRate) },
	} {
		both.Go(func() {
			var err error
			if sent[i], err = attack(); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if sent[0] == 0 || sent[1] == 0 {
		t.Fatalf("the stranger sent %d and %d packets", sent[0], sent[1])
	}

	for i, n := range r.counters("ring_installed") {
		if n != before[i] {
			t.Errorf("%s: %d views before the stranger, %d after", r.site.Nodes[i].Name, before[i], n)
		}
	}
	for _, cause := range []string{"seal_forged", "seal_replayed", "seal_unsealed", "seal_malformed"} {
		counts := r.counters(cause)
		t.Logf("%s %v", cause, counts)
		for i, n := range counts {
			if n == 0 {
				t.Errorf("%s: %s is zero", r.site.Nodes[i].Name, cause)
			}
		}
	}
	for _, n := range r.site.Nodes {
		// At most one line for each cause and minute; the whole test takes less than two.
		if lines := strings.Count(n.wholeLog(t), "a ring packet was dropped"); lines == 0 || lines > 2*7 {
			t.Errorf("%s: %d lines about dropped packets", n.Name, lines)
		}
	}
	r.finish()
}

// counters returns a counter of every node.
func (r *run) counters(name string) []uint64 {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []uint64
	for _, n := range r.site.Nodes {
		status, err := n.Status(ctx)
		r.must(err)
		all = append(all, status.Counters[name])
	}
	return all
}

// wholeLog returns what the node's present process has logged.
func (n *Node) wholeLog(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.present().log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
