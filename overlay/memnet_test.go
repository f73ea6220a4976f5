package overlay

import (
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"
)

// A memNet carries packets between memConns, in a synctest bubble. What is not set for
// a way between two addresses has no delay and loses nothing.
type memNet struct {
	mu    sync.Mutex
	rand  *rand.Rand
	conns map[string]*memConn
	ways  map[[2]string]*memWay
	wg    sync.WaitGroup
	done  chan struct{}
}

// A memWay is one direction between two addresses. Packets keep their order.
type memWay struct {
	delay  time.Duration
	jitter time.Duration // at most, on top of delay
	loss   float64       // 0 to 1
	rate   int           // bytes/s; 0: unlimited
	queue  time.Duration
	cut    bool

	packets, bytes int        // that went out, lost ones included
	neck           *time.Time // when the bottleneck is free; ways of one line share it
	due            time.Time  // of the last packet
	in             chan memPacket
}

type memPacket struct {
	data []byte
	from net.Addr
	due  time.Time
}

func newMemNet(seed uint64) *memNet {
	return &memNet{rand: rand.New(rand.NewPCG(seed, 1)), conns: map[string]*memConn{}, ways: map[[2]string]*memWay{}, done: make(chan struct{})}
}

// close ends the carriers. The bubble ends only after them.
func (n *memNet) close() {
	close(n.done)
	n.wg.Wait()
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

// conn returns a new socket on that address, in place of the last one.
func (n *memNet) conn(addr *net.UDPAddr) *memConn {
	c := &memConn{net: n, addr: addr, in: make(chan memPacket, 1024), closed: make(chan struct{}), moved: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[addr.String()] = c
	return c
}

// wayPackets bounds the packets under way from one address to another.
const wayPackets = 4096

// used returns the ways that ever carried a packet.
func (n *memNet) used() (ways []*memWay) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.ways {
		if w.in != nil {
			ways = append(ways, w)
		}
	}
	return ways
}

// memory returns about how many bytes the ways take.
func (n *memNet) memory() uint64 {
	return uint64(len(n.used())) * wayPackets * uint64(unsafe.Sizeof(memPacket{}))
}

// way returns the way from one address to another. The lock is held.
func (n *memNet) way(from, to string) *memWay {
	w := n.ways[[2]string{from, to}]
	if w == nil {
		w = &memWay{neck: new(time.Time)}
		n.ways[[2]string{from, to}] = w
	}
	return w
}

// carry delivers a way's packets when they are due.
func (n *memNet) carry(w *memWay, to string) {
	for {
		var p memPacket
		select {
		case p = <-w.in:
		case <-n.done:
			return
		}
		if wait := time.Until(p.due); wait > 0 {
			time.Sleep(wait)
		}
		n.mu.Lock()
		c := n.conns[to]
		n.mu.Unlock()
		if c == nil {
			continue
		}
		select {
		case c.in <- p:
		default: // the socket's buffer is full
		}
	}
}

func (c *memConn) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.way(c.addr.String(), to.String())
	w.packets++
	w.bytes += len(b)
	if w.cut || w.loss > 0 && n.rand.Float64() < w.loss {
		return len(b), nil
	}
	now := time.Now()
	due := now.Add(w.delay)
	if w.rate > 0 {
		if w.neck.Before(now) {
			*w.neck = now
		}
		if w.neck.Sub(now) > w.queue {
			return len(b), nil // the bottleneck's queue is full
		}
		*w.neck = w.neck.Add(time.Duration(len(b)) * time.Second / time.Duration(w.rate))
		due = w.neck.Add(w.delay)
	}
	if w.jitter > 0 {
		if due = due.Add(time.Duration(n.rand.Int64N(int64(w.jitter)))); due.Before(w.due) {
			due = w.due
		}
		w.due = due
	}
	if w.in == nil {
		w.in = make(chan memPacket, wayPackets)
		n.wg.Go(func() { n.carry(w, to.String()) })
	}
	select {
	case w.in <- memPacket{slices.Clone(b), c.addr, due}:
	default:
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
