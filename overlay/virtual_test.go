package overlay

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

// A memNet carries packets between memConns with a delay, in a synctest bubble.
type memNet struct {
	mu    sync.Mutex
	delay time.Duration
	cut   bool
	conns map[string]*memConn
}

// A memConn is a net.PacketConn on a memNet.
type memConn struct {
	net    *memNet
	addr   *net.UDPAddr
	in     chan memPacket
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when deadline changes
}

type memPacket struct {
	data []byte
	from net.Addr
}

func (n *memNet) conn(addr *net.UDPAddr) *memConn {
	c := &memConn{net: n, addr: addr, in: make(chan memPacket, 4096), closed: make(chan struct{}), moved: make(chan struct{})}
	n.conns[addr.String()] = c
	return c
}

func (c *memConn) WriteTo(b []byte, to net.Addr) (int, error) {
	n := c.net
	n.mu.Lock()
	peer, cut, delay := n.conns[to.String()], n.cut, n.delay
	n.mu.Unlock()
	if peer != nil && !cut {
		p := memPacket{slices.Clone(b), c.addr}
		time.AfterFunc(delay, func() {
			select {
			case peer.in <- p:
			default:
			}
		})
	}
	return len(b), nil
}

func (c *memConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		deadline, moved := c.deadline, c.moved
		c.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case p := <-c.in:
			return copy(b, p.data), p.from, nil
		case <-c.closed:
			return 0, nil, net.ErrClosed
		case <-late:
			return 0, nil, os.ErrDeadlineExceeded
		case <-moved:
		}
	}
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.moved)
	c.moved = make(chan struct{})
	return nil
}

func (c *memConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *memConn) LocalAddr() net.Addr              { return c.addr }
func (c *memConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// In virtual time: hellos measure the path's delay, a cut is noticed within four
// hellos and a round trip, and the link carries records again soon after it heals.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay, interval = 40 * time.Millisecond, 100 * time.Millisecond
		wire := &memNet{delay: delay, conns: map[string]*memConn{}}
		top := &topology.Topology{Name: "test", Timing: topology.Timing{Hello: interval}}
		var gates []*Gateway
		var recs []*recorder
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, name := range []string{"a", "b"} {
			site := &topology.Site{ID: membership.SiteIDOf(name), Name: name}
			addr := &net.UDPAddr{IP: net.IPv4(10, 0, 0, byte(i+1)), Port: 4804}
			site.Nodes = []*topology.Node{{ID: membership.NodeIDOf(name + "-1"), Name: name + "-1", Site: site, Gateway: addr.AddrPort()}}
			top.Sites = append(top.Sites, site)
			wire.conn(addr)
		}
		top.Links = []*topology.Link{{Between: [2]*topology.Site(top.Sites)}}
		for _, site := range top.Sites {
			n := site.Nodes[0]
			id, err := pki.Throwaway("test", site.Name, n.Name)
			if err != nil {
				t.Fatal(err)
			}
			rec := newRecorder()
			conn := wire.conns[net.UDPAddrFromAddrPort(n.Gateway).String()]
			g, err := New(Config{Topology: top, Node: n, Identity: id, Conn: conn, Incarnation: 1, Rand: func() float64 { return 0.5 }}, rec)
			if err != nil {
				t.Fatal(err)
			}
			g.Announce(State{Instance: instanceOf(site.ID), View: testView, Epoch: 1})
			wg.Go(func() {
				if err := g.Run(ctx); err != nil {
					t.Errorf("%s: %v", n.Name, err)
				}
			})
			gates, recs = append(gates, g), append(recs, rec)
		}
		a, b := gates[0], recs[1]
		site := membership.SiteIDOf("a")
		until := func(what string, limit time.Duration, ok func() bool) time.Duration {
			t.Helper()
			began := time.Now()
			for !ok() {
				if time.Since(began) > limit {
					t.Fatalf("%s: not within %v: %+v", what, limit, gates[1].Status())
				}
				time.Sleep(time.Millisecond) // virtual
			}
			return time.Since(began)
		}
		until("first contact", 2*time.Second, func() bool { return b.reaches(site) })
		gates[1].Pull([]Position{{Log: logOf("a")}})
		a.Append(logOf("a"), entries(0, 10, 100, "b"))
		until("records", time.Second, func() bool { return len(b.got(logOf("a"))) == 10 })
		time.Sleep(10 * time.Minute) // virtual; advertisements are repeated just now
		l := a.Status().Links[0]
		if l.State != LinkUp || l.Downs != 0 || l.RTT < 2*delay || l.RTT > 2*delay+time.Millisecond || l.LossPPM != 0 {
			t.Errorf("after calm: %+v", l)
		}
		wire.mu.Lock()
		wire.cut = true
		wire.mu.Unlock()
		if took := until("cut noticed", time.Second, func() bool { return !b.reaches(site) }); took > 5*interval+2*delay+50*time.Millisecond {
			t.Errorf("the cut is noticed after %v", took)
		}
		a.Append(logOf("a"), entries(10, 10, 100, "b"))
		time.Sleep(10 * time.Second) // virtual
		wire.mu.Lock()
		wire.cut = false
		wire.mu.Unlock()
		took := until("records after the cut", 30*time.Second, func() bool { return len(b.got(logOf("a"))) == 20 })
		t.Logf("records come %v after the cut heals", took)
		if got := b.got(logOf("a")); !slices.Equal(got, upTo(20, 1)) {
			t.Errorf("records %v", got)
		}
		cancel()
		wg.Wait()
	})
}
