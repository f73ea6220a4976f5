package admin

import "time"

// A Source knows how its node is. Status may take a moment, as it asks the node's
// event loop, and is never called twice at a time.
type Source interface {
	Status() Status
}

// Status is what /status answers: one JSON object, whose fields are only ever added
// to. Names of nodes and sites are those of the topology file; ids are hexadecimal.
// Durations are milliseconds, sizes are bytes, losses are fractions from 0 to 1.
// Lists are sorted by name.
type Status struct {
	Node       string  `json:"node"`
	Site       string  `json:"site"`
	Federation string  `json:"federation"`     // its label
	Version    string  `json:"version"`        // of the program
	UptimeS    float64 `json:"uptime_seconds"` // since the node started
	Draining   bool    `json:"draining"`       // about to stop

	Certificate Certificate `json:"certificate"`

	Ring    Ring     `json:"ring"`
	View    View     `json:"view"`
	Links   []Link   `json:"links"`
	Routes  []Route  `json:"routes"`
	Streams []Stream `json:"streams"`
	Logs    []Log    `json:"logs"` // of a gateway
	Export  Export   `json:"export"`
	// Joins of this node's clients that wait for other sites now; those of 256 groups at most.
	Joins    []JoinWait `json:"joins_waiting"`
	Groups   int        `json:"groups"`         // with a member anywhere that this node knows
	Clients  int        `json:"sessions_total"` // sessions of this node
	Sessions []Session  `json:"sessions"`       // at most MaxSessionsListed of them

	// Counters only grow while the node lives. Keys are a part's name and what it
	// counts: ring_packets_sent, lan_truncated, sessions_refused, …
	Counters map[string]uint64 `json:"counters"`
}

// MaxSessionsListed bounds Status.Sessions: a status must stay small enough to be
// polled, and an operator looks at the slowest sessions, not at thousands.
const MaxSessionsListed = 200

// Operational is the Ring.State of a ring that carries messages.
const Operational = "operational"

// Ring is the site's ring as this node sees it.
type Ring struct {
	ID         string   `json:"id"`
	State      string   `json:"state"`      // gather, commit, recovery, operational
	Members    []string `json:"members"`    // nodes in the ring
	Configured int      `json:"configured"` // nodes that the topology gives this site
	Holding    bool     `json:"holding"`    // the idle token rests here
	Seq        uint64   `json:"seq"`        // highest packet number seen
	Aru        uint64   `json:"aru"`        // everything up to here is held by this node
	Stable     uint64   `json:"stable"`     // everything up to here is held by every member
	Rotations  uint64   `json:"token_rotations"`
	Sent       uint64   `json:"packets_sent"`
	Received   uint64   `json:"packets_received"`
	Resent     uint64   `json:"packets_retransmitted"`
	LANMode    string   `json:"lan_mode"` // how packets are sent: multicast or unicast, batches
}

// View is the site view in force: the sites that share one order.
type View struct {
	ID         string   `json:"id"`
	Instance   string   `json:"instance"`   // of the own site
	Members    []string `json:"members"`    // sites
	Configured int      `json:"configured"` // sites in the topology
	Primary    string   `json:"primary"`    // "yes" or "no": whether the view is primary; "off": the topology does not ask
	Complete   bool     `json:"complete"`   // every site of the topology is in the view
	Frozen     bool     `json:"frozen"`     // a new view is being installed
	Learning   bool     `json:"learning"`   // this node waits for the site's state
}

// What View.Primary says.
const (
	PrimaryOff = "off"
	PrimaryYes = "yes"
	PrimaryNo  = "no"
)

// Certificate is the node's own, and what it knows of revoked ones.
type Certificate struct {
	Verified bool      `json:"verified"`          // false: a throw-away one, and peers are not verified either
	Serial   string    `json:"serial"`            // hexadecimal digits
	Expires  time.Time `json:"expires"`           //
	Renew    bool      `json:"renew"`             // it should be renewed by now
	Revoked  int       `json:"revoked"`           // certificates on the revocation lists in force
	Problem  string    `json:"problem,omitempty"` // why changed files were not taken
}

