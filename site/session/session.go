package session

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ringway/internal/spread"
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
	verdict []byte // its answer: goes out before anything else

	received, sent atomic.Uint64
	endOnce        sync.Once

	mu       sync.Mutex // guards what follows
	out      [][]byte
	queued   int // messages in out and being written, but for those of membership
	bytes    int // of all
	draining bool
	ended    bool
	why      string
	wakeup   chan struct{} // capacity one: there is something to write, or an end
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

// nodeStops is why sessions end with their node.
const nodeStops = "the node stops"

// drain ends the session when what is queued has gone out.
func (s *Session) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.wake()
}

// queue appends one encoded message, shared with other sessions, to what is written
// next. A session that is over its bound ends. What is being written counts, but a
// message that is alone behind it is let in whatever its size. Views and signals count
// by their bytes only: one change of the network makes as many as the session is in
// groups, and that is not its fault.
func (s *Session) queue(message []byte) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	cfg := &s.server.cfg
	queued, bytes, first := s.queued, s.bytes, len(s.out) == 0
	full := queued >= cfg.QueueMessages && counts(message) == 1 || bytes+len(message) > cfg.QueueBytes && !first
	if !full {
		s.out = append(s.out, message)
		s.queued += counts(message)
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

// counts is how much an encoded message takes of QueueMessages.
func counts(message []byte) int {
	const aboutMembership = spread.Membership | spread.TypeByLeave
	if binary.LittleEndian.Uint32(message)&aboutMembership != 0 {
		return 0
	}
	return 1
}

// Bounds of one write. What it took counts no more afterwards, so a client that reads
// is not held to what it was sent long ago.
const (
	writeMessages = 1024    // the most that the kernel gathers at once
	writeBytes    = 1 << 20 // or one message
)

// write drains the queue until the session ends.
func (s *Session) write() {
	if _, err := s.conn.Write(s.verdict); err != nil {
		s.end(err.Error())
		return
	}
	s.verdict = nil
	w := writer{session: s}
	for range s.wakeup {
		for {
			batch, ok := s.take(w.spare)
			if !ok {
				return
			}
			if len(batch) == 0 {
				break
			}
			if err := w.write(batch); err != nil {
				s.end(err.Error())
				return
			}
			clear(batch)
			w.spare = nil
			if cap(batch) <= 2*writeMessages {
				w.spare = batch[:0]
			}
		}
	}
}

// take returns what is queued and leaves spare, which is empty, in its place. It
// returns false when the session has ended, which it does here when it has drained.
func (s *Session) take(spare [][]byte) (batch [][]byte, ok bool) {
	s.mu.Lock()
	batch = s.out
	if len(batch) > 0 {
		s.out = spare
	}
	ended, drained := s.ended, s.draining && len(batch) == 0
	s.mu.Unlock()
	if drained {
		s.end(nodeStops)
	}
	return batch, !ended && !drained
}

// A writer gathers messages into writes. It belongs to a session's writing goroutine.
type writer struct {
	session *Session
	spare   [][]byte    // memory for the next queue
	rest    net.Buffers // a field so that a write allocates nothing
}

// write writes a batch, as much at once as the bounds allow.
func (w *writer) write(batch [][]byte) error {
	s := w.session
	for len(batch) > 0 {
		n, size, counted := 0, 0, 0
		for n < len(batch) && n < writeMessages && (n == 0 || size+len(batch[n]) <= writeBytes) {
			size += len(batch[n])
			counted += counts(batch[n])
			n++
		}
		w.rest = batch[:n]
		if _, err := w.rest.WriteTo(s.conn); err != nil {
			return err
		}
		batch = batch[n:]
		s.sent.Add(uint64(n))
		s.server.stats.sent.Add(uint64(n))
		s.mu.Lock()
		s.queued -= counted
		s.bytes -= size
		s.mu.Unlock()
	}
	return nil
}
