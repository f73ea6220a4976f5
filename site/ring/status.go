package ring

import "ringway/membership"

// A State is where a Machine stands in the membership protocol.
type State uint8

// The states, in the order in which a ring is formed.
const (
	Gather      State = iota + 1 // finding out who is there
	Commit                       // agreeing on the new ring
	Recovery                     // bringing old packets to everybody who comes along
	Operational                  // the ring is installed
)

func (s State) String() string {
	switch s {
	case Gather:
		return "gather"
	case Commit:
		return "commit"
	case Recovery:
		return "recovery"
	case Operational:
		return "operational"
	}
	return "stopped"
}

// Status is what an operator wants to know of a ring.
type Status struct {
	State   State
	Ring    ID
	Members []membership.NodeID
	Holding bool // the idle token rests here
	Seq     Seq  // highest number seen
	Aru     Seq  // everything up to here is held by this node
	Stable  Seq  // everything up to here is held by every member
	Counters
}

// Counters only grow, except over a restart.
type Counters struct {
	Rotations         uint64 // token visits
	PacketsSent       uint64 // data packets, first time
	PacketsReceived   uint64 // data packets, first time
	FramesSent        uint64
	FramesDelivered   uint64
	BytesSent         uint64 // of frames
	BytesDelivered    uint64 // of frames
	Duplicates        uint64 // data packets already held
	Retransmitted     uint64 // data packets sent again for others
	Requested         uint64 // gaps asked for
	TokensResent      uint64
	TokensLost        uint64 // views given up for want of a token
	NeighboursLost    uint64 // views given up because the predecessor fell silent
	Departures        uint64 // members that left in order
	Knocks            uint64 // at hosts of silent nodes
	Refusals          uint64 // nodes given up because their hosts said that nobody listens
	Expelled          uint64 // receivers asked to leave because they stopped the ring
	Gathers           uint64
	Installed         uint64 // views
	Recovered         uint64 // old packets sent again in recovery
	Holds             uint64
	Wakes             uint64 // sent
	Naps              uint64 // times this process was found to have been asleep
	DroppedLabel      uint64 // packets of another federation or site
	DroppedMalformed  uint64
	DroppedStranger   uint64 // sender is not a node of this site
	DroppedStale      uint64 // of a ring or incarnation gone by
	DroppedWindow     uint64 // beyond what the window can hold
	DroppedJoins      uint64 // over the rate, or after a nap
	RefusedFrames     uint64 // from the Source: oversize or without a service
	DroppedAssemblies uint64 // cut frames given up for breach of the limits
}
