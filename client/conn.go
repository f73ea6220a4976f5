package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"ringway/internal/spread"
)

// A Conn is one session with a node; the package says what may run at once.
type Conn struct {
	conn    net.Conn
	private string
	large   bool
	in      receiver
	calls   calls
	reads   interrupter
	writes  interrupter
	host    hostWatch

	// turn is a lock that a context can end waiting for; full: somebody writes. It
	// guards what follows.
	turn   chan struct{}
	buffer []byte
	pieces [2][]byte
	rest   net.Buffers // of pieces; a field so that a write allocates nothing
	broken error
	ended  bool
}

func newConn(conn net.Conn, private string, large bool) *Conn {
	c := &Conn{
		conn: conn, private: private, large: large, in: newReceiver(private), turn: make(chan struct{}, 1),
		reads: interrupter{setDeadline: conn.SetReadDeadline}, writes: interrupter{setDeadline: conn.SetWriteDeadline},
	}
	c.in.answers = c.calls.answer
	c.watchHost()
	return c
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

// checkJoin refuses what cannot be joined.
func checkJoin(group string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	if strings.Contains(group, "#") {
		return fmt.Errorf("%w: name %.40q: a private group has its session as its only member", ErrGroups, group)
	}
	return nil
}

func (c *Conn) call(ctx context.Context, kind uint32, group string) error {
	if err := checkJoin(group); err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	c.buffer = spread.AppendHeader(c.buffer[:0], kind, c.private, 1, [4]byte{}, 0)
	c.buffer = spread.AppendGroup(c.buffer, group)
	return c.write(ctx, nil)
}

// lock waits for this call's turn to write.
func (c *Conn) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Conn) unlock() {
	if cap(c.buffer) > keepBytes {
		c.buffer = nil
	}
	<-c.turn
}

// Send sends one message to all members of its groups, whether or not this session is
// one. It returns when the message is on its way to the node.
func (c *Conn) Send(ctx context.Context, m Message) error {
	if err := m.check(c.large); err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	c.buffer = c.appendHead(c.buffer[:0], &m)
	if len(m.Data) > copyBytes {
		return c.write(ctx, m.Data)
	}
	c.buffer = append(c.buffer, m.Data...)
	return c.write(ctx, nil)
}

// Sizes of what is copied together for one write.
const (
	copyBytes  = 32 << 10            // data of more goes out from where it is
	batchBytes = 256 << 10           // of a batch, before it goes out
	keepBytes  = batchBytes + 64<<10 // of the buffer, from one call to the next
)

// SendBatch sends messages in their order with as few writes as possible. If one of
// them is illegal, none is sent.
func (c *Conn) SendBatch(ctx context.Context, messages []Message) error {
	for i := range messages {
		if err := messages[i].check(c.large); err != nil {
			return fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
		}
	}
	_, err := c.sendBatch(ctx, messages)
	return err
}

// sendBatch sends messages that were checked, and returns how many of them went out
// whole. The node delivers those, if it lives, and no part of the one after.
func (c *Conn) sendBatch(ctx context.Context, messages []Message) (whole int, err error) {
	if err := c.lock(ctx); err != nil {
		return 0, err
	}
	defer c.unlock()
	c.buffer = c.buffer[:0]
	for i := range messages {
		m := &messages[i]
		c.buffer = c.appendHead(c.buffer, m)
		var data []byte
		if len(m.Data) > copyBytes {
			data = m.Data
		} else if c.buffer = append(c.buffer, m.Data...); len(c.buffer) < batchBytes {
			continue
		}
		if n, err := c.writeSome(ctx, data); err != nil {
			return whole + wholeOf(messages[whole:i+1], n), err
		}
		c.buffer, whole = c.buffer[:0], i+1
	}
	n, err := c.writeSome(ctx, nil)
	if err != nil {
		return whole + wholeOf(messages[whole:], n), err
	}
	return len(messages), nil
}

// wholeOf returns how many of the messages are within the first n bytes of them.
func wholeOf(messages []Message, n int64) int {
	for i := range messages {
		m := &messages[i]
		if n -= int64(spread.HeaderBytes + spread.GroupBytes*len(m.Groups) + len(m.Data)); n < 0 {
			return i
		}
	}
	return len(messages)
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

// write writes the buffer and data, in its turn. What stops it half-way breaks the
// connection: the node could not tell where the next message begins.
func (c *Conn) write(ctx context.Context, data []byte) error {
	_, err := c.writeSome(ctx, data)
	return err
}

// writeSome is write; it returns how many bytes went out.
func (c *Conn) writeSome(ctx context.Context, data []byte) (int64, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	if len(c.buffer)+len(data) == 0 {
		return 0, nil
	}
	if err := c.writes.begin(ctx); err != nil {
		return 0, err
	}
	n, err := c.gather(data)
	c.writes.end()
	switch {
	case err == nil:
		return n, nil
	case n == 0 && ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return 0, ctx.Err() // not a byte of it went out: the connection goes on
	}
	c.broken = fmt.Errorf("%w: %w", ErrConnection, errors.Join(ctx.Err(), c.host.cause(err)))
	return n, c.broken
}

// gather writes the buffer and data at once.
func (c *Conn) gather(data []byte) (int64, error) {
	if len(data) == 0 {
		n, err := c.conn.Write(c.buffer)
		return int64(n), err
	}
	c.pieces = [2][]byte{c.buffer, data}
	c.rest = c.pieces[:]
	n, err := c.rest.WriteTo(c.conn)
	c.pieces, c.rest = [2][]byte{}, nil
	return n, err
}

// joinAll asks to join groups with as few writes as possible.
func (c *Conn) joinAll(ctx context.Context, groups []string) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	c.buffer = c.buffer[:0]
	for _, g := range groups {
		c.buffer = spread.AppendHeader(c.buffer, spread.TypeJoin, c.private, 1, [4]byte{}, 0)
		c.buffer = spread.AppendGroup(c.buffer, g)
		if len(c.buffer) < batchBytes {
			continue
		}
		if err := c.write(ctx, nil); err != nil {
			return err
		}
		c.buffer = c.buffer[:0]
	}
	return c.write(ctx, nil)
}

// abandon closes a connection of which nothing good is expected, without waiting.
func (c *Conn) abandon() {
	c.calls.end(fmt.Errorf("%w: it ended", ErrConnection))
	c.host.stop()
	c.reads.close()
	c.writes.close()
	if secure, ok := c.conn.(*tls.Conn); ok {
		secure.NetConn().Close() // Close of the tls.Conn would take leave first, and wait
	}
	c.conn.Close()
}

// closeTime bounds what Close waits for a node that reads nothing.
const closeTime = time.Second

// Close tells the node that this session ends and closes the connection. Messages
// that were sent before are delivered. A call that waits for the node fails within a
// second.
func (c *Conn) Close() error {
	c.calls.end(fmt.Errorf("%w: it was closed", ErrConnection))
	c.host.stop()
	c.reads.close()
	c.writes.close()
	c.conn.SetWriteDeadline(time.Now().Add(closeTime)) //nolint:errcheck // a dead connection fails by itself
	c.turn <- struct{}{}
	defer c.unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	if c.broken == nil {
		b := spread.AppendHeader(nil, spread.TypeDisconnect, c.private, 1, [4]byte{}, 0)
		c.conn.Write(spread.AppendGroup(b, c.private)) //nolint:errcheck // closing says the same
		c.broken = fmt.Errorf("%w: it was closed", ErrConnection)
	}
	return c.conn.Close()
}
