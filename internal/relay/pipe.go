package relay

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a pipe's queue: 16 Ki packets are 200 Mbit/s over 1 s of delay.
const (
	maxQueuedPackets = 16 << 10
	maxQueuedBytes   = 64 << 20
)

// A packet waits in a pipe until it is due.
type packet struct {
	due  time.Duration
	data []byte
	conn *net.UDPConn
	to   netip.AddrPort // invalid: conn is connected
}

// A pipe is one direction of a relay.
type pipe struct {
	clock func() time.Duration // since the relay's start
	down  atomic.Bool
	wake  chan struct{} // of capacity one: the queue is no longer empty
	pool  sync.Pool

	carried, dropped atomic.Uint64

	mu     sync.Mutex
	path   *path
	queue  []packet // due times ascend
	head   int      // of queue
	queued int      // bytes
}

func newPipe(path *path, clock func() time.Duration) *pipe {
	p := &pipe{clock: clock, path: path, wake: make(chan struct{}, 1)}
	p.pool.New = func() any { return new([]byte) }
	return p
}

// set changes the profile for packets that come from now on.
func (p *pipe) set(profile Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path.profile = profile
}

// push takes a packet that has just arrived and leaves data to the caller.
func (p *pipe) push(data []byte, conn *net.UDPConn, to netip.AddrPort) {
	if p.down.Load() || !p.enqueue(data, conn, to) {
		p.dropped.Add(1)
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) enqueue(data []byte, conn *net.UDPConn, to netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, ok := p.path.admit(p.clock(), len(data))
	if !ok || len(p.queue)-p.head >= maxQueuedPackets || p.queued+len(data) > maxQueuedBytes {
		return false
	}
	buffer := *p.pool.Get().(*[]byte)
	if p.head > 0 && len(p.queue) == cap(p.queue) { // move to the front before growing
		n := copy(p.queue, p.queue[p.head:])
		clear(p.queue[n:])
		p.queue, p.head = p.queue[:n], 0
	}
	p.queue = append(p.queue, packet{due: due, data: append(buffer[:0], data...), conn: conn, to: to})
	p.queued += len(data)
	return true
}

// run sends what is due until the context ends.
func (p *pipe) run(ctx context.Context) {
	for ctx.Err() == nil {
		due, ok := p.next()
		if !ok {
			select {
			case <-p.wake:
			case <-ctx.Done():
			}
			continue
		}
		sleepUntil(ctx, p.clock, due)
		for {
			item, ok := p.pop(p.clock())
			if !ok {
				break
			}
			p.send(item)
		}
	}
}

// next returns when the first packet is due.
func (p *pipe) next() (due time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.queue) {
		return 0, false
	}
	return p.queue[p.head].due, true
}

// pop takes the first packet if it is due.
func (p *pipe) pop(now time.Duration) (packet, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.queue) || p.queue[p.head].due > now {
		return packet{}, false
	}
	item := p.queue[p.head]
	p.queue[p.head] = packet{}
	p.queued -= len(item.data)
	if p.head++; p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	}
	return item, true
}

func (p *pipe) send(item packet) {
	var err error
	switch {
	case p.down.Load():
		p.dropped.Add(1)
	case item.to.IsValid():
		_, err = item.conn.WriteToUDPAddrPort(item.data, item.to)
	default:
		_, err = item.conn.Write(item.data)
	}
	if err != nil { // a peer that is not there, or a full buffer: a link loses packets
		p.dropped.Add(1)
	} else {
		p.carried.Add(1)
	}
	p.pool.Put(&item.data)
}
