package session

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"ringway/internal/spread"
	"ringway/topology"
)

// rules are what [access] says at a time, with the node's defaults. They are never
// changed: a reload makes others.
type rules struct {
	topology.Access
	blockAt, resumeAt mark // of a queue that holds senders back, and lets them go
}

// A mark is a level of a session's queue.
type mark struct{ messages, bytes int }

// What a session that holds senders back has queued before it does: enough to read on
// from while they start again, and little enough to leave room for what is under way.
const (
	blockMessages = 4096
	blockBytes    = 4 << 20
)

func newRules(a topology.Access) *rules {
	if a.Limits.Sessions == 0 {
		a.Limits.Sessions = defaultMaxSessions
	}
	if a.Limits.QueueMessages == 0 {
		a.Limits.QueueMessages = defaultQueueMessages
	}
	if a.Limits.QueueBytes == 0 {
		a.Limits.QueueBytes = defaultQueueBytes
	}
	if a.SlowReader == "" {
		a.SlowReader = topology.Disconnect
	}
	high := mark{min(blockMessages, a.Limits.QueueMessages/4), min(blockBytes, a.Limits.QueueBytes/4)}
	return &rules{Access: a, blockAt: high, resumeAt: mark{high.messages / 2, high.bytes / 2}}
}

// An admission is how a session got in. It is held against the rules again when they
// change.
type admission struct {
	address     netip.Addr // zero: a unix socket
	methods     []string   // that were proved, at least one
	token       topology.Token
	extended    bool // RINGWAY was chosen
	policy      topology.SlowReader
	independent bool // scopes: local messages do not wait for those to other sites
	key         [spread.ResumeKeyBytes]byte
	resumable   bool // key was given
}

// check says why the client may not be here, under these rules.
func (r *rules) check(a *admission, name string) error {
	byAddress := !slices.ContainsFunc(a.methods, func(m string) bool { return m != spread.MethodIP })
	if !r.From(a.address, byAddress) {
		return refused("clients may not connect from %s", addressText(a.address))
	}
	for _, m := range a.methods {
		if !slices.Contains(r.Methods, m) {
			return refused("method %.30q is not offered", m)
		}
		if m != spread.MethodToken {
			continue
		}
		if !slices.ContainsFunc(r.Tokens, func(t topology.Token) bool { return t.Hash == a.token.Hash && t.Admits(name) }) {
			return refused("the token is for no client of the name %q", name)
		}
	}
	return nil
}

func refused(format string, args ...any) error {
	return &spread.CodeError{Code: spread.Refused, Why: fmt.Sprintf(format, args...)}
}

// addressOf returns where a client is; zero: on this machine, at a unix socket.
func addressOf(conn net.Conn) netip.Addr {
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return remote.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return "unix sockets"
	}
	return a.String()
}

// SetAccess puts other rules in force. Sessions that they would not let in any more
// end. What a session has joined stays joined; its next requests are held against the
// new rules.
func (s *Server) SetAccess(a topology.Access) {
	next := newRules(a)
	s.rules.Store(next)
	s.mu.Lock()
	sessions := make([]*Session, 0, len(s.byID))
	for _, session := range s.byID {
		sessions = append(sessions, session)
	}
	s.mu.Unlock()
	for _, session := range sessions {
		if err := next.check(&session.admission, session.id.Name); err != nil {
			s.stats.withdrawn.Add(1)
			s.cfg.Log.Info("client disconnected: access was withdrawn", "client", session.private, "why", err)
			session.end("access was withdrawn: " + err.Error())
		}
	}
}

// limiter returns what bounds a session's joins and leaves; nil: nothing.
func (r *rules) limiter() *rate.Limiter {
	n := r.Limits.JoinsPerSecond
	if n == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(n), n)
}

// pause waits; it ends early with the session.
func (s *Session) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.gone:
	}
}
