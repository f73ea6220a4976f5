package ring

import (
	"encoding/binary"
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// An outbox turns frames into packets: small ones share a packet, large ones are
// cut, and the pieces of large ones take turns with each other and with the small
// frames of other streams.
//
//	O1 frames of one stream leave in the order in which the Source gave them
//	O2 at most MaxLarge frames are being cut, and maxWaiting frames wait for them
//	O3 a frame is cut only while the ring has room for it (MaxLargeBytes)
type outbox struct {
	cuts    []cut   // being cut, each of another stream
	turn    int     // whose turn it is: 0 the small ones', i cuts[i-1]'s
	ready   []Frame // taken from the Source, may go
	waiting []Frame // taken from the Source, behind something of their stream
	bytes   int     // in all of these
	open    uint64  // bytes of all frames of the ring that are being cut
	number  uint32  // of the last frame that was cut
	// arrivals says that the packet packed last has frames to be handed up at once.
	arrivals bool
}

type cut struct {
	frame  Frame
	number uint32
	offset int
}

func (o *outbox) empty() bool { return len(o.cuts)+len(o.ready)+len(o.waiting) == 0 }

// restart begins afresh in a new ring: frames of which the last piece has not
// been sent are cut again from their beginning, because the others have dropped
// what they had of them. What was bound to the ring before is dropped.
func (o *outbox) restart() {
	again := make([]Frame, 0, len(o.cuts))
	for _, c := range o.cuts {
		again = append(again, c.frame)
		o.bytes += c.offset
	}
	o.ready = o.unbound(o.ready)
	o.waiting = o.unbound(append(again, o.waiting...))
	clear(o.cuts)
	o.cuts, o.turn, o.open = o.cuts[:0], 0, 0
}

// unbound drops the frames that are bound to the ring that ends.
func (o *outbox) unbound(frames []Frame) []Frame {
	return slices.DeleteFunc(frames, func(f Frame) bool {
		if f.Bound {
			o.bytes -= len(f.Data)
		}
		return f.Bound
	})
}

// payload is how many bytes of entries a packet holds. Room is left to wrap it
// into another ring's packet.
func (m *Machine) payload() int { return m.cfg.MaxPacket - dataBytes - wrapBytes }

func (m *Machine) isLarge(f Frame) bool { return entryBytes+len(f.Data) > m.payload() }

// take asks the Source for a frame that keeps its contract.
func (m *Machine) take(now time.Duration, room int) (Frame, bool) {
	for !m.leaving {
		f, ok := m.source.Next(now, room)
		if !ok {
			return f, false
		}
		if f.Service.Valid() && len(f.Data) <= MaxFrameBytes {
			return f, true
		}
		m.count.RefusedFrames++
	}
	return Frame{}, false
}

// blocked says whether something of that stream must go first.
func (o *outbox) blocked(stream uint64) bool {
	for i := range o.cuts {
		if o.cuts[i].frame.Stream == stream {
			return true
		}
	}
	for i := range o.waiting {
		if o.waiting[i].Stream == stream {
			return true
		}
	}
	return false
}

// begin starts to cut f, if O2 and O3 allow it.
func (o *outbox) begin(f Frame) bool {
	if len(o.cuts) == MaxLarge || o.open > 0 && o.open+uint64(len(f.Data)) > MaxLargeBytes {
		return false
	}
	o.number++
	o.open += uint64(len(f.Data))
	o.cuts = append(o.cuts, cut{frame: f, number: o.number})
	return true
}

// admit lets those of the waiting frames go whose turn has come. It is called
// with ready empty, or a large frame could overtake a small one of its stream.
func (m *Machine) admit() {
	o := &m.out
	var held []uint64 // streams of which something stays behind
	for i := range o.cuts {
		held = append(held, o.cuts[i].frame.Stream)
	}
	stay := o.waiting[:0]
	for _, f := range o.waiting {
		switch {
		case slices.Contains(held, f.Stream):
		case !m.isLarge(f):
			o.ready = append(o.ready, f)
			continue
		case !slices.ContainsFunc(o.ready, func(r Frame) bool { return r.Stream == f.Stream }) && o.begin(f):
			held = append(held, f.Stream)
			continue
		default:
			held = append(held, f.Stream)
		}
		stay = append(stay, f)
	}
	clear(o.waiting[len(stay):])
	o.waiting = stay
}

// small returns the next frame that is not large. It stays at the head of ready
// until sent removes it.
func (m *Machine) small(now time.Duration, room int) (*Frame, bool) {
	o := &m.out
	if len(o.ready) > 0 {
		return &o.ready[0], true
	}
	if len(o.waiting) > 0 {
		m.admit()
	}
	for len(o.ready) == 0 {
		if len(o.waiting) >= maxWaiting {
			return nil, false
		}
		f, ok := m.take(now, room)
		if !ok {
			return nil, false
		}
		o.bytes += len(f.Data)
		switch {
		case (len(o.cuts) > 0 || len(o.waiting) > 0) && o.blocked(f.Stream):
			o.waiting = append(o.waiting, f)
		case !m.isLarge(f):
			o.ready = append(o.ready, f)
		case !o.begin(f):
			o.waiting = append(o.waiting, f)
		}
	}
	return &o.ready[0], true
}

// sent removes the head of ready.
func (o *outbox) sent() {
	o.bytes -= len(o.ready[0].Data)
	copy(o.ready, o.ready[1:])
	o.ready[len(o.ready)-1] = Frame{}
	o.ready = o.ready[:len(o.ready)-1]
}

// backlog is about how many packets wait in this node.
func (m *Machine) backlog() uint32 {
	bytes := m.out.bytes + m.waiting()
	if bytes == 0 {
		return uint32(min(len(m.out.ready)+len(m.out.waiting), 1))
	}
	return uint32(min(1+bytes/m.payload(), 1<<24))
}

// hasWork says whether a token would be of use to this node.
func (m *Machine) hasWork() bool { return !m.out.empty() || m.waiting() > 0 }

// pack fills one packet and returns it with its number still open, or false if
// there is nothing to send. A packet either holds ends of safe frames or none, so
// that no other frame waits for the stable line.
func (m *Machine) pack(now time.Duration) (packet []byte, flags uint8, ok bool) {
	o := &m.out
	b := m.arena.take(m.cfg.MaxPacket - wrapBytes)
	limit := cap(b)
	b = b[:dataBytes]
	first := true
	o.arrivals = false
	if o.turn > 0 && o.turn <= len(o.cuts) {
		b, flags = m.piece(b, limit, o.turn-1)
		first = false
	}
	for first || limit-len(b) >= minTail || len(o.ready) > 0 && limit-len(b) > entryBytes {
		f, ok := m.small(now, limit-len(b)-entryBytes)
		if !ok {
			break
		}
		class := uint8(0)
		if f.Service == membership.Safe {
			class = flagSafe
		}
		if len(f.Data)+entryBytes > limit-len(b) || !first && class != flags {
			break
		}
		b = appendEntry(b, *f)
		o.arrivals = o.arrivals || f.Service < membership.FIFO
		m.count.FramesSent++
		m.count.BytesSent += uint64(len(f.Data))
		flags, first = class, false
		o.sent()
	}
	if len(o.cuts) > 0 && (first || flags == 0 && limit-len(b) >= pieceBytes+minPiece && !o.endsSafe(0, limit-len(b))) {
		b, flags = m.piece(b, limit, 0)
		first = false
	}
	o.turn++
	if o.turn > len(o.cuts) {
		o.turn = 0
	}
	if first {
		return nil, 0, false
	}
	return m.arena.keep(b), flags, true
}

// endsSafe says whether a piece of that many bytes would complete a safe frame.
func (o *outbox) endsSafe(i, room int) bool {
	c := &o.cuts[i]
	return c.frame.Service == membership.Safe && len(c.frame.Data)-c.offset <= room-pieceBytes
}

// piece appends the next piece of cuts[i].
func (m *Machine) piece(b []byte, limit, i int) ([]byte, uint8) {
	o := &m.out
	c := &o.cuts[i]
	n := min(limit-len(b)-pieceBytes, len(c.frame.Data)-c.offset)
	b = appendPiece(b, c.frame, c.number, c.offset, n)
	c.offset += n
	o.bytes -= n
	if c.offset < len(c.frame.Data) {
		return b, 0
	}
	flags := uint8(0)
	if c.frame.Service == membership.Safe {
		flags = flagSafe
	}
	m.count.FramesSent++
	m.count.BytesSent += uint64(len(c.frame.Data))
	o.open -= min(o.open, uint64(len(c.frame.Data)))
	o.cuts = slices.Delete(o.cuts, i, i+1)
	return b, flags
}

// stamp writes the front of a data packet.
func (m *Machine) stamp(packet []byte, flags uint8, id ID, s Seq, hop uint64) {
	b := m.appendHeader(packet[:0], kindData, flags)
	b = appendID(b, id)
	b = wire.AppendUint64(b, uint64(s))
	wire.AppendUint64(b, hop)
}

func seqAt(packet []byte) Seq    { return Seq(binary.LittleEndian.Uint64(packet[ringBytes:])) }
func hopAt(packet []byte) uint64 { return binary.LittleEndian.Uint64(packet[ringBytes+8:]) }
