package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ringway/internal/spread"
)

// A Session is a connection that comes back: when it is lost, the Session connects again,
// to the same node or to another one, and joins its groups again. A Gap event tells that
// this has happened. What may run at once is the same as for a Conn.
//
// There is no goroutine behind it: whichever call needs a connection makes one, while its
// context lasts. So an application that is in Receive, as it should be, comes back at once.
type Session struct {
	addresses []string
	options   SessionOptions
	backoff   backoff

	// connecting is the turn to make a connection, subscribing the turn to change what
	// is joined; they are locks that a context can end waiting for. Who has both took
	// connecting first; mu is taken last.
	connecting  chan struct{}
	subscribing chan struct{}
	joined      map[string]uint64 // groups, and when in the order of joins; under subscribing
	joins       uint64            // so many; under subscribing
	leaving     map[string]bool   // left, and not confirmed; under mu
	reading     *Conn             // from which Receive reads; its own

	mu      sync.Mutex
	conn    *Conn  // nil: there is none
	former  string // private group of the last one
	pending []Event
	lost    time.Time
	cause   error
	ended   error // why there will be no other connection
	done    chan struct{}
}

// SessionOptions say how a Session connects, the first time and again.
type SessionOptions struct {
	// Options are those of each connection; Timeout is for one address, and 10 s if it is
	// zero. A Name is kept from one connection to the next: a node of Ringway's that has
	// not noticed yet that the former one is dead ends it in favour of this one.
	Options

	// MinWait and MaxWait bound the pause after all addresses have failed; it doubles
	// from one to the other, and a random part of it is left out. Zero: 100 ms, 5 s.
	MinWait, MaxWait time.Duration
	// GiveUp is how long a Session tries before it ends with the error of its last
	// attempt. Zero: for ever, or as long as the contexts of its calls last.
	GiveUp time.Duration
	// Retry, if not nil, is told of each attempt that failed: for logs. It must not
	// call the Session.
	Retry func(address string, err error)
}

// sessionTimeout is for one address of several: the next one may answer sooner.
const sessionTimeout = 10 * time.Second

// Bounds of a Session.
const (
	maxAddresses = 64
	maxJoined    = 1 << 17 // groups; each is joined again by a message of 80 bytes
)

// A Gap tells that a Session lost its connection and has another one. Messages, views and
// transitions may be missing; a View of each group follows if views were asked for. The
// other members have seen this one leave and come back.
type Gap struct {
	Cause  error         // why the connection ended
	Down   time.Duration // for how long there was none
	Former string        // private group until then
	Name   string        // private group now: another one on another node
	Groups []string      // that are joined again, in the order of their joins
}

func (*Gap) event() {}

// Open connects to the first of the addresses that answers, and returns a Session that
// comes back to one of them. It tries each address once.
func Open(ctx context.Context, addresses []string, options SessionOptions) (*Session, error) {
	if len(addresses) == 0 || len(addresses) > maxAddresses {
		return nil, fmt.Errorf("%d addresses: want 1 to %d", len(addresses), maxAddresses)
	}
	for _, a := range addresses {
		if _, _, err := ParseAddress(a); err != nil {
			return nil, err
		}
	}
	if err := options.check(); err != nil {
		return nil, err
	}
	options.Timeout = cmp.Or(options.Timeout, sessionTimeout)
	if options.Name != "" {
		options.resume = make([]byte, spread.ResumeKeyBytes)
		rand.Read(options.resume) //nolint:errcheck // it never fails: it ends the program
	}
	s := &Session{
		addresses: slices.Clone(addresses), options: options, backoff: newBackoff(options.MinWait, options.MaxWait),
		connecting: make(chan struct{}, 1), subscribing: make(chan struct{}, 1),
		joined: map[string]uint64{}, leaving: map[string]bool{}, done: make(chan struct{}),
	}
	conn, _, err := s.round(ctx)
	if err != nil {
		return nil, err
	}
	s.conn, s.former = conn, conn.Name()
	s.backoff.connected(time.Now())
	return s, nil
}

// Name returns the session's private group on the node where it is, or was last.
func (s *Session) Name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.former
}

// Node returns the name of that node.
func (s *Session) Node() string {
	name := s.Name()
	return name[strings.LastIndexByte(name, '#')+1:]
}

