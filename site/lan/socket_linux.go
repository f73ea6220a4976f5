package lan

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// canSegment says that the system may know UDP_SEGMENT.
const canSegment = true

const (
	segmentControlBytes = 24 // CmsgSpace(2)
	receiveControlBytes = 64
)

// bindGroup binds to the group's own address, so that only its packets arrive, and
// lets other nodes on this host do the same. Package net would bind to the wildcard
// address instead, which collides with the node's own socket on the same port.
func bindGroup(group netip.AddrPort, ifc *net.Interface) (*socket, error) {
	is4 := group.Addr().Is4()
	packet, err := listenOn(group, ifc)
	if err != nil {
		return nil, err
	}
	s := newSocket(packet.(*net.UDPConn), is4)
	address := &net.UDPAddr{IP: group.Addr().AsSlice()}
	if is4 {
		err = firstError(s.batch.(*ipv4.PacketConn).JoinGroup(ifc, address), s.onlyJoined(unix.IPPROTO_IP, unix.IP_MULTICAST_ALL))
	} else {
		err = firstError(s.batch.(*ipv6.PacketConn).JoinGroup(ifc, address), s.onlyJoined(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL))
	}
	if err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

// onlyJoined makes the socket receive from the interface on which it joined, and not
// from those on which other processes joined the same group.
func (s *socket) onlyJoined(level, option int) error {
	return s.control(func(fd int) error {
		err := unix.SetsockoptInt(fd, level, option, 0)
		if errors.Is(err, unix.ENOPROTOOPT) {
			return nil // IPv6 has it since 4.20; the ring knows its own packets anyway
		}
		return os.NewSyscallError("setsockopt", err)
	})
}

// listenOn returns a UDP socket that is bound to exactly the group and shares it. The
// interface is part of an IPv6 group's address if that is of link-local scope.
func listenOn(address netip.AddrPort, ifc *net.Interface) (net.PacketConn, error) {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16(), ZoneId: uint32(ifc.Index)})
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

// coalesce lets runs of packets arrive in one piece.
func (s *socket) coalesce() error {
	return s.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) })
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
