package routing

import (
	"time"

	"ringway/membership"
)

// An Edge is one gateway's view of its adjacency to another.
type Edge struct {
	To      membership.NodeID
	Cost    time.Duration // what shortest paths add up
	RTT     time.Duration
	LossPPM uint32 // lost packets per million
	Lanes   uint8
}

// Flags of an Advertisement.
type Flags uint8

// The flags.
const (
	Draining  Flags = 1 << iota // about to stop: no new paths
	NoTransit                   // only paths that begin or end in this site
)

// A Death tells that a gateway's process has ended: that life of it, and all before.
type Death struct {
	Gateway     membership.NodeID
	Incarnation uint64
}

// An Advertisement is what one gateway says about itself. Only its own links:
// nobody speaks for somebody else's. (Incarnation, Counter) orders those of one
// gateway.
type Advertisement struct {
	Gateway     membership.NodeID
	Site        membership.SiteID
	Incarnation uint64
	Counter     uint64
	Flags       Flags
	Instance    membership.InstanceID // of the gateway's site
	View        membership.ViewID
	Epoch       uint64 // highest known there
	Wanted      uint64 // epoch that a new view should have at least; 0: no new view is wanted
	Edges       []Edge // at most MaxEdges
	// Dead has gateways of the same site whose hosts say that they do not run, ascending,
	// at most MaxDead. Of other sites nobody is believed.
	Dead []Death
}

// A Signed is an Advertisement as it travels: its encoding, signed by the origin.
// It is never changed.
type Signed struct {
	Advertisement
	Body        []byte // encoded Advertisement
	Certificate []byte // the origin's, DER; empty without certificates
	Signature   []byte // over Body
}

// MaxEdges bounds an advertisement: gateways that one gateway may link to.
const MaxEdges = 512

// MaxDead bounds the deaths in an advertisement. A gateway that is left out is missed a little
// later, by its links.
const MaxDead = 32
