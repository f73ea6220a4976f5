package demo

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"

	"ringway/internal/freeport"
)

// newNode picks a node's addresses.
func newNode(name, site string) (planNode, error) {
	n := planNode{name: name, site: site}
	for _, address := range []*netip.AddrPort{&n.address, &n.admin, &n.gateway} {
		var err error
		if *address, err = freeport.Next(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// newGroup picks the multicast group of a site: another for each site and each run.
func newGroup(site int) (netip.AddrPort, error) {
	port, err := freeport.Next()
	group := netip.AddrFrom4([4]byte{239, 192 + byte(site), randomByte(), randomByte()})
	return netip.AddrPortFrom(group, port.Port()), err
}

// probeTime is how long a multicast packet may take on loopback.
const probeTime = 500 * time.Millisecond

// multicastWorks says whether a packet to a group comes back on loopback.
func multicastWorks(group netip.AddrPort) bool {
	lo, err := loopbackInterface()
	if err != nil {
		return false
	}
	receive, err := net.ListenMulticastUDP("udp4", lo, net.UDPAddrFromAddrPort(group))
	if err != nil {
		return false
	}
	defer receive.Close()
	send, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return false
	}
	defer send.Close()
	packets := ipv4.NewPacketConn(send)
	if packets.SetMulticastInterface(lo) != nil || packets.SetMulticastLoopback(true) != nil {
		return false
	}
	if _, err := send.WriteTo([]byte("ringway"), net.UDPAddrFromAddrPort(group)); err != nil {
		return false
	}
	buffer := make([]byte, 16)
	if receive.SetReadDeadline(time.Now().Add(probeTime)) != nil {
		return false
	}
	n, _, err := receive.ReadFromUDP(buffer)
	return err == nil && string(buffer[:n]) == "ringway"
}

func loopbackInterface() (*net.Interface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range interfaces {
		if interfaces[i].Flags&net.FlagLoopback != 0 {
			return &interfaces[i], nil
		}
	}
	return nil, errors.New("no loopback interface")
}
