package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"ringway/internal/spread"
)

// ErrExtension says that the node does not do what only nodes of Ringway's do.
var ErrExtension = errors.New("the node has none of Ringway's extensions")

// A GroupInfo is what a node knows of a group.
type GroupInfo struct {
	Name     string
	Members  int  // known at the node
	Sites    int  // that have members
	Complete bool // Members counts all that there are
}

// maxListing bounds what is listed in all, so that a node cannot fill this process.
const maxListing = 1 << 20

// Groups lists the groups whose names match a shell pattern ("" for all), by name. The
// answer comes between messages, so somebody must be in Receive meanwhile, as with
// every session.
func (c *Conn) Groups(ctx context.Context, pattern string) ([]GroupInfo, error) {
	if len(pattern) > spread.MaxPattern {
		return nil, fmt.Errorf("pattern of %d bytes: at most %d fit", len(pattern), spread.MaxPattern)
	}
	var all []GroupInfo
	after := ""
	for {
		a, err := c.ask(ctx, func(b []byte, tag uint32) []byte {
			return spread.AppendGroupsCall(b, c.private, spread.GroupsCall{Tag: tag, After: after, Pattern: pattern})
		})
		if err != nil {
			return nil, fmt.Errorf("list groups: %w", err)
		}
		for _, g := range a.groups.Groups {
			all = append(all, GroupInfo(g))
		}
		if !a.groups.More || len(a.groups.Groups) == 0 || len(all) >= maxListing {
			return all, nil
		}
		after = a.groups.Groups[len(a.groups.Groups)-1].Name
	}
}

// Members lists the members of a group that the node knows, in the order of views, and
// says whether they are all: a node of a site without a member of the group knows which
// sites have some, but not whom. Somebody must be in Receive meanwhile.
func (c *Conn) Members(ctx context.Context, group string) (members []string, complete bool, err error) {
	if err := checkGroup(group); err != nil {
		return nil, false, err
	}
	for {
		a, err := c.ask(ctx, func(b []byte, tag uint32) []byte {
			return spread.AppendMembersCall(b, c.private, spread.MembersCall{Tag: tag, Group: group, From: len(members)})
		})
		if err != nil {
			return nil, false, fmt.Errorf("list members of %s: %w", group, err)
		}
		members = append(members, a.members.Members...)
		if len(a.members.Members) == 0 || len(members) >= min(a.members.Total, maxListing) {
			return members, a.members.Complete, nil
		}
	}
}

// A SiteView is which sites share one order at present, as the node knows it.
type SiteView struct {
	Epoch    uint64   // grows from view to view
	Sites    []string // sorted; one that fell apart stands there for each part
	Total    int      // sites in the topology
	Weighed  bool     // the topology asks for primary views
	Primary  bool     // Weighed, and this view is primary: no other one is, that does not know of it
	Changing bool     // another view is about to be installed
}

// SiteView asks the node for its site view: after a network view of a group, say, to learn
// whether this side of a partition is the primary one. Somebody must be in Receive
// meanwhile.
func (c *Conn) SiteView(ctx context.Context) (SiteView, error) {
	a, err := c.ask(ctx, func(b []byte, tag uint32) []byte {
		return spread.AppendViewCall(b, c.private, spread.ViewCall{Tag: tag})
	})
	if err != nil {
		return SiteView{}, fmt.Errorf("ask for the site view: %w", err)
	}
	v := a.view
	return SiteView{v.Epoch, v.Sites, v.Total, v.Weighed, v.Primary, v.Changing}, nil
}

// An answered is an answer to a call. It stands among events, but is none.
type answered struct {
	tag     uint32
	groups  spread.GroupsAnswer
	members spread.MembersAnswer
	view    spread.ViewAnswer
}

func (*answered) event() {}

func parseAnswer(h *spread.Header, body []byte) (Event, error) {
	a := &answered{}
	var err error
	switch kind := h.CallKind(); kind {
	case spread.CallGroups:
		a.groups, err = spread.ParseGroupsAnswer(h, body)
		a.tag = a.groups.Tag
	case spread.CallMembers:
		a.members, err = spread.ParseMembersAnswer(h, body)
		a.tag = a.members.Tag
	case spread.CallView:
		a.view, err = spread.ParseViewAnswer(h, body)
		a.tag = a.view.Tag
	default:
		err = fmt.Errorf("answer of kind %d", kind)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// calls are those that wait for an answer. The zero value is ready.
type calls struct {
	mu      sync.Mutex
	tag     uint32
	waiting map[uint32]chan *answered
	ended   error // why no answer comes any more
}

// begin returns the tag of a new call and where its answer comes: nil if the connection
// has ended.
func (s *calls) begin() (uint32, <-chan *answered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return 0, nil, s.ended
	}
	if s.waiting == nil {
		s.waiting = map[uint32]chan *answered{}
	}
	s.tag++
	answer := make(chan *answered, 1)
	s.waiting[s.tag] = answer
	return s.tag, answer, nil
}

func (s *calls) forget(tag uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, tag)
}

// answer hands an answer to who waits for it, if somebody does still.
func (s *calls) answer(a *answered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waiter, ok := s.waiting[a.tag]; ok {
		delete(s.waiting, a.tag)
		waiter <- a
	}
}

// end tells who waits, and who comes later, that the connection has ended.
func (s *calls) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
	}
	for tag, waiter := range s.waiting {
		delete(s.waiting, tag)
		close(waiter)
	}
}

// ask sends a call and waits for its answer.
func (c *Conn) ask(ctx context.Context, call func(b []byte, tag uint32) []byte) (*answered, error) {
	if !c.large {
		return nil, ErrExtension
	}
	tag, answer, err := c.calls.begin()
	if err != nil {
		return nil, err
	}
	defer c.calls.forget(tag)
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	c.buffer = call(c.buffer[:0], tag)
	err = c.write(ctx, nil)
	c.unlock()
	if err != nil {
		return nil, err
	}
	select {
	case a, ok := <-answer:
		if !ok {
			return nil, fmt.Errorf("%w: it ended before the answer", ErrConnection)
		}
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
