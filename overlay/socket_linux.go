package overlay

import (
	"net"

	"golang.org/x/sys/unix"
)

// bufferSizes returns what the kernel really gave. It reports twice the usable size.
func bufferSizes(conn *net.UDPConn) (receive, send int, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	var rerr, serr error
	if err := raw.Control(func(fd uintptr) {
		receive, rerr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		send, serr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	}); err != nil || rerr != nil || serr != nil {
		return 0, 0, false
	}
	return receive / 2, send / 2, true
}
