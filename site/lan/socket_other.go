//go:build !linux

package lan

import (
	"errors"
	"net"
	"net/netip"
)

// Other systems have none of the batches: a port there sends and receives packet by
// packet. It is meant for trying Ringway out, not for speed.
const (
	canSegment          = false
	segmentControlBytes = 0
	receiveControlBytes = 64
)

// bindGroup joins the group on the interface and shares its port.
func bindGroup(group netip.AddrPort, ifc *net.Interface) (*socket, error) {
	is4 := group.Addr().Is4()
	conn, err := net.ListenMulticastUDP(network(is4), ifc, net.UDPAddrFromAddrPort(group))
	if err != nil {
		return nil, err
	}
	return newSocket(conn, is4), nil
}

// raiseBuffers asks for large buffers. What was granted cannot be asked everywhere.
func (s *socket) raiseBuffers() int {
	if s.conn.SetReadBuffer(receiveBuffer) != nil || s.conn.SetWriteBuffer(sendBuffer) != nil {
		return 0
	}
	return receiveBuffer
}

func (s *socket) coalesce() error { return errors.ErrUnsupported }

func appendSegmentControl(b []byte, _ int) []byte { return b }

func segmentSize(*message) int { return 0 }

func truncated(*message) bool { return false }
