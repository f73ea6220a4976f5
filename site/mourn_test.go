package site

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/membership"
	"ringway/site/lan"
	"ringway/site/ring"
)

// TestMourning: of nodes that the ring loses, the overlay is told of gateways whose process has
// ended, with the life that has, and of nobody else.
func TestMourning(t *testing.T) {
	const self, ended, living, noGateway = 1, 2, 3, 4
	here, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	nobody := freeport.For(t)
	port, err := lan.Open(lan.Config{Address: netip.MustParseAddrPort("127.0.0.1:0"), Peers: map[membership.NodeID]netip.AddrPort{
		ended: nobody, living: here.LocalAddr().(*net.UDPAddr).AddrPort(), noGateway: nobody,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	type life struct {
		node        membership.NodeID
		incarnation uint64
	}
	told, done := make(chan life, 100), make(chan struct{})
	defer close(done)
	w := &wan{loop: &loop{port: port}, done: done, mates: map[membership.NodeID]bool{ended: true, living: true},
		tellDead: func(n membership.NodeID, i uint64) { told <- life{n, i} }}
	all := &ring.View{Members: []membership.NodeID{self, ended, living, noGateway}, Incarnations: []uint64{10, 20, 30, 40}}
	alone := &ring.View{Members: []membership.NodeID{self}, Incarnations: []uint64{10}}
	for end := time.Now().Add(patience); ; { // on a busy machine a refusal may be too old when it is told
		w.mourn(all)
		w.mourn(alone)
		select {
		case got := <-told:
			if got != (life{ended, 20}) {
				t.Errorf("told of %+v", got)
			}
			return
		case <-time.After(200 * time.Millisecond):
			if time.Now().After(end) {
				t.Fatal("nobody was told of the gateway that ended")
			}
		}
	}
}
