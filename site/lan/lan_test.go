package lan

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

const patience = 10 * time.Second

// site opens n ports on one address of loopback, with a group or without.
func site(t testing.TB, n int, multicast bool, mode Mode) []*Port {
	t.Helper()
	addresses := make([]netip.AddrPort, n)
	for i := range addresses {
		addresses[i] = freePort(t)
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

func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
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
				if err := ports[0].Send(sent); err != nil {
					t.Fatal(err)
				}
				for _, packets := range []<-chan []byte{second, third} {
					for i := range sent {
						if got := next(t, packets); string(got) != string(sent[i].Data) {
							t.Fatalf("packet %d: %d bytes, number %d; want %d bytes", i, len(got), binary.LittleEndian.Uint32(got), len(sent[i].Data))
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
	ports[0].SetPeers(map[membership.NodeID]netip.AddrPort{2: ports[1].Address(), 3: freePort(t)})
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
	if n := ports[1].Stats().Truncated; n != 1 {
		t.Errorf("%d oversize packets counted", n)
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
		{[]int{9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000}, 7},
	} {
		var packets []ring.Packet
		for _, n := range c.sizes {
			packets = append(packets, ring.Packet{Data: make([]byte, n)})
		}
		if got := equalRun(packets); got != c.want {
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
		{"unknown mode", Config{Address: ok, Mode: "pigeon"}},
	} {
		if p, err := Open(c.cfg); err == nil {
			p.Close()
			t.Errorf("%s: opened", c.name)
		}
	}
}

func BenchmarkMulticast(b *testing.B) {
	for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
		b.Run(string(mode), func(b *testing.B) {
			ports := site(b, 4, true, mode)
			for _, p := range ports[1:] {
				packets := collect(b, p)
				go func() {
					for range packets {
					}
				}()
			}
			batch := make([]ring.Packet, 40)
			for i := range batch {
				batch[i].Data = make([]byte, 1400)
			}
			b.SetBytes(1400)
			b.ResetTimer()
			for n := 0; n < b.N; n += len(batch) {
				if err := ports[0].Send(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(ports[1].Stats().Received)/float64(max(1, ports[0].Stats().SentPackets)), "received/sent")
		})
	}
}
