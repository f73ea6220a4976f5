package session

import (
	"crypto/tls"
	"net"
)

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
	copied  []byte      // for connections that cannot gather
}

// copyBytes is what goes into one write, or record, of a connection that cannot gather.
const copyBytes = 16 << 10

// gather writes messages at once.
func (w *writer) gather(messages [][]byte) error {
	conn := w.session.conn
	if _, secure := conn.(*tls.Conn); !secure {
		w.rest = messages
		_, err := w.rest.WriteTo(conn)
		return err
	}
	for i, m := range messages {
		if w.copied = append(w.copied, m...); len(w.copied) < copyBytes && i < len(messages)-1 {
			continue
		}
		if _, err := conn.Write(w.copied); err != nil {
			return err
		}
		if w.copied = w.copied[:0]; cap(w.copied) > 4*copyBytes {
			w.copied = nil
		}
	}
	return nil
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
		if err := w.gather(batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
		s.sent.Add(uint64(n))
		s.server.stats.sent.Add(uint64(n))
		s.written(counted, size)
	}
	return nil
}
