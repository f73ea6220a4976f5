package ring

import "ringway/membership"

// A Class says what must be known to read a packet, for whoever seals it.
type Class uint8

// The classes. A packet of none is not one of ours.
const (
	// ClassOpen packets make a node or a ring known to those who are in no ring with
	// it: joins and probes.
	ClassOpen Class = iota + 1
	// ClassCommit packets form a ring; they go from member to member of it.
	ClassCommit
	// ClassRing packets are of one ring's life: data, tokens, hellos, wake-ups.
	ClassRing
)

// An Envelope is what can be told of a packet without being the Machine.
type Envelope struct {
	Class  Class
	Sender membership.NodeID
	Ring   ID // ClassCommit: the one being formed
	// Relayed: a member may send it again for its sender.
	Relayed bool
}

// Describe reads a packet's envelope. Class is zero if it is not one of ours.
func Describe(packet []byte) Envelope {
	h, ok := parseHeader(packet)
	if !ok {
		return Envelope{}
	}
	e := Envelope{Class: ClassRing, Sender: h.sender, Relayed: h.kind == kindData}
	switch h.kind {
	case kindJoin, kindProbe:
		e.Class = ClassOpen
		return e
	case kindCommit:
		e.Class = ClassCommit
	}
	if len(packet) < ringBytes {
		return Envelope{}
	}
	e.Ring = idAt(packet)
	return e
}

// CommitMembers returns the members of the ring that a packet of ClassCommit forms, or
// nil if it is malformed.
func CommitMembers(packet []byte) []membership.NodeID {
	c, err := decodeCommit(packet)
	if err != nil {
		return nil
	}
	return c.nodes()
}
