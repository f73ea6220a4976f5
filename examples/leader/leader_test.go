package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"ringway/internal/lockedbuf"
	"ringway/internal/testnode"
)

func TestMain(m *testing.M) { testnode.Main(m) }

// A paper has what a candidate prints.
type paper struct{ lockedbuf.Buffer }

// last returns the last line that says who leads how many.
func (p *paper) last() string {
	last := ""
	for line := range strings.Lines(p.String()) {
		if strings.HasPrefix(line, "#") {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

// TestTheLeadersNodeDies has a candidate at each of three nodes, and kills the leader's.
func TestTheLeadersNodeDies(t *testing.T) {
	f := testnode.Start(t, testnode.Site{Name: "lon", Nodes: 3})
	papers := map[string]*paper{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for i := range 3 {
		node := fmt.Sprintf("lon-%d", i+1)
		p := &paper{}
		papers[node] = p
		running.Go(func() {
			// Ends with the context, or with its node: it has no other address.
			_ = run(ctx, []string{"-connect", f.Address(node), "-name", "job", "jobs"}, nil, p, io.Discard)
		})
	}
	agreed := func(n int) (leader string) {
		f.Eventually(fmt.Sprintf("one leader of %d", n), func() bool {
			leader = ""
			for _, p := range papers {
				last := p.last()
				if !strings.HasSuffix(last, fmt.Sprintf(" leads %d", n)) || leader != "" && last != leader {
					return false
				}
				leader = last
			}
			return true
		})
		return strings.Fields(leader)[0]
	}
	first := agreed(3)
	node := strings.TrimPrefix(first, "#job#")
	f.Kill(node)
	delete(papers, node)
	if second := agreed(2); second == first {
		t.Errorf("%s leads although its node is dead", second)
	}
}
