package topology

import (
	"crypto/sha256"
	"net/netip"
	"time"

	"ringway/membership"
)

// A Topology is a validated, defaulted description of a federation. It is never
// changed after Load returned it.
type Topology struct {
	Path  string // of the file; "" if it came from memory
	Name  string // the federation's label
	Certs string // folder, absolute or relative to the working directory; "" if none
	// Primary says that views are told apart by whether they are primary: by the weights
	// of their sites.
	Primary bool
	Sites   []*Site
	Links   []*Link // as in the file, or every pair of sites
	Groups  []Group
	Access  Access
	Timing  Timing
}

// A Site is one LAN and its nodes, in the order of the file.
type Site struct {
	ID        membership.SiteID
	Name      string
	Multicast netip.AddrPort // invalid: unicast fan-out
	Weight    int            // its say in which view is primary; 0: none
	NoTransit bool           // its gateways pass on nothing between other sites
	Nodes     []*Node
}

// A Node is one `ringway node` process.
type Node struct {
	ID      membership.NodeID
	Name    string
	Site    *Site
	Address netip.AddrPort   // LAN: ring traffic
	Clients []ClientListener // never empty
	Gateway netip.AddrPort   // QUIC; invalid: not a gateway
	Admin   netip.AddrPort   // HTTP; invalid: none
}

// IsGateway says whether the node has a WAN endpoint.
func (n *Node) IsGateway() bool { return n.Gateway.IsValid() }

// A ClientListener is one address that clients connect to.
type ClientListener struct {
	Network string // "tcp", "tls" or "unix"
	Address string // host:port, or a path
}

// A Link says that the gateways of two sites connect.
type Link struct {
	Between [2]*Site
	Cost    time.Duration // fixed metric; zero: measured
	WAN     WAN
}

// WAN is what the lab and the demo emulate on a link. The node ignores it.
type WAN struct {
	Delay  time.Duration // one way
	Jitter time.Duration
	Loss   float64 // fraction, 0 to 1
	Rate   uint64  // bit/s; zero: unlimited
}

// A Group is a policy for groups whose name matches a shell pattern.
type Group struct {
	Match     string
	SiteScope bool // scope = "site": never leaves its site
	EvictSlow bool // slow_site = "evict"
	SlowAfter time.Duration
}

// Access says which clients may connect and what they may do.
type Access struct {
	Methods []string // Spread auth methods offered, in order; each admits by itself
	// Addresses are those that clients may connect from, whatever method they choose;
	// nil: all, but for method IP alone, which then admits this machine only.
	Addresses *Addresses
	TokenFile string // of method TOKEN; "" if that is not offered
	// Tokens are those of the file. Parse, which reads no files, leaves them out.
	Tokens []Token
	Allow  []Rule // none: everything is allowed
	Limits Limits

	SlowReader SlowReader    // of sessions that ask for nothing else
	BlockTime  time.Duration // how long a session may hold senders back; 0: none may
}

// Addresses says where clients may be.
type Addresses struct {
	Prefixes []netip.Prefix // masked, IPv4 never as IPv6
	Unix     bool           // those of unix sockets
}

// A Token admits the clients whose private name matches.
type Token struct {
	Hash   [sha256.Size]byte // SHA-256 of the token
	Client string            // shell pattern
	Note   string            // the operator's own words
}

// Limits bound what clients take. Zero: the node's default, or no limit where there is
// none.
type Limits struct {
	Sessions           int // of the node
	SessionsPerAddress int // none by default; clients of unix sockets count as one address
	JoinsPerSecond     int // of a session, joins and leaves; it waits above them. None by default
	QueueMessages      int // messages that wait for a session to read them
	QueueBytes         int // their bytes, and those of views
}

// A SlowReader says what becomes of a session that does not read what it is sent.
type SlowReader string

// The policies for slow readers.
const (
	Disconnect SlowReader = "disconnect"  // it is ended when its queue is full
	DropOldest SlowReader = "drop-oldest" // unreliable messages go first
	Block      SlowReader = "block"       // who sends to it is held back, for a time
)

// Known says whether s is one of the policies.
func (s SlowReader) Known() bool { return s == Disconnect || s == DropOldest || s == Block }

// A Rule allows the clients whose private name matches Client (a shell pattern)
// to send to and join the groups that match, and no others. The first rule that
// matches a client decides; a client that none matches may do nothing.
type Rule struct {
	Client string
	Send   []string
	Join   []string
}

// Timing has the protocol's durations: those in the file and, for the rest,
// derived defaults.
type Timing struct {
	TokenLoss time.Duration // silence of the token after which a ring re-forms
	Hello     time.Duration // between gateways
}
