package session

import (
	"errors"
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
	large   bool   // negotiated messages beyond Spread's limit
	in      []byte // arrived with the handshake

	received, sent atomic.Uint64
	endOnce        sync.Once

	mu     sync.Mutex // guards what follows
	out    [][]byte
	bytes  int
	ended  bool
	why    string
	wakeup chan struct{} // capacity one: there is something to write, or an end
}

func newSession(s *Server, conn net.Conn, id Identity, private string) *Session {
	return &Session{server: s, conn: conn, id: id, private: private, since: time.Now(), wakeup: make(chan struct{}, 1)}
}

// Identity returns what the handshake fixed.
func (s *Session) Identity() Identity { return s.id }

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
		s.conn.Close()
		s.wake()
	})
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

// queue appends one encoded message, shared with other sessions, to what is written
// next. A session that is over its bound ends.
func (s *Session) queue(message []byte) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	cfg := &s.server.cfg
	full := len(s.out) >= cfg.QueueMessages || s.bytes+len(message) > cfg.QueueBytes && len(s.out) > 0
	queued, bytes := len(s.out), s.bytes
	first := queued == 0
	if !full {
		s.out = append(s.out, message)
		s.bytes += len(message)
	}
	s.mu.Unlock()
	switch {
	case full:
		s.server.stats.tooSlow.Add(1)
		cfg.Log.Warn("client disconnected: it reads too slowly", "client", s.private, "queued_messages", queued, "queued_bytes", bytes)
		s.end("the client reads too slowly")
	case first:
		s.wake()
	}
}

// write drains the queue, as much at once as the kernel takes, until the session ends.
// The queue's bound counts what is being written too.
func (s *Session) write() {
	var spare [][]byte
	for range s.wakeup {
		for {
			s.mu.Lock()
			batch, ended := s.out, s.ended
			if len(batch) > 0 {
				s.out = spare[:0]
			}
			s.mu.Unlock()
			if ended {
				return
			}
			if len(batch) == 0 {
				break
			}
			size := 0
			for _, m := range batch {
				size += len(m)
			}
			buffers := net.Buffers(batch)
			if _, err := buffers.WriteTo(s.conn); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					s.end(err.Error())
				}
				return
			}
			s.sent.Add(uint64(len(batch)))
			clear(batch)
			spare = batch
			s.mu.Lock()
			s.bytes -= size
			s.mu.Unlock()
		}
	}
}
