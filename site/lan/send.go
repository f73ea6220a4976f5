package lan

import (
	"errors"
	"net"
	"syscall"

	"ringway/site/ring"
)

// Limits of one UDP_SEGMENT message.
const (
	maxSegments     = 64    // UDP_MAX_SEGMENTS of older kernels
	maxSegmentBytes = 65000 // an IP packet less headers
	batchMessages   = 64    // messages in one sendmmsg
)

// A sender has the scratch memory of Send.
type sender struct {
	messages []message
	buffers  [][]byte
	controls []byte
}

// sendRun sends packets to one address in the present mode.
func (p *Port) sendRun(packets []ring.Packet, to *net.UDPAddr) error {
	for len(packets) > 0 {
		mode := p.Mode()
		sent, head, err := p.sendSome(packets, to, mode)
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return err
		case cannot(err):
			sent = p.sendOtherwise(packets[:1], to, mode, err)
		default:
			// A full queue, no route, a filter: what the kernel does not take is
			// like a loss on the wire.
			p.stats.refused.Add(uint64(head))
			sent = head
		}
		packets = packets[sent:]
	}
	return nil
}

// cannot says that the error may be about the way of sending: an interface without
// checksum offload, a sandbox, an old kernel. The same errors come for a packet that
// nobody could send.
func cannot(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) ||
		errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EMSGSIZE)
}

// sendOtherwise sends one packet, which the present mode could not send, in the modes
// below it. If one of them can, the mode was at fault and is left for good. If none
// can, the packet was, and it is lost. It returns how many packets are done with.
func (p *Port) sendOtherwise(packet []ring.Packet, to *net.UDPAddr, mode Mode, why error) int {
	for m, ok := mode.below(); ok; m, ok = m.below() {
		if _, _, err := p.sendSome(packet, to, m); err == nil {
			p.log.Warn("the kernel cannot send this way: going on with the next", "mode", mode, "error", why, "next", m)
			p.setMode(m)
			return 1
		}
	}
	p.stats.refused.Add(1)
	return 1
}

// sendSome sends a first part of the packets and returns how many. With an error none
// was sent, and head is the number of packets in the message that was refused.
func (p *Port) sendSome(packets []ring.Packet, to *net.UDPAddr, mode Mode) (sent, head int, err error) {
	if mode == Plain {
		if _, err := p.unicast.conn.WriteToUDP(packets[0].Data, to); err != nil {
			return 0, 1, err
		}
		p.count(packets[:1], 1)
		return 1, 1, nil
	}
	limit := 0
	if mode == Segment {
		limit = p.maxPacket
	}
	s := &p.send
	s.build(packets, to, limit)
	defer s.forget()
	messages, err := p.unicast.writeBatch(s.messages)
	if messages == 0 && err != nil {
		return 0, len(s.messages[0].Buffers), err
	}
	for _, m := range s.messages[:messages] {
		sent += len(m.Buffers)
	}
	p.count(packets[:sent], messages)
	return sent, 0, nil // an error after the first message comes again with what is left
}

func (p *Port) count(packets []ring.Packet, calls int) {
	bytes := 0
	for i := range packets {
		bytes += len(packets[i].Data)
	}
	p.stats.sentPackets.Add(uint64(len(packets)))
	p.stats.sentBytes.Add(uint64(bytes))
	p.stats.sentCalls.Add(uint64(calls))
}

// build makes the messages of one sendmmsg. With a segment limit, a run of equal
// packets of at most so many bytes, of which the last may be shorter, is one message
// that gathers them.
func (s *sender) build(packets []ring.Packet, to *net.UDPAddr, segmentLimit int) {
	if need := len(packets); cap(s.buffers) < need {
		s.buffers = make([][]byte, 0, 2*need) // messages alias it: no growing below
	}
	if need := batchMessages * segmentControlBytes; cap(s.controls) < need {
		s.controls = make([]byte, 0, need)
	}
	for len(packets) > 0 && len(s.messages) < batchMessages {
		run := equalRun(packets, segmentLimit)
		first := len(s.buffers)
		for i := range run {
			s.buffers = append(s.buffers, packets[i].Data)
		}
		m := message{Buffers: s.buffers[first:len(s.buffers):len(s.buffers)], Addr: to}
		if run > 1 {
			at := len(s.controls)
			s.controls = appendSegmentControl(s.controls, len(packets[0].Data))
			m.OOB = s.controls[at:len(s.controls):len(s.controls)]
		}
		s.messages = append(s.messages, m)
		packets = packets[run:]
	}
}

// forget keeps the memory and lets go of the packets, which may be large.
func (s *sender) forget() {
	clear(s.messages)
	clear(s.buffers)
	s.messages, s.buffers, s.controls = s.messages[:0], s.buffers[:0], s.controls[:0]
}

// equalRun returns how many packets, from the first on, one UDP_SEGMENT message can
// take: all of the first one's size, but a last one that may be smaller. Larger ones
// than the limit go alone, for IP to cut.
func equalRun(packets []ring.Packet, limit int) int {
	size := len(packets[0].Data)
	total := size
	if size == 0 || size > limit {
		return 1
	}
	for n := 1; n < len(packets) && n < maxSegments; n++ {
		next := len(packets[n].Data)
		total += next
		if next > size || next == 0 || total > maxSegmentBytes {
			return n
		}
		if next < size {
			return n + 1
		}
	}
	return min(len(packets), maxSegments)
}
