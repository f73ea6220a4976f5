package keys

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v2/packetio"
)

const (
	// maxHandshakeDatagrams bounds what is taken in the clear on one connection; an
	// honest handshake has some ten datagrams, and each may come again a few times.
	maxHandshakeDatagrams = 64
	// connBytes and connPackets bound what waits for one connection to be read.
	connBytes   = 32 << 10
	connPackets = 32
	// maxDatagram is larger than any that the module sends.
	maxDatagram = 8 << 10
)

// A guard lets through, of a connection's datagrams, what may be looked at.
type guard struct {
	established atomic.Bool
	clear       atomic.Int32 // datagrams not wholly sealed so far
	answered    atomic.Bool  // something has come that may be looked at
}

func (g *guard) lets(datagram []byte) bool {
	sealed, ok := harmless(datagram)
	if !ok && g.established.Load() {
		return false
	}
	if !sealed && g.clear.Add(1) > maxHandshakeDatagrams {
		return false
	}
	g.answered.Store(true)
	return true
}

// An outbound connection has a socket of its own.
type outbound struct {
	*net.UDPConn
	guard guard
}

// Read implements net.Conn.
func (c *outbound) Read(b []byte) (int, error) {
	for {
		n, err := c.UDPConn.Read(b)
		if err != nil || c.guard.lets(b[:n]) {
			return n, err
		}
	}
}

// An inbound connection shares the listener's socket.
type inbound struct {
	l      *listener
	remote netip.AddrPort
	guard  guard
	queue  *packetio.Buffer
	born   uint64 // grows with each
	cookie atomic.Pointer[[]byte]
	proven atomic.Bool // it has echoed the cookie
	close  sync.Once
}

func newInbound(l *listener, remote netip.AddrPort, born uint64) *inbound {
	c := &inbound{l: l, remote: remote, queue: packetio.NewBuffer(), born: born}
	c.queue.SetLimitSize(connBytes)
	c.queue.SetLimitCount(connPackets)
	return c
}

// take queues a datagram for Read.
func (c *inbound) take(datagram []byte) {
	if !c.proven.Load() {
		if cookie := c.cookie.Load(); cookie != nil && echoes(datagram, *cookie) {
			c.l.prove(c)
		}
	}
	if c.guard.lets(datagram) {
		c.queue.Write(datagram) //nolint:errcheck // full: lost, as on the wire
	}
}

// Read implements net.Conn.
func (c *inbound) Read(b []byte) (int, error) { return c.queue.Read(b) }

// Write implements net.Conn. It notes the cookie that the remote address must echo.
func (c *inbound) Write(b []byte) (int, error) {
	if c.cookie.Load() == nil {
		if cookie := cookieOf(b); cookie != nil {
			cookie = append([]byte(nil), cookie...)
			c.cookie.Store(&cookie)
		}
	}
	return c.l.conn.WriteToUDPAddrPort(b, c.remote)
}

// Close implements net.Conn.
func (c *inbound) Close() error {
	c.close.Do(func() {
		c.l.remove(c)
		c.queue.Close() //nolint:errcheck // there is nothing to fail
	})
	return nil
}

// LocalAddr implements net.Conn.
func (c *inbound) LocalAddr() net.Addr { return c.l.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *inbound) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.remote) }

// SetDeadline implements net.Conn.
func (c *inbound) SetDeadline(t time.Time) error { return c.queue.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *inbound) SetReadDeadline(t time.Time) error { return c.queue.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn: datagrams leave or are lost.
func (c *inbound) SetWriteDeadline(time.Time) error { return nil }
