package client

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ringway/internal/spread"
	"ringway/membership"
)

// Sizes of the receive memory. It is never reused: messages refer to it.
const (
	chunkBytes  = 64 << 10
	maxInterned = 4096
	maxPlain    = membership.MaxSpreadMessage - spread.HeaderBytes - spread.GroupBytes
	// maxNames bounds the groups of one message; in a view they are members.
	maxNames = spread.MaxViewMembers
)

// A receiver turns bytes into events.
type receiver struct {
	private string // the session's own group
	buffer  []byte // len: arrived
	start   int    // of what is not parsed
	failed  error
	names   map[string]string   // senders and groups seen
	lists   map[string][]string // group fields to the list with that one name
	slab    []Message           // of which the next messages are made
	answers func(*answered)     // takes answers to calls; nil: there are no calls
}

func newReceiver(private string) receiver {
	return receiver{private: private, names: map[string]string{}, lists: map[string][]string{}}
}

// slabMessages are made at once: they live and die together, as their data does.
const slabMessages = 32

// message returns an empty message.
func (in *receiver) message() *Message {
	if len(in.slab) == 0 {
		in.slab = make([]Message, slabMessages)
	}
	m := &in.slab[0]
	in.slab = in.slab[1:]
	return m
}

// Receive returns the next event. A context that ends loses nothing.
func (c *Conn) Receive(ctx context.Context) (Event, error) {
	for {
		event, need, err := c.in.parse()
		if event != nil || err != nil {
			return event, c.received(err)
		}
		if err := c.fill(ctx, need); err != nil {
			return nil, c.received(err)
		}
	}
}

// received tells who waits for an answer that none will come, if so it is.
func (c *Conn) received(err error) error {
	if err != nil && c.in.failed != nil {
		c.calls.end(c.in.failed)
	}
	return err
}

// ReceiveBatch waits for at least one event and fills events with as many as have
// arrived. It returns how many.
func (c *Conn) ReceiveBatch(ctx context.Context, events []Event) (int, error) {
	if len(events) == 0 {
		return 0, nil
	}
	first, err := c.Receive(ctx)
	if err != nil {
		return 0, err
	}
	events[0] = first
	for n := 1; ; n++ {
		if n == len(events) {
			return n, nil
		}
		event, _, err := c.in.parse()
		if event == nil || err != nil {
			return n, nil //nolint:nilerr // it stays, and comes with the next call
		}
		events[n] = event
	}
}

// fill reads once. need is how many bytes the message at hand has in all; memory for it
// doubles with what has arrived.
func (c *Conn) fill(ctx context.Context, need int) error {
	in := &c.in
	if free := cap(in.buffer) - len(in.buffer); free < chunkBytes/8 || in.start+min(need, chunkBytes/8) > cap(in.buffer) {
		arrived := in.buffer[in.start:]
		next := make([]byte, len(arrived), max(chunkBytes, min(need, 2*len(arrived))))
		copy(next, arrived)
		in.buffer, in.start = next, 0
	}
	if err := c.reads.begin(ctx); err != nil {
		return err
	}
	n, err := c.conn.Read(in.buffer[len(in.buffer):cap(in.buffer)])
	c.reads.end()
	in.buffer = in.buffer[:len(in.buffer)+n]
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return ctx.Err()
	}
	in.failed = fmt.Errorf("%w: %w", ErrConnection, c.host.cause(err))
	return in.failed
}

// parse returns the next complete event, or how many bytes the next one needs. Answers to
// calls are no events: they go where they are waited for.
func (in *receiver) parse() (Event, int, error) {
	for {
		event, need, err := in.next()
		answer, ok := event.(*answered)
		if !ok {
			return event, need, err
		}
		if in.answers != nil {
			in.answers(answer)
		}
	}
}

// next returns the next complete event or answer.
func (in *receiver) next() (Event, int, error) {
	if in.failed != nil {
		return nil, 0, in.failed
	}
	rest := in.buffer[in.start:]
	if len(rest) < spread.HeaderBytes {
		return nil, spread.HeaderBytes, nil
	}
	header, err := spread.ParseHeader(rest)
	if err == nil && (header.Groups > maxNames || header.DataLen > maxNames*spread.GroupBytes+MaxMessageBytes) {
		err = fmt.Errorf("header with %d groups and %d bytes of data", header.Groups, header.DataLen)
	}
	if err != nil {
		in.failed = fmt.Errorf("%w: %w", ErrConnection, err)
		return nil, 0, in.failed
	}
	extra := 0
	if header.Type&spread.TypeReject != 0 {
		extra = spread.RejectBytes
	}
	size := spread.HeaderBytes + extra + header.Groups*spread.GroupBytes + header.DataLen
	if len(rest) < size {
		return nil, size, nil
	}
	in.start += size
	body := rest[spread.HeaderBytes:size:size]
	event, err := in.event(&header, body)
	if err != nil {
		in.failed = fmt.Errorf("%w: %w", ErrConnection, err)
		return nil, 0, in.failed
	}
	return event, 0, nil
}

