package overlay

import (
	"log/slog"
	"net"
	"time"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

// Config is what a Gateway knows from the start.
type Config struct {
	Topology *topology.Topology
	Node     *topology.Node // a gateway of Topology
	Identity *pki.Identity
	// Dial has other addresses for some peers: an emulator's, or one behind NAT.
	Dial map[membership.NodeID]string
	// Conn is used instead of a socket on Node.Gateway, by tests and the
	// simulator. The Gateway closes it.
	Conn net.PacketConn
	// Incarnation orders the runs of this gateway: each run has a higher one,
	// for instance the wall clock at its start.
	Incarnation uint64
	// Lanes bounds the QUIC connections of a link, up to 8, of those that this gateway
	// dials. 0: 8.
	Lanes int
	// Rand returns a number in [0, 1) and spreads reconnects. It is called from
	// several goroutines. Nil: math/rand/v2.
	Rand func() float64
	Log  *slog.Logger // nil: none
}

// A LogEntry is a record of an instance's log as the overlay sees it: a number,
// instances, and bytes whose meaning it does not know.
type LogEntry struct {
	N     uint64
	Dests []membership.InstanceID // at most membership.MaxSites
	Data  []byte                  // at most MaxEntryBytes
}

// A Batch is a piece of a pulled log: all that it has for one instance from a number on, up to
// the last of the entries, but for what every destination has said to hold. From is the number
// behind the last entry of the Batch before, or the position that was asked for.
type Batch struct {
	Log     membership.LogID
	For     membership.InstanceID // the own instance, when this gateway began to import the log
	From    uint64
	Entries []LogEntry // at least one
}

// A Datagram is a message that may get lost, and will where there is no room for it.
type Datagram struct {
	From membership.SiteInstance // whose gateway sent it
	Data []byte                  // at most MaxDatagramBytes
}

// A Handler receives what the overlay brings. Slices that it is given are its own
// to keep but never to change. Methods are called on the overlay's goroutines:
// those of one log one after the other, Promise, Control, Datagrams and Reach one after the
// other.
type Handler interface {
	// Records brings entries of a pulled log, in the order of their numbers, only
	// those with the own instance among their destinations, each at most once. While
	// it blocks, the log's stream is held back up to its origin.
	Records(batch Batch)
	// Promise brings the newest broadcast of some other instance, whose gateway signed it.
	Promise(from membership.SiteInstance, data []byte)
	// Control brings a message that a gateway of another instance sent to this one.
	Control(from membership.SiteInstance, data []byte)
	// Datagrams brings messages that gateways of other instances sent to this one, each once
	// at most, in any order.
	Datagrams(list []Datagram)
	// Reach tells of every other instance that can be reached, whenever that changed.
	Reach(reach []Reach)
}

// A Reach is what link state says about another instance that can be reached. A site
// whose ring is split has several; the own site may be among them.
type Reach struct {
	membership.SiteInstance
	View   membership.ViewID // the newest that a gateway of it advertises
	Epoch  uint64            // the highest known there
	Wanted uint64            // epoch that it wants a new view to have at least; 0: it wants none
	Delay  time.Duration     // one way, along the present path to the nearest of its gateways
}

// A State is what a gateway advertises of its site.
type State struct {
	Instance membership.InstanceID // 0: it belongs to none yet
	View     membership.ViewID
	Epoch    uint64 // highest known
	Wanted   uint64 // epoch that a new view should have at least; 0: none is wanted
}

// A Position is a place in a log: everything below From is there already.
type Position struct {
	Log  membership.LogID
	From uint64
}
