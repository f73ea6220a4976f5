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
	os.Exit(withRingway(m.Run))
}

// ringway is the program that labs run.
var ringway string

func withRingway(run func() int) int {
	folder, err := os.MkdirTemp("", "rw")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	ringway = filepath.Join(folder, "ringway")
	if out, err := exec.Command("go", "build", "-o", ringway, "ringway/cmd/ringway").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return run()
}

func newTestLab(t *testing.T, file string) *Lab {
	t.Helper()
	l, err := New(Config{Topology: file, Folder: t.TempDir(), Binary: ringway, Emulate: true})
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
// says. The shortest of some round trips is compared, of up to a hundred if the machine is
// busy, which delays packets, too.
func TestDelaysAreTheFiles(t *testing.T) {
	l := newTestLab(t, sixRegions)
	if len(l.plan.links) != 15 {
		t.Fatalf("%d links", len(l.plan.links))
	}
	for i := range l.plan.links {
		k := &l.plan.links[i]
		a, b := l.machineOf(k.a.nodes[0]), l.machineOf(k.b.nodes[0])
		want := k.wan.Delay
		got := roundTrip(t, a, b, 2*(want+2*time.Millisecond)) / 2
		if got < want || got > want+2*time.Millisecond {
			t.Errorf("%s to %s: one way takes %v, the file says %v", a.Name, b.Name, got, want)
		}
		t.Logf("%s to %s: one way takes %v, the file says %v", a.Name, b.Name, got, want)
	}
}

func (l *Lab) machineOf(n *nodePlan) *machine {
	return l.machines[slices.IndexFunc(l.machines, func(m *machine) bool { return m.nodePlan == n })]
}

// roundTrip is the shortest of eight round trips of datagrams from a to b, or of up to a
// hundred until one is no longer than that.
func roundTrip(t *testing.T, a, b *machine, short time.Duration) time.Duration {
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
	for tries := 0; tries < 8 || best > short && tries < 100; tries++ {
		began := time.Now()
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(began.Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			t.Fatalf("%s to %s: %v", a.Name, b.Name, err)
		}
		best = min(best, time.Since(began))
	}
	return best
}

// aFew is how often something is tried that should not get through, and many how often
// what should: the first time does it, but on a machine that is busy.
const aFew, many = 5, 200

// tries returns how often a datagram is sent that should arrive, or should not.
func tries(should bool) int {
	if should {
		return many
	}
	return aFew
}

// reaches says whether one of so many datagrams from a to b is answered.
func reaches(t *testing.T, a, b *machine, tries int) bool {
	t.Helper()
	conn, err := a.space.Dial(context.Background(), "udp", net.JoinHostPort(b.Gateway.Addr().String(), "7007"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range tries {
		if _, err := conn.Write([]byte("ping")); err != nil {
			continue // refused: somebody answered the one before
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
	l := newTestLab(t, "testdata/three.toml")
	at := func(name string) *machine {
		m, err := l.machine(name)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	expect := func(from, to string, want bool) {
		t.Helper()
		if got := reaches(t, at(from), at(to), tries(want)); got != want {
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
	if err := l.Set("a", []string{"delay=1ms"}); err == nil {
		t.Error("a LAN has a delay")
	}
}

// TestLossOfALAN: what nodes lose of their LAN stays through partitions of it.
func TestLossOfALAN(t *testing.T) {
	l := newTestLab(t, "testdata/three.toml")
	one, other := l.machines[0], l.machines[1]
	expect := func(when string, to, from bool) {
		t.Helper()
		if a, b := hears(t, one, other, tries(to)), hears(t, other, one, tries(from)); a != to || b != from {
			t.Errorf("%s %s hears %s: %v, and the other way round: %v", when, one.Name, other.Name, a, b)
		}
	}
	expect("at first", true, true)
	for _, step := range []struct {
		do       func() error
		to, from bool
	}{
		{func() error { return l.Set(one.Name, []string{"loss=100%"}) }, false, true},
		{func() error { return l.Partition(one.Name + "/" + other.Name) }, false, false},
		{l.Heal, false, true},
		{func() error { return l.Set("a", []string{"loss=0%"}) }, true, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		expect("then", step.to, step.from)
	}
}

// hears says whether one of so many datagrams to a machine from another of its site
// arrives.
func hears(t *testing.T, m, from *machine, tries int) bool {
	t.Helper()
	var in net.PacketConn
	if err := m.space.Do(func() (err error) {
		in, err = net.ListenPacket("udp", net.JoinHostPort(m.Address.Addr().String(), "7008"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := from.space.Dial(context.Background(), "udp", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for range tries {
		if _, err := out.Write([]byte("ping")); err != nil {
			continue // its address cannot be found: neither can the machine
		}
		if err := in.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := in.ReadFrom(make([]byte, 10)); err == nil {
			return true
		}
	}
	return false
}

// TestFederationInALab runs real nodes: their clients, at three sites, get everything in
// one order, also after a site was killed and started again.
func TestFederationInALab(t *testing.T) {
	l := newTestLab(t, "testdata/three.toml")
	if err := l.Run(nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
		out, err := exec.Command(ringway, append([]string{"lab"}, args...)...).CombinedOutput()
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
	if out, err := exec.Command(ringway, "lab", "up", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "is up already") {
		t.Errorf("a second up: %v, %s", err, out)
	}
	command("down", file)
	expectState(t, before, "after down")

	// Killed in the middle: the up command and its server, at any moment.
	for _, after := range []time.Duration{5 * time.Millisecond, 40 * time.Millisecond, 100 * time.Millisecond} {
		up := exec.Command(ringway, "lab", "up", file, "--emulate")
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
		for wait := time.Now().Add(time.Minute); machineState(t) != before && time.Now().Before(wait); {
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
	// The fields of each that are no counters.
	for _, ask := range []struct {
		file   string
		fields []int
	}{{"dev", []int{0}}, {"route", []int{0, 1, 2, 3, 6, 7}}, {"ipv6_route", []int{0, 1, 2, 3, 4, 5, 8, 9}}} {
		text, err := os.ReadFile("/proc/thread-self/net/" + ask.file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			fields := strings.Fields(line)
			for _, i := range ask.fields {
				if i < len(fields) {
					fmt.Fprint(&all, fields[i], " ")
				}
			}
			fmt.Fprintln(&all)
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
	for _, name := range []string{"single-site", "three-sites", "six-regions", "hub-and-spoke", "cloud-unicast"} {
		top, err := topology.Load("../../examples/topologies/" + name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newPlan(top); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEngineDies: a lab whose emulator is killed says so, and goes away in order.
func TestEngineDies(t *testing.T) {
	l := newTestLab(t, "testdata/three.toml")
	if s := l.Status(); s.Fault != "" || len(s.Links) != 6 {
		t.Errorf("a healthy lab: %q, %d directions", s.Fault, len(s.Links))
	}
	engine := l.wan.(*emulated)
	if err := engine.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err := l.Set("a-b", []string{"delay=1ms"})
	if err == nil || !strings.Contains(err.Error(), "the link emulator has ended (signal: killed)") {
		t.Errorf("a change by an emulator that is dead: %v", err)
	}
	for _, command := range []string{"run", "heal"} {
		if err := l.Do(command); err == nil || !strings.Contains(err.Error(), "take the lab down") {
			t.Errorf("%s: %v", command, err)
		}
	}
	var text strings.Builder
	if err := l.Status().WriteText(&text); err != nil || !strings.Contains(text.String(), "WARNING: the link emulator has ended") {
		t.Errorf("%v: status is\n%s", err, text.String())
	}
}

// TestEngineGoesWithTheLab kills a lab's server: its emulator ends with it, and down
// and up find nothing in their way.
func TestEngineGoesWithTheLab(t *testing.T) {
	file, err := filepath.Abs("testdata/three.toml")
	if err != nil {
		t.Fatal(err)
	}
	home, err := Home(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	command := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(ringway, append([]string{"lab"}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("lab %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	before := machineState(t)
	for range 2 {
		command("up", file, "--emulate")
		pid, err := os.ReadFile(filepath.Join(home, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		engine := childrenOf(t, string(pid))
		if len(engine) != 1 {
			t.Fatalf("the lab has the processes %v, want an emulator", engine)
		}
		if err := end(string(pid)); err != nil {
			t.Fatal(err)
		}
		for wait := time.Now().Add(time.Minute); alive(engine[0]); time.Sleep(pollTime) {
			if time.Now().After(wait) {
				t.Fatal("the emulator outlives its lab")
			}
		}
	}
	command("down", file)
	expectState(t, before, "after down")
}

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, pid string) (children []string) {
	t.Helper()
	lists, err := filepath.Glob(filepath.Join("/proc", pid, "task", "*", "children"))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a thread may end
			t.Fatal(err)
		}
		children = append(children, strings.Fields(string(text))...)
	}
	return children
}
