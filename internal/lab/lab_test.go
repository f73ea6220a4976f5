//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/netlab"
	"ringway/topology"
)

func TestMain(m *testing.M) {
	if code, done := netlab.Elevate(); done {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// build makes the program that a lab's nodes run.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "ringway")
	out, err := exec.Command("go", "build", "-o", binary, "ringway/cmd/ringway").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func newTestLab(t *testing.T, file, binary string) *Lab {
	t.Helper()
	l, err := New(Config{Topology: file, Folder: t.TempDir(), Binary: binary, Emulate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

const sixRegions = "../../examples/topologies/six-regions.toml"

// TestDelaysAreTheFile's: packets between any two gateways take as long as the topology
// says. The shortest of some round trips is compared, so a busy machine does not matter.
func TestDelaysAreTheFiles(t *testing.T) {
	l := newTestLab(t, sixRegions, "")
	if len(l.plan.links) != 15 {
		t.Fatalf("%d links", len(l.plan.links))
	}
	for i := range l.plan.links {
		k := &l.plan.links[i]
		a, b := l.machineOf(k.a.nodes[0]), l.machineOf(k.b.nodes[0])
		if got, want := roundTrip(t, a, b)/2, k.wan.Delay; got < want || got > want+2*time.Millisecond {
			t.Errorf("%s to %s: one way takes %v, the file says %v", a.Name, b.Name, got, want)
		}
	}
}

func (l *Lab) machineOf(n *nodePlan) *machine {
	return l.machines[slices.IndexFunc(l.machines, func(m *machine) bool { return m.nodePlan == n })]
}

// roundTrip is the shortest of some round trips of datagrams from a to b.
func roundTrip(t *testing.T, a, b *machine) time.Duration {
	t.Helper()
	var echo net.PacketConn
	if err := b.space.Do(func() (err error) {
		echo, err = net.ListenPacket("udp", net.JoinHostPort(b.Gateway.Addr().String(), "7007"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := echo.ReadFrom(packet)
			if err != nil {
				return
			}
			if _, err := echo.WriteTo(packet[:n], from); err != nil {
				return
			}
		}
	}()
	conn, err := a.space.Dial(context.Background(), "udp", echo.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	best := time.Hour
	answer := make([]byte, 1500)
	for range 8 {
		began := time.Now()
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(began.Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			t.Fatalf("%s to %s: %v", a.Name, b.Name, err)
		}
		best = min(best, time.Since(began))
	}
	return best
}

// reaches says whether a datagram from a to b is answered within a second.
func reaches(t *testing.T, a, b *machine) bool {
	t.Helper()
	conn, err := a.space.Dial(context.Background(), "udp", net.JoinHostPort(b.Gateway.Addr().String(), "7007"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 5 {
		if _, err := conn.Write([]byte("ping")); err != nil {
			return false
		}
		if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 10)); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
			return true // nobody listens there, which its kernel says: it was reached
		}
	}
	return false
}

// TestPartitionAndHeal divides sites and looks at who reaches whom.
func TestPartitionAndHeal(t *testing.T) {
	l := newTestLab(t, "testdata/three.toml", "")
	at := func(name string) *machine {
		m, err := l.machine(name)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	expect := func(from, to string, want bool) {
		t.Helper()
		if got := reaches(t, at(from), at(to)); got != want {
			t.Errorf("%s reaches %s: %v, want %v", from, to, got, want)
		}
	}
	expect("a-1", "b-1", true)
	expect("a-1", "c-1", true)
	if err := l.Partition("a,b/c"); err != nil {
		t.Fatal(err)
	}
	expect("a-1", "b-1", true)
	expect("a-1", "c-1", false)
	expect("c-1", "b-1", false)
	if err := l.Heal(); err != nil {
		t.Fatal(err)
	}
	expect("c-1", "a-1", true)
	if err := l.Set("a>b", []string{"loss=100%"}); err != nil {
		t.Fatal(err)
	}
	expect("a-1", "b-1", false)
	if err := l.Set("a-b", []string{"loss=0%"}); err != nil {
		t.Fatal(err)
	}
	expect("a-1", "b-1", true)
	for _, wrong := range []string{"a,b", "a/x", "a-1/b-1", "a-1,a-2"} {
		if err := l.Partition(wrong); err == nil {
			t.Errorf("partition %s is possible", wrong)
		}
	}
	for _, wrong := range []string{"a", "a-x", "a-a", "x>b"} {
		if err := l.Set(wrong, []string{"delay=1ms"}); err == nil {
			t.Errorf("set %s is possible", wrong)
		}
	}
	if err := l.Set("a-b", []string{"colour=red"}); err == nil {
		t.Error("a link has a colour")
	}
}

// TestFederationInALab runs real nodes: their clients, at three sites, get everything in
// one order, also after a site was killed and started again.
func TestFederationInALab(t *testing.T) {
	l := newTestLab(t, "testdata/three.toml", build(t))
	if err := l.Run(nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var members []*client.Conn
	for _, name := range []string{"a-1", "b-1", "c-2"} {
		c := dial(ctx, t, l, name)
		if err := c.Join(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		members = append(members, c)
	}
	for _, c := range members {
		whole(ctx, t, c, len(members))
	}
	const each = 20
	for i := range each {
		for _, c := range members {
			if err := c.Send(ctx, client.Message{Groups: []string{"g"}, Service: client.Agreed, Data: fmt.Appendf(nil, "%s %d", c.Name(), i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var first []string
	for i, c := range members {
		got := receive(ctx, t, c, each*len(members))
		if i == 0 {
			first = got
		} else if !slices.Equal(got, first) {
			t.Errorf("%s got\n%v, others\n%v", c.Name(), got, first)
		}
	}
	if err := l.Pause([]string{"b-2"}); err != nil {
		t.Error(err)
	}
	if err := l.Kill([]string{"c-1", "c-2"}); err != nil {
		t.Error(err)
	}
	if err := l.Run(nil); err == nil { // b-2 runs, though paused; the others start
		for _, n := range l.Status().Nodes {
			if n.State != "running" && n.State != "paused" {
				t.Errorf("node %s: %s", n.Name, n.State)
			}
		}
	} else {
		t.Error(err)
	}
}

func dial(ctx context.Context, t *testing.T, l *Lab, name string) *client.Conn {
	t.Helper()
	m, err := l.machine(name)
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, err := client.Dial(ctx, m.Address.String(), client.Options{Membership: true, Dial: m.space.Dial})
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// whole waits for a view with so many members.
func whole(ctx context.Context, t *testing.T, c *client.Conn, members int) {
	t.Helper()
	for {
		e, err := c.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := e.(*client.View); ok && len(v.Members) == members {
			return
		}
	}
}

func receive(ctx context.Context, t *testing.T, c *client.Conn, n int) (got []string) {
	t.Helper()
	for len(got) < n {
		e, err := c.Receive(ctx)
		if err != nil {
			t.Fatalf("after %d messages: %v", len(got), err)
		}
		if m, ok := e.(*client.Message); ok {
			got = append(got, string(m.Data))
		}
	}
	return got
}

// TestWrongTopologies: what a lab cannot be made of is said, all of it.
func TestWrongTopologies(t *testing.T) {
	_, err := New(Config{Topology: "../../examples/topologies/two-sites.toml", Folder: t.TempDir()})
	if err == nil || strings.Count(err.Error(), "loopback") < 4 {
		t.Errorf("a topology on loopback: %v", err)
	}
}

// TestDownRestoresTheMachine uses the command as a user does, and kills its server.
func TestDownRestoresTheMachine(t *testing.T) {
	binary := build(t)
	file, err := filepath.Abs("testdata/three.toml")
	if err != nil {
		t.Fatal(err)
	}
	home, err := Home(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	command := func(args ...string) string {
		out, err := exec.Command(binary, append([]string{"lab"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("lab %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	before := machineState(t)
	command("up", file, "--emulate", "--run")
	if out := command("status", file); !strings.Contains(out, "running") {
		t.Errorf("status:\n%s", out)
	}
	if out, err := exec.Command(binary, "lab", "up", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "is up already") {
		t.Errorf("a second up: %v, %s", err, out)
	}
	command("down", file)
	expectState(t, before, "after down")

	// Killed in the middle: the up command and its server, at any moment.
	for _, after := range []time.Duration{5 * time.Millisecond, 40 * time.Millisecond, 100 * time.Millisecond} {
		up := exec.Command(binary, "lab", "up", file, "--emulate")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after) // the moment that is tried, not a wait for something
		up.Process.Kill() //nolint:errcheck // it may be done
		up.Wait()         //nolint:errcheck // it was killed
		if pid, err := os.ReadFile(filepath.Join(home, "pid")); err == nil {
			if err := end(string(pid)); err != nil {
				t.Error(err)
			}
		}
		command("down", file)
		// A server that lost whoever wanted it, before anybody knew its number, goes by
		// itself.
		for wait := time.Now().Add(10 * time.Second); machineState(t) != before && time.Now().Before(wait); {
			command("down", file)
		}
		expectState(t, before, fmt.Sprintf("killed after %v", after))
	}
}

// machineState is what a lab must not change: links, routes and rules here, and the
// namespaces of this lab.
func machineState(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, ask := range []string{"dev", "route", "ipv6_route"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + ask)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			name, _, _ := strings.Cut(strings.TrimSpace(line), ":") // not its counters
			fmt.Fprintln(&all, name)
		}
	}
	spaces, err := filepath.Glob("/run/netns/rw-*-threesites-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		fmt.Fprintln(&all, s)
	}
	return all.String()
}

func expectState(t *testing.T, before, when string) {
	t.Helper()
	if now := machineState(t); now != before {
		t.Errorf("%s the machine is not as it was:\n%s\nwant\n%s", when, now, before)
	}
}

// TestExamplesAreLabs: what the examples describe can be a lab, where its addresses are
// not those of one machine.
func TestExamplesAreLabs(t *testing.T) {
	for _, name := range []string{"single-site", "six-regions", "hub-and-spoke", "cloud-unicast"} {
		top, err := topology.Load("../../examples/topologies/" + name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newPlan(top); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
