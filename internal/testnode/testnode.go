package testnode

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ringway/internal/admin"
	"ringway/internal/freeport"
	"ringway/internal/lockedbuf"
	"ringway/site"
	"ringway/topology"
)

// asNode makes a test binary a node: its value is the topology file and the node's name.
const asNode = "RINGWAY_TESTNODE"

// patience bounds every wait; a test that passes does not use it up.
const patience = 30 * time.Second

// Main is the TestMain of a package whose tests start nodes.
func Main(m *testing.M) {
	if what := os.Getenv(asNode); what != "" {
		os.Exit(node(what))
	}
	os.Exit(m.Run())
}

// node runs one node until its standard input ends.
func node(what string) int {
	path, name, _ := strings.Cut(what, "\x1f")
	t, err := topology.Load(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	n, ok := t.Node(name)
	if !ok {
		fmt.Fprintln(os.Stderr, "no node", name)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is the sign
		cancel()
	}()
	if err := site.Run(ctx, site.Config{Topology: t, Node: n, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A Site is so many nodes, NAME-1 to NAME-n; the first is the gateway, or the first so many.
type Site struct {
	Name     string
	Nodes    int
	Gateways int // zero: one
}

// A Federation is running nodes.
type Federation struct {
	t    testing.TB
	topo *topology.Topology

	mu    sync.Mutex
	nodes map[string]*process
}

// A process is a running node.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
}

// Start starts nodes and waits until all of them are ready.
func Start(t testing.TB, sites ...Site) *Federation {
	t.Helper()
	path := filepath.Join(t.TempDir(), "topology.toml")
	if err := os.WriteFile(path, []byte(describe(t, sites)), 0o600); err != nil {
		t.Fatal(err)
	}
	topo, err := topology.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &Federation{t: t, topo: topo, nodes: map[string]*process{}}
	t.Cleanup(f.stop)
	for _, s := range topo.Sites {
		for _, n := range s.Nodes {
			f.Start(n.Name)
		}
	}
	f.Ready()
	return f
}

// describe writes the topology. The machine may be busy: a token that is late by half a
// second is no lost one yet, nor is a link down whose gateways were not scheduled for one.
func describe(t testing.TB, sites []Site) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("[federation]\nname = \"test\"\n[timing]\ntoken_loss = \"800ms\"\nhello = \"500ms\"\n")
	for _, s := range sites {
		fmt.Fprintf(&b, "[[site]]\nname = %q\ntransport = \"unicast\"\n", s.Name)
		for i := range s.Nodes {
			fmt.Fprintf(&b, "  [[site.node]]\n  name = \"%s-%d\"\n  address = \"%v\"\n  admin = \"%v\"\n", s.Name, i+1, freeport.For(t), freeport.For(t))
			if i < max(1, s.Gateways) && len(sites) > 1 {
				fmt.Fprintf(&b, "  gateway = \"%v\"\n", freeport.For(t))
			}
		}
	}
	return b.String()
}

// Start starts a node that does not run.
func (f *Federation) Start(name string) {
	f.t.Helper()
	var log lockedbuf.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asNode+"="+f.topo.Path+"\x1f"+name)
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		cmd.Wait() //nolint:errcheck // killed or not, it has ended
	}()
	f.t.Cleanup(func() {
		if f.t.Failed() {
			f.t.Logf("log of %s:\n%s", name, log.String())
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes[name] = p
}

// Kill ends a node without a word.
func (f *Federation) Kill(name string) {
	f.t.Helper()
	f.mu.Lock()
	p := f.nodes[name]
	delete(f.nodes, name)
	f.mu.Unlock()
	if p == nil {
		f.t.Fatalf("node %s does not run", name)
	}
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-p.done
}

// Address returns where clients of a node connect.
func (f *Federation) Address(name string) string {
	f.t.Helper()
	n, ok := f.topo.Node(name)
	if !ok {
		f.t.Fatalf("no node %s", name)
	}
	return n.Clients[0].Address
}

// Admin returns the admin address of a node.
func (f *Federation) Admin(name string) string {
	n, _ := f.topo.Node(name)
	return n.Admin.String()
}

// Status asks a node for its status.
func (f *Federation) Status(name string) (s admin.Status, err error) {
	asker := http.Client{Timeout: patience}
	answer, err := asker.Get("http://" + f.Admin(name) + "/status")
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s)
}

// Ready waits until every node that runs says that it is ready: it is in a ring with all
// that run of its site, and all sites are in one view.
func (f *Federation) Ready() {
	f.t.Helper()
	f.mu.Lock()
	names := make([]string, 0, len(f.nodes))
	running := map[*topology.Site]int{}
	for name := range f.nodes {
		names = append(names, name)
		n, _ := f.topo.Node(name)
		running[n.Site]++
	}
	f.mu.Unlock()
	for _, name := range names {
		f.Eventually("node "+name+" to be ready", func() bool {
			s, err := f.Status(name)
			if err != nil {
				return false
			}
			ready, _ := s.Ready()
			n, _ := f.topo.Node(name)
			return ready && len(s.Ring.Members) == running[n.Site]
		})
	}
}

// Eventually polls until the condition holds.
func (f *Federation) Eventually(what string, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// stop ends all nodes, those that take too long by force.
func (f *Federation) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.nodes {
		p.stdin.Close()
	}
	for name, p := range f.nodes {
		select {
		case <-p.done:
		case <-time.After(patience):
			f.t.Errorf("node %s does not stop", name)
			p.cmd.Process.Kill() //nolint:errcheck // it may have ended
			<-p.done
		}
	}
}
