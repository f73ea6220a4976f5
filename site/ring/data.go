package ring

import (
	"encoding/binary"
	"slices"
	"time"

	"ringway/membership"
)

// A ring is what a node keeps of one ring.
//
//	R1 stable ≤ delivered ≤ aru once advance has run, and base = stable
//	R2 a frame is delivered once, at its packet's place
//	R3 nothing behind an undelivered safe frame is delivered
type ring struct {
	id      ID
	members []membership.NodeID // ascending; the token's way
	me      int
	window
	stable    Seq  // every member holds everything up to here
	moved     bool // stable has moved and nobody was told
	delivered Seq
	assembler assembler

	hop       uint64 // of the token that comes next
	visits    int
	retrySeen uint8
	resentAt  time.Duration // the token, for want of an answer
	restless  int           // rotations before the token may rest
	wanted    bool          // somebody asked for the token
	sentToken []byte
	sentSeq   Seq
	sentAru   Seq
	saidAt    time.Duration // when the successor was last sent something
	heardAt   time.Duration // when the predecessor was last heard
	ownSeq    Seq           // this node's last packet
	mine      struct{ fcc, backlog, pending uint32 }
	quiet     bool // when the token left, it may have come to rest
	woke      bool // and has been asked for

	stuckAru    Seq
	stuckVisits int
	stuckSince  time.Duration
}

// begin makes r the ring of that id. Its memory is used again.
func (r *ring) begin(id ID, members []membership.NodeID, self membership.NodeID) {
	w, a := r.window, r.assembler
	w.reset()
	a.reset()
	me := slices.Index(members, self)
	*r = ring{id: id, members: members, me: me, window: w, assembler: a, hop: uint64(me)}
}

func (r *ring) alone() bool { return len(r.members) == 1 }

func (r *ring) successor() membership.NodeID { return r.members[(r.me+1)%len(r.members)] }

func (r *ring) predecessor() membership.NodeID {
	return r.members[(r.me+len(r.members)-1)%len(r.members)]
}

func (r *ring) has(n membership.NodeID) bool {
	_, ok := slices.BinarySearch(r.members, n)
	return ok
}

func (r *ring) position(s Seq) Position { return Position{Counter: r.id.Counter, Seq: s} }

// onData takes in a data packet.
func (m *Machine) onData(now time.Duration, packet []byte, h header, fx *Effects) {
	if len(packet) < dataBytes {
		m.count.DroppedMalformed++
		return
	}
	id := idAt(packet)
	var r *ring
	switch {
	case id == m.ring.id && (m.state == Operational || m.state == Gather):
		r = m.ring
	case m.state == Recovery && id == m.next.id:
		r = m.next
	default:
		m.stale(now, h.sender, id, fx)
		return
	}
	if !r.has(h.sender) || r.alone() {
		m.count.DroppedStale++
		return
	}
	s := seqAt(packet)
	if s <= r.base || r.holds(s) {
		m.count.Duplicates++
		return
	}
	p := slot{packet: packet, sender: h.sender, body: dataBytes, flags: h.flags}
	if h.flags&flagWrapped != 0 {
		if len(packet) < dataBytes+wrapBytes+entryBytes {
			m.count.DroppedMalformed++
			return
		}
		p.body, p.flags = dataBytes+wrapBytes, p.flags&^flagSafe
	}
	arrivals, safe, ok := checkBody(packet[p.body:])
	if !ok || safe != (h.flags&flagSafe != 0) {
		m.count.DroppedMalformed++
		return
	}
	if r.insert(s, p) == beyond {
		m.count.DroppedWindow++
		return
	}
	m.count.PacketsReceived++
	m.heard(now, r, h.sender)
	if h.sender == r.predecessor() && h.flags&flagAfterToken != 0 && hopAt(packet)+1 >= r.hop {
		m.prefer = true
	}
	switch {
	case r == m.next:
		if h.flags&flagWrapped != 0 {
			m.unwrap(packet, h, arrivals, fx)
		}
	case h.flags&flagWrapped != 0: // late, everybody had it
		m.deliver(r, fx)
	default:
		if arrivals {
			m.arrive(r, s, r.at(s), fx)
		}
		m.deliver(r, fx)
	}
}

// arrive hands up the frames of a packet that need no order.
func (m *Machine) arrive(r *ring, s Seq, p *slot, fx *Effects) {
	for body := p.packet[p.body:]; len(body) > 0; {
		e, rest, ok := nextEntry(body)
		if !ok {
			return
		}
		if onArrival(&e) {
			m.up(Arrive, e.service, p.sender, r.position(s), e.data, fx)
		}
		body = rest
	}
}

// deliver hands up what is due: in order, up to the first gap or the first safe
// frame beyond the stable line.
func (m *Machine) deliver(r *ring, fx *Effects) {
	for r.delivered < r.aru {
		p := r.at(r.delivered + 1)
		if p.flags&flagSafe != 0 && r.delivered >= r.stable {
			return
		}
		r.delivered++
		m.open(r, r.delivered, p, fx)
	}
}

// open hands up the ordered frames of a packet.
func (m *Machine) open(r *ring, s Seq, p *slot, fx *Effects) {
	if p.flags&flagWrapped != 0 {
		return
	}
	for body := p.packet[p.body:]; len(body) > 0; {
		e, rest, ok := nextEntry(body)
		if !ok {
			return
		}
		body = rest
		switch {
		case e.piece:
			m.openPiece(r, s, p.sender, &e, fx)
		case !onArrival(&e):
			m.up(Deliver, e.service, p.sender, r.position(s), e.data, fx)
		}
	}
}

func (m *Machine) openPiece(r *ring, s Seq, sender membership.NodeID, e *entry, fx *Effects) {
	frame, ok := r.assembler.add(sender, e)
	switch {
	case !ok:
		m.count.DroppedAssemblies++
	case frame == nil:
	case e.service < membership.FIFO:
		m.up(Arrive, e.service, sender, r.position(s), frame, fx)
	default:
		m.up(Deliver, e.service, sender, r.position(s), frame, fx)
	}
}

func (m *Machine) up(kind EventKind, service membership.Service, from membership.NodeID, at Position, frame []byte, fx *Effects) {
	m.count.FramesDelivered++
	m.count.BytesDelivered += uint64(len(frame))
	fx.Events = append(fx.Events, Event{Kind: kind, Service: service, From: from, Pos: at, Frame: frame})
}

// advance delivers, tells how far all is stable, and lets go of it.
func (m *Machine) advance(fx *Effects) {
	if m.state != Operational {
		return
	}
	r := m.ring
	m.deliver(r, fx)
	if r.moved {
		r.moved = false
		fx.Events = append(fx.Events, Event{Kind: Stable, Pos: r.position(r.stable)})
	}
	r.release(r.stable)
}

// wrapped returns the sender and number of the packet inside packet.
func wrapped(packet []byte) (membership.NodeID, Seq) {
	return membership.NodeID(binary.LittleEndian.Uint32(packet[dataBytes:])), Seq(binary.LittleEndian.Uint64(packet[dataBytes+4:]))
}
