package keys

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits of a listener.
const (
	// pendingMax is how many connections may be there that have not echoed a cookie;
	// beyond it the oldest gives way. On a LAN a cookie is echoed in a millisecond.
	pendingMax = 128
	// verifiedMax is how many handshakes with addresses that answer may be under way for
	// each node of the site, and keptMax how many connections in all for each.
	verifiedMax = 2
	keptMax     = 6
	// hellosPerSecond and hellosBurst limit what each node's address may begin. Nodes
	// begin four times a second at most.
	hellosPerSecond = 20
	hellosBurst     = 40
	// readPause is between a read that failed and the next: an error may stay for long (no
	// memory), and must not take a core.
	readPause = 10 * time.Millisecond
)

// A listener tells apart who sends to the one socket.
type listener struct {
	conn    *net.UDPConn
	stats   *stats
	serve   func(*inbound) // in a goroutine of its own
	wg      sync.WaitGroup
	mu      sync.Mutex
	nodes   int
	limits  map[netip.Addr]*rate.Limiter // of the site's addresses
	conns   map[netip.AddrPort]*inbound
	born    uint64
	pending int // not proven
	closed  bool
}

func listen(address netip.AddrPort, nodes []Node, s *stats) (*listener, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn, stats: s, nodes: len(nodes), limits: map[netip.Addr]*rate.Limiter{}, conns: map[netip.AddrPort]*inbound{}}
	perAddress := map[netip.Addr]int{}
	for _, n := range nodes {
		perAddress[host(n.Address.Addr())]++
	}
	for address, n := range perAddress {
		l.limits[address] = rate.NewLimiter(rate.Limit(hellosPerSecond*n), hellosBurst*n)
	}
	return l, nil
}

// host makes addresses of machines comparable. Source addresses on loopback are not those
// that nodes listen on: any of them may be any.
func host(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if a.IsLoopback() {
		return netip.IPv6Loopback()
	}
	return a
}

// run reads until the socket is closed.
func (l *listener) run() {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // an answer to what was sent to somebody who is gone
			l.stats.readErrors.Add(1)
			if l.isClosed() {
				return
			}
			time.Sleep(readPause)
		default:
			l.datagram(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n])
		}
	}
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// datagram gives a datagram to its connection, or begins one.
func (l *listener) datagram(from netip.AddrPort, b []byte) {
	limit, known := l.limits[host(from.Addr())]
	if !known {
		l.stats.strangers.Add(1)
		return
	}
	l.mu.Lock()
	c := l.conns[from]
	l.mu.Unlock()
	if c == nil {
		if !isHello(b) {
			l.stats.nonsense.Add(1)
			return
		}
		if !limit.Allow() {
			l.stats.limited.Add(1)
			return
		}
		if c = l.begin(from); c == nil {
			return
		}
	}
	c.take(b)
}

// begin makes a place for a connection; the oldest that has not proven itself gives way.
func (l *listener) begin(from netip.AddrPort) *inbound {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	var oldest *inbound
	if l.pending >= pendingMax {
		for _, c := range l.conns {
			if !c.proven.Load() && (oldest == nil || c.born < oldest.born) {
				oldest = c
			}
		}
	}
	l.born++
	c := newInbound(l, from, l.born)
	l.conns[from] = c
	l.pending++
	l.wg.Add(1)
	l.mu.Unlock()
	if oldest != nil {
		l.stats.displaced.Add(1)
		oldest.Close() //nolint:errcheck // it cannot fail
	}
	go func() {
		defer l.wg.Done()
		defer c.Close() //nolint:errcheck // it cannot fail
		patience := time.AfterFunc(cookieTime, func() {
			if !c.proven.Load() {
				c.Close() //nolint:errcheck // it cannot fail
			}
		})
		defer patience.Stop()
		l.serve(c)
	}()
	return c
}

// prove takes a connection for one whose address is real, if there is room for it.
func (l *listener) prove(c *inbound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.remote] != c {
		return
	}
	verified := 0
	for _, other := range l.conns {
		if other.proven.Load() && !other.guard.established.Load() {
			verified++
		}
	}
	if verified >= verifiedMax*(l.nodes+1) || len(l.conns)-l.pending >= keptMax*(l.nodes+1) {
		l.stats.crowded.Add(1)
		return
	}
	l.pending--
	c.proven.Store(true)
}

func (l *listener) remove(c *inbound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.remote] != c {
		return
	}
	delete(l.conns, c.remote)
	if !c.proven.Load() {
		l.pending--
	}
}

// close ends all connections and waits for their goroutines.
func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	conns := make([]*inbound, 0, len(l.conns))
	for _, c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.Close() //nolint:errcheck // it cannot fail
	}
	l.conn.Close() //nolint:errcheck // the process ends
	l.wg.Wait()
}