// Join asks to become a member of a group, now and after each reconnection. While there
// is no connection it takes effect with the next one.
func (s *Session) Join(ctx context.Context, group string) error {
	if err := checkJoin(group); err != nil {
		return err
	}
	return s.subscribe(ctx, func() error {
		switch _, already := s.joined[group]; {
		case !already && len(s.joined) >= maxJoined:
			return fmt.Errorf("%w: %d are joined, the most that a session can have", ErrGroups, maxJoined)
		case !already:
			s.joins++
			s.joined[group] = s.joins
		}
		s.mu.Lock()
		delete(s.leaving, group)
		s.mu.Unlock()
		return nil
	}, func(c *Conn) error { return c.Join(ctx, group) })
}

// Leave asks to leave a group; a Left event tells when it is done, also if the connection
// is lost meanwhile.
func (s *Session) Leave(ctx context.Context, group string) error {
	if err := checkJoin(group); err != nil {
		return err
	}
	return s.subscribe(ctx, func() error {
		if _, joined := s.joined[group]; !joined {
			return nil
		}
		delete(s.joined, group)
		if s.options.Membership {
			s.mu.Lock()
			s.leaving[group] = true
			s.mu.Unlock()
		}
		return nil
	}, func(c *Conn) error { return c.Leave(ctx, group) })
}

// subscribe changes what is joined, and tells the node if there is one. A connection that
// ends meanwhile is no fault: the next one begins with what is joined then.
func (s *Session) subscribe(ctx context.Context, change func() error, tell func(*Conn) error) error {
	if err := acquire(ctx, s.subscribing); err != nil {
		return err
	}
	defer release(s.subscribing)
	if err := change(); err != nil {
		return err
	}
	s.mu.Lock()
	conn, ended := s.conn, s.ended
	s.mu.Unlock()
	if ended != nil || conn == nil {
		return ended
	}
	err := tell(conn)
	if errors.Is(err, ErrConnection) {
		s.drop(conn, err)
		return nil
	}
	return err
}

// Send sends one message as Conn.Send does. Without a connection it waits for one. A
// message whose connection breaks while it is written is not lost: the node has only part
// of it, and it goes over the next one. Messages that were written before may be lost
// with the connection, and are not sent again.
func (s *Session) Send(ctx context.Context, m Message) error {
	for {
		conn, err := s.current(ctx)
		if err != nil {
			return err
		}
		if err = conn.Send(ctx, m); err == nil || !errors.Is(err, ErrConnection) {
			return err
		}
		s.drop(conn, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// SendBatch sends messages as Conn.SendBatch does, and goes on after a reconnection with
// the first message that had not been written.
func (s *Session) SendBatch(ctx context.Context, messages []Message) error {
	for {
		conn, err := s.current(ctx)
		if err != nil {
			return err
		}
		for i := range messages {
			if err := messages[i].check(conn.large); err != nil {
				return fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
			}
		}
		n, err := conn.sendBatch(ctx, messages)
		if err == nil || !errors.Is(err, ErrConnection) {
			return err
		}
		s.drop(conn, err)
		if messages = messages[n:]; ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// MaxMessage returns how many bytes of data a message to one group may have.
func (s *Session) MaxMessage() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn.MaxMessage()
	}
	return maxPlain
}

// Groups lists groups as Conn.Groups does.
func (s *Session) Groups(ctx context.Context, pattern string) ([]GroupInfo, error) {
	conn, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return conn.Groups(ctx, pattern)
}

// Members lists members as Conn.Members does.
func (s *Session) Members(ctx context.Context, group string) (members []string, complete bool, err error) {
	conn, err := s.current(ctx)
	if err != nil {
		return nil, false, err
	}
	return conn.Members(ctx, group)
}

// Close ends the session for good, as Conn.Close does.
func (s *Session) Close() error {
	s.mu.Lock()
	conn, ended := s.conn, s.ended
	s.end(fmt.Errorf("%w: it was closed", ErrConnection))
	s.mu.Unlock()
	if ended != nil || conn == nil {
		return nil //nolint:nilerr // it was closed before, or is between two connections
	}
	return conn.Close()
}

// end makes this the last connection. mu is held.
func (s *Session) end(why error) {
	if s.ended == nil {
		s.ended = why
		close(s.done)
	}
}

func acquire(ctx context.Context, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func release(turn chan struct{}) { <-turn }
