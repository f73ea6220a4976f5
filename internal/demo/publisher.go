package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ringway/client"
)

// An audience says in which sites a message has to arrive, and in which it may. While a
// cut is being noticed, or a merge, a message may or may not reach the other side;
// otherwise the two are equal.
type audience struct{ must, may sites }

// A sending is a message as its publisher sent it.
type sending struct {
	data []byte
	at   time.Duration
	to   audience
}

// A publisher is a client that sends and records what. It is safe for concurrent use.
type publisher struct {
	name string
	site int
	conn *client.Conn

	mu   sync.Mutex
	to   audience
	sent []sending
}

func newPublisher(ctx context.Context, n planNode, site int, name string, to audience) (*publisher, error) {
	conn, err := dial(ctx, n, name, false)
	if err != nil {
		return nil, err
	}
	return &publisher{name: conn.Name(), site: site, conn: conn, to: to}, nil
}

// watch reads the connection, on which nothing is expected, so that its end is noticed.
func (p *publisher) watch(ctx context.Context) {
	for {
		if _, err := p.conn.Receive(ctx); err != nil {
			return
		}
	}
}

// address says for whom the messages are that are sent from now on.
func (p *publisher) address(to audience) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// narrow says that what was sent since a moment has to arrive in these sites only.
func (p *publisher) narrow(since time.Duration, must sites) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.sent) - 1; i >= 0 && p.sent[i].at >= since; i-- {
		p.sent[i].to.must &= must
	}
}

// send sends a message and waits while the node does not take it. The message's number
// goes along as its type, so that two with the same text can be told apart.
func (p *publisher) send(ctx context.Context, group string, data []byte, now func() time.Duration) error {
	p.mu.Lock()
	n := len(p.sent)
	p.sent = append(p.sent, sending{data, now(), p.to})
	p.mu.Unlock()
	err := p.conn.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{group}, Type: int16(n), Data: data})
	if err != nil {
		return fmt.Errorf("%s sends message %d: %w", p.name, n+1, err)
	}
	return nil
}

// count returns how many messages were sent.
func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// last returns how many messages were sent, and the data of the last one.
func (p *publisher) last() (n int, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n = len(p.sent); n > 0 {
		data = p.sent[n-1].data
	}
	return n, data
}

// sendings returns what was sent so far.
func (p *publisher) sendings() []sending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[:len(p.sent):len(p.sent)]
}
