//go:build linux

package netem

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"ringway/internal/netlab"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// asEngine has the test program be an engine with so many workers.
const asEngine = "RINGWAY_NETEM_TEST_ENGINE"

func TestMain(m *testing.M) {
	if code, done := netlab.Elevate(); done {
		os.Exit(code)
	}
	if workers := os.Getenv(asEngine); workers != "" {
		if err := beEngine(workers); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func beEngine(count string) error {
	workers, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	e, err := New(Options{Workers: workers})
	if err != nil {
		return err
	}
	if err := Prioritize(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	conn, err := Inherited()
	if err != nil {
		return err
	}
	Serve(context.Background(), conn, e)
	return e.Close()
}

const patience = 60 * time.Second

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An engineProcess is an engine as a laboratory has it.
type engineProcess struct {
	*Client
	cmd *exec.Cmd
}

func startEngine(t testing.TB, workers int) *engineProcess {
	t.Helper()
	client, file, err := Pair()
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asEngine+"="+strconv.Itoa(workers))
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	must(t, file.Close())
	p := &engineProcess{Client: client, cmd: cmd}
	t.Cleanup(func() {
		p.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return p
}

// connector is an Engine, or a Client of one.
type connector interface{ Connect(Link) error }

// A stretch is a link between two spaces, with a UDP socket at either end.
type stretch struct {
	siteA, siteB string
	a, b         *net.UDPConn
}

// A ground has two spaces between which links can be made.
type ground struct {
	t    testing.TB
	a, b *netlab.Space
	made int // links
	port uint16
}

func newGround(t testing.TB) *ground {
	t.Helper()
	lab, err := netlab.New("netem")
	must(t, err)
	t.Cleanup(func() { must(t, lab.Close()) })
	g := &ground{t: t, port: 7000}
	g.a, err = lab.Space("a")
	must(t, err)
	g.b, err = lab.Space("b")
	must(t, err)
	g.quiet()
	return g
}

// quiet keeps the kernel from sending packets of its own, which would be counted.
func (g *ground) quiet() {
	g.t.Helper()
	for _, space := range []*netlab.Space{g.a, g.b} {
		must(g.t, space.Do(func() error { return setIPv6("default", false) }))
	}
}

func setIPv6(name string, on bool) error {
	off := "1"
	if on {
		off = "0"
	}
	return os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte(off), 0)
}

func (g *ground) link(profile string, mtu int) Link {
	i := g.made
	name := fmt.Sprintf("wan%d", i)
	return Link{
		A:   End{Site: fmt.Sprintf("a%d", i), Space: g.a.Path(), Interface: name},
		B:   End{Site: fmt.Sprintf("b%d", i), Space: g.b.Path(), Interface: name},
		MTU: mtu, Profile: mustParse(g.t, profile),
	}
}

// connect makes one more link, gives it addresses and opens sockets on them.
func (g *ground) connect(e connector, profile string, mtu int, v6 bool) *stretch {
	g.t.Helper()
	spec := g.link(profile, mtu)
	must(g.t, e.Connect(spec))
	s := &stretch{siteA: spec.A.Site, siteB: spec.B.Site}
	addresses := [2]netip.Prefix{}
	for i := range addresses {
		addresses[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(g.made), byte(i + 1)}), 30)
		if v6 {
			addresses[i] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 7: byte(g.made), 15: byte(i + 1)}), 64)
		}
	}
	g.made++
	g.port++
	s.a = g.open(g.a, spec.A.Interface, addresses[0], addresses[1].Addr())
	s.b = g.open(g.b, spec.B.Interface, addresses[1], addresses[0].Addr())
	return s
}

func (g *ground) open(space *netlab.Space, name string, own netip.Prefix, other netip.Addr) *net.UDPConn {
	g.t.Helper()
	var conn *net.UDPConn
	must(g.t, space.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if own.Addr().Is6() {
			if err := setIPv6(name, true); err != nil {
				return err
			}
		}
		address, err := netlink.ParseAddr(own.String())
		if err != nil {
			return err
		}
		address.Flags = unix.IFA_F_NODAD // to be used at once
		if err := netlink.AddrAdd(link, address); err != nil {
			return err
		}
		conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own.Addr(), g.port)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(other, g.port)))
		return err
	}))
	g.t.Cleanup(func() { conn.Close() })
	must(g.t, conn.SetReadBuffer(4<<20))
	return conn
}

// has says whether a space has an interface.
func has(t testing.TB, space *netlab.Space, name string) (found bool) {
	t.Helper()
	must(t, space.Do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			found = found || l.Attrs().Name == name
		}
		return err
	}))
	return found
}
