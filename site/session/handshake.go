package session

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
)

// accept takes a connection through its handshake and makes it a session. Whatever
// arrived behind the handshake is the session's first input.
func (s *Server) accept(conn net.Conn) (*Session, error) {
	if err := conn.SetDeadline(time.Now().Add(s.handshakeTime())); err != nil {
		return nil, err
	}
	if err := s.admit(); err != nil {
		return nil, s.refuse(conn, err)
	}
	in := handshakeReader{conn: conn}
	hello, err := in.hello()
	if err != nil {
		return nil, s.refuse(conn, err)
	}
	id, err := s.take(&hello)
	if err != nil {
		return nil, s.refuse(conn, err)
	}
	large, err := s.authenticate(conn, &in, &hello)
	if err != nil {
		s.giveBack(hello.Name)
		return nil, s.refuse(conn, err)
	}
	private := spread.PrivateGroup(hello.Name, s.cfg.NodeName)
	session := newSession(s, conn, Identity{ID: id, Name: hello.Name, Membership: hello.Membership, Version: hello.Version}, private)
	session.large, session.in = large, in.rest
	// The session must be known before the client hears that it is accepted: its
	// first request may follow at once. So its writer begins with the verdict.
	session.verdict = spread.AppendVerdict(nil, &hello, private)
	if !s.enlist(session) {
		s.giveBack(hello.Name)
		return nil, errors.New("the node stops")
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		session.end(err.Error())
	}
	return session, nil
}

// refuse answers with the error's code, if it has one.
func (s *Server) refuse(conn net.Conn, err error) error {
	var refusal *spread.CodeError
	if errors.As(err, &refusal) {
		if _, werr := conn.Write(spread.AppendRefusal(nil, refusal.Code)); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}

// authenticate lets the client choose a method. Versions before 3.16 choose none: they
// need NULL to be offered.
func (s *Server) authenticate(conn net.Conn, in *handshakeReader, hello *spread.Hello) (large bool, err error) {
	if !hello.Chooses() {
		if !slices.Contains(s.cfg.Methods, spread.MethodNull) {
			return false, &spread.CodeError{Code: spread.Refused, Why: "the client's version cannot authenticate itself"}
		}
		return false, nil
	}
	if _, err := conn.Write(spread.AppendMethods(nil, s.cfg.Methods)); err != nil {
		return false, err
	}
	choice, err := in.take(spread.ChoiceBytes)
	if err != nil {
		return false, err
	}
	real := 0
	for _, m := range spread.ParseChoice(choice) {
		switch {
		case m == spread.MethodRingway:
			large = true
		case slices.Contains(s.cfg.Methods, m):
			real++
		default:
			return false, &spread.CodeError{Code: spread.Refused, Why: fmt.Sprintf("method %.30q is not offered", m)}
		}
	}
	if real == 0 {
		return false, &spread.CodeError{Code: spread.Refused, Why: "no authentication method was chosen"}
	}
	return large, nil
}

// maxHandshakeBytes is what a client may send before it is accepted: its handshake,
// and whatever it sends ahead.
const maxHandshakeBytes = 4096

// A handshakeReader collects a handshake in however many pieces it comes.
type handshakeReader struct {
	conn net.Conn
	rest []byte // arrived and not taken
}

// more reads once.
func (r *handshakeReader) more() error {
	if len(r.rest) >= maxHandshakeBytes {
		return errors.New("too much before the session was accepted")
	}
	buffer := make([]byte, 512)
	n, err := r.conn.Read(buffer)
	r.rest = append(r.rest, buffer[:n]...)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return fmt.Errorf("in the handshake: %w", err)
}

func (r *handshakeReader) hello() (spread.Hello, error) {
	for {
		hello, n, err := spread.ParseHello(r.rest)
		if !errors.Is(err, spread.ErrMore) {
			r.rest = r.rest[n:]
			return hello, err
		}
		if err := r.more(); err != nil {
			return hello, err
		}
	}
}

func (r *handshakeReader) take(n int) ([]byte, error) {
	for len(r.rest) < n {
		if err := r.more(); err != nil {
			return nil, err
		}
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken, nil
}

// take reserves the client's name, or invents one, and makes its id.
func (s *Server) take(hello *spread.Hello) (membership.ClientID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.full(); err != nil {
		return membership.ClientID{}, err
	}
	s.counter++
	if hello.Name == "" {
		for {
			hello.Name = fmt.Sprintf("r%d-%d", s.counter%9999, s.counter/9999%1000)
			if _, taken := s.names[hello.Name]; !taken {
				break
			}
			s.counter++
		}
	}
	if _, taken := s.names[hello.Name]; taken {
		return membership.ClientID{}, &spread.CodeError{Code: spread.NameInUse, Why: fmt.Sprintf("name %q is in use", hello.Name)}
	}
	id := membership.ClientID{Node: s.cfg.Node, Session: s.cfg.Boot<<32 | s.counter&0xffffffff}
	s.names[hello.Name] = id
	return id, nil
}

func (s *Server) giveBack(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, name)
}

// handshakeTime says how long a new connection's handshake may take.
func (s *Server) handshakeTime() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > maxHandshakes/2 {
		return min(s.cfg.HandshakeTimeout, hastyHandshake)
	}
	return s.cfg.HandshakeTimeout
}

// admit refuses a connection, before it has said anything, if the node is full.
func (s *Server) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full()
}

// full refuses a further session, with the lock held. What counts are names: sessions,
// handshakes that have chosen one, and departures that are not through the ring yet.
func (s *Server) full() error {
	if n := len(s.names); n >= s.cfg.MaxSessions {
		return &spread.CodeError{Code: spread.TooManySessions, Why: fmt.Sprintf("%d sessions, at most %d", n, s.cfg.MaxSessions)}
	}
	return nil
}

// enlist makes the session known to Deliver and to the backend.
func (s *Server) enlist(session *Session) bool {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.byID[session.id.ID] = session
		s.released[session.id.ID] = session.id.Name
	}
	s.mu.Unlock()
	if closed {
		return false
	}
	s.stats.accepted.Add(1)
	s.backend.Connect(session)
	return true
}

// forget is the end of a session: Deliver does not find it any more.
func (s *Server) forget(session *Session) {
	s.mu.Lock()
	delete(s.byID, session.id.ID)
	s.mu.Unlock()
	s.stats.ended.Add(1)
	s.backend.Disconnect(session)
}
