package merge

import (
	"ringway/membership"
	"ringway/site/ring"
)

// A TraceKind says what a TraceEvent tells.
type TraceKind uint8

// The kinds of trace events.
const (
	TraceSend    TraceKind = iota + 1 // the machine accepted a request
	TraceReject                       // the machine did not accept one
	TraceDeliver                      // a record or local message takes effect here
	TraceImport                       // a record of another site was taken in
	TracePromise                      // a promise was released (Out) or applied
	TraceView                         // a site view was installed, Primary or not
	TraceSig                          // transitional signal of the view: Nodes or Members go on together
	TraceLineage                      // a lineage was decided (Role), or learners became voters
	TraceNamed                        // a message of this node's client, Tag in its Request, has the number Seq; Cast: and leaves for this site only, at no place of its order
	TraceCut                          // a cut was computed, by the flush Next: Members is C, Together TS, P is K, W is B, T is F*
	TraceAttach                       // the clients of Nodes[0] use the instance; T: what they send lies above
)

// A Place is one in the order of a view: behind everything with a lower T, and of those with
// the same T behind what Src has numbered N, or behind all if Src is zero.
type Place struct {
	T   int64
	Src membership.InstanceID
	N   uint64
}

// behind is where something stands that takes effect now and in this site only: behind V, or
// behind the latest delivery, where others of the same T still wait (V stays below them).
func (m *machine) behind() Place {
	if d := &m.delivered; d.t > m.v {
		return Place{d.t, m.view.Members[d.src].Instance, d.n}
	}
	return Place{T: m.v}
}

// A TraceEvent is one thing the machine did. Which fields are set depends on Kind.
// Every node of an instance has the same events in the same order, but for
// TracePromise, which a gateway that releases one has alone, and those of a node that
// leaves it.
type TraceEvent struct {
	Kind      TraceKind
	Client    membership.ClientID
	Seq       uint64
	Tag       uint64      // TraceNamed
	Cast      bool        // TraceNamed
	Request   RequestKind // zero in TraceDeliver: clients went down
	Groups    []string
	Service   membership.Service
	Federated bool
	Free      bool // TraceSend: of a session with independent scopes
	Far       bool // TraceSend: an unreliable message that goes to other sites as a datagram
	T         int64
	N, Idx    uint64
	Src       membership.InstanceID // of a delivery, an import, an applied promise
	To        membership.InstanceID // of a released promise
	Dests     []membership.InstanceID
	P, W      int64
	Behind    Place // TraceDeliver, TraceAttach: what the instance had delivered all of
	Out       bool
	Primary   bool
	Why       string
	Instance  membership.InstanceID
	View      membership.ViewID
	Members   []SiteInstance
	Together  []SiteInstance
	Next      membership.ViewID
	Nodes     []membership.NodeID
	Voters    []membership.NodeID // TraceLineage: who decided it
	Role      string              // heir, learner, founder; empty: learners became voters
	Number    ring.Position
	Closing   bool                  // TraceSend: in the transitional configuration of a ring; TraceImport: from a Fill
	Torn      bool                  // TraceSend: and behind a gap of it
	Gone      []membership.ClientID // TraceDeliver of a safe message: runs of nodes that are lost but not ordered out, without session numbers
	Formed    bool                  // Nodes are the electorate, as every member of the ring knows
}
