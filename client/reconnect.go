package client

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Receive returns the next event. When the connection is lost it makes another one and
// returns a Gap before what comes from there. It fails when its context ends, when the
// Session was closed, and when no node will have it any more.
func (s *Session) Receive(ctx context.Context) (Event, error) {
	for {
		conn, event, err := s.source(ctx)
		if event != nil || err != nil {
			return event, err
		}
		if conn == nil {
			continue // lost again
		}
		if event, err = conn.Receive(ctx); err == nil {
			s.seen(event)
			return event, nil
		}
		if err = s.reread(conn, err); err != nil {
			return nil, err
		}
	}
}

// ReceiveBatch is to Receive what Conn.ReceiveBatch is to Conn.Receive.
func (s *Session) ReceiveBatch(ctx context.Context, events []Event) (int, error) {
	if len(events) == 0 {
		return 0, nil
	}
	for {
		conn, event, err := s.source(ctx)
		if err != nil {
			return 0, err
		}
		if event != nil {
			events[0] = event
			return 1, nil
		}
		if conn == nil {
			continue // lost again
		}
		n, err := conn.ReceiveBatch(ctx, events)
		if err == nil {
			for _, event := range events[:n] {
				s.seen(event)
			}
			return n, nil
		}
		if err = s.reread(conn, err); err != nil {
			return 0, err
		}
	}
}

// source returns the connection to read from, or an event of the Session's own. What an
// old connection has still in its memory comes first. Both are nil if the connection was
// lost just now.
func (s *Session) source(ctx context.Context) (*Conn, Event, error) {
	if s.reading != nil {
		return s.reading, nil, nil
	}
	if _, err := s.current(ctx); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) > 0 {
		event := s.pending[0]
		s.pending = s.pending[1:]
		if left, ok := event.(*Left); ok {
			if !s.leaving[left.Group] {
				continue // the node had said so itself
			}
			delete(s.leaving, left.Group)
		}
		return nil, event, nil
	}
	s.reading = s.conn // nil, if it was lost just now
	return s.reading, nil, nil
}

// seen notes what an event means for the Session.
func (s *Session) seen(event Event) {
	left, ok := event.(*Left)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leaving, left.Group)
}

// reread says whether reading goes on, from another connection if this one has ended.
func (s *Session) reread(conn *Conn, err error) error {
	if !errors.Is(err, ErrConnection) {
		return err
	}
	s.reading = nil
	s.drop(conn, err)
	return nil
}

// drop forgets a connection that has ended.
func (s *Session) drop(conn *Conn, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn {
		return // somebody else has noticed
	}
	if s.ended == nil { // else Close is at it, and takes its leave
		conn.abandon()
	}
	s.conn, s.cause, s.lost = nil, cause, time.Now()
	s.backoff.lost(s.lost)
}

// current returns the connection, and makes one if there is none.
func (s *Session) current(ctx context.Context) (*Conn, error) {
	for {
		if conn, err := s.established(); conn != nil || err != nil {
			return conn, err
		}
		if err := acquire(ctx, s.connecting); err != nil {
			return nil, err
		}
		err := s.reconnect(ctx)
		release(s.connecting)
		if err != nil {
			return nil, err
		}
	}
}

func (s *Session) established() (*Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn, s.ended
}

// reconnect makes a connection. It has the turn.
func (s *Session) reconnect(ctx context.Context) error {
	for {
		if conn, err := s.established(); conn != nil || err != nil {
			return err
		}
		if err := s.pause(ctx); err != nil {
			return err
		}
		conn, permanent, err := s.round(ctx)
		if err == nil {
			err = s.install(ctx, conn)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		s.mu.Lock()
		s.backoff.failed(time.Now())
		if givenUp := s.options.GiveUp > 0 && time.Since(s.lost) > s.options.GiveUp; permanent || givenUp {
			s.end(err)
		}
		s.mu.Unlock()
	}
}

// pause waits until the next attempt is due.
func (s *Session) pause(ctx context.Context) error {
	s.mu.Lock()
	wait := time.Until(s.backoff.next)
	s.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.done:
		return nil // the caller sees why
	case <-ctx.Done():
		return ctx.Err()
	}
}

// round tries each address once, the one that was good last first. permanent says that
// all have refused this client in a way that will not change.
func (s *Session) round(ctx context.Context) (conn *Conn, permanent bool, err error) {
	permanent = true
	var all []error
	for i, address := range s.addresses {
		conn, err := Dial(ctx, address, s.options.Options)
		if err == nil {
			// It comes first from now on; the others keep their order.
			copy(s.addresses[1:i+1], s.addresses[:i])
			s.addresses[0] = address
			return conn, false, nil
		}
		var refused *RefusedError
		permanent = permanent && (errors.As(err, &refused) && refused.Permanent() || errors.Is(err, ErrMethod))
		all = append(all, err)
		if ctx.Err() != nil {
			return nil, false, err
		}
		if s.options.Retry != nil {
			s.options.Retry(address, err)
		}
	}
	return nil, permanent, errors.Join(all...)
}

// install joins what is joined on a new connection, and makes it the current one.
func (s *Session) install(ctx context.Context, conn *Conn) error {
	if err := acquire(ctx, s.subscribing); err != nil {
		conn.abandon()
		return err
	}
	defer release(s.subscribing)
	groups := slices.SortedFunc(maps.Keys(s.joined), func(a, b string) int { return cmp.Compare(s.joined[a], s.joined[b]) })
	if err := conn.joinAll(ctx, groups); err != nil {
		conn.abandon()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		conn.abandon()
		return s.ended
	}
	now := time.Now()
	for _, group := range slices.Sorted(maps.Keys(s.leaving)) {
		s.pending = append(s.pending, &Left{Group: group})
	}
	s.pending = append(s.pending, &Gap{Cause: s.cause, Down: now.Sub(s.lost), Former: s.former, Name: conn.Name(), Groups: groups})
	s.pending = s.pending[max(0, len(s.pending)-maxPending):]
	s.conn, s.former = conn, conn.Name()
	s.backoff.connected(now)
	return nil
}

// maxPending bounds the events that wait for an application that does not receive; the
// oldest say nothing that the latest Gap does not.
const maxPending = 1024

// A backoff says when to try again: at once after a connection that was good for a while,
// else later and later. The random part keeps the clients of a node that died from coming
// to the next one all at the same moment.
type backoff struct {
	min, max time.Duration
	wait     time.Duration
	since    time.Time // of the connection
	next     time.Time
}

const (
	defaultMinWait = 100 * time.Millisecond
	defaultMaxWait = 5 * time.Second
	// steady is how long a connection must have lasted to be a good one. A node that
	// accepts a client and ends it again and again is one that does not answer.
	steady = 10 * time.Second
)

func newBackoff(low, high time.Duration) backoff {
	low = cmp.Or(max(low, 0), defaultMinWait)
	return backoff{min: low, max: max(low, cmp.Or(max(high, 0), defaultMaxWait))}
}

func (b *backoff) connected(now time.Time) { b.since = now }

// lost is told that a connection ended.
func (b *backoff) lost(now time.Time) {
	if now.Sub(b.since) >= steady {
		b.wait = 0
	}
	b.schedule(now)
}

// failed is told that no address could be connected to.
func (b *backoff) failed(now time.Time) { b.schedule(now) }

func (b *backoff) schedule(now time.Time) {
	spread := b.wait
	if spread == 0 {
		spread = b.min / 2 // the first attempt is almost at once
	}
	b.next = now.Add(b.wait/2 + rand.N(spread/2+1))
	b.wait = min(max(2*b.wait, b.min), b.max)
}
