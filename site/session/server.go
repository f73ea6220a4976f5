package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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

	mu       sync.Mutex
	names    map[string]membership.ClientID // taken, by private name
	byID     map[membership.ClientID]*Session
	released map[membership.ClientID]string // id to name, for Release
	counter  uint64
	pending  map[net.Conn]struct{} // in the handshake
	closed   bool
	running  sync.WaitGroup
}

// counters count what happened since the start.
type counters struct {
	accepted, refused, ended, tooSlow, badHeader atomic.Uint64
	received, sent                               atomic.Uint64
	acceptFailed                                 atomic.Uint64
}

// NewServer returns a server of the backend.
func NewServer(cfg Config, b Backend) *Server {
	cfg.setDefaults()
	return &Server{
		cfg: cfg, backend: b, encoder: newEncoder(&cfg),
		names: map[string]membership.ClientID{}, byID: map[membership.ClientID]*Session{},
		released: map[membership.ClientID]string{}, pending: map[net.Conn]struct{}{},
	}
}

// Listen opens a client port: a TCP address, or the path of a unix socket, which
// everybody on this machine may use. A socket file that nobody listens on is replaced.
func Listen(network, address string) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, address)
	}
	l, err := net.Listen("unix", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(address); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", address)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes a socket file if connecting to it is refused.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way and is no socket: remove it or choose another path", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s: another process listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Serve accepts clients until the context ends or the server closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	slots := make(chan struct{}, maxHandshakes)
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
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			conn.Close()
			return nil
		}
		if !s.begin(conn) {
			conn.Close()
			return nil
		}
		go func() {
			defer s.running.Done()
			session, err := s.accept(conn)
			s.handshakeEnded(conn)
			<-slots
			if err != nil {
				s.stats.refused.Add(1)
				s.cfg.Log.Debug("client refused", "address", conn.RemoteAddr().String(), "why", err)
				conn.Close()
				return
			}
			session.serve()
		}()
	}
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
	s.pending[conn] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) handshakeEnded(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, conn)
}

// Release frees the name of a session whose departure has gone round the ring.
func (s *Server) Release(id membership.ClientID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.released[id]; ok {
		delete(s.released, id)
		delete(s.names, name)
	}
}

// Close ends all sessions and waits for their goroutines, or for the context. What is
// queued for a client still goes out if it reads within flushTime.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	sessions := make([]*Session, 0, len(s.byID))
	for _, session := range s.byID {
		sessions = append(sessions, session)
	}
	for conn := range s.pending {
		conn.Close()
	}
	s.mu.Unlock()
	for _, session := range sessions {
		session.drain()
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	flushed := time.NewTimer(flushTime)
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
