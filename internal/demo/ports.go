package demo

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

// Ports are taken from below the range from which kernels give them to outgoing
// connections, so that a port that was found free stays free until the node has it.
const (
	lowPort  = 20_000
	highPort = 30_000
)

// portTries bounds the search for free ports.
const portTries = 2000

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// ports hands out ports on loopback that are free and that it did not hand out before.
type ports struct{ next, tries int }

func newPorts() *ports {
	return &ports{next: lowPort + 2*rand.IntN((highPort-lowPort)/2)}
}

// take returns a port p on which UDP and TCP are free, and UDP on p+1 too.
func (p *ports) take() (netip.AddrPort, error) {
	for ; p.tries < portTries; p.tries++ {
		port := p.next
		if p.next += 2; p.next >= highPort {
			p.next = lowPort
		}
		address := netip.AddrPortFrom(loopback, uint16(port))
		if free("udp", address) && free("tcp", address) && free("udp", netip.AddrPortFrom(loopback, uint16(port+1))) {
			return address, nil
		}
	}
	return netip.AddrPort{}, errors.New("no free ports on 127.0.0.1 between 20000 and 30000")
}

func free(network string, address netip.AddrPort) bool {
	if network == "udp" {
		conn, err := net.ListenPacket(network, address.String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	listener, err := net.Listen(network, address.String())
	if err == nil {
		listener.Close()
	}
	return err == nil
}

// node picks a node's addresses.
func (p *ports) node(name, site string) (planNode, error) {
	n := planNode{name: name, site: site}
	for _, address := range []*netip.AddrPort{&n.address, &n.admin, &n.gateway} {
		var err error
		if *address, err = p.take(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// group picks the multicast group of a site: another for each site and each run.
func (p *ports) group(site int) (netip.AddrPort, error) {
	port, err := p.take()
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
