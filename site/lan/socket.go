package lan

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A message is one element of sendmmsg and recvmmsg. ipv4's and ipv6's are one type.
type message = ipv4.Message

// A batcher is what ipv4.PacketConn and ipv6.PacketConn have in common.
type batcher interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// A socket is a UDP socket that reads and writes batches.
type socket struct {
	conn  *net.UDPConn
	batch batcher
	is4   bool
	local netip.AddrPort
}

func newSocket(conn *net.UDPConn, is4 bool) *socket {
	s := &socket{conn: conn, is4: is4, local: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	s.local = netip.AddrPortFrom(s.local.Addr().Unmap(), s.local.Port())
	if is4 {
		s.batch = ipv4.NewPacketConn(conn)
	} else {
		s.batch = ipv6.NewPacketConn(conn)
	}
	return s
}

func network(is4 bool) string {
	if is4 {
		return "udp4"
	}
	return "udp6"
}

func bindUnicast(address netip.AddrPort) (*socket, error) {
	is4 := address.Addr().Unmap().Is4()
	conn, err := net.ListenUDP(network(is4), net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	return newSocket(conn, is4), nil
}

// sendOn makes multicast leave through the interface, one hop far, and reach other
// nodes on this host.
func (s *socket) sendOn(ifc *net.Interface) error {
	if p, ok := s.batch.(*ipv4.PacketConn); ok {
		return firstError(p.SetMulticastInterface(ifc), p.SetMulticastTTL(1), p.SetMulticastLoopback(true))
	}
	p := s.batch.(*ipv6.PacketConn)
	return firstError(p.SetMulticastInterface(ifc), p.SetMulticastHopLimit(1), p.SetMulticastLoopback(true))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// writeBatch returns how many messages were sent. x/net says -1 when the first one
// already failed.
func (s *socket) writeBatch(messages []message) (int, error) {
	n, err := s.batch.WriteBatch(messages, 0)
	return max(n, 0), err
}

func (s *socket) readBatch(messages []message) (int, error) {
	n, err := s.batch.ReadBatch(messages, 0)
	if err != nil {
		return 0, fmt.Errorf("receive on %s: %w", s.local, err)
	}
	return n, nil
}
