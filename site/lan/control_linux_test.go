package lan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// groControl is the kernel's note of the size of a coalesced run's packets.
func groControl(size int32) []byte { return controlMessage(unix.IPPROTO_UDP, unix.UDP_GRO, size) }

// otherControl is a note about something else.
func otherControl() []byte { return controlMessage(unix.IPPROTO_IP, unix.IP_TTL, 1) }

func controlMessage(level, kind, value int32) []byte {
	b := make([]byte, unix.CmsgSpace(4))
	header := (*unix.Cmsghdr)(unsafePointer(&b[0]))
	header.Level, header.Type = level, kind
	header.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(b[unix.CmsgLen(0):], uint32(value))
	return b
}
