package spread

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ringway/membership"
)

// TypeExtension is the type of Ringway's own calls and of their answers, between those
// who negotiated MethodRingway. Spread uses the bit between daemons only. What call it
// is stands in the hint, where other messages have the application's type.
const TypeExtension = TypeGroupsState

// The calls.
const (
	CallGroups  = 1 // which groups there are
	CallMembers = 2 // who is in a group
	CallView    = 3 // which sites are in the order at present
)

// Bounds of calls and answers.
const (
	MaxListed  = 1024 // names in one answer: the next call goes on from there
	MaxPattern = 128  // bytes
)

// ErrCall says that a call or its answer is malformed.
var ErrCall = errors.New("malformed extension call")

// A GroupsCall asks for groups.
type GroupsCall struct {
	Tag     uint32 // comes back with the answer
	After   string // names above this one; "" from the start
	Pattern string // shell pattern; "" means all
}

// A GroupInfo is what a node knows of a group.
type GroupInfo struct {
	Name     string
	Members  int  // known at the node
	Sites    int  // that have members
	Complete bool // Members counts all that there are
}

// A GroupsAnswer answers a GroupsCall.
type GroupsAnswer struct {
	Tag    uint32
	More   bool // there are more above the last
	Groups []GroupInfo
}

// A MembersCall asks for members of a group.
type MembersCall struct {
	Tag   uint32
	Group string
	From  int // index in the order of views
}

// A MembersAnswer answers a MembersCall.
type MembersAnswer struct {
	Tag      uint32
	Group    string // not on the wire: of the call
	Total    int    // known at the node
	Complete bool   // they are all that there are
	Members  []string
}

// A ViewCall asks for the site view.
type ViewCall struct{ Tag uint32 }

// A ViewAnswer answers a ViewCall. Its names are the sites of the view, sorted.
type ViewAnswer struct {
	Tag      uint32
	Weighed  bool // the topology asks for primary views
	Primary  bool // the view is primary
	Changing bool // another one is about to be installed
	Total    int  // sites in the topology
	Epoch    uint64
	Sites    []string
}

// Flags of a ViewAnswer.
const (
	flagWeighed  = 1
	flagPrimary  = 2
	flagChanging = 4
)

// viewAnswerBytes: tag, flags, sites of the topology, epoch.
const viewAnswerBytes = 20

// AppendViewCall appends a call of a session.
func AppendViewCall(b []byte, private string, c ViewCall) []byte {
	return binary.LittleEndian.AppendUint32(extension(b, CallView, private, 0, 4), c.Tag)
}

// ParseViewCall reads the data behind a header.
func ParseViewCall(h *Header, body []byte) (c ViewCall, err error) {
	data, err := split(h, body, 0, 4, 4)
	if err == nil {
		c.Tag = h.Order().Uint32(data)
	}
	return c, err
}

// AppendViewAnswer appends an answer.
func AppendViewAnswer(b []byte, a ViewAnswer) []byte {
	b = extension(b, CallView, "", len(a.Sites), viewAnswerBytes)
	for _, s := range a.Sites {
		b = AppendGroup(b, s)
	}
	b = binary.LittleEndian.AppendUint32(b, a.Tag)
	b = binary.LittleEndian.AppendUint32(b, flag(a.Weighed, flagWeighed)|flag(a.Primary, flagPrimary)|flag(a.Changing, flagChanging))
	b = binary.LittleEndian.AppendUint32(b, uint32(a.Total))
	return binary.LittleEndian.AppendUint64(b, a.Epoch)
}

// ParseViewAnswer reads the names and data behind a header.
func ParseViewAnswer(h *Header, body []byte) (ViewAnswer, error) {
	var a ViewAnswer
	data, err := split(h, body, h.Groups, viewAnswerBytes, viewAnswerBytes)
	if err != nil {
		return a, err
	}
	order := h.Order()
	flags := order.Uint32(data[4:])
	a.Tag, a.Total, a.Epoch = order.Uint32(data), int(order.Uint32(data[8:])), order.Uint64(data[12:])
	a.Weighed, a.Primary, a.Changing = flags&flagWeighed != 0, flags&flagPrimary != 0, flags&flagChanging != 0
	for i := range h.Groups {
		name, _ := GroupName(body[i*GroupBytes : (i+1)*GroupBytes])
		a.Sites = append(a.Sites, string(name))
	}
	return a, nil
}

// Flags of answers.
const (
	flagMore     = 1
	flagComplete = 1
)

// groupInfoBytes is what an answer has for each group beside its name.
const groupInfoBytes = 12

// CallKind returns which call a message of TypeExtension is.
func (h *Header) CallKind() int16 {
	kind, _ := HintType(h.Hint)
	return kind
}

// extension appends the header of a call or an answer.
func extension(b []byte, kind int16, private string, groups, dataLen int) []byte {
	return AppendHeader(b, TypeExtension, private, groups, Hint(kind), dataLen)
}

// AppendGroupsCall appends a call of the session with that private group.
func AppendGroupsCall(b []byte, private string, c GroupsCall) []byte {
	b = extension(b, CallGroups, private, 1, 4+len(c.Pattern))
	b = AppendGroup(b, c.After)
	return append(binary.LittleEndian.AppendUint32(b, c.Tag), c.Pattern...)
}

