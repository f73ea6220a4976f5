package session

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Session is one connected client.
type Session struct {
	server  *Server
	conn    net.Conn
	id      Identity
	private string
	since   time.Time
	in      []byte // arrived with the handshake
	verdict []byte // its answer: goes out before anything else

	admission admission
	gone      chan struct{} // closed when it has ended

	received, sent atomic.Uint64
	endOnce        sync.Once
	host           hostWatch // WatchHosts's own

	mu       sync.Mutex // guards what follows
	out      [][]byte
	queued   int      // messages in out and being written, but for those of membership
	bytes    int      // of all
	holding  *holding // not nil: senders are held back until this session has read
	draining bool
	ended    bool
	why      string
	wakeup   chan struct{} // capacity one: there is something to write, or an end
}

func newSession(s *Server, conn net.Conn, id Identity, private string) *Session {
	return &Session{
		server: s, conn: conn, id: id, private: private, since: time.Now(),
		gone: make(chan struct{}), wakeup: make(chan struct{}, 1),
	}
}

// Identity returns what the handshake fixed.
func (s *Session) Identity() Identity { return s.id }

// Gone is closed when the session has ended.
func (s *Session) Gone() <-chan struct{} { return s.gone }

// address returns where the client is; clients of a unix socket have no address.
func (s *Session) address() string {
	if remote := s.conn.RemoteAddr(); remote.Network() != "unix" {
		return remote.String()
	}
	return "unix"
}

// serve reads and writes until the session ends. It returns when nothing of the
// session is left.
func (s *Session) serve() {
	var writer sync.WaitGroup
	writer.Go(s.write)
	err := s.read()
	s.end(errorText(err))
	writer.Wait()
	s.server.forget(s)
	s.server.cfg.Log.Debug("session ended", "client", s.private, "why", s.reason())
}

func errorText(err error) string {
	if err == nil {
		return "the client disconnected"
	}
	return err.Error()
}

// end closes the connection; reader and writer stop. The first reason stays.
func (s *Session) end(why string) {
	s.endOnce.Do(func() {
		s.mu.Lock()
		s.ended, s.why = true, why
		s.mu.Unlock()
		s.letGo()
		hangUp(s.conn)
		close(s.gone)
		s.wake()
	})
}

func (s *Session) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *Session) reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

func (s *Session) wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// nodeStops is why sessions end with their node.
const nodeStops = "the node stops"

// drain ends the session when what is queued has gone out.
func (s *Session) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.wake()
}
