package demo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ringway/client"
)

// A delivery is a message as a member received it.
type delivery struct {
	sender string
	tag    int16 // the low bits of its number among its publisher's
	data   []byte
	at     time.Duration
	view   int // place of the view in which it came, in the member's list
}

// A groupView is a view as a member received it.
type groupView struct {
	id       client.ViewID
	network  bool     // not because of one member alone
	members  []string // ascending
	together []string // of a view by the network: who came along from the view before
	at       time.Duration
}

// A member is a client that records what it receives. Its methods are safe for
// concurrent use.
type member struct {
	name string // private group
	node string
	site int
	born time.Duration // when all others knew it; zero: from the start
	conn *client.Conn

	mu      sync.Mutex
	got     map[string][]delivery  // by group
	views   map[string][]groupView // of each group, in order
	settled bool                   // everybody knows it
	dead    bool                   // its node was killed
	failed  error
	changed chan struct{} // closed and replaced with every change
}

// dialTime bounds connecting to a node on this machine.
const dialTime = 10 * time.Second

func dial(ctx context.Context, n planNode, name string, membership bool) (*client.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := client.Dial(ctx, n.address.String(), client.Options{Name: name, Membership: membership})
	if err != nil {
		return nil, fmt.Errorf("client %s of node %s: %w", name, n.name, err)
	}
	return conn, nil
}

func newMember(ctx context.Context, n planNode, site int) (*member, error) {
	conn, err := dial(ctx, n, "member", true)
	if err != nil {
		return nil, err
	}
	return &member{
		name: conn.Name(), node: n.name, site: site, conn: conn,
		got: map[string][]delivery{}, views: map[string][]groupView{}, changed: make(chan struct{}),
	}, nil
}

// receive records until the context or the connection ends, and tells after each batch.
func (m *member) receive(ctx context.Context, now func() time.Duration, tell func(*member)) {
	events := make([]client.Event, 256)
	for {
		n, err := m.conn.ReceiveBatch(ctx, events)
		m.record(events[:n], err, now())
		tell(m)
		if err != nil {
			return
		}
	}
}

func (m *member) record(events []client.Event, err error, at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, event := range events {
		switch e := event.(type) {
		case *client.Message:
			if len(e.Groups) > 0 {
				g := e.Groups[0]
				m.got[g] = append(m.got[g], delivery{e.Sender, e.Type, e.Data, at, len(m.views[g]) - 1})
			}
		case *client.View:
			m.views[e.Group] = append(m.views[e.Group], groupView{
				e.ID, e.Cause == client.ByNetwork, slices.Sorted(slices.Values(e.Members)), e.MovedTogether, at,
			})
		}
	}
	m.failed = err
	close(m.changed)
	m.changed = make(chan struct{})
}

// await waits until the condition holds; it is called with m locked.
func (m *member) await(ctx context.Context, what string, holds func() bool) error {
	for {
		m.mu.Lock()
		done, failed, changed := holds(), m.failed, m.changed
		m.mu.Unlock()
		switch {
		case done:
			return nil
		case failed != nil:
			return fmt.Errorf("member %s waits for %s: %w", m.name, what, failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("member %s waits for %s: %w", m.name, what, context.Cause(ctx))
		}
	}
}

// awaitCount waits for n messages to a group.
func (m *member) awaitCount(ctx context.Context, group string, n int) error {
	err := m.await(ctx, fmt.Sprintf("%d messages to %s", n, group), func() bool { return len(m.got[group]) >= n })
	if err != nil {
		return fmt.Errorf("%w (%d have come)", err, m.count(group))
	}
	return nil
}

// awaitMembers waits until a group consists of these, and says since when.
func (m *member) awaitMembers(ctx context.Context, group string, names []string) (since time.Duration, err error) {
	err = m.await(ctx, fmt.Sprintf("a view of %s with the members %v", group, names), func() bool {
		views := m.views[group]
		if len(views) == 0 || !slices.Equal(views[len(views)-1].members, names) {
			return false
		}
		since = views[len(views)-1].at
		return true
	})
	return since, err
}

// awaitLast waits until the last message of a publisher to a group has come.
func (m *member) awaitLast(ctx context.Context, group string, p *publisher) error {
	n, last := p.last()
	if n == 0 {
		return nil
	}
	return m.await(ctx, fmt.Sprintf("message %d of %s", n, p.name), func() bool {
		for _, d := range slices.Backward(m.got[group]) {
			if d.sender == p.name && d.tag == int16(n-1) && string(d.data) == string(last) {
				return true
			}
		}
		return false
	})
}

func (m *member) count(group string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.got[group])
}

// lastView returns the latest view of the group.
func (m *member) lastView(group string) groupView {
	m.mu.Lock()
	defer m.mu.Unlock()
	views := m.views[group]
	if len(views) == 0 {
		return groupView{}
	}
	return views[len(views)-1]
}

// settledView returns the latest view of the group, of a living member whom everybody
// knows.
func (m *member) settledView(group string) (groupView, bool) {
	if !m.isSettled() {
		return groupView{}, false
	}
	return m.lastView(group), true
}

func (m *member) isSettled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.settled && !m.dead
}

// has says whether the view has a member; its list is in order.
func (v *groupView) has(name string) bool {
	_, found := slices.BinarySearch(v.members, name)
	return found
}

// die is told before the member's node is killed.
func (m *member) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *member) alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.dead
}

// history returns what the member received in a group.
func (m *member) history(group string) history {
	m.mu.Lock()
	defer m.mu.Unlock()
	return history{
		member: m.name, site: m.site, born: m.born, dead: m.dead,
		deliveries: slices.Clone(m.got[group]), views: slices.Clone(m.views[group]),
	}
}
