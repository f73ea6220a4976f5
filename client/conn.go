package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"ringway/internal/spread"
)

// A Conn is one session with a node; the package says what may run at once.
type Conn struct {
	conn    net.Conn
	private string
	large   bool
	in      receiver

	writing sync.Mutex // guards what follows
	buffer  []byte
	pieces  net.Buffers
	broken  error
	ended   bool
}

func newConn(conn net.Conn, private string, large bool) *Conn {
	return &Conn{conn: conn, private: private, large: large, in: newReceiver()}
}

// Name returns the session's private group, "#name#node". A message to it reaches
// this session alone.
func (c *Conn) Name() string { return c.private }

// Node returns the name of the node.
func (c *Conn) Node() string { return c.private[strings.LastIndexByte(c.private, '#')+1:] }

// MaxMessage returns how many bytes of data a message to one group may have: it
// depends on what the node negotiated.
func (c *Conn) MaxMessage() int {
	if c.large {
		return MaxMessageBytes
	}
	return maxPlain
}

// Join asks to become a member of a group. A View of the group with this session in it
// tells when that is so, if Options.Membership was set. Joining twice does nothing.
func (c *Conn) Join(ctx context.Context, group string) error {
	return c.call(ctx, spread.TypeJoin, group)
}

// Leave asks to leave a group; a Left event tells when it is done.
func (c *Conn) Leave(ctx context.Context, group string) error {
	return c.call(ctx, spread.TypeLeave, group)
}

func (c *Conn) call(ctx context.Context, kind uint32, group string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.buffer = spread.AppendHeader(c.buffer[:0], kind, c.private, 1, [4]byte{}, 0)
	c.buffer = spread.AppendGroup(c.buffer, group)
	return c.write(ctx, c.buffer, nil)
}

// Send sends one message to all members of its groups, whether or not this session is
// one. It returns when the message is on its way to the node.
func (c *Conn) Send(ctx context.Context, m Message) error {
	if err := m.check(c.large); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.buffer = c.appendHead(c.buffer[:0], &m)
	if len(m.Data) > copyBytes {
		return c.write(ctx, c.buffer, m.Data)
	}
	c.buffer = append(c.buffer, m.Data...)
	return c.write(ctx, c.buffer, nil)
}

// Sizes of what is copied together for one write.
const (
	copyBytes  = 32 << 10
	batchBytes = 256 << 10
)

// SendBatch sends messages in their order with as few writes as possible. If one of
// them is illegal, none is sent.
func (c *Conn) SendBatch(ctx context.Context, messages []Message) error {
	for i := range messages {
		if err := messages[i].check(c.large); err != nil {
			return fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.buffer = c.buffer[:0]
	for i := range messages {
		m := &messages[i]
		c.buffer = c.appendHead(c.buffer, m)
		if len(m.Data) > copyBytes {
			if err := c.write(ctx, c.buffer, m.Data); err != nil {
				return err
			}
			c.buffer = c.buffer[:0]
			continue
		}
		if c.buffer = append(c.buffer, m.Data...); len(c.buffer) >= batchBytes {
			if err := c.write(ctx, c.buffer, nil); err != nil {
				return err
			}
			c.buffer = c.buffer[:0]
		}
	}
	return c.write(ctx, c.buffer, nil)
}

func (c *Conn) appendHead(b []byte, m *Message) []byte {
	kind := spread.TypeOf(m.Service)
	if m.SelfDiscard {
		kind |= spread.TypeSelfDiscard
	}
	b = spread.AppendHeader(b, kind, c.private, len(m.Groups), spread.Hint(m.Type), len(m.Data))
	for _, g := range m.Groups {
		b = spread.AppendGroup(b, g)
	}
	return b
}

// write writes head and data, with the lock held. What stops it half-way breaks the
// connection: the node could not tell where the next message begins.
func (c *Conn) write(ctx context.Context, head, data []byte) error {
	if c.broken != nil {
		return c.broken
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(head)+len(data) == 0 {
		return nil
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { c.conn.SetWriteDeadline(time.Unix(1, 0)) }) //nolint:errcheck // the write fails then
		defer stop()
	}
	var err error
	if len(data) == 0 {
		_, err = c.conn.Write(head)
	} else {
		c.pieces = append(c.pieces[:0], head, data)
		pieces := c.pieces
		_, err = pieces.WriteTo(c.conn)
	}
	if err != nil {
		c.broken = fmt.Errorf("%w: %w", ErrConnection, errors.Join(ctx.Err(), err))
		return c.broken
	}
	return nil
}

// Close tells the node that this session ends and closes the connection. Messages
// that were sent before are delivered.
func (c *Conn) Close() error {
	c.writing.Lock()
	if c.ended {
		c.writing.Unlock()
		return nil
	}
	c.ended = true
	if c.broken == nil {
		// A node that reads nothing must not hold up a close.
		c.conn.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // the write fails then
		b := spread.AppendHeader(nil, spread.TypeDisconnect, c.private, 1, [4]byte{}, 0)
		c.conn.Write(spread.AppendGroup(b, c.private)) //nolint:errcheck // closing says the same
		c.broken = fmt.Errorf("%w: it was closed", ErrConnection)
	}
	c.writing.Unlock()
	return c.conn.Close()
}
