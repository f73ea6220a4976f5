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

// sendRun sends packets to one address in the present mode, and falls back to the
// next mode when the kernel cannot do it.
func (p *Port) sendRun(packets []ring.Packet, to *net.UDPAddr) error {
	for len(packets) > 0 {
		mode := p.Mode()
		sent, err := p.sendSome(packets, to, mode)
		packets = packets[sent:]
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return err
		case mode != Plain && cannot(err):
			next := Plain
			if mode == Segment {
				next = Sendmmsg
			}
			p.log.Warn("the kernel cannot send this way: going on with the next", "mode", mode, "error", err, "next", next)
			p.setMode(next)
		case len(packets) > 0:
			// A full buffer, no route, a refusal by the peer's host: what the
			// packet at hand meets is like a loss on the wire.
			p.stats.refused.Add(1)
			packets = packets[1:]
		}
	}
	return nil
}

// cannot says that the error is about the way of sending, not about the packet.
func cannot(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) ||
		errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EMSGSIZE)
}

// sendSome sends a first part of the packets and returns how many.
func (p *Port) sendSome(packets []ring.Packet, to *net.UDPAddr, mode Mode) (int, error) {
	if mode == Plain {
		_, err := p.unicast.conn.WriteToUDP(packets[0].Data, to)
		if err == nil {
			p.count(packets[:1], 1)
			return 1, nil
		}
		return 0, err
	}
	p.send.build(packets, to, mode == Segment)
	messages, err := p.unicast.writeBatch(p.send.messages)
	sent := 0
	for _, m := range p.send.messages[:messages] {
		sent += len(m.Buffers)
	}
	p.count(packets[:sent], messages)
	if messages > 0 {
		return sent, nil // an error will come again with what is left
	}
	return 0, err
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

// build makes the messages of one sendmmsg: with segment, a run of equal packets,
// of which the last may be shorter, is one message that gathers them.
func (s *sender) build(packets []ring.Packet, to *net.UDPAddr, segment bool) {
	s.messages, s.buffers, s.controls = s.messages[:0], s.buffers[:0], s.controls[:0]
	if need := len(packets); cap(s.buffers) < need {
		s.buffers = make([][]byte, 0, 2*need) // messages alias it: no growing below
	}
	if need := batchMessages * segmentControlBytes; cap(s.controls) < need {
		s.controls = make([]byte, 0, need)
	}
	for len(packets) > 0 && len(s.messages) < batchMessages {
		run := 1
		if segment {
			run = equalRun(packets)
		}
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

// equalRun returns how many packets, from the first on, one UDP_SEGMENT message can
// take: all of the first one's size, but a last one that may be smaller.
func equalRun(packets []ring.Packet) int {
	size := len(packets[0].Data)
	total := size
	if size == 0 {
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
