package lan

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Sizes of a reader.
const (
	readMessages = 16        // in one recvmmsg
	readBytes    = 65535     // a coalesced run
	chunkBytes   = 256 << 10 // of an arena
	// maxDatagram bounds what is handed up. Commit tokens of large sites exceed
	// MaxPacket and travel in IP fragments.
	maxDatagram = 16 << 10
)

// An arena hands out memory that is never reused.
type arena struct{ free []byte }

// keep returns a copy of b.
func (a *arena) keep(b []byte) []byte {
	if len(a.free) < len(b) {
		a.free = make([]byte, chunkBytes)
	}
	copied := a.free[:len(b):len(b)]
	a.free = a.free[len(b):]
	copy(copied, b)
	return copied
}

// read hands up what a socket receives until it is closed.
func (p *Port) read(s *socket, multicast bool, deliver func(Batch)) error {
	messages := make([]message, readMessages)
	for i := range messages {
		messages[i] = message{Buffers: [][]byte{make([]byte, readBytes)}, OOB: make([]byte, receiveControlBytes)}
	}
	var memory arena
	for {
		n, err := s.readBatch(messages)
		if err != nil {
			if transient(err) {
				p.stats.refused.Add(1)
				continue
			}
			return err
		}
		p.stats.receivedCalls.Add(1)
		// The slice goes with the batch: who takes it may still hold it when the
		// next one is read.
		batch := Batch{Multicast: multicast, Packets: make([][]byte, 0, 4*n)}
		for i := range messages[:n] {
			batch.Packets = p.split(batch.Packets, &messages[i], &memory)
		}
		if len(batch.Packets) > 0 {
			deliver(batch)
		}
	}
}

// transient says that a receive error is about some packet sent before, or a signal,
// and not about the socket.
func transient(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EMSGSIZE)
}

// split appends copies of a message's packets: one, or a coalesced run.
func (p *Port) split(packets [][]byte, m *message, memory *arena) [][]byte {
	if from, ok := m.Addr.(*net.UDPAddr); ok && p.isOwn(from) {
		p.stats.own.Add(1)
		return packets
	}
	if truncated(m) {
		p.stats.truncated.Add(1)
		return packets
	}
	rest := m.Buffers[0][:m.N]
	size := segmentSize(m)
	if size <= 0 || size > len(rest) {
		size = len(rest)
	}
	for len(rest) > 0 {
		packet := rest[:min(size, len(rest))]
		rest = rest[len(packet):]
		if len(packet) > maxDatagram {
			p.stats.truncated.Add(1)
			continue
		}
		p.stats.received.Add(1)
		p.stats.receivedBytes.Add(uint64(len(packet)))
		packets = append(packets, memory.keep(packet))
	}
	return packets
}

func (p *Port) isOwn(from *net.UDPAddr) bool {
	local := p.unicast.local
	if from.Port != int(local.Port()) {
		return false
	}
	address, ok := netip.AddrFromSlice(from.IP)
	return ok && address.Unmap() == local.Addr().Unmap()
}
