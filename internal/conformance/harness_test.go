package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/internal/relay"
	"ringway/site"
	"ringway/topology"
)

// patience bounds every wait. A test that passes does not use it up.
const patience = time.Minute

// nodeVariable makes this test's own binary a node: its value is the topology file.
const (
	nodeVariable = "CONFORMANCE_TOPOLOGY"
	nameVariable = "CONFORMANCE_NODE"
	dialVariable = "CONFORMANCE_DIAL" // NODE=ADDRESS: where another site's gateway is reached
)

// plain and guarded are the nodes that most tests speak to: one lets everybody do
// everything, the other has rules. small takes smallLimit sessions, those that go included,
// so it is one test's alone.
var plain, guarded, small *target

const smallLimit = 8

func TestMain(m *testing.M) {
	if path := os.Getenv(nodeVariable); path != "" {
		os.Exit(beNode(path, os.Getenv(nameVariable)))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "conformance")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		var stops []func()
		defer func() {
			for _, stop := range stops {
				stop()
			}
		}()
		for _, t := range []struct {
			at     **target
			name   string
			access string
		}{
			{&plain, "d1", ""},
			{&guarded, "d2", "[access]\nmethods = [\"NULL\", \"IP\"]\naddresses = [\"127.0.0.0/8\", \"::1\", \"unix\"]\n" +
				"[[access.allow]]\nclient = \"writer\"\nsend = [\"open*\"]\njoin = [\"own\"]\n" +
				"[[access.allow]]\nclient = \"*\"\nsend = [\"*\"]\njoin = [\"*\"]\n"},
			{&small, "d3", fmt.Sprintf("[access.limits]\nsessions = %d\n", smallLimit)},
		} {
			running, stop, err := startTarget(dir, t.name, t.access)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			*t.at = running
			stops = append(stops, stop)
		}
		return m.Run()
	}())
}

