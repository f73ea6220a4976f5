package lan

import (
	"net"
	"net/netip"
)

// probeBytes is the size of a packet of the probe: anything below every MTU.
const probeBytes = 64

// probe returns the best mode in which the kernel lets this process send: sandboxes
// refuse what the kernel's version promises. It sends a few bytes from a socket to
// itself, so it does not see what only the LAN's interface lacks; Send finds that out.
func probe(address netip.Addr) Mode {
	s, err := bindUnicast(netip.AddrPortFrom(address, 0))
	if err != nil {
		return Plain // which needs nothing that the port's own socket has not shown
	}
	defer s.conn.Close()
	packet, to := make([]byte, probeBytes), net.UDPAddrFromAddrPort(s.local)
	run := message{Buffers: [][]byte{packet, packet}, OOB: appendSegmentControl(nil, probeBytes), Addr: to}
	if n, err := s.writeBatch([]message{run}); canSegment && err == nil && n == 1 {
		return Segment
	}
	single := message{Buffers: [][]byte{packet}, Addr: to}
	if n, err := s.writeBatch([]message{single, single}); err == nil && n > 0 {
		return Sendmmsg
	}
	return Plain
}
