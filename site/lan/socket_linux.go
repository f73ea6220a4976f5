package lan

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
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

const (
	segmentControlBytes = 24 // CmsgSpace(2)
	receiveControlBytes = 64
)

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

// bindGroup binds to the group's own address, so that only its packets arrive, and
// lets other nodes on this host do the same. Package net would bind to the wildcard
// address instead, which collides with the node's own socket on the same port.
func bindGroup(group netip.AddrPort, ifc *net.Interface) (*socket, error) {
	is4 := group.Addr().Is4()
	packet, err := listenOn(group)
	if err != nil {
		return nil, err
	}
	s := newSocket(packet.(*net.UDPConn), is4)
	address := &net.UDPAddr{IP: group.Addr().AsSlice()}
	if is4 {
		err = s.batch.(*ipv4.PacketConn).JoinGroup(ifc, address)
	} else {
		err = s.batch.(*ipv6.PacketConn).JoinGroup(ifc, address)
	}
	if err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

// listenOn returns a UDP socket that is bound to exactly the address and shares it.
func listenOn(address netip.AddrPort) (net.PacketConn, error) {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()})
	if address.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), address.String())
	defer file.Close() // FilePacketConn has a descriptor of its own
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, to); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	return net.FilePacketConn(file)
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

// control runs f on the socket's descriptor.
func (s *socket) control(f func(fd int) error) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// raiseBuffers asks for large buffers, beyond the system's cap where that is allowed,
// and returns the bytes granted for receiving.
func (s *socket) raiseBuffers() int {
	granted := 0
	err := s.control(func(fd int) error {
		for _, b := range []struct{ force, plain, bytes int }{
			{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer},
			{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer},
		} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.force, b.bytes) != nil {
				// The kernel takes what its cap allows and reports no error.
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.plain, b.bytes); err != nil {
					return err
				}
			}
		}
		doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		granted = doubled / 2 // the kernel counts its own bookkeeping too
		return err
	})
	if err != nil {
		return 0
	}
	return granted
}

// canSegment says whether the kernel knows UDP_SEGMENT.
func (s *socket) canSegment() bool {
	return s.control(func(fd int) error {
		_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		return err
	}) == nil
}

// coalesce lets runs of packets arrive in one piece.
func (s *socket) coalesce() error {
	return s.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) })
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

// appendSegmentControl appends the control message that makes the kernel cut a
// gathered write into packets of size bytes.
func appendSegmentControl(b []byte, size int) []byte {
	at := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(2))...)
	header := (*unix.Cmsghdr)(unsafePointer(&b[at]))
	header.Level, header.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	header.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[at+unix.CmsgLen(0):], uint16(size))
	return b
}

// segmentSize returns the packets' size in a coalesced message, or 0.
func segmentSize(m *message) int {
	oob := m.OOB[:min(m.NN, len(m.OOB))]
	for len(oob) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0
		}
		if header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_GRO && len(data) >= 2 {
			return int(binary.NativeEndian.Uint16(data))
		}
		oob = rest
	}
	return 0
}

// truncated says that a message was larger than its buffer.
func truncated(m *message) bool { return m.Flags&unix.MSG_TRUNC != 0 }