// beNode runs a node until it is told to stop.
func beNode(path, name string) int {
	topo, err := topology.Load(path)
	if err == nil {
		n, _ := topo.Node(name)
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		dial := map[string]string{}
		if peer, address, ok := strings.Cut(os.Getenv(dialVariable), "="); ok {
			dial[peer] = address
		}
		err = site.Run(ctx, site.Config{Topology: topo, Node: n, Dial: dial, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A target is a node and where its clients connect.
type target struct {
	name      string // as in private groups
	endpoints []endpoint
}

// An endpoint is one way to a node.
type endpoint struct{ network, address string }

func (e endpoint) String() string { return e.network }

// dial connects, with a deadline for everything that follows.
func (e endpoint) dial() (net.Conn, error) {
	network := e.network
	if network == "tcp6" {
		network = "tcp"
	}
	conn, err := net.DialTimeout(network, e.address, patience)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// startTarget runs a site of one node in this process, with TCP (IPv6 too, if this
// machine has it) and a unix socket.
func startTarget(dir, name, access string) (*target, func(), error) {
	at, err := freeport.Next()
	if err != nil {
		return nil, nil, err
	}
	port := at.Port()
	t := &target{name: name, endpoints: []endpoint{
		{"tcp", at.String()},
		{"unix", filepath.Join(dir, name)},
	}}
	clients := fmt.Sprintf("%q, %q", t.endpoints[0].address, "unix:"+t.endpoints[1].address)
	if six, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", port)); err == nil {
		six.Close()
		t.endpoints = append(t.endpoints, endpoint{"tcp6", fmt.Sprintf("[::1]:%d", port)})
		clients += fmt.Sprintf(", \"[::1]:%d\"", port)
	}
	text := fmt.Sprintf("[federation]\nname = \"conformance\"\n[[site]]\nname = \"%[1]s\"\n[[site.node]]\nname = \"%[1]s\"\naddress = \"127.0.0.1:%d\"\nclients = [%s]\n%s", name, port, clients, access)
	topo, err := topology.Parse("conformance.toml", []byte(text))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- site.Run(ctx, site.Config{Topology: topo, Node: topo.Sites[0].Nodes[0]}) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return t, stop, t.ready()
}

// ready waits until the node has let a client in at every endpoint.
func (t *target) ready() error {
	for _, e := range t.endpoints {
		var err error
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			var c *client
			if c, err = connect(e, t.name, "", little, quiet); err == nil {
				// Until the site has its first view nothing is delivered.
				c.send(serviceAgreed, 0, nil, c.private)
				_, err = c.receive()
				c.conn.Close()
			}
			if err == nil || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("node %s at %s: %w", t.name, e.address, err)
		}
	}
	return nil
}

// each runs a test at every endpoint of a target and in both byte orders.
func each(t *testing.T, at *target, test func(t *testing.T, e endpoint, order order)) {
	t.Helper()
	for _, e := range at.endpoints {
		for _, o := range []order{little, big} {
			t.Run(fmt.Sprintf("%s-%s", e, o), func(t *testing.T) { test(t, e, o) })
		}
	}
}

// A process is a node in a process of its own, which can be stopped and killed.
type process struct {
	*target
	topology string
	dial     string // as dialVariable has it
	cmd      *exec.Cmd
}

func (p *process) start(t *testing.T) {
	t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), nodeVariable+"="+p.topology, nameVariable+"="+p.name, dialVariable+"="+p.dial)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
}

// kill ends the process as a crash would.
func (p *process) kill() {
	if p.cmd != nil {
		p.signal(syscall.SIGCONT)
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

func (p *process) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// With less, a busy machine looks like a broken one.
const patient = "[federation]\nname = \"conformance\"\n[timing]\ntoken_loss = \"2s\"\nhello = \"300ms\"\n"

// startSite runs a site of so many nodes, d1, d2 and so on, each in its own process.
func startSite(t *testing.T, nodes int) []*process {
	t.Helper()
	text := patient + "[[site]]\nname = \"lan\"\ntransport = \"unicast\"\n"
	var all []*process
	for i := range nodes {
		p := newProcess(t, i)
		text += fmt.Sprintf("[[site.node]]\nname = %q\naddress = %q\n", p.name, p.endpoints[0].address)
		all = append(all, p)
	}
	run(t, text, all)
	return all
}

// newProcess has a place for a node, but does not start it.
func newProcess(t *testing.T, number int) *process {
	t.Helper()
	return &process{target: &target{name: fmt.Sprintf("d%d", number+1), endpoints: []endpoint{{"tcp", freeport.For(t).String()}}}}
}

// run starts the nodes of a topology and waits until they are together.
func run(t *testing.T, topology string, all []*process) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "topology.toml")
	if err := os.WriteFile(path, []byte(topology), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.topology = path
		p.start(t)
	}
	for _, p := range all {
		if err := p.ready(); err != nil {
			t.Fatal(err)
		}
	}
	together(t, all)
}

// wanDelay is how far apart startTwoSites has its sites, one way.
const wanDelay = 10 * time.Millisecond

// startTwoSites runs d1 and d2 in one site and d3 in another. The first of each is its
// gateway; setDown cuts the link between them, and heals it.
func startTwoSites(t *testing.T) (all []*process, setDown func(bool)) {
	t.Helper()
	text := patient
	gateways := map[string]string{}
	for i := range 3 {
		p := newProcess(t, i)
		if i != 1 {
			text += fmt.Sprintf("[[site]]\nname = \"site-%s\"\ntransport = \"unicast\"\n", p.name)
		}
		text += fmt.Sprintf("[[site.node]]\nname = %q\naddress = %q\n", p.name, p.endpoints[0].address)
		if i != 1 {
			gateways[p.name] = freeport.For(t).String()
			text += fmt.Sprintf("gateway = %q\n", gateways[p.name])
		}
		all = append(all, p)
	}
	// Which of the two dials the other is theirs to decide.
	var relays []*relay.Relay
	for i, pair := range [][2]*process{{all[0], all[2]}, {all[2], all[0]}} {
		peer := pair[1].name
		r, err := relay.New("127.0.0.1:0", netip.MustParseAddrPort(gateways[peer]), relay.Profile{Delay: wanDelay}, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		relays = append(relays, r)
		pair[0].dial = fmt.Sprintf("%s=%v", peer, r.Addr())
	}
	run(t, text, all)
	return all, func(down bool) {
		for _, r := range relays {
			r.SetDown(down)
		}
	}
}

// together waits until all nodes are in one view: each lets clients in while it is still
// alone in its own.
func together(t *testing.T, all []*process) {
	t.Helper()
	var clients []*client
	for _, p := range all {
		c, err := connect(p.endpoints[0], p.name, "whole", little, curious)
		if err != nil {
			t.Fatal(err)
		}
		defer c.conn.Close()
		c.must(t, join, 0, "", "whole")
		clients = append(clients, c)
	}
	for _, c := range clients {
		for members := 0; members < len(all); {
			m, err := c.receive()
			if err != nil {
				t.Fatalf("%d of %d nodes are together: %v", members, len(all), err)
			}
			if m.kind&regular != 0 {
				members = len(m.groups)
			}
		}
	}
}
