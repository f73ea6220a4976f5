//go:build linux

package scenario

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ringway/client"
)

// A Session is one connection of a client that keeps a record of everything it got.
type Session struct {
	Site string // the site's name, where there are several
	Node string // the node's name
	Name string // private group
	Tag  uint32 // names the session in its messages

	conn  *client.Conn
	began time.Time

	mu      sync.Mutex
	changed chan struct{} // closed with each view and at the end
	log     []Record
	sent    []Sent
	views   map[string]*client.View // the last one of each group
	broken  []error                 // messages that are not as they were sent
	err     error                   // why the session ended
	crashed bool                    // and nobody had closed it
	closing bool
	end     chan struct{}
}

// A MessageID names a message of a run.
type MessageID struct {
	Tag uint32 // the session that sent it
	Seq uint64 // from 1
}

// A Record is an event at a session.
type Record struct {
	At      time.Time
	Message MessageID      // of a message
	Service client.Service // of a message
	Groups  []string       // of a message
	View    *client.View   // of a view
	Signal  string         // of a transition: the group
	Left    string         // of the answer to a leave: the group
}

// Sent is a message that a session sent.
type Sent struct {
	Seq     uint64
	Service client.Service
	Groups  []string
	After   int    // so much of the session's log was there before
	Phase   uint32 // in which it was sent; the sender counts
	At      time.Time
}

// tags number the sessions of this process.
var tags atomic.Uint32

// Dial connects to the node and begins to receive.
func (n *Node) Dial(ctx context.Context, name string) (*Session, error) {
	return open(ctx, "", n.Name, n.Address(), client.Options{Name: name, Membership: true})
}

func open(ctx context.Context, site, node, address string, options client.Options) (*Session, error) {
	conn, err := client.Dial(ctx, address, options)
	if err != nil {
		return nil, err
	}
	s := &Session{Site: site, Node: node, Name: conn.Name(), Tag: tags.Add(1), conn: conn, began: time.Now(), views: map[string]*client.View{}, changed: make(chan struct{}), end: make(chan struct{})}
	go s.receive()
	return s, nil
}

// Close ends the session and waits until nothing more can come.
func (s *Session) Close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.conn.Close()
	<-s.end
}

// Join joins a group.
func (s *Session) Join(ctx context.Context, group string) error { return s.conn.Join(ctx, group) }

// Leave leaves a group.
func (s *Session) Leave(ctx context.Context, group string) error { return s.conn.Leave(ctx, group) }

// headerBytes is what a message carries at least: the sender's tag, the number and a
// checksum over all the rest.
const headerBytes = 16

// Send sends a message of that many bytes. One sender at a time, please.
func (s *Session) Send(ctx context.Context, service client.Service, size int, phase uint32, groups ...string) error {
	s.mu.Lock()
	sent := Sent{Seq: uint64(len(s.sent)) + 1, Service: service, Groups: groups, After: len(s.log), Phase: phase, At: time.Now()}
	s.sent = append(s.sent, sent)
	s.mu.Unlock()
	data := make([]byte, max(size, headerBytes))
	binary.LittleEndian.PutUint32(data[4:], s.Tag)
	binary.LittleEndian.PutUint64(data[8:], sent.Seq)
	for i := headerBytes; i < len(data); i++ {
		data[i] = byte(i)*31 + byte(sent.Seq)
	}
	binary.LittleEndian.PutUint32(data, crc32.ChecksumIEEE(data[4:]))
	return s.conn.Send(ctx, client.Message{Service: service, Groups: groups, Data: data})
}

func parseMessage(m *client.Message) (MessageID, error) {
	if len(m.Data) < headerBytes || binary.LittleEndian.Uint32(m.Data) != crc32.ChecksumIEEE(m.Data[4:]) {
		return MessageID{}, fmt.Errorf("a message of %d bytes from %s is not as it was sent", len(m.Data), m.Sender)
	}
	return MessageID{Tag: binary.LittleEndian.Uint32(m.Data[4:]), Seq: binary.LittleEndian.Uint64(m.Data[8:])}, nil
}

// receive records until the connection ends.
func (s *Session) receive() {
	defer close(s.end)
	for {
		event, err := s.conn.Receive(context.Background())
		at := time.Now()
		s.mu.Lock()
		if err == nil {
			err = s.note(at, event)
		}
		if err != nil {
			s.err, s.crashed = err, !s.closing
			s.announce()
			s.mu.Unlock()
			s.conn.Close()
			return
		}
		s.mu.Unlock()
	}
}

// maxBroken bounds what is kept of broken messages.
const maxBroken = 10

func (s *Session) note(at time.Time, event client.Event) error {
	r := Record{At: at}
	switch e := event.(type) {
	case *client.Message:
		id, err := parseMessage(e)
		if err != nil && len(s.broken) < maxBroken {
			s.broken = append(s.broken, err)
		}
		r.Message, r.Service, r.Groups = id, e.Service, e.Groups
	case *client.View:
		r.View, s.views[e.Group] = e, e
		defer s.announce()
	case *client.Transition:
		r.Signal = e.Group
	case *client.Left:
		r.Left = e.Group
	default:
		return fmt.Errorf("unexpected event %T", event)
	}
	s.log = append(s.log, r)
	return nil
}

func (s *Session) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Err returns why the session has ended, or nil.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Log returns what has been recorded so far.
func (s *Session) Log() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log[:len(s.log):len(s.log)]
}

// Sent returns what has been sent so far.
func (s *Session) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[:len(s.sent):len(s.sent)]
}

// LastView returns the last view of the group, or nil.
func (s *Session) LastView(group string) *client.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.views[group]
}

// errEnded says that a session that was waited for has ended.
var errEnded = errors.New("the session has ended")

// AwaitView waits until the session's view of the group has exactly these members, and
// returns since when they have been so without a break. Only views after since count.
func (s *Session) AwaitView(ctx context.Context, group string, since time.Time, members []string) (time.Time, error) {
	for {
		s.mu.Lock()
		changed, ended := s.changed, s.err
		last, found := s.lastView(group, since)
		s.mu.Unlock()
		if found != nil && sameSet(found.Members, members) {
			return last, nil
		}
		if ended != nil {
			return time.Time{}, fmt.Errorf("%s: %w: %w", s.Name, errEnded, ended)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s waited in vain for a view of %s with %v; the last one is %v", s.Name, group, members, describeView(found))
		}
	}
}

// lastView returns the last view of the group and when its members first were those.
func (s *Session) lastView(group string, since time.Time) (from time.Time, last *client.View) {
	for i := len(s.log) - 1; i >= 0 && s.log[i].At.After(since); i-- {
		v := s.log[i].View
		if v == nil || v.Group != group {
			continue
		}
		if last == nil {
			last = v
		}
		if !sameSet(v.Members, last.Members) {
			break
		}
		from = s.log[i].At
	}
	return from, last
}

func describeView(v *client.View) string {
	if v == nil {
		return "older than the fault"
	}
	return fmt.Sprintf("%s %v by %s", v.ID, v.Members, v.Cause)
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
