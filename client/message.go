package client

import (
	"errors"
	"fmt"

	"ringway/internal/spread"
	"ringway/membership"
)

// A Service is the guarantee that a message is sent with.
type Service = membership.Service

// The services, weakest first; docs/services.md says what each gives.
const (
	Unreliable = membership.Unreliable
	Reliable   = membership.Reliable
	FIFO       = membership.FIFO
	Causal     = membership.Causal
	Agreed     = membership.Agreed
	Safe       = membership.Safe
)

// Limits of a message.
const (
	MaxMessageBytes = membership.MaxMessageBytes // of data, on a node of Ringway's
	MaxGroups       = membership.MaxGroups
	MaxGroupName    = membership.MaxGroupName // bytes
)

// Faults of what an application asks for. They are found before anything is sent, and
// the connection goes on.
var (
	ErrTooLarge   = errors.New("message too large")
	ErrGroups     = errors.New("illegal groups")
	ErrService    = errors.New("illegal service")
	ErrConnection = errors.New("the connection is of no more use")
)

// An Event is what Receive returns: *Message, *View, *Transition, *Left or *Rejected, and
// *Gap from a Session.
type Event interface{ event() }

// A Message is sent to groups, and received by their members.
type Message struct {
	Sender      string   // private group, set on receipt
	Groups      []string // as the sender named them; received lists are shared, do not change them
	Service     Service
	Type        int16 // the application's own tag
	SelfDiscard bool  // do not deliver it to its sender
	Data        []byte
	// EndianMismatch tells that the sender's byte order is not little endian, for
	// applications that put integers into Data as they lie in memory.
	EndianMismatch bool
}

// A Cause says why a view came about.
type Cause string

// The causes.
const (
	ByJoin       Cause = "join"
	ByLeave      Cause = "leave"
	ByDisconnect Cause = "disconnect"
	ByNetwork    Cause = "network"
)

// A ViewID names a group view; it is the same at all members.
type ViewID [3]uint32

func (id ViewID) String() string { return fmt.Sprintf("%08x.%d.%d", id[0], id[1], id[2]) }

// A View is the membership of a group from its place in the order on.
type View struct {
	Group   string
	ID      ViewID
	Cause   Cause
	Members []string // private groups, in the same order at all members
	// MovedTogether has, for ByNetwork, the members that came with this one from its
	// former view; else the one member that joined, left or disconnected.
	MovedTogether []string
	Sets          [][]string // all such sets, for ByNetwork
}

// A Transition tells that the group's view is about to change: messages up to the next
// view have the guarantees of those that move together.
type Transition struct {
	Group string
	ID    ViewID // of the view being left
}

// Left answers a Leave, in its place in the order.
type Left struct{ Group string }

// Rejected is a message, join or leave of this session that access control refused.
type Rejected struct {
	Join, Leave bool    // what it was; neither: a message
	Service     Service // of the message
	Groups      []string
	Data        []byte
}

func (*Message) event()    {}
func (*View) event()       {}
func (*Transition) event() {}
func (*Left) event()       {}
func (*Rejected) event()   {}

// check refuses what the node would answer by ending the session.
func (m *Message) check(large bool) error {
	if !m.Service.Valid() {
		return fmt.Errorf("%w: %v", ErrService, m.Service)
	}
	if len(m.Groups) == 0 || len(m.Groups) > MaxGroups {
		return fmt.Errorf("%w: %d, want 1 to %d", ErrGroups, len(m.Groups), MaxGroups)
	}
	for _, g := range m.Groups {
		if err := checkGroup(g); err != nil {
			return err
		}
	}
	if large {
		if len(m.Data) > MaxMessageBytes {
			return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(m.Data), MaxMessageBytes)
		}
		return nil
	}
	limit := membership.MaxSpreadMessage - spread.HeaderBytes - spread.GroupBytes*len(m.Groups)
	if len(m.Data) > limit {
		return fmt.Errorf("%w: %d bytes to %d groups, at most %d on a node that did not negotiate more", ErrTooLarge, len(m.Data), len(m.Groups), limit)
	}
	return nil
}

func checkGroup(g string) error {
	if len(g) == 0 || len(g) > MaxGroupName {
		return fmt.Errorf("%w: name %.40q has %d bytes, want 1 to %d", ErrGroups, g, len(g), MaxGroupName)
	}
	for i := range len(g) {
		if c := g[i]; c != '#' && (c < '$' || c > '~') {
			return fmt.Errorf("%w: name %.40q: only the characters '$' to '~' may be used, and '#' in private groups", ErrGroups, g)
		}
	}
	return nil
}
