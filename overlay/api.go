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
	// Rand returns a number in [0, 1) and spreads reconnects. It is called from
	// several goroutines. Nil: math/rand/v2.
	Rand func() float64
	Log  *slog.Logger // nil: none
}

// A LogEntry is a record of a site's log as the overlay sees it: a number, sites,
// and bytes whose meaning it does not know.
type LogEntry struct {
	N     uint64
	Dests []membership.SiteID // at most membership.MaxSites
	Data  []byte              // at most MaxEntryBytes
}

// A Handler receives what the overlay brings. Slices that it is given are its own
// to keep but never to change. Methods are called on the overlay's goroutines:
// those of one log one after the other, Promise, Control and Reach one after the
// other.
type Handler interface {
	// Records brings entries of a pulled log, in the order of their numbers, only
	// those with the own site among their destinations, each at most once. While
	// it blocks, the log's stream is held back up to its origin.
	Records(log membership.LogID, entries []LogEntry)
	// Promise brings the newest broadcast of some site.
	Promise(data []byte)
	// Control brings a message that another site's gateway sent to this site.
	Control(from membership.SiteID, data []byte)
	// Reach says what link state knows of every other site, whenever that changed.
	Reach(reach []Reach)
}

// A Reach is what link state says about another site.
type Reach struct {
	Site      membership.SiteID
	Reachable bool
	Instance  membership.InstanceID
	View      membership.ViewID
	Epoch     uint64
	Delay     time.Duration // one way, along the present path
}

// A State is what a gateway advertises of its site.
type State struct {
	Instance membership.InstanceID
	View     membership.ViewID
	Epoch    uint64 // highest known
}

// A Position is a place in a log: everything below From is there already.
type Position struct {
	Log  membership.LogID
	From uint64
}
