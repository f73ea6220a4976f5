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
	data   []byte
	at     time.Duration
}

// A member is a client that records what it receives. Its methods are safe for
// concurrent use.
type member struct {
	name string // private group
	node string
	site int
	conn *client.Conn

	mu      sync.Mutex
	got     map[string][]delivery // by group
	views   map[string][]string   // members of each group
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
		got: map[string][]delivery{}, views: map[string][]string{}, changed: make(chan struct{}),
	}, nil
}

// receive records until the context or the connection ends.
func (m *member) receive(ctx context.Context, now func() time.Duration) {
	events := make([]client.Event, 256)
	for {
		n, err := m.conn.ReceiveBatch(ctx, events)
		at := now()
		m.mu.Lock()
		for _, event := range events[:n] {
			switch e := event.(type) {
			case *client.Message:
				if len(e.Groups) > 0 {
					m.got[e.Groups[0]] = append(m.got[e.Groups[0]], delivery{e.Sender, e.Data, at})
				}
			case *client.View:
				m.views[e.Group] = e.Members
			}
		}
		m.failed = err
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
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

// awaitMembers waits until a group consists of these.
func (m *member) awaitMembers(ctx context.Context, group string, names []string) error {
	return m.await(ctx, fmt.Sprintf("a view of %s with %d members", group, len(names)), func() bool {
		have := slices.Sorted(slices.Values(m.views[group]))
		return slices.Equal(have, names)
	})
}

func (m *member) count(group string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.got[group])
}

// deliveries returns what has come to a group.
func (m *member) deliveries(group string) []delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got[group])
}

// A publisher is a client that sends and records what. It is not safe for concurrent
// use until all sending has ended.
type publisher struct {
	name string
	site int
	conn *client.Conn
	sent []sending
}

// A sending is a message as its publisher sent it.
type sending struct {
	data []byte
	at   time.Duration
}

func newPublisher(ctx context.Context, n planNode, site int, name string) (*publisher, error) {
	conn, err := dial(ctx, n, name, false)
	if err != nil {
		return nil, err
	}
	return &publisher{name: conn.Name(), site: site, conn: conn}, nil
}

// watch reads the connection, on which nothing is expected, so that its end is noticed.
func (p *publisher) watch(ctx context.Context) {
	for {
		if _, err := p.conn.Receive(ctx); err != nil {
			return
		}
	}
}

func (p *publisher) send(ctx context.Context, group string, data []byte, now func() time.Duration) error {
	p.sent = append(p.sent, sending{data, now()})
	err := p.conn.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{group}, Data: data})
	if err != nil {
		return fmt.Errorf("%s sends message %d: %w", p.name, len(p.sent), err)
	}
	return nil
}
