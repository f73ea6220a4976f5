package site

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/internal/lockedbuf"
	"ringway/internal/pki"
	"ringway/topology"
)

// patience bounds every wait for a condition. It is long because the machine may be
// slow; a test that passes does not use it up.
const patience = 30 * time.Second

// A federation is a set of nodes that run in the test's own process, over real
// sockets on loopback.
type federation struct {
	t     *testing.T
	topo  *topology.Topology
	nodes map[string]*testNode
}

// A testNode is a running node.
type testNode struct {
	*topology.Node
	stop context.CancelFunc
	done chan error
}

// newTopology describes sites, each with so many nodes, the first of them a gateway
// if there are several sites.
func newTopology(t *testing.T, sites map[string]int, order ...string) *topology.Topology {
	t.Helper()
	var b strings.Builder
	// The machine may be busy, and a stall of the test's process is no fault of a node.
	certs := filepath.Join(t.TempDir(), "certs")
	fmt.Fprintf(&b, "[federation]\nname = %q\ncerts = %q\n[timing]\ntoken_loss = \"2s\"\nhello = \"400ms\"\n", "test", certs)
	for _, name := range order {
		fmt.Fprintf(&b, "[[site]]\nname = %q\nmulticast = \"239.192.88.%d:%d\"\n", name, 1+len(b.String())%200, freeport.For(t).Port())
		for i := range sites[name] {
			fmt.Fprintf(&b, "  [[site.node]]\n  name = \"%s-%d\"\n  address = \"%v\"\n  admin = \"%v\"\n", name, i+1, freeport.For(t), freeport.For(t))
			if i == 0 && len(order) > 1 {
				fmt.Fprintf(&b, "  gateway = \"%v\"\n", freeport.For(t))
			}
		}
	}
	topo, err := topology.Parse("test.toml", []byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	issue(t, topo)
	return topo
}

// issue makes a certificate for every node.
func issue(t *testing.T, topo *topology.Topology) {
	t.Helper()
	if err := pki.Init(topo.Certs, topo.Name, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, s := range topo.Sites {
		for _, n := range s.Nodes {
			if err := pki.Issue(topo.Certs, topo.Name, s.Name, n.Name, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// run starts every node of the topology.
func run(t *testing.T, topo *topology.Topology, dial map[string]map[string]string) *federation {
	t.Helper()
	f := &federation{t: t, topo: topo, nodes: map[string]*testNode{}}
	for _, s := range topo.Sites {
		for _, n := range s.Nodes {
			f.start(n.Name, dial[n.Name])
		}
	}
	t.Cleanup(f.stopAll)
	return f
}

func (f *federation) start(name string, dial map[string]string) {
	f.t.Helper()
	n, ok := f.topo.Node(name)
	if !ok {
		f.t.Fatalf("no node %s", name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	node := &testNode{Node: n, stop: cancel, done: make(chan error, 1)}
	f.nodes[name] = node
	log := slog.New(slog.NewTextHandler(testWriter{f.t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	go func() {
		node.done <- Run(ctx, Config{Topology: f.topo, Node: n, Dial: dial, Log: log})
	}()
}

// stop ends a node in order.
func (f *federation) stop(name string) {
	f.t.Helper()
	n := f.nodes[name]
	if n == nil {
		return
	}
	delete(f.nodes, name)
	n.stop()
	select {
	case err := <-n.done:
		if err != nil {
			f.t.Errorf("node %s: %v", name, err)
		}
	case <-time.After(patience):
		f.t.Errorf("node %s does not stop", name)
	}
}

func (f *federation) stopAll() {
	for _, n := range f.nodes {
		n.stop()
	}
	for name := range f.nodes {
		f.stop(name)
	}
}

// ready waits until every node says so, and has all that run of its site in its ring: a
// node whose ring is itself alone is ready, too, where there is one site.
func (f *federation) ready() {
	f.t.Helper()
	for name, n := range f.nodes {
		running := 0
		for _, other := range f.nodes {
			if other.Site == n.Site {
				running++
			}
		}
		f.eventually("node "+name+" to be ready", func() bool {
			client := http.Client{Timeout: patience}
			answer, err := client.Get("http://" + n.Admin.String() + "/readyz")
			if err != nil {
				return false
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusOK && len(f.status(name).Ring.Members) == running
		})
	}
}

// eventually polls until the condition holds.
func (f *federation) eventually(what string, holds func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited %v in vain for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// testWriter sends a node's log to the test's. Lines that come after the test has
// ended are dropped by the node's having been stopped in Cleanup.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// lines has what a node logs.
type lines struct{ lockedbuf.Buffer }

func (l *lines) has(text string) bool { return strings.Contains(l.String(), text) }
