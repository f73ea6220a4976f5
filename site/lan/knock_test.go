package lan

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"ringway/membership"
)

// TestKnock: a knock at an address where nobody listens is refused, and the next knock tells.
// Where somebody listens, or at somebody unknown, nothing is told, and no packet is handed up.
func TestKnock(t *testing.T) {
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	address := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	p, err := Open(Config{Address: netip.MustParseAddrPort("127.0.0.1:0"), Peers: map[membership.NodeID]netip.AddrPort{7: address}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	knock := func(n int) (refused bool) {
		for range n { // without a pause that could outlast knockFresh
			refused = p.Knock(7) || refused
		}
		return refused
	}
	if knock(20) {
		t.Error("the peer listens, and a knock was refused")
	}
	if p.Knock(8) || p.Stats().UnknownPeer != 1 {
		t.Error("a knock at an unknown peer")
	}
	got := make([]byte, 1)
	if n, _, err := peer.ReadFrom(got); n != 0 || err != nil {
		t.Errorf("a knock has %d bytes, error %v", n, err)
	}
	peer.Close()
	for end := time.Now().Add(10 * time.Second); !knock(20); {
		if time.Now().After(end) {
			t.Fatal("nobody listens, and no knock was refused in 10 s")
		}
	}
	// What was refused for the dead says nothing of who comes after it, once it is old.
	p.knockers.by[7].at = p.knockers.by[7].at.Add(-2 * knockFresh)
	if p.Knock(7) {
		t.Error("an old refusal was told")
	}
	p.Close()
	if p.Knock(7) {
		t.Error("a closed port was refused")
	}
}
