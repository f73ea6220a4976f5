package freeport

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asOther has the test program print so many ports and end when its input does.
const asOther = "RINGWAY_FREEPORT_OTHER"

func TestMain(m *testing.M) {
	if os.Getenv(asOther) == "" {
		os.Exit(m.Run())
	}
	source.next = low
	for range 50 {
		a, err := Next()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(a.Port())
	}
}

// TestNobodyGetsAPortTwice: neither here nor in another process that looks at the very same
// places.
func TestNobodyGetsAPortTwice(t *testing.T) {
	source.next = low
	used := map[uint16]bool{}
	for range 50 {
		a, err := Next()
		if err != nil {
			t.Fatal(err)
		}
		if used[a.Port()] || used[a.Port()+1] || a.Port() < low || a.Port() >= high {
			t.Errorf("port %d after %v", a.Port(), used)
		}
		used[a.Port()], used[a.Port()+1] = true, true
	}
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), asOther+"=1")
	out, err := other.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	theirs := strings.Fields(string(out))
	if len(theirs) != 50 {
		t.Fatalf("the other process got %v", theirs)
	}
	for _, port := range theirs {
		var p uint16
		if fmt.Sscan(port, &p); used[p] {
			t.Errorf("port %s was handed out to two processes", port)
		}
	}
}

// TestWhatIsInUseIsLeftOut: by TCP, by UDP, and by UDP on the second port of a pair.
func TestWhatIsInUseIsLeftOut(t *testing.T) {
	a, err := Next()
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []struct {
		network string
		port    uint16
	}{{"tcp4", a.Port()}, {"udp4", a.Port()}, {"udp4", a.Port() + 1}} {
		closer := listen(t, in.network, netip.AddrPortFrom(a.Addr(), in.port))
		if usable(int(a.Port())) {
			t.Errorf("%v is usable with %s in use on %d", a, in.network, in.port)
		}
		closer()
		if !usable(int(a.Port())) {
			t.Errorf("%v stays unusable", a)
		}
	}
}

func listen(t *testing.T, network string, at netip.AddrPort) func() {
	t.Helper()
	if network == "tcp4" {
		l, err := net.Listen(network, at.String())
		if err != nil {
			t.Fatal(err)
		}
		return func() { l.Close() }
	}
	c, err := net.ListenPacket(network, at.String())
	if err != nil {
		t.Fatal(err)
	}
	return func() { c.Close() }
}
