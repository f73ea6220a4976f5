package keys

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/pion/dtls/v2"
)

// keptSessions bounds the sessions with one peer: a few may come about at once, and a
// new one lives beside the one that it replaces for a while.
const keptSessions = 3

// A session is a DTLS connection with a peer that has shown its certificate. What is not
// constant belongs to the Exchange's lock.
type session struct {
	e      *Exchange
	peer   *peer
	conn   *dtls.Conn
	cert   *x509.Certificate
	number uint64
	shown  uint64 // which of this node's certificates the peer saw, see Exchange.showing
	dialed bool
	tell   chan struct{} // capacity one: tell the share now
	heard  time.Time
	acked  uint32 // highest epoch of this node's share that the peer has
}

func (s *session) tellNow() {
	select {
	case s.tell <- struct{}{}:
	default:
	}
}

// dial makes a session with a peer, and stays until it has ended.
func (e *Exchange) dial(ctx context.Context, p *peer) {
	from := &net.UDPAddr{IP: e.cfg.Address.Addr().AsSlice(), Zone: e.cfg.Address.Addr().Zone()}
	socket, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(Port(p.node.Address)))
	if err != nil {
		e.dialFailed(p, err)
		return
	}
	c := &outbound{UDPConn: socket}
	handshake, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	shown := e.showing()
	conn, err := dtls.ClientWithContext(handshake, c, dtlsConfig(e.cfg.Identity, func(der []byte) error {
		return e.cfg.Identity.CheckPeer(der, e.cfg.Site, p.node.Name)
	}))
	if err != nil {
		socket.Close()
		if ctx.Err() == nil {
			e.dialFailed(p, err)
		}
		return
	}
	c.guard.established.Store(true)
	// The next attempt, if there must be one, is keepUp's: the session has its own life.
	e.l.wg.Add(1)
	go func() {
		defer e.l.wg.Done()
		e.talk(ctx, &session{peer: p, conn: conn, shown: shown, dialed: true})
	}()
}

// dialFailed counts, and says why unless the peer is just not there.
func (e *Exchange) dialFailed(p *peer, err error) {
	e.stats.dialsFailed.Add(1)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		return
	}
	e.complain("dial "+p.node.Name, "no keys from a node of this site", "peer", p.node.Name, "error", err)
}

// accept shakes hands with whoever has sent a hello.
func (e *Exchange) accept(ctx context.Context, c *inbound) {
	handshake, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	var refused error
	shown := e.showing()
	conn, err := dtls.ServerWithContext(handshake, c, dtlsConfig(e.cfg.Identity, func(der []byte) error {
		_, refused = e.nodeOf(der)
		return refused
	}))
	if err != nil {
		if c.proven.Load() && ctx.Err() == nil {
			e.stats.handshakeFailed.Add(1)
			if refused != nil {
				e.stats.refused.Add(1)
				err = refused
			}
			e.complain(fmt.Sprintf("accept %v %s", c.remote.Addr(), rootOf(err)), "a handshake for the ring's keys failed", "from", c.remote.String(), "error", err)
		}
		return
	}
	c.guard.established.Store(true)
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		conn.Close() //nolint:errcheck // it ends in any case
		return
	}
	p, err := e.nodeOf(certs[0])
	if err != nil {
		conn.Close() //nolint:errcheck // it ends in any case
		return
	}
	e.talk(ctx, &session{peer: p, conn: conn, shown: shown})
}

// rootOf returns the text of an error's innermost cause, which is one of few.
func rootOf(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return fmt.Sprintf("%.60s", err.Error())
		}
		err = next
	}
}

// talk tells and learns shares until the session ends.
func (e *Exchange) talk(ctx context.Context, s *session) {
	defer s.conn.Close() //nolint:errcheck // it ends in any case
	certs := s.conn.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return
	}
	cert, err := x509.ParseCertificate(certs[0])
	if err != nil {
		return
	}
	s.e, s.cert, s.tell, s.heard = e, cert, make(chan struct{}, 1), time.Now()
	e.add(s)
	defer e.drop(s)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		s.listen()
	}()
	s.speak(ctx, listening)
	s.conn.Close() //nolint:errcheck // so that listen ends
	<-listening
}

// add notes a new session; the oldest ones beyond keptSessions end.
func (e *Exchange) add(s *session) {
	e.stats.sessions.Add(1)
	e.mu.Lock()
	e.numbered++
	s.number = e.numbered
	p := s.peer
	p.sessions = append(p.sessions, s)
	p.cert = s.cert
	p.renew = s.shown != e.shown // begun before the certificate changed
	var surplus []*session
	if n := len(p.sessions) - keptSessions; n > 0 {
		surplus = slices.Clone(p.sessions[:n])
	}
	e.mu.Unlock()
	for _, old := range surplus {
		old.conn.Close() //nolint:errcheck // it ends in any case
	}
	e.notify()
}

