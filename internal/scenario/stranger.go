//go:build linux

package scenario

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// What a site's topology says of its ring.
const ringPort = 4803

var ringGroup = netip.MustParseAddrPort("239.192.7.1:4803")

// Sizes of a Stranger.
const (
	strangerHost = 200  // of its address
	keptPackets  = 4096 // of those heard, the newest
	floodPacket  = 200  // bytes: of the size of joins and tokens
	floodRun     = 50   // packets in one system call, cut apart by the kernel
)

// A Stranger is a machine on a site's LAN that has no certificate. It hears what goes to
// all nodes, and sends what it likes to any of them.
type Stranger struct {
	listen, send, flood *net.UDPConn
	nodes               []netip.AddrPort
	random              *rand.Rand

	mu    sync.Mutex
	heard [][]byte
	next  int
}

// NewStranger plugs a stranger into the site's switch. It listens until the site is
// closed or Close is called.
func (s *Site) NewStranger() (*Stranger, error) {
	space, err := s.network.Space("stranger")
	if err != nil {
		return nil, err
	}
	address := netip.AddrFrom4([4]byte{10, 77, 0, strangerHost})
	if _, err := s.Switch.Plug(space, netip.PrefixFrom(address, 24)); err != nil {
		return nil, err
	}
	x := &Stranger{random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same each time
	for _, n := range s.Nodes {
		x.nodes = append(x.nodes, netip.AddrPortFrom(n.address, ringPort))
	}
	if err := space.Do(func() error { return x.open(address) }); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	go x.hear()
	return x, nil
}

func (x *Stranger) open(address netip.Addr) (err error) {
	ifc, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	if x.listen, err = net.ListenMulticastUDP("udp4", ifc, net.UDPAddrFromAddrPort(ringGroup)); err != nil {
		return err
	}
	for _, c := range []**net.UDPConn{&x.send, &x.flood} {
		if *c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 0))); err != nil {
			return err
		}
		p := ipv4.NewPacketConn(*c)
		if err := errors.Join(p.SetMulticastInterface(ifc), p.SetMulticastLoopback(false)); err != nil {
			return err
		}
	}
	raw, err := x.flood.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, floodPacket)
	}), err)
}

// hear keeps the newest packets.
func (x *Stranger) hear() {
	b := make([]byte, 64<<10)
	for {
		n, err := x.listen.Read(b)
		if err != nil {
			return
		}
		x.mu.Lock()
		if len(x.heard) < keptPackets {
			x.heard = append(x.heard, append([]byte(nil), b[:n]...))
		} else {
			x.heard[x.next%keptPackets] = append(x.heard[x.next%keptPackets][:0], b[:n]...)
		}
		x.next++
		x.mu.Unlock()
	}
}

// Heard returns how many packets it has heard so far.
func (x *Stranger) Heard() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.next
}

// some returns a copy of a packet that was heard.
func (x *Stranger) some() []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.heard) == 0 {
		return nil
	}
	return append([]byte(nil), x.heard[x.random.IntN(len(x.heard))]...)
}

// target returns one of the nodes, or all.
func (x *Stranger) target() netip.AddrPort {
	if i := x.random.IntN(len(x.nodes) + 1); i < len(x.nodes) {
		return x.nodes[i]
	}
	return ringGroup
}

// Meddle sends what was heard until the context ends, so many packets a second: again
// and in another order, cut short, made longer, with bits flipped, to whom it was not
// meant for. It returns how many it sent.
func (x *Stranger) Meddle(ctx context.Context, rate int) (sent int, err error) {
	return x.paced(ctx, rate, 10, func() error {
		for range 10 {
			if b := x.meddled(); len(b) > 0 {
				if err := x.to(x.send, b, x.target()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// meddled returns a packet that was heard, changed or not.
func (x *Stranger) meddled() []byte {
	b := x.some()
	if len(b) == 0 {
		return nil
	}
	switch x.random.IntN(5) {
	case 0:
		b[x.random.IntN(len(b))] ^= 1 << x.random.IntN(8)
	case 1:
		b = b[:x.random.IntN(len(b))]
	case 2:
		b = append(b, byte(x.random.Uint32()))
	case 3: // one of the ring's own in the clear, of any kind
		b = append([]byte{'R', 1, byte(1 + x.random.IntN(7)), 0}, b[4:]...)
	}
	return b
}

// Flood sends invented joins and tokens to a node or all until the context ends: with the
// head of a packet that was heard, a counter that was not used yet, and nonsense behind
// it. So each costs its receiver as much as a stranger's packet can.
func (x *Stranger) Flood(ctx context.Context, rate int) (sent int, err error) {
	run := make([]byte, floodRun*floodPacket)
	counter := uint64(1) << 40
	return x.paced(ctx, rate, floodRun, func() error {
		head := x.some()
		if len(head) < 20 {
			return nil
		}
		for at := 0; at < len(run); at += floodPacket {
			b := run[at : at+floodPacket]
			copy(b, head[:20])
			counter++
			binary.LittleEndian.PutUint64(b[12:], counter)
			for i := 20; i+8 <= len(b); i += 8 {
				binary.LittleEndian.PutUint64(b[i:], x.random.Uint64())
			}
		}
		return x.to(x.flood, run, x.target())
	})
}

// to sends; that the kernel's queues are full is how a flood ends.
func (x *Stranger) to(c *net.UDPConn, b []byte, at netip.AddrPort) error {
	_, err := c.WriteToUDPAddrPort(b, at)
	if errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EMSGSIZE) {
		return nil
	}
	return err
}

// paced calls f, which sends so many packets, at a rate.
func (x *Stranger) paced(ctx context.Context, rate, each int, f func() error) (sent int, err error) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return sent, nil
		case <-ticker.C:
		}
		for due := int(time.Since(began).Seconds() * float64(rate)); sent < due; sent += each {
			if err := f(); err != nil {
				return sent, fmt.Errorf("stranger: %w", err)
			}
		}
	}
}

// Close closes its sockets.
func (x *Stranger) Close() error {
	var faults []error
	for _, c := range []*net.UDPConn{x.listen, x.send, x.flood} {
		if c != nil {
			faults = append(faults, c.Close())
		}
	}
	return errors.Join(faults...)
}
