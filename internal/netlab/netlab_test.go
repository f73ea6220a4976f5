//go:build linux

package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asMaker has the test program make a network and wait to be killed.
const asMaker = "RINGWAY_NETLAB_TEST_MAKER"

func TestMain(m *testing.M) {
	if code, done := Elevate(); done {
		os.Exit(code)
	}
	if os.Getenv(asMaker) != "" {
		makeAndWait()
	}
	os.Exit(m.Run())
}

const patience = 60 * time.Second

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A station is a space on the test's switch with a UDP socket.
type station struct {
	*Space
	cable *Cable
	conn  *net.UDPConn
	addr  *net.UDPAddr
}

// newLAN makes a switch with so many stations a, b and so on.
func newLAN(t *testing.T, name string, stations int) (*Switch, []*station) {
	t.Helper()
	lab, err := New(name)
	must(t, err)
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	lan, err := lab.Switch("lan")
	must(t, err)
	var all []*station
	for i := range stations {
		all = append(all, newStation(t, lab, lan, i))
	}
	return lan, all
}

func newStation(t *testing.T, lab *Network, lan *Switch, i int) *station {
	t.Helper()
	s := &station{addr: &net.UDPAddr{IP: net.IPv4(10, 9, 8, byte(i+1)), Port: 4000}}
	var err error
	s.Space, err = lab.Space(string(rune('a' + i)))
	must(t, err)
	s.cable, err = lan.Plug(s.Space, netip.PrefixFrom(netip.AddrFrom4([4]byte(s.addr.IP.To4())), 24))
	must(t, err)
	must(t, s.Do(func() (err error) {
		s.conn, err = net.ListenUDP("udp4", s.addr)
		return err
	}))
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// rounds number what got sends: what was held back earlier may come at any time.
var rounds int

// ample is a time for a packet to arrive in, if it does at all.
const ample = 200 * time.Millisecond

// got counts how many of the packets that one station sends to another arrive, each
// within a time of the one before.
func got(from, to *station, packets int, within time.Duration) int {
	rounds++
	text := fmt.Sprintf("%s, round %d", from.Name(), rounds)
	for range packets {
		from.conn.WriteToUDP([]byte(text), to.addr) //nolint:errcheck // that is a lost packet
	}
	arrived := 0
	buffer := make([]byte, 100)
	for arrived < packets {
		to.conn.SetReadDeadline(time.Now().Add(within))
		n, _, err := to.conn.ReadFromUDP(buffer)
		if err != nil {
			break
		}
		if string(buffer[:n]) == text {
			arrived++
		}
	}
	return arrived
}

// hears says who hears whom: "ab" is in it if b hears a.
func hears(stations []*station) []string {
	var pairs []string
	for _, from := range stations {
		for _, to := range stations {
			if from != to && got(from, to, 1, ample) == 1 {
				pairs = append(pairs, from.Name()+to.Name())
			}
		}
	}
	return pairs
}

func TestWhoHearsWhom(t *testing.T) {
	lan, stations := newLAN(t, "hears", 3)
	everybody := []string{"ab", "ac", "ba", "bc", "ca", "cb"}
	for _, c := range []struct {
		name  string
		rules []Rule
		want  []string
	}{
		{"all", nil, everybody},
		{"two and one", Partition([]string{"a", "b"}, []string{"c"}), []string{"ab", "ba"}},
		{"apart", Partition([]string{"a"}, []string{"b"}, []string{"c"}), nil},
		{"a part of them", Partition([]string{"a"}, []string{"b"}), []string{"ac", "bc", "ca", "cb"}},
		{"deaf", []Rule{Deaf("b")}, []string{"ac", "ba", "bc", "ca"}},
		{"mute", []Rule{Mute("b")}, []string{"ab", "ac", "ca", "cb"}},
		{"one way", []Rule{OneWay("a", "b"), OneWay("b", "c")}, []string{"ac", "ba", "ca", "cb"}},
		{"all lossy", []Rule{Lossy("a", 1)}, []string{"ab", "ac", "bc", "cb"}},
	} {
		// Everybody must know everybody's address first: whoever cannot hear the answer
		// to its question could not send either.
		must(t, lan.Heal())
		eventually(t, "everybody to hear everybody", func() bool { return slices.Equal(hears(stations), everybody) })
		must(t, lan.Filter(c.rules...))
		for _, from := range stations {
			for _, to := range stations {
				pair, within := from.Name()+to.Name(), ample
				should := slices.Contains(c.want, pair)
				if should {
					within = patience // the machine may be busy
				}
				if from != to && (got(from, to, 1, within) == 1) != should {
					t.Errorf("%s: %s gets through: %v", c.name, pair, !should)
				}
			}
		}
	}
}

func TestLoss(t *testing.T) {
	lan, s := newLAN(t, "loss", 3)
	eventually(t, "the network", func() bool { return len(hears(s)) == 6 })
	must(t, lan.Filter(Lossy("b", 0.3)))
	const packets = 100
	to, back := 0, 0
	for range 10 { // few at a time, as a socket's buffer is small
		to, back = to+got(s[0], s[1], packets, ample), back+got(s[1], s[0], packets, patience)
	}
	// 300 of 1000 are lost; 90 off would be six standard deviations.
	if to < 610 || to > 790 || back != 1000 {
		t.Errorf("%d of 1000 arrived with 30 %% loss, %d the other way", to, back)
	}
}

func TestCables(t *testing.T) {
	_, s := newLAN(t, "cables", 2)
	both := func() bool { return len(hears(s)) == 2 }
	eventually(t, "the network", both)
	must(t, s[0].cable.Pull())
	if pairs := hears(s); len(pairs) > 0 {
		t.Errorf("%v after the cable was pulled", pairs)
	}
	must(t, s[0].cable.Replug())
	eventually(t, "the cable to work again", both)
	must(t, s[1].InterfaceDown(0))
	if pairs := hears(s); len(pairs) > 0 {
		t.Errorf("%v with the interface down", pairs)
	}
	if _, err := s[1].conn.WriteToUDP([]byte("x"), s[0].addr); err == nil {
		t.Error("sending succeeds with the interface down")
	}
	must(t, s[1].InterfaceUp(0))
	eventually(t, "the interface to work again", both)
}

func TestDial(t *testing.T) {
	_, s := newLAN(t, "dial", 2)
	listen := func(address string) net.Listener {
		var l net.Listener
		must(t, s[0].Do(func() (err error) {
			l, err = net.Listen("tcp", address)
			return err
		}))
		t.Cleanup(func() { l.Close() })
		return l
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s[1].Dial(ctx, "tcp", listen("10.9.8.1:0").Addr().String())
	must(t, err)
	defer conn.Close()
	if from := conn.LocalAddr().(*net.TCPAddr).IP.String(); from != "10.9.8.2" {
		t.Errorf("dialled from %s", from)
	}
	// Each space has a loopback of its own.
	inside := listen("127.0.0.1:0").Addr().String()
	own, err := s[0].Dial(ctx, "tcp", inside)
	must(t, err)
	own.Close()
	if conn, err := s[1].Dial(ctx, "tcp", inside); err == nil {
		conn.Close()
		t.Error("reached another space's loopback")
	}
}

// sleeper starts a process that does nothing in the namespace.
func sleeper(s *Space) (*exec.Cmd, error) {
	cmd := exec.Command("sleep", "1000")
	return cmd, s.Start(cmd)
}

// TestThreadsComeHome: the threads that made spaces are all back where they were. The
// first thread of a process does not end with a goroutine that is locked to it.
func TestThreadsComeHome(t *testing.T) {
	lab, err := New("home")
	must(t, err)
	own, err := os.Readlink("/proc/thread-self/ns/net")
	must(t, err)
	for i := range 20 {
		_, err := lab.Space(fmt.Sprint(i))
		must(t, err)
	}
	must(t, lab.Close())
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	must(t, err)
	for _, task := range tasks {
		if where, err := os.Readlink(task); err == nil && where != own {
			t.Errorf("%s is %s, not %s", task, where, own)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	lab, err := New("close")
	must(t, err)
	space, err := lab.Space("a")
	must(t, err)
	cmd, err := sleeper(space)
	must(t, err)
	inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	must(t, err)
	own, err := os.Readlink("/proc/thread-self/ns/net")
	must(t, err)
	if inside == own {
		t.Error("the process runs in the maker's namespace")
	}
	must(t, cmd.Process.Signal(syscall.SIGSTOP)) // even so it must go
	must(t, lab.Close())
	must(t, lab.Close())
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	if _, err := os.Stat(space.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", space.Path(), err)
	}
	if _, err := lab.Space("b"); err == nil {
		t.Error("a closed network made a namespace")
	}
	if err := space.Start(exec.Command("true")); err == nil {
		t.Error("a closed network started a process")
	}
}

// makeAndWait makes a network with a process in it, says which, and never ends.
func makeAndWait() {
	lab, err := New("left")
	var space *Space
	var cmd *exec.Cmd
	if err == nil {
		space, err = lab.Space("a")
	}
	if err == nil {
		cmd, err = sleeper(space)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid, space.Path())
	select {}
}

// TestLeftovers kills a maker. Its process dies with it, its namespace is removed when
// the next network is made, and those of the living stay.
func TestLeftovers(t *testing.T) {
	mine, err := New("mine")
	must(t, err)
	defer mine.Close()
	space, err := mine.Space("a")
	must(t, err)

	maker := exec.Command("/proc/self/exe")
	maker.Env = append(os.Environ(), asMaker+"=1")
	out, err := maker.StdoutPipe()
	must(t, err)
	must(t, maker.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	pid, path, ok := strings.Cut(strings.TrimSpace(line), " ")
	number, err := strconv.Atoi(pid)
	if !ok || err != nil {
		maker.Process.Kill()
		t.Fatalf("the maker said %q", line)
	}
	_, err = os.Stat(path)
	must(t, err)
	must(t, maker.Process.Kill())
	maker.Wait()
	eventually(t, "the maker's process to die", func() bool { return !running(number) })

	must(t, Sweep())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", path, err)
	}
	if _, err := os.Stat(space.Path()); err != nil {
		t.Errorf("a living maker's namespace: %v", err)
	}
}

// running says whether the process is there and no zombie: whoever is to wait for an
// orphan may be slow.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestNames(t *testing.T) {
	lab, err := New("names")
	must(t, err)
	defer lab.Close()
	for _, name := range []string{"", "A", "a/b", "..", "-x", "sixteen-letters-", "a b"} {
		if _, err := lab.Space(name); err == nil {
			t.Errorf("a space of the name %q", name)
		}
	}
	if _, err := lab.Space("a"); err != nil {
		t.Error(err)
	}
	if _, err := lab.Space("a"); err == nil {
		t.Error("two spaces of one name")
	}
	for name, leftover := range map[string]bool{
		"": false, "rw-": false, "rw-x-1-a": false, "rw-1-x-a": false, "rw-5": false, "lon": false, "rw-4-5": false,
		"rw-999999999-5-lan-a": true, fmt.Sprintf("rw-%d-7-lan-a", os.Getpid()): true,
		filepath.Base(maker() + "lan-a"): false,
	} {
		if isLeftover(name) != leftover {
			t.Errorf("%q a leftover: %v", name, !leftover)
		}
	}
	lan, err := lab.Switch("lan")
	must(t, err)
	for _, r := range []Rule{{Loss: -1}, {Loss: 1.5}, {From: "x/y"}, {To: "much-too-long-a-name"}} {
		if err := lan.Filter(r); err == nil {
			t.Errorf("rule %+v was taken", r)
		}
	}
}
