package lostpeer

import (
	"crypto/tls"
	"net"
	"time"
)

// Times of noticing.
const (
	// Interval is how often a connection is to be looked at.
	Interval = 5 * time.Second
	// Patience is how long nothing may be acknowledged: longer than a wireless network, a
	// route or a virtual machine takes to come back from a move.
	Patience = 15 * time.Second
	// Bound is how long a lost host that something is sent to goes unnoticed, at most:
	// the look before L1 holds, the patience, and the look after it.
	Bound = Patience + 2*Interval
)

// KeepAlive is for idle connections: a host that is gone is noticed in half a minute.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// A Watch judges one connection. Its zero value is ready; it is for one goroutine at a
// time.
type Watch struct {
	since time.Time // of the look that saw L1 first; zero: all is well
}

// A state is what the kernel says about a connection.
type state struct {
	repeated bool          // L1
	quiet    time.Duration // since something was acknowledged
}

// Look looks at a connection, and says whether its peer is lost. Connections other than
// TCP, bare or within TLS, have no host to lose.
func (w *Watch) Look(conn net.Conn, now time.Time) (lost bool) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	s, ok := look(tcp)
	return ok && w.judge(s, now)
}

// Calm says that the last look saw nothing wrong: a connection to which nothing was sent
// since then need not be looked at.
func (w *Watch) Calm() bool { return w.since.IsZero() }

func (w *Watch) judge(s state, now time.Time) (lost bool) {
	switch {
	case !s.repeated:
		w.since = time.Time{}
	case w.since.IsZero() || now.Add(-s.quiet).After(w.since):
		w.since = now
	default:
		return now.Sub(w.since) >= Patience-Interval/2 // looks are a little early or late
	}
	return false
}
