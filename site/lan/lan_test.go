package lan

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/membership"
	"ringway/site/ring"
)

// patience bounds every wait; a test that passes does not use it up.
const patience = 30 * time.Second

// site opens n ports on one address of loopback, with a group or without.
func site(t testing.TB, n int, multicast bool, mode Mode) []*Port {
	t.Helper()
	addresses := make([]netip.AddrPort, n)
	for i := range addresses {
		addresses[i] = freeport.For(t)
	}
	var group netip.AddrPort
	if multicast {
		// The first node's own port, as in most topology files.
		group = netip.AddrPortFrom(netip.MustParseAddr("239.192.99.1"), addresses[0].Port())
	}
	ports := make([]*Port, n)
	for i := range ports {
		peers := map[membership.NodeID]netip.AddrPort{}
		for j, a := range addresses {
			if j != i {
				peers[membership.NodeID(j+1)] = a
			}
		}
		p, err := Open(Config{Address: addresses[i], Multicast: group, Peers: peers, Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		ports[i] = p
	}
	return ports
}

// collect runs the port and sends on what arrives.
func collect(t testing.TB, p *Port) <-chan []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	packets := make(chan []byte, 1<<16)
	go func() {
		done <- p.Run(ctx, func(b Batch) {
			for _, packet := range b.Packets {
				packets <- packet
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return packets
}

func next(t testing.TB, packets <-chan []byte) []byte {
	t.Helper()
	select {
	case p := <-packets:
		return p
	case <-time.After(patience):
		t.Fatal("no packet arrives")
		return nil
	}
}

func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still no %s", what)
		}
	}
}

// numbered returns packets of mixed sizes that carry their number.
func numbered(n int, to membership.NodeID) []ring.Packet {
	packets := make([]ring.Packet, n)
	for i := range packets {
		size := 1000
		if i%17 == 3 {
			size = 300
		}
		if i%29 == 5 {
			size = 1400
		}
		data := make([]byte, size)
		binary.LittleEndian.PutUint32(data, uint32(i))
		packets[i] = ring.Packet{To: to, Data: data}
	}
	return packets
}

func TestPacketsArriveInOrderInEveryMode(t *testing.T) {
	for _, mode := range []Mode{Auto, Segment, Sendmmsg, Plain} {
		for _, multicast := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s multicast=%v", mode, multicast), func(t *testing.T) {
				ports := site(t, 3, multicast, mode)
				second, third := collect(t, ports[1]), collect(t, ports[2])
				sent := numbered(200, 0)
				// As many at a time as fit into the smallest buffer while nobody reads.
				const some = 50
				for begin := 0; begin < len(sent); begin += some {
					if err := ports[0].Send(sent[begin : begin+some]); err != nil {
						t.Fatal(err)
					}
					for _, packets := range []<-chan []byte{second, third} {
						for i, want := range sent[begin : begin+some] {
							if got := next(t, packets); string(got) != string(want.Data) {
								t.Fatalf("packet %d: %d bytes, number %d; want %d bytes", begin+i, len(got), binary.LittleEndian.Uint32(got), len(want.Data))
							}
						}
					}
				}
				if got := ports[0].Stats(); mode != Auto && got.Mode != mode {
					t.Errorf("fell back from %s to %s", mode, got.Mode)
				} else if mode == Segment && got.SentCalls >= 200*2 {
					t.Errorf("no runs: %+v", got)
				}
			})
		}
	}
}

func TestPacketToOneNodeReachesItAlone(t *testing.T) {
	ports := site(t, 3, true, Auto)
	own, second, third := collect(t, ports[0]), collect(t, ports[1]), collect(t, ports[2])
	send := func(to membership.NodeID, what string) {
		if err := ports[0].Send([]ring.Packet{{To: to, Data: []byte(what)}}); err != nil {
			t.Fatal(err)
		}
	}
	send(2, "to the second")
	send(9, "to nobody")
	send(0, "to all")
	if got := next(t, second); string(got) != "to the second" {
		// Two sockets: their order is free.
		if other := next(t, second); string(other) != "to the second" {
			t.Fatalf("second got %q and %q", got, other)
		}
	}
	if got := next(t, third); string(got) != "to all" {
		t.Fatalf("third got %q", got)
	}
	if err := ports[1].Send([]ring.Packet{{To: 1, Data: []byte("back")}}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, own); string(got) != "back" {
		t.Fatalf("sender got its own packet: %q", got)
	}
	if n := ports[0].Stats().UnknownPeer; n != 1 {
		t.Errorf("unknown peer %d times", n)
	}
}