// ParseGroupsCall reads the names and data behind a header.
func ParseGroupsCall(h *Header, body []byte) (GroupsCall, error) {
	var c GroupsCall
	data, err := split(h, body, 1, 4, 4+MaxPattern)
	if err != nil {
		return c, err
	}
	after, ok := GroupName(body[:GroupBytes])
	if !ok {
		return c, fmt.Errorf("%w: a name without its end", ErrCall)
	}
	c.Tag, c.After, c.Pattern = h.Order().Uint32(data), string(after), string(data[4:])
	return c, nil
}

// AppendMembersCall appends a call of the session with that private group.
func AppendMembersCall(b []byte, private string, c MembersCall) []byte {
	b = extension(b, CallMembers, private, 1, 8)
	b = AppendGroup(b, c.Group)
	b = binary.LittleEndian.AppendUint32(b, c.Tag)
	return binary.LittleEndian.AppendUint32(b, uint32(c.From))
}

// ParseMembersCall reads the names and data behind a header.
func ParseMembersCall(h *Header, body []byte) (MembersCall, error) {
	var c MembersCall
	data, err := split(h, body, 1, 8, 8)
	if err != nil {
		return c, err
	}
	group, ok := GroupName(body[:GroupBytes])
	from := h.Order().Uint32(data[4:])
	if !ok || len(group) == 0 || from > MaxViewMembers {
		return c, fmt.Errorf("%w: members of %.32q from %d", ErrCall, group, from)
	}
	c.Tag, c.Group, c.From = h.Order().Uint32(data), string(group), int(from)
	return c, nil
}

// AppendGroupsAnswer appends an answer of at most MaxListed groups.
func AppendGroupsAnswer(b []byte, a GroupsAnswer) []byte {
	b = extension(b, CallGroups, "", len(a.Groups), 8+groupInfoBytes*len(a.Groups))
	for i := range a.Groups {
		b = AppendGroup(b, a.Groups[i].Name)
	}
	b = binary.LittleEndian.AppendUint32(b, a.Tag)
	b = binary.LittleEndian.AppendUint32(b, flag(a.More, flagMore))
	for _, g := range a.Groups {
		b = binary.LittleEndian.AppendUint32(b, uint32(g.Members))
		b = binary.LittleEndian.AppendUint32(b, uint32(g.Sites))
		b = binary.LittleEndian.AppendUint32(b, flag(g.Complete, flagComplete))
	}
	return b
}

// ParseGroupsAnswer reads the names and data behind a header.
func ParseGroupsAnswer(h *Header, body []byte) (GroupsAnswer, error) {
	var a GroupsAnswer
	size := 8 + groupInfoBytes*h.Groups
	data, err := split(h, body, h.Groups, size, size)
	if err != nil {
		return a, err
	}
	order := h.Order()
	a.Tag, a.More = order.Uint32(data), order.Uint32(data[4:])&flagMore != 0
	for i := range h.Groups {
		info := data[8+groupInfoBytes*i:]
		name, _ := GroupName(body[i*GroupBytes : (i+1)*GroupBytes])
		a.Groups = append(a.Groups, GroupInfo{
			Name: string(name), Members: int(order.Uint32(info)), Sites: int(order.Uint32(info[4:])),
			Complete: order.Uint32(info[8:])&flagComplete != 0,
		})
	}
	return a, nil
}

// AppendMembersAnswer appends an answer of at most MaxListed members.
func AppendMembersAnswer(b []byte, a MembersAnswer) []byte {
	b = extension(b, CallMembers, "", len(a.Members), 12)
	for _, m := range a.Members {
		b = AppendGroup(b, m)
	}
	b = binary.LittleEndian.AppendUint32(b, a.Tag)
	b = binary.LittleEndian.AppendUint32(b, uint32(a.Total))
	return binary.LittleEndian.AppendUint32(b, flag(a.Complete, flagComplete))
}

// ParseMembersAnswer reads the names and data behind a header.
func ParseMembersAnswer(h *Header, body []byte) (MembersAnswer, error) {
	var a MembersAnswer
	data, err := split(h, body, h.Groups, 12, 12)
	if err != nil {
		return a, err
	}
	order := h.Order()
	a.Tag, a.Total, a.Complete = order.Uint32(data), int(order.Uint32(data[4:])), order.Uint32(data[8:])&flagComplete != 0
	for i := range h.Groups {
		name, _ := GroupName(body[i*GroupBytes : (i+1)*GroupBytes])
		a.Members = append(a.Members, string(name))
	}
	return a, nil
}

func flag(set bool, bit uint32) uint32 {
	if set {
		return bit
	}
	return 0
}

// split returns the data behind a header's names, whose number and size must be right.
func split(h *Header, body []byte, groups, low, high int) (data []byte, err error) {
	names := h.Groups * GroupBytes
	if h.Groups != groups || h.Groups > MaxListed || len(body) != names+h.DataLen || h.DataLen < low || h.DataLen > high {
		return nil, fmt.Errorf("%w: %d names and %d bytes of data", ErrCall, h.Groups, h.DataLen)
	}
	return body[names:], nil
}

// checkCall says whether a client may send the header of a call: more than that is for
// who reads the body.
func (h *Header) checkCall() error {
	if h.Groups > membership.MaxGroups || h.DataLen > 8+MaxPattern {
		return fmt.Errorf("%w: %d names and %d bytes of data", ErrCall, h.Groups, h.DataLen)
	}
	return nil
}
