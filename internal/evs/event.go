package evs

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A Kind names an event of a trace.
type Kind string

// The kinds of events. PREDICATES.md has their fields; Connect, Ask, Gone, Named and
// Cast are additions that make a trace complete enough to be checked when only the outside
// of a node is seen.
const (
	Start   Kind = "start"
	Stop    Kind = "stop"
	Ring    Kind = "ring"
	Lineage Kind = "lineage"
	Formed  Kind = "formed"
	Submit  Kind = "submit"
	Send    Kind = "send"
	Reject  Kind = "reject"
	Join    Kind = "join"
	Leave   Kind = "leave"
	Down    Kind = "down"
	Dlv     Kind = "dlv"
	GSig    Kind = "gsig"
	Sig     Kind = "sig"
	View    Kind = "view"
	GView   Kind = "gview"
	Attach  Kind = "attach"
	Import  Kind = "import"
	Promise Kind = "promise"
	Cut     Kind = "cut"
	Horizon Kind = "horizon"

	Connect Kind = "connect" // a client's session began; group is its private group
	Ask     Kind = "ask"     // a client asked to join or leave (why) a group
	Gone    Kind = "gone"    // a client's session ended
	Named   Kind = "named"   // the message that other events call msg is the client's n-th
	Cast    Kind = "cast"    // a reliable or unreliable message leaves its node, for its own site only: it has no send
)

// Services as traces name them; membership.Service has the same names.
const (
	Unreliable = "unreliable"
	Reliable   = "reliable"
	FIFO       = "fifo"
	Causal     = "causal"
	Agreed     = "agreed"
	Safe       = "safe"
)

// Far is the mode of an unreliable message that goes to other sites in a datagram: it has a
// view, but no key.
const Far = "far"

// Phases of a delivery.
const (
	Regular      = "reg"
	GroupSignal  = "gtr"
	Transitional = "tr"
	Local        = "loc"
)

// A Message names a message: who sent it and its number among those of that
// client. Numbers grow in the order of sending; gaps are fine.
type Message struct {
	Client string
	Seq    uint64
}

func (m Message) String() string { return fmt.Sprintf("%s:%d", m.Client, m.Seq) }

// MarshalJSON writes [client, seq].
func (m Message) MarshalJSON() ([]byte, error) { return json.Marshal([]any{m.Client, m.Seq}) }

// UnmarshalJSON reads [client, seq].
func (m *Message) UnmarshalJSON(data []byte) error { return unmarshalPair(data, &m.Client, &m.Seq) }

// A ViewID names a site view: [epoch, proposer].
type ViewID struct {
	Epoch    uint64
	Proposer string
}

func (v ViewID) String() string { return fmt.Sprintf("%d.%s", v.Epoch, v.Proposer) }

// Less orders views, by epoch first.
func (v ViewID) Less(w ViewID) bool {
	return v.Epoch < w.Epoch || v.Epoch == w.Epoch && v.Proposer < w.Proposer
}

// MarshalJSON writes [epoch, proposer].
func (v ViewID) MarshalJSON() ([]byte, error) { return json.Marshal([]any{v.Epoch, v.Proposer}) }

// UnmarshalJSON reads [epoch, proposer].
func (v *ViewID) UnmarshalJSON(data []byte) error { return unmarshalPair(data, &v.Epoch, &v.Proposer) }

// A Number orders lineages: the ring's counter and the position in it.
type Number [2]uint64

// An Event is one line of a trace. Which fields are set depends on Kind; all
// others are zero. Sets are sorted.
type Event struct {
	At   int64  `json:"t"` // nanoseconds since the node started
	Node string `json:"node"`
	Boot uint64 `json:"boot"`
	Kind Kind   `json:"ev"`

	Ring string `json:"ring,omitempty"`
	RSeq uint64 `json:"rseq,omitempty"`
	Inst string `json:"inst,omitempty"`
	View ViewID `json:"view,omitzero"`

	Client  string   `json:"client,omitempty"`
	Msg     Message  `json:"msg,omitzero"`
	Groups  []string `json:"groups,omitempty"`
	Group   string   `json:"group,omitempty"`
	Service string   `json:"svc,omitempty"`
	Mode    string   `json:"mode,omitempty"` // local, fed or far; of a join: local, or empty
	Src     string   `json:"src,omitempty"`
	T       int64    `json:"T,omitempty"`
	N       uint64   `json:"n,omitempty"`
	D       []string `json:"D,omitempty"`
	Phase   string   `json:"phase,omitempty"`
	Torn    bool     `json:"torn,omitempty"` // of send: accepted behind a gap in the tail of the node's ring
	Why     string   `json:"why,omitempty"`
	Without []string `json:"without,omitempty"` // of dlv and gview: runs of nodes that were known to be gone, by client names without a session
	Discard bool     `json:"discard,omitempty"` // of submit: the sender does not want it back
	Free    bool     `json:"free,omitempty"`    // of submit and send: the sender's session has independent scopes

	Up      int64  `json:"up,omitempty"`      // of start: the machine's monotonic clock, in nanoseconds
	Machine string `json:"machine,omitempty"` // of start: whose clock Up is, and since which of its boots

	ID       string   `json:"id,omitempty"`
	Members  []string `json:"members,omitempty"`
	Primary  bool     `json:"primary,omitempty"` // of a view
	Together []string `json:"together,omitempty"`
	With     []string `json:"with,omitempty"`
	TS       []string `json:"ts,omitempty"`
	TSN      []string `json:"tsn,omitempty"`

	Number     Number   `json:"number,omitzero"`
	Electorate []string `json:"electorate,omitempty"`
	Role       string   `json:"role,omitempty"`
	MinT       int64    `json:"minT,omitempty"`

	Idx uint64 `json:"idx,omitempty"`
	To  string `json:"to,omitempty"`
	P   int64  `json:"P,omitempty"`
	W   int64  `json:"W,omitempty"`
	Dir string `json:"dir,omitempty"` // in or out

	PI    ViewID   `json:"pi,omitzero"`
	C     []string `json:"C,omitempty"`
	CutTS []string `json:"TS,omitempty"`
	K     int64    `json:"K,omitempty"`
	B     int64    `json:"B,omitempty"`
	F     int64    `json:"F,omitempty"`

	H int64  `json:"H,omitempty"`
	V int64  `json:"V,omitempty"`
	L Number `json:"L,omitzero"`
}

// RingCounter returns the counter of the event's ring, zero if it has none.
func (e *Event) RingCounter() uint64 {
	_, counter, _ := strings.Cut(e.Ring, ".")
	n, _ := strconv.ParseUint(counter, 10, 64)
	return n
}

// Ordered says whether messages of that service take part in the total order.
func Ordered(service string) bool {
	return service == Causal || service == Agreed || service == Safe
}

// inSenderOrder says whether messages of that service keep their sender's order.
func inSenderOrder(service string) bool { return service == FIFO || Ordered(service) }