// drop forgets a session that has ended. The peer's certificate is that of the newest one
// that is left: a handshake that was slow may have shown an older one than those before it.
func (e *Exchange) drop(s *session) {
	e.mu.Lock()
	p := s.peer
	p.sessions = slices.DeleteFunc(p.sessions, func(o *session) bool { return o == s })
	alone := len(p.sessions) == 0
	if !alone {
		p.cert = p.sessions[len(p.sessions)-1].cert
	}
	e.mu.Unlock()
	if alone {
		e.Meet(s.peer.node.ID)
	}
	e.notify()
}

// speak tells this node's share until it is acknowledged, and again from time to time.
func (s *session) speak(ctx context.Context, listening <-chan struct{}) {
	var b [shareBytes]byte
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.tell:
		case <-listening:
			return
		case <-ctx.Done():
			return
		}
		share, ok := s.e.cfg.Keyring.ShareFor(s.peer.node.ID)
		if !ok {
			return
		}
		if _, err := s.conn.Write(appendMessage(b[:0], &message{kind: kindShare, share: share})); err != nil && errors.Is(err, dtls.ErrConnClosed) {
			return
		}
		s.e.mu.Lock()
		acked, heard, surplus := s.acked >= share.Epoch, s.heard, s.surplus()
		s.e.mu.Unlock()
		if surplus || time.Since(heard) > silence {
			return
		}
		pause := tellEvery
		if acked {
			pause = aliveEvery
		}
		timer.Reset(pause)
	}
}

// surplus says whether a session is one too many. One that this node has dialled is, if it
// has dialled a newer one, or there is one that the peer has dialled, whose id is lower. So of
// each pair one is left, and no two nodes end one each. One that shows a certificate that this
// node does not use any more is, whoever has dialled it, if another shows the present one: its
// handshake may have been the last to end at the peer, who then believes the old one the newest.
func (s *session) surplus() bool {
	return slices.ContainsFunc(s.peer.sessions, func(o *session) bool {
		if o.acked == 0 || time.Since(o.heard) > 2*aliveEvery {
			return false
		}
		if s.shown < o.shown {
			return true
		}
		return s.dialed && s.shown == o.shown && (o.dialed && o.number > s.number || !o.dialed && s.peer.node.ID < s.e.cfg.Self)
	})
}

// listen learns the peer's shares until the connection ends.
func (s *session) listen() {
	b := make([]byte, maxMessage)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			return
		}
		m, ok := parseMessage(b[:n])
		if !ok {
			s.e.stats.nonsense.Add(1)
			s.e.complain("nonsense "+s.peer.node.Name, "a node of this site sends what is no share of keys", "peer", s.peer.node.Name)
			return
		}
		switch m.kind {
		case kindAck:
			s.e.acknowledged(s, &m)
		case kindShare:
			if !s.e.learn(s, &m) {
				continue
			}
			if _, err := s.conn.Write(appendMessage(nil, &message{kind: kindAck, share: m.share})); err != nil && errors.Is(err, dtls.ErrConnClosed) {
				return
			}
		}
		clear(b[:n])
	}
}

// acknowledged notes that the peer has this node's share.
func (e *Exchange) acknowledged(s *session, m *message) {
	share, ok := e.cfg.Keyring.ShareFor(s.peer.node.ID)
	if !ok || m.share.Boot != share.Boot {
		return
	}
	e.mu.Lock()
	s.heard = time.Now()
	fresh := m.share.Epoch > s.acked
	s.acked = max(s.acked, m.share.Epoch)
	e.mu.Unlock()
	if fresh {
		e.notify()
	}
}

// learn takes a share, and says whether to acknowledge it. Of two lives of a node, the
// one whose session is newer is the present one.
func (e *Exchange) learn(s *session, m *message) bool {
	e.mu.Lock()
	p := s.peer
	s.heard = time.Now()
	newest := len(p.sessions) > 0 && p.sessions[len(p.sessions)-1] == s
	if !slices.Contains(p.sessions, s) || m.share.Boot != p.boot && p.boot != 0 && !newest {
		e.mu.Unlock()
		return false
	}
	p.boot = m.share.Boot
	// Under the lock, so that a peer that is being forgotten is not learnt again.
	learnt := e.cfg.Keyring.Learn(p.node.ID, &m.share)
	e.mu.Unlock()
	if learnt {
		e.stats.learnt.Add(1)
		e.log.Debug("learnt a node's keys", "peer", p.node.Name, "epoch", m.share.Epoch)
		e.notify()
	}
	return true
}
