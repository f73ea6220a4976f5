package merge

import (
	"time"

	"ringway/membership"
)

// Config is what a Replica knows from the start.
type Config struct {
	Self  membership.NodeID
	Site  membership.SiteID
	Boot  uint64 // random or clock, never used twice by this node
	Sites []membership.SiteID
	// Nodes has every node of the federation and its site.
	Nodes map[membership.NodeID]membership.SiteID
	// Gateways are this site's gateways. They inject ticks, imports and
	// proposals.
	Gateways []membership.NodeID
	// StartUnix is the wall clock in seconds at time zero. It only goes into
	// view ids, never into an order.
	StartUnix int64
	// SiteScoped says that a group never leaves its site. It must be a function
	// of the topology alone. Nil: none.
	SiteScoped func(group string) bool
	// SlowAfter is after how long behind a site is taken out of the view for the sake
	// of a group; zero: the group waits for it. A node may have another opinion than
	// others. Nil: all wait.
	SlowAfter func(group string) time.Duration
	// Weights are those of all sites, for primary views: each node of the federation
	// has to have the same. Nil: no view is primary.
	Weights map[membership.SiteID]uint32
	// Bulk says that large bodies go to other sites before their requests (bulk.go). All
	// nodes of a federation have to have the same.
	Bulk bool
	// Trace is told what the machine does, for simulators and checkers. It is
	// called synchronously and must not keep the event. Nil: off.
	Trace func(*TraceEvent)
	// Datagrams says that the overlay carries Effects.Datagrams, so that unreliable messages
	// between sites travel as such. Without it they are records, as others.
	Datagrams bool
	// Timing says how patient the site is with others.
	Timing Timing

	hooks *hooks // of this package's tests
}

// A RequestKind says what a client asks for.
type RequestKind uint8

// What clients ask for.
const (
	Send RequestKind = iota + 1
	Join
	Leave
)

// A Request is what a client asks for. Its Groups and Data are never changed.
type Request struct {
	Kind        RequestKind
	Service     membership.Service // of a Send
	SelfDiscard bool
	// Independent says that the client's session has independent scopes (6.3): a local
	// message waits only for what its sender sent to the same groups. Nothing but a Send
	// looks at it.
	Independent bool
	Hint        [4]byte // goes through as it came
	Groups      []string
	Data        []byte
	Tag         uint64 // the shell's own name for a Send, for Config.Trace
}

// A Message is a message as its members receive it.
type Message struct {
	Sender      membership.ClientID
	SenderName  string // its private name, without '#' and node
	Service     membership.Service
	SelfDiscard bool
	Hint        [4]byte
	Groups      []string
	Data        []byte
}

// A Member is a client in a group.
type Member = membership.Member

// A GroupViewID names a group view; it is the same at all members.
type GroupViewID struct {
	Origin uint32 // Spread's daemon id: who made the configuration
	Time   uint32 // about seconds since 1970
	Index  uint32
}

// A Cause says why a group view came about.
type Cause uint8

// The causes of group views.
const (
	CauseJoin Cause = iota + 1
	CauseLeave
	CauseDisconnect
	CauseNetwork
)

// A GroupView is the membership of a group from a place in the order on.
type GroupView struct {
	Group   string
	ID      GroupViewID
	Cause   Cause
	Changed Member   // who joined, left or disconnected; empty for CauseNetwork
	Members []Member // in no particular order: the shell sorts by topology and name
	// Sets (CauseNetwork) partitions Members by where they came from.
	Sets [][]Member
}

// An OutputKind says what an Output is.
type OutputKind uint8

// The kinds of outputs.
const (
	OutMessage    OutputKind = iota + 1 // Message
	OutView                             // View
	OutTransition                       // Group, ViewID: transitional signal
	OutLeft                             // Group: To[0] has left it, in its place in the order
	OutClosed                           // To[0]'s disconnect has gone round: its name is free again
)

// An Output goes to clients of this node. To is shared and never changed.
type Output struct {
	Kind    OutputKind
	To      []membership.ClientID
	Message Message
	View    *GroupView
	Group   string
	ViewID  GroupViewID
	Members []Member              // OutTransition, when traced: who goes on
	Gone    []membership.ClientID // OutView, when traced: as in a TraceEvent
}

// A Record is an exported record, ready to leave the site.
type Record struct {
	N     uint64 // its number in the log, from 0 without gaps
	Dests []membership.InstanceID
	Data  []byte
}

// A Batch is a piece of a log of another instance: all that it has for this one, from a number
// on up to the last of the records.
type Batch struct {
	Log     membership.LogID
	For     membership.InstanceID // who pulled it
	From    uint64
	Records [][]byte
}

// State is what the overlay advertises of this site.
type State struct {
	Instance membership.InstanceID
	View     membership.ViewID
	Epoch    uint64             // highest epoch known
	Wanted   uint64             // epoch that the next view should have at least, because clients saw one below it elsewhere; zero: none
	Members  []SiteInstance     // of the view, ascending by instance
	Primary  bool               // the view is primary
	Logs     []membership.LogID // that this site pulls: one for each other member
}

// A SiteInstance is a member of a site view.
type SiteInstance = membership.SiteInstance

// A Reach is what link state says about another instance, of another site or of this
// one.
type Reach struct {
	SiteInstance
	View   membership.ViewID
	Epoch  uint64
	Wanted uint64        // its State's
	Delay  time.Duration // one way, along the present path; a hint
}

// A Control is a message to a gateway of another instance, reliable while a way
// lives; machines repeat what must not be lost.
type Control struct {
	To   membership.SiteInstance
	Data []byte
	Bulk bool // a piece of a large body: everything else on its way goes first
}

// Effects is what a step wants done, in this order: State, Outputs, Records, Trim,
// Promises, Controls, Datagrams. Kick says that there is something new for the ring.
type Effects struct {
	Kick     bool
	State    *State
	Outputs  []Output
	Records  []Record // of the log of State's instance and view; gateways only
	Trim     uint64   // own log: records below are stable everywhere; 0: no news
	Promises [][]byte // datagrams to all other sites, newest wins; gateways only
	Controls []Control
	Faults   []Fault    // protocol faults of peers, for log and counters
	Evicted  []Eviction // sites that a view is asked for without, for the log

	Datagrams []Datagram // unreliable messages; gateways only
}

// A Fault is a peer's breach of the protocol (SEQUENCING section 11).
type Fault struct {
	Site membership.SiteID
	What string
}

// Reset empties fx and keeps its memory.
func (fx *Effects) Reset() {
	clear(fx.Outputs)
	clear(fx.Records)
	clear(fx.Promises)
	clear(fx.Controls)
	clear(fx.Faults)
	clear(fx.Evicted)
	// Length by length: a step that does little should cost little.
	fx.Outputs, fx.Records, fx.Promises = fx.Outputs[:0], fx.Records[:0], fx.Promises[:0]
	fx.Controls, fx.Faults, fx.Evicted = fx.Controls[:0], fx.Faults[:0], fx.Evicted[:0]
	clear(fx.Datagrams)
	fx.Datagrams = fx.Datagrams[:0]
	fx.Kick, fx.State, fx.Trim = false, nil, 0
}
