package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ringway/membership"
)

// A Server serves the clients of one node. It is safe for concurrent use, but for
// Deliver, which is for one goroutine at a time. A session's lock may be taken while
// the server's is held, never the other way round.
type Server struct {
	cfg     Config
	backend Backend
	encoder encoder
	stats   counters
	rules   atomic.Pointer[rules]

	mu      sync.Mutex
	names   names
	byID    map[membership.ClientID]*Session
	lobby   lobby
	closed  bool
	closing chan struct{} // closed with closed
	running sync.WaitGroup
}

// counters count what happened since the start.
type counters struct {
	accepted, refused, ended, tooSlow, badHeader atomic.Uint64
	received, sent                               atomic.Uint64
	acceptFailed, crowdedOut                     atomic.Uint64
	withdrawn, rejected, throttled               atomic.Uint64
	dropped, held, lost                          atomic.Uint64
}

// NewServer returns a server of the backend.
func NewServer(cfg Config, b Backend) *Server {
	cfg.setDefaults()
	s := &Server{
		cfg: cfg, backend: b, encoder: newEncoder(&cfg),
		names: newNames(), byID: map[membership.ClientID]*Session{}, closing: make(chan struct{}),
	}
	s.rules.Store(newRules(cfg.Access))
	return s
}

// Serve accepts clients until the context ends or the server closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	failing := false // the last one could not be accepted
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || s.isClosed() {
				return nil
			}
			if isPassing(err) {
				if s.stats.acceptFailed.Add(1); !failing {
					s.cfg.Log.Warn("clients cannot be accepted at present: they wait", "listener", l.Addr().String(), "error", err)
				}
				failing = true
				if !pause(ctx, acceptPause) {
					return nil
				}
				continue
			}
			return fmt.Errorf("accept clients on %s: %w", l.Addr(), err)
		}
		if failing {
			s.cfg.Log.Info("clients are accepted again", "listener", l.Addr().String())
			failing = false
		}
		if !s.begin(conn) {
			hangUp(conn)
			return nil
		}
		go s.client(conn)
	}
}

// client takes one connection through its life.
func (s *Server) client(conn net.Conn) {
	defer s.running.Done()
	session, err := s.accept(conn)
	s.mu.Lock()
	s.lobby.leave(conn)
	s.mu.Unlock()
	if err != nil {
		s.stats.refused.Add(1)
		s.cfg.Log.Debug("client refused", "address", conn.RemoteAddr().String(), "why", err)
		hangUp(conn)
		return
	}
	session.serve()
}

// acceptPause is how long new clients wait for the next attempt when the process, or the
// machine, has no place for one more.
const acceptPause = 100 * time.Millisecond

// isPassing says that accepting failed for want of something that comes back, or for a
// client that has gone.
func isPassing(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pause waits, and says whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// begin notes a connection that starts its handshake.
func (s *Server) begin(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if evicted := s.lobby.enter(conn); evicted != nil {
		s.stats.crowdedOut.Add(1)
		hangUp(evicted)
	}
	s.running.Add(1)
	return true
}

// Close ends all sessions and waits for their goroutines, or for the context. What is
// queued for a client still goes out if it reads within FlushTime.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	sessions := make([]*Session, 0, len(s.byID))
	for _, session := range s.byID {
		sessions = append(sessions, session)
	}
	s.lobby.each(hangUp)
	s.mu.Unlock()
	for _, session := range sessions {
		session.drain()
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	flushed := time.NewTimer(s.cfg.FlushTime)
	defer flushed.Stop()
	select {
	case <-done:
		return
	case <-flushed.C:
	case <-ctx.Done():
	}
	for _, session := range sessions {
		session.end(nodeStops)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