func TestGarbageAndDeadPeersDoNoHarm(t *testing.T) {
	ports := site(t, 2, true, Auto)
	packets := collect(t, ports[1])
	ports[0].SetPeers(map[membership.NodeID]netip.AddrPort{2: ports[1].Address(), 3: freeport.For(t)})
	stranger, err := net.Dial("udp4", ports[1].Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write(make([]byte, 60000)); err != nil {
		t.Fatal(err)
	}
	for range 50 { // to a port where nobody listens: the kernel answers with errors
		if err := ports[0].Send([]ring.Packet{{To: 3, Data: []byte("hello?")}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ports[0].Send([]ring.Packet{{To: 2, Data: []byte("alive")}}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, packets); string(got) != "alive" {
		t.Fatalf("got %d bytes", len(got))
	}
	if s := ports[1].Stats(); s.Truncated != 1 || s.Foreign != 1 {
		t.Errorf("%d oversize packets, %d foreign ones counted", s.Truncated, s.Foreign)
	}
}

// TestRefusedSendsAreLosses sends to a port to which the kernel sends nothing. What
// it refuses is lost, and what comes after is not.
func TestRefusedSendsAreLosses(t *testing.T) {
	for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
		t.Run(string(mode), func(t *testing.T) {
			ports := site(t, 2, false, mode)
			packets := collect(t, ports[1])
			nowhere := netip.MustParseAddrPort("127.0.0.1:0") // the kernel itself refuses port 0: EINVAL
			ports[0].SetPeers(map[membership.NodeID]netip.AddrPort{2: ports[1].Address(), 3: nowhere})
			if err := ports[0].Send(append(numbered(5, 3), ring.Packet{To: 2, Data: []byte("alive")})); err != nil {
				t.Fatal(err)
			}
			if got := next(t, packets); string(got) != "alive" {
				t.Fatalf("got %d bytes", len(got))
			}
			if n := ports[0].Stats().Refused; n == 0 {
				t.Error("no refusal counted")
			}
		})
	}
}

// TestSitesOnOneHostKeepApart has two sites on loopback: one differs in the group
// only, one in the port only.
func TestSitesOnOneHostKeepApart(t *testing.T) {
	open := func(group string, port uint16) *Port {
		p, err := Open(Config{Address: netip.MustParseAddrPort("127.0.0.1:0"), Multicast: netip.AddrPortFrom(netip.MustParseAddr(group), port)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	port, other := freeport.For(t).Port(), freeport.For(t).Port()
	sender, same := open("239.192.99.2", port), open("239.192.99.2", port)
	apart := []*Port{open("239.192.99.3", port), open("239.192.99.2", other)}
	packets := collect(t, same)
	var channels []<-chan []byte
	for _, p := range apart {
		channels = append(channels, collect(t, p))
	}
	if err := sender.Send([]ring.Packet{{Data: []byte("ours")}}); err != nil {
		t.Fatal(err)
	}
	next(t, packets)
	for i, p := range apart {
		// A packet to itself comes after whatever went astray before it.
		if err := p.Send([]ring.Packet{{Data: []byte("own")}}); err != nil {
			t.Fatal(err)
		}
		wait(t, "own packet", func() bool { return p.Stats().Own == 1 })
		if n := p.Stats().Received; n != 0 || len(channels[i]) != 0 {
			t.Errorf("site %d received %d packets of another", i, n)
		}
	}
}

// TestFanOutOverIPv6 runs where the machine has ::1, and otherwise wants the error
// that says so.
func TestFanOutOverIPv6(t *testing.T) {
	loopback := netip.MustParseAddrPort("[::1]:0")
	if _, err := interfaceOf(loopback.Addr()); err != nil {
		if p, err := Open(Config{Address: loopback}); err == nil {
			p.Close()
			t.Fatal("opened on an address that the machine does not have")
		}
		return
	}
	for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
		a, err := Open(Config{Address: loopback, Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		b, err := Open(Config{Address: loopback, Mode: mode, Peers: map[membership.NodeID]netip.AddrPort{1: a.Address()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		a.SetPeers(map[membership.NodeID]netip.AddrPort{2: b.Address()})
		packets := collect(t, a)
		for _, want := range numbered(100, 0) {
			if err := b.Send([]ring.Packet{want}); err != nil {
				t.Fatal(err)
			}
			if got := next(t, packets); string(got) != string(want.Data) {
				t.Fatalf("%s: got %d bytes, want %d", mode, len(got), len(want.Data))
			}
		}
		if n := a.Stats().Foreign; n != 0 {
			t.Errorf("%s: %d packets of the peer were taken for a stranger's", mode, n)
		}
	}
}

// TestPeersChangeBesideSend replaces the peers while packets leave.
func TestPeersChangeBesideSend(t *testing.T) {
	ports := site(t, 3, false, Auto)
	packets := collect(t, ports[1])
	both := map[membership.NodeID]netip.AddrPort{2: ports[1].Address(), 3: ports[2].Address()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			ports[0].SetPeers(both)
			if i%2 == 0 {
				ports[0].SetPeers(map[membership.NodeID]netip.AddrPort{2: ports[1].Address()})
			}
		}
	}()
	for i := range 200 {
		if err := ports[0].Send(numbered(1, 0)); err != nil {
			t.Fatal(i, err)
		}
		next(t, packets)
	}
	<-done
}

func TestPayloadFitsThePath(t *testing.T) {
	lo, ethernet := &net.Interface{MTU: 65536, Flags: net.FlagLoopback}, &net.Interface{MTU: 1500}
	for _, c := range []struct {
		mtu  int
		ifc  *net.Interface
		is4  bool
		want int
	}{
		{0, ethernet, true, 1472}, {0, ethernet, false, 1452}, {9000, ethernet, true, 8972},
		{0, lo, true, 8972}, {1500, lo, true, 1472}, {0, &net.Interface{MTU: 576}, true, 1252},
	} {
		if got := payload(c.mtu, c.ifc, c.is4); got != c.want {
			t.Errorf("payload(%d, interface of %d, IPv4 %v) = %d, want %d", c.mtu, c.ifc.MTU, c.is4, got, c.want)
		}
	}
}

func TestEqualRun(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  int
	}{
		{[]int{100}, 1},
		{[]int{100, 100, 100}, 3},
		{[]int{100, 100, 50, 100}, 3},
		{[]int{100, 101}, 1},
		{[]int{0, 0}, 1},
		{[]int{maxMTU + 1, maxMTU + 1}, 1},
		{[]int{9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000}, 7},
	} {
		var packets []ring.Packet
		for _, n := range c.sizes {
			packets = append(packets, ring.Packet{Data: make([]byte, n)})
		}
		if got := equalRun(packets, maxMTU); got != c.want {
			t.Errorf("equalRun(%v) = %d, want %d", c.sizes, got, c.want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	ok := netip.MustParseAddrPort("127.0.0.1:0")
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"no address", Config{}},
		{"address of another machine", Config{Address: netip.MustParseAddrPort("192.0.2.1:4803")}},
		{"group that is none", Config{Address: ok, Multicast: netip.MustParseAddrPort("10.0.0.1:4803")}},
		{"group of the other IP version", Config{Address: ok, Multicast: netip.MustParseAddrPort("[ff02::1]:4803")}},
		{"group without a port", Config{Address: ok, Multicast: netip.MustParseAddrPort("239.1.2.3:0")}},
		{"MTU below IPv6's least", Config{Address: ok, MTU: 576}},
		{"MTU above any LAN's", Config{Address: ok, MTU: 65536}},
		{"zone of another interface", Config{Address: netip.MustParseAddrPort("[::1%nowhere]:0")}},
		{"unknown mode", Config{Address: ok, Mode: "pigeon"}},
	} {
		if p, err := Open(c.cfg); err == nil {
			p.Close()
			t.Errorf("%s: opened", c.name)
		}
	}
}
