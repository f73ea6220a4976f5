package merge

import (
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A Status is a snapshot of a Replica for operators.
type Status struct {
	Instance membership.InstanceID
	View     membership.ViewID
	Members  []SiteInstance
	Ready    bool // has the site's state and takes part
	Attached bool // its clients take part
	Formed   bool // the present ring's lineage is decided, as every member knows
	Primary  bool // the view is primary
	Frozen   bool // a new site view is being installed
	Epoch    uint64

	Clock, H, V, W int64 // view time, nanoseconds
	Line           ring.Position
	Pending        int // accepted, not delivered
	Held           int // own records not yet stable everywhere
	HeldBytes      int
	Groups         int
	Clients        int // of the site, that the order knows
	Queued         int // requests of this node's clients that wait
	QueuedBytes    int
	ImportBacklog  int

	Accepted, Rejected  uint64 // requests of this node's clients
	Delivered           uint64 // records and local messages, in this node's order
	Imported, Duplicate uint64 // records of other sites taken in; dropped as known
	Dropped             uint64 // private messages to nobody
	BadFrames           uint64 // undecodable input, from any side
	Faults              uint64 // breaches of the protocol by peers
	Broken              uint64 // own invariants found broken
	Ticks               uint64
	Evicted             uint64 // slow sites that this node asked for a view without
	Slack               int64  // nanoseconds put on top of deadlines
	Datagrams           DatagramCounters
	Bulk                BulkCounters

	Sources []SourceStatus // the other members of the view
}

// A SourceStatus is what the machine knows of another member of the view.
type SourceStatus struct {
	SiteInstance
	Next    uint64 // index in the stream that is expected next
	Log     uint64 // the origin's number to go on pulling from
	Promise int64
	Stable  int64 // the member's W
	Floor   int64 // what we promised it
	Lead    int64
	Late    int64         // 80 % quantile of its promises' way here
	Waiting int           // promises that wait for records
	Slow    time.Duration // how long it has been behind, for groups that do not wait for ever
	Behind  int           // bytes of own records that it has not confirmed
}
