package lostpeer

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// look asks the kernel; ok is false if the connection is closed.
func look(conn *net.TCPConn) (s state, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return state{}, false
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }) != nil || err != nil {
		return state{}, false
	}
	return state{
		repeated: info.Retransmits > 0 || info.Probes > 0,
		quiet:    time.Duration(info.Last_ack_recv) * time.Millisecond,
	}, true
}
