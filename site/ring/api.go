package ring

import (
	"fmt"
	"time"

	"ringway/membership"
)

// An ID names a ring: its representative and a counter that is larger than that
// of every ring its members ever saw.
type ID struct {
	Representative membership.NodeID
	Counter        uint64
}

func (id ID) String() string { return fmt.Sprintf("%v.%d", id.Representative, id.Counter) }

// A Seq numbers the packets of one ring, from 1.
type Seq uint64

// A Position is a place in a node's sequence of rings. Frames that share a packet
// share a position; a frame that was cut has the position of its last piece.
type Position struct {
	Counter uint64 // of the ring's ID
	Seq     Seq
}

// Compare orders positions.
func (p Position) Compare(q Position) int {
	switch {
	case p.Counter < q.Counter, p.Counter == q.Counter && p.Seq < q.Seq:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// A Frame is what one node gives to the ring: opaque bytes of at most
// MaxFrameBytes, which nobody changes afterwards.
type Frame struct {
	// Stream tells apart the senders inside this node. Frames of one stream keep
	// their order; pieces of a large frame are interleaved with frames of other
	// streams.
	Stream  uint64
	Service membership.Service
	// Bound: the frame speaks of this ring. What of it has not been sent when the next
	// one is installed is dropped; other frames are sent there.
	Bound bool
	Data  []byte
}

// MaxFrameBytes bounds a frame: the largest message and room for what its layers
// put before it.
const MaxFrameBytes = membership.MaxMessageBytes + 64<<10

// A Source holds what this node wants to send. The ring takes frames from it at
// the very moment at which it may send them, so that a deadline in a frame is
// fresh (SEQUENCING P1).
type Source interface {
	// Backlog returns about how many bytes wait.
	Backlog() int
	// Next takes the next frame, or says that there is none. now is the time
	// that was given to the step from which it is called. room is what is left
	// in the packet being filled; a larger frame is right too and will start a
	// new packet or be cut.
	Next(now time.Duration, room int) (Frame, bool)
}

// Effects is what a step wants done. The shell sends Send in order, then hands on
// Events in order; both are valid until the next step and the shell empties them
// with Reset.
type Effects struct {
	Send   []Packet
	Events []Event
	// Knock has nodes whose hosts are to be asked whether anybody listens at the node's
	// address. Machine.Refused is for the answer that nobody does.
	Knock []membership.NodeID
}

// Reset empties fx and keeps its memory.
func (fx *Effects) Reset() {
	clear(fx.Send)
	clear(fx.Events)
	fx.Send, fx.Events, fx.Knock = fx.Send[:0], fx.Events[:0], fx.Knock[:0]
}

// A Packet is a datagram to send. Nobody changes Data after it was handed out.
type Packet struct {
	To   membership.NodeID // zero: every node of the site (multicast)
	Data []byte
}

// An EventKind says what an Event tells.
type EventKind uint8

// The kinds of events.
const (
	// Deliver hands up a frame in the ring's total order: at once for fifo,
	// causal and agreed; at the stable line for safe.
	Deliver EventKind = iota + 1
	// Arrive hands up an unreliable or reliable frame on arrival, in no order.
	Arrive
	// Stable tells that every member holds all packets up to Pos.
	Stable
	// Transitional begins the transitional configuration: what follows, up to
	// Installed, is delivered among View.Together only.
	Transitional
	// Installed begins a regular configuration: View is in force.
	Installed
)

// An Event is one thing that happened in the ring's order. Frame aliases the
// packet it came in, which nobody changes and the garbage collector frees.
type Event struct {
	Kind    EventKind
	Service membership.Service
	From    membership.NodeID
	Pos     Position
	Frame   []byte
	View    *View
	// Torn (Deliver, after Transitional): something before it is missing for good.
	// Only frames of Together are delivered there, and what they say of their
	// sender's state of the order may rest on what is missing.
	Torn bool
}

// A View is a ring configuration.
type View struct {
	ID       ID
	Previous ID                  // the ring this node comes from; zero at start
	Members  []membership.NodeID // ascending
	Together []membership.NodeID // members that come from Previous too, ascending, with this node
	// Origins and Incarnations run parallel to Members: the ring each comes from,
	// zero at its start, and which of its lives it is. Every member is told the same.
	Origins      []ID
	Incarnations []uint64
}