// A Link is this gateway's adjacency with a gateway of another site.
type Link struct {
	Peer     string  `json:"peer"` // node
	Site     string  `json:"site"`
	Address  string  `json:"address"`
	State    string  `json:"state"`            // up, down, connecting
	Reason   string  `json:"reason,omitempty"` // why it is not up
	RTT      float64 `json:"rtt_ms"`
	Jitter   float64 `json:"jitter_ms"`
	Loss     float64 `json:"loss"`
	Cost     float64 `json:"cost_ms"` // what routes add up
	Lanes    int     `json:"lanes"`   // QUIC connections
	Up       float64 `json:"up_seconds"`
	Sent     uint64  `json:"bytes_sent"`
	Received uint64  `json:"bytes_received"`
	// Waiting control messages of WaitingBytes are queued for the link; at most 4096 of
	// 32 MiB, what is more is dropped and counted (overlay_control_messages_dropped).
	Waiting      int `json:"control_messages_waiting"`
	WaitingBytes int `json:"control_bytes_waiting"`
}

// A Route is the path to another site.
type Route struct {
	Site string   `json:"site"`
	Cost float64  `json:"cost_ms"`
	Path []string `json:"path"` // gateways, this node's first; empty: unreachable
}

// A Stream is another site's log as this site imports it.
type Stream struct {
	Origin   string  `json:"origin"` // site
	Instance string  `json:"instance"`
	Position uint64  `json:"position"`    // next record that this site imports
	Lag      uint64  `json:"lag_records"` // known to exist and not delivered yet
	LagMS    float64 `json:"lag_ms"`      // how far what is promised lies behind this site's clock
	LeadMS   float64 `json:"lead_ms"`     // how far ahead of now this site sets deadlines for that one
	LateMS   float64 `json:"late_ms"`     // how late that site's promises come here, 80 % of them
	SlowMS   float64 `json:"slow_ms"`     // how long it has been behind, for groups with slow_site = "evict"
	Via      string  `json:"via"`         // gateway of this site that imports it, if known
}

// A Log is a site's log as far as this gateway has it: its own site's, one that it
// imports, or one that it passes on.
type Log struct {
	Origin      string       `json:"origin"` // site
	Instance    string       `json:"instance"`
	View        string       `json:"view"` // that its records belong to
	Own         bool         `json:"own"`
	Importing   bool         `json:"importing"` // this gateway hands it to the site
	First       uint64       `json:"first"`     // oldest record here
	Next        uint64       `json:"next"`      // one above the newest
	Bytes       int          `json:"bytes"`
	LagBytes    uint64       `json:"lag_bytes"`   // received and not handed to the site yet
	Dropped     uint64       `json:"dropped"`     // records, to keep the bound on memory
	From        string       `json:"from"`        // gateway that it is pulled from; empty: none now
	Resumes     uint64       `json:"resumes"`     // how often it was pulled anew
	Subscribers []Subscriber `json:"subscribers"` // gateways that pull it here
}

// A Subscriber is a gateway that pulls a log from this one.
type Subscriber struct {
	Gateway string `json:"gateway"`
	Next    uint64 `json:"next"` // everything below was sent
	Lag     uint64 `json:"lag_records"`
	Sent    uint64 `json:"bytes_sent"`
}

// A JoinWait is a group that clients of the node wait to get into.
type JoinWait struct {
	Group    string     `json:"group"`
	Clients  int        `json:"clients"`
	WaitedMS float64    `json:"waited_ms"` // since it was noticed, which may be half a second late
	Sites    []SiteWait `json:"sites"`     // that it waits for
}

// A SiteWait is a site that a join waits for, with the queues in both directions.
type SiteWait struct {
	Site    string `json:"site"`
	Bytes   int    `json:"bytes_under_way"` // of this site's records, to it
	Records uint64 `json:"records_missing"` // of its own, that have not come
}

// Export is the own site's log.
type Export struct {
	Position      uint64  `json:"position"`       // next record
	Stable        uint64  `json:"stable"`         // all below are held by all their destinations
	UnstableBytes uint64  `json:"unstable_bytes"` // above that
	SlackMS       float64 `json:"slack_ms"`       // added to deadlines, so that few are refused
}

// A Session is a client's connection.
type Session struct {
	Name        string  `json:"name"` // private group: #client#node
	Address     string  `json:"address"`
	Groups      int     `json:"groups"`
	QueuedBytes int     `json:"queued_bytes"` // for the client, not written yet
	Received    uint64  `json:"received"`     // messages from the client
	Delivered   uint64  `json:"delivered"`    // messages to the client
	Connected   float64 `json:"connected_seconds"`
}

// Milliseconds converts a duration to a Status's unit.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Ready says whether the node does its whole service, and if not, why.
func (s *Status) Ready() (ready bool, why string) {
	switch {
	case s.Draining:
		return false, "draining"
	case s.Ring.State != Operational:
		return false, "the ring is not formed: " + s.Ring.State
	case s.View.Learning:
		return false, "this node waits for the site's state"
	case !s.View.Complete:
		return false, "not every site of the topology is in the view"
	}
	return true, ""
}
