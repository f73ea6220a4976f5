package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxClients bounds the sockets of a relay. A gateway uses one; a restarted one comes
// from another port. When there is no room, the client that was silent longest goes.
const maxClients = 16

// socketBuffer holds what comes while the machine is busy.
const socketBuffer = 4 << 20

// maxDatagram is the largest UDP datagram.
const maxDatagram = 64 << 10

// A Relay is an emulated link. It is safe for concurrent use.
type Relay struct {
	listen  *net.UDPConn
	target  netip.AddrPort
	started time.Time
	forward *pipe
	back    *pipe
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	clients map[netip.AddrPort]*client
}

// A client is who sends to the relay's listening socket.
type client struct {
	conn *net.UDPConn // to the target
	used time.Time
}

// Stats counts packets in both directions together.
type Stats struct {
	Carried uint64
	Dropped uint64 // lost, cut, over the rate, or refused by the receiver
}

// New starts a relay on an address (127.0.0.1:0 picks a port) to a target. The seed
// makes its losses and jitter repeatable.
func New(listen string, target netip.AddrPort, profile Profile, seed uint64) (*Relay, error) {
	address, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	conn, err := net.ListenUDP("udp", address)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	enlarge(conn)
	ctx, cancel := context.WithCancel(context.Background())
	r := &Relay{listen: conn, target: target, started: time.Now(), stop: cancel, clients: map[netip.AddrPort]*client{}}
	r.forward = newPipe(newPath(profile, rand.New(rand.NewPCG(seed, 1))), r.now)
	r.back = newPipe(newPath(profile, rand.New(rand.NewPCG(seed, 2))), r.now)
	r.running.Go(func() { r.forward.run(ctx) })
	r.running.Go(func() { r.back.run(ctx) })
	r.running.Go(r.readClients)
	return r, nil
}

// enlarge asks for large socket buffers; the kernel gives what it allows.
func enlarge(conn *net.UDPConn) {
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
}

func (r *Relay) now() time.Duration { return time.Since(r.started) }

// Addr returns where clients reach the target through the relay.
func (r *Relay) Addr() netip.AddrPort {
	return r.listen.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Set changes both directions for packets that come from now on.
func (r *Relay) Set(profile Profile) {
	r.forward.set(profile)
	r.back.set(profile)
}

// SetDown cuts the link, or heals it.
func (r *Relay) SetDown(down bool) {
	r.forward.down.Store(down)
	r.back.down.Store(down)
}

// Stats returns what the relay counted.
func (r *Relay) Stats() Stats {
	return Stats{
		Carried: r.forward.carried.Load() + r.back.carried.Load(),
		Dropped: r.forward.dropped.Load() + r.back.dropped.Load(),
	}
}

// Close ends the relay and waits for its goroutines.
func (r *Relay) Close() {
	r.stop()
	r.listen.Close()
	r.mu.Lock()
	r.closed = true
	for _, c := range r.clients {
		c.conn.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// readClients takes packets for the target.
func (r *Relay) readClients() {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := r.listen.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if gone(err) {
				return
			}
			continue
		}
		if conn := r.connFor(from); conn != nil {
			r.forward.push(buffer[:n], conn, netip.AddrPort{})
		}
	}
}

// readTarget takes packets for a client, until its socket is closed.
func (r *Relay) readTarget(conn *net.UDPConn, to netip.AddrPort) {
	buffer := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			if gone(err) {
				return
			}
			continue // the target's port is closed just now
		}
		r.back.push(buffer[:n], r.listen, to)
	}
}

// gone says whether a socket is closed; its other errors pass.
func gone(err error) bool { return errors.Is(err, net.ErrClosed) }

// connFor returns the socket to the target that belongs to a client, or nil if none
// can be had.
func (r *Relay) connFor(from netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.clients[from]; ok {
		c.used = time.Now()
		return c.conn
	}
	if r.closed {
		return nil
	}
	if len(r.clients) >= maxClients {
		r.evict()
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.target))
	if err != nil {
		return nil
	}
	enlarge(conn)
	r.clients[from] = &client{conn: conn, used: time.Now()}
	r.running.Go(func() { r.readTarget(conn, from) })
	return conn
}

// evict closes the socket of the client that was silent longest.
func (r *Relay) evict() {
	var oldest netip.AddrPort
	for address, c := range r.clients {
		if !oldest.IsValid() || c.used.Before(r.clients[oldest].used) {
			oldest = address
		}
	}
	r.clients[oldest].conn.Close()
	delete(r.clients, oldest)
}
