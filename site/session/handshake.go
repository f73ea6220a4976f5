package session

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"ringway/internal/spread"
	"ringway/topology"
)

// errStops ends the handshakes of a node that stops.
var errStops = errors.New(nodeStops)

// accept takes a connection through its handshake and makes it a session. Whatever
// arrived behind the handshake is the session's first input.
func (s *Server) accept(conn net.Conn) (*Session, error) {
	// One deadline for all stages: who sends a byte now and then gains nothing.
	if err := conn.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	a := admission{address: addressOf(conn)}
	if err := s.admit(a.address); err != nil {
		return nil, s.refuse(conn, err)
	}
	in := handshakeReader{conn: conn}
	hello, err := in.hello()
	if err == nil {
		err = s.precheck(&hello)
	}
	if err == nil {
		err = s.authenticate(conn, &in, &hello, &a)
	}
	if err != nil {
		return nil, s.refuse(conn, err)
	}
	id, err := s.take(&hello, &a)
	if err != nil {
		return nil, s.refuse(conn, err)
	}
	private := spread.PrivateGroup(hello.Name, s.cfg.NodeName)
	session := newSession(s, conn, Identity{ID: id, Name: hello.Name, Membership: hello.Membership, Version: hello.Version}, private)
	session.admission, session.in = a, slices.Clip(in.rest)
	// The session must be known before the client hears that it is accepted: its
	// first request may follow at once. So its writer begins with the verdict.
	session.verdict = spread.AppendVerdict(nil, &hello, private)
	if err := s.enlist(session); err != nil {
		return nil, s.refuse(conn, err)
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
		linger(conn)
	}
	return err
}

// lingerTime is how long a client that was refused may take to hang up.
const lingerTime = time.Second

// linger lets a refusal arrive. A node that is full refuses before it reads anything, and
// a socket that is closed with input unread resets the connection: the client's system
// then throws the answer away with it.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || conn.SetDeadline(time.Now().Add(lingerTime)) != nil || half.CloseWrite() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxHandshakeBytes)) // for its end only
}

// authenticate lets the client choose methods, and holds it to them. Versions before
// 3.16 choose none: their address must do, or NULL be offered.
func (s *Server) authenticate(conn net.Conn, in *handshakeReader, hello *spread.Hello, a *admission) error {
	rules := s.rules.Load()
	a.policy = rules.SlowReader
	if !hello.Chooses() {
		a.methods = []string{spread.MethodNull}
		if slices.Contains(rules.Methods, spread.MethodIP) {
			a.methods = []string{spread.MethodIP}
		}
		return rules.check(a, hello.Name)
	}
	if _, err := conn.Write(spread.AppendMethods(nil, rules.Methods)); err != nil {
		return err
	}
	choice, err := in.take(spread.ChoiceBytes)
	if err != nil {
		return err
	}
	if err := a.choose(spread.ParseChoice(choice), rules); err != nil {
		return err
	}
	if slices.Contains(a.methods, spread.MethodToken) {
		if err := a.show(in, rules); err != nil {
			return err
		}
	}
	if a.resumable {
		key, err := in.take(spread.ResumeKeyBytes)
		if err != nil {
			return err
		}
		a.key = [spread.ResumeKeyBytes]byte(key)
	}
	return rules.check(a, hello.Name)
}

// choose notes what a choice asks for.
func (a *admission) choose(methods []string, rules *rules) error {
	for _, m := range methods {
		extras, extended := spread.ParseRingway(m)
		switch {
		case extended:
			a.extended, a.independent = true, extras.IndependentScopes
			if extras.Policy != "" {
				a.policy = topology.SlowReader(extras.Policy)
			}
		case m == spread.MethodResume:
			a.resumable = true
		case !slices.Contains(rules.Methods, m):
			return refused("method %.30q is not offered", m)
		case !slices.Contains(a.methods, m): // once is enough
			a.methods = append(a.methods, m)
		}
	}
	switch {
	case len(a.methods) == 0:
		return refused("no authentication method was chosen")
	case a.policy == topology.Block && rules.BlockTime == 0:
		return refused("no session may hold senders back")
	}
	return nil
}

// show takes the client's token.
func (a *admission) show(in *handshakeReader, rules *rules) error {
	secret, err := in.token()
	if err != nil {
		return err
	}
	token, ok := rules.TokenOf(secret)
	if !ok {
		return refused("the token is not known")
	}
	a.token = token
	return nil
}

// maxHandshakeBytes is what a client may send before it is accepted: its handshake, with
// the largest token, and whatever it sends ahead.
const maxHandshakeBytes = 4096 + spread.MaxTokenBytes

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
	var buffer [512]byte
	n, err := r.conn.Read(buffer[:])
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

func (r *handshakeReader) token() ([]byte, error) {
	for {
		token, n, err := spread.ParseToken(r.rest)
		if !errors.Is(err, spread.ErrMore) {
			r.rest = r.rest[n:]
			return token, err
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// enlist makes the session known to Deliver and to the backend. The rules may have
// changed while the client proved itself or waited for its name: SetAccess does not see
// who is in a handshake, so the newest are asked here, under the lock that it takes after
// it has put others in force.
func (s *Server) enlist(session *Session) error {
	s.mu.Lock()
	err := s.rules.Load().check(&session.admission, session.id.Name)
	if s.closed {
		err = errStops
	}
	if err == nil {
		s.byID[session.id.ID] = session
	}
	s.mu.Unlock()
	if err != nil {
		s.backOut(session)
		return err
	}
	s.stats.accepted.Add(1)
	s.backend.Connect(session)
	return nil
}

// backOut undoes take for a session that never was.
func (s *Server) backOut(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names.left(session.admission.address)
	s.names.free(session.id.ID)
}

// forget is the end of a session: Deliver does not find it any more.
func (s *Server) forget(session *Session) {
	s.mu.Lock()
	delete(s.byID, session.id.ID)
	s.names.left(session.admission.address)
	s.mu.Unlock()
	s.stats.ended.Add(1)
	s.backend.Disconnect(session)
}