// event makes the event of one message. body is what follows the header.
func (in *receiver) event(h *spread.Header, body []byte) (Event, error) {
	if h.Type&spread.TypeReject != 0 {
		return in.rejected(h, body)
	}
	names, data := body[:h.Groups*spread.GroupBytes], body[h.Groups*spread.GroupBytes:]
	group := in.name(h.Group[:])
	// A message with a service is one whatever other bits it has: some daemons let a
	// client set those of membership.
	switch {
	case h.Type&spread.Services != 0:
		service, ok := spread.ServiceOf(h.Type)
		if !ok {
			return nil, fmt.Errorf("message with several services, type %#x", h.Type)
		}
		m := in.message()
		m.Sender, m.Groups, m.Service, m.Data = group, in.list(names), service, data
		m.SelfDiscard = h.Type&spread.TypeSelfDiscard != 0
		m.Type, m.EndianMismatch = spread.HintType(h.Hint)
		return m, nil
	case h.Type&spread.TypeRegular != 0:
		return in.view(h, group, names, data)
	case h.Type&spread.TypeTransitional != 0:
		id, err := spread.ParseViewID(data, h.Order())
		if err != nil {
			return nil, fmt.Errorf("transition of group %s: %w", group, err)
		}
		return &Transition{Group: group, ID: ViewID(id)}, nil
	case h.Type&spread.TypeByLeave != 0:
		return &Left{Group: group}, nil
	}
	if h.Type&spread.TypeExtension != 0 {
		return parseAnswer(h, body)
	}
	return nil, fmt.Errorf("message of type %#x", h.Type)
}

func (in *receiver) rejected(h *spread.Header, body []byte) (Event, error) {
	kind, err := spread.ParseRejected(body, h.Order())
	if err != nil {
		return nil, err
	}
	body = body[spread.RejectBytes:]
	groups := in.list(body[:h.Groups*spread.GroupBytes])
	if n := len(groups); n > 0 && groups[n-1] == in.private {
		groups = groups[:n-1] // it only brought the message back
	}
	r := &Rejected{Groups: groups, Data: body[h.Groups*spread.GroupBytes:]}
	r.Service, _ = spread.ServiceOf(kind)
	r.Join, r.Leave = kind&spread.TypeByJoin != 0, kind&spread.TypeByLeave != 0
	return r, nil
}

func (in *receiver) view(h *spread.Header, group string, names, data []byte) (Event, error) {
	body, err := spread.ParseViewBody(data, h.Order())
	if err != nil {
		return nil, fmt.Errorf("view of group %s: %w", group, err)
	}
	v := &View{Group: group, ID: ViewID(body.ID), Members: in.list(names), Cause: ByNetwork}
	switch {
	case h.Type&spread.TypeByJoin != 0:
		v.Cause = ByJoin
	case h.Type&spread.TypeByLeave != 0:
		v.Cause = ByLeave
	case h.Type&spread.TypeByDisconnect != 0:
		v.Cause = ByDisconnect
	default:
		v.Sets = body.Sets
	}
	if body.Own >= 0 {
		v.MovedTogether = body.Sets[body.Own]
	}
	return v, nil
}

// name returns the name in a 32-byte field, the same string each time.
func (in *receiver) name(field []byte) string {
	raw, _ := spread.GroupName(field)
	if known, ok := in.names[string(raw)]; ok {
		return known
	}
	name := string(raw)
	if len(in.names) < maxInterned {
		in.names[name] = name
	}
	return name
}

// list returns the names in 32-byte fields. Lists of one name are shared.
func (in *receiver) list(fields []byte) []string {
	if len(fields) == spread.GroupBytes {
		if list, ok := in.lists[string(fields)]; ok {
			return list
		}
		list := []string{in.name(fields)}
		if len(in.lists) < maxInterned {
			in.lists[string(fields)] = list
		}
		return list
	}
	list := make([]string, 0, len(fields)/spread.GroupBytes)
	for ; len(fields) > 0; fields = fields[spread.GroupBytes:] {
		list = append(list, in.name(fields[:spread.GroupBytes]))
	}
	return list
}
