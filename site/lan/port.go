package lan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"ringway/membership"
	"ringway/site/ring"
)

// A Port is a node's place on its LAN. Send is for one goroutine at a time; the
// rest is safe for concurrent use.
type Port struct {
	cfg       Config
	log       *slog.Logger
	maxPacket int
	unicast   *socket
	group     *socket // nil: unicast fan-out
	all       []*net.UDPAddr
	peers     map[membership.NodeID]*net.UDPAddr
	send      sender
	mode      atomic.Pointer[Mode]
	stats     stats
	close     sync.Once
}

// A Batch is what one system call brought.
type Batch struct {
	Multicast bool
	// Packets alias memory that is never reused: the receiver may keep them.
	Packets [][]byte
}

// Open binds the sockets and finds the best way to send.
func Open(cfg Config) (*Port, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ifc, err := interfaceOf(cfg.Address.Addr())
	if err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg, log: cfg.Log, peers: map[membership.NodeID]*net.UDPAddr{}}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.maxPacket = payload(cfg.MTU, ifc, cfg.Address.Addr().Unmap().Is4())
	if p.unicast, err = bindUnicast(cfg.Address); err != nil {
		return nil, err
	}
	if cfg.Multicast.IsValid() {
		if err := p.joinGroup(ifc); err != nil {
			p.Close()
			return nil, err
		}
	}
	p.buffers()
	p.SetPeers(cfg.Peers)
	return p, p.choose()
}

// joinGroup binds the second socket and makes the first one send to the group.
func (p *Port) joinGroup(ifc *net.Interface) error {
	group, err := bindGroup(p.cfg.Multicast, ifc)
	if err != nil {
		return fmt.Errorf("multicast group %s on interface %s: %w (where the network has no multicast, write transport = \"unicast\")", p.cfg.Multicast, ifc.Name, err)
	}
	p.group = group
	return p.unicast.sendOn(ifc)
}

// buffers raises the sockets' buffers and says what stands in the way.
func (p *Port) buffers() {
	granted := p.unicast.raiseBuffers()
	if p.group != nil {
		granted = min(granted, p.group.raiseBuffers())
	}
	p.stats.receiveBuffer = granted
	if granted < receiveBuffer {
		p.log.Warn("small receive buffer: bursts may be lost and sent again",
			"bytes", granted, "wanted", receiveBuffer, "next", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", receiveBuffer))
	}
}

// choose takes the configured mode, or the best one that works.
func (p *Port) choose() error {
	mode := p.cfg.Mode
	if mode == Auto {
		mode = Sendmmsg
		if p.unicast.canSegment() {
			mode = Segment
		}
	}
	if mode == Segment {
		for _, s := range p.sockets() {
			if err := s.coalesce(); err != nil && p.cfg.Mode == Segment {
				p.Close()
				return fmt.Errorf("UDP_GRO: %w", err)
			}
		}
	}
	p.setMode(mode)
	return nil
}

func (p *Port) sockets() []*socket {
	if p.group == nil {
		return []*socket{p.unicast}
	}
	return []*socket{p.unicast, p.group}
}

func (p *Port) setMode(m Mode) { p.mode.Store(&m) }

// Mode returns how packets are sent at present.
func (p *Port) Mode() Mode { return *p.mode.Load() }

// MaxPacket returns how many bytes a packet may have.
func (p *Port) MaxPacket() int { return p.maxPacket }

// Address returns the own address, with the port that was chosen if none was given.
func (p *Port) Address() netip.AddrPort { return p.unicast.local }

// SetPeers replaces the other nodes' addresses. It must not run beside Send.
func (p *Port) SetPeers(peers map[membership.NodeID]netip.AddrPort) {
	clear(p.peers)
	p.all = p.all[:0]
	for id, address := range peers {
		peer := net.UDPAddrFromAddrPort(address)
		p.peers[id] = peer
		p.all = append(p.all, peer)
	}
	if p.group != nil {
		p.all = append(p.all[:0], net.UDPAddrFromAddrPort(p.cfg.Multicast))
	}
}

// Send sends the packets in order. It fails only when a socket is of no more use;
// what a peer or the network does not take is lost, as on any LAN.
func (p *Port) Send(packets []ring.Packet) error {
	for len(packets) > 0 {
		run := sameDestination(packets)
		to := p.all
		if id := packets[0].To; id != 0 {
			peer, ok := p.peers[id]
			if !ok {
				p.stats.unknownPeer.Add(uint64(run))
				packets = packets[run:]
				continue
			}
			to = []*net.UDPAddr{peer}
		}
		for _, address := range to {
			if err := p.sendRun(packets[:run], address); err != nil {
				return err
			}
		}
		packets = packets[run:]
	}
	return nil
}

func sameDestination(packets []ring.Packet) int {
	n := 1
	for n < len(packets) && packets[n].To == packets[0].To {
		n++
	}
	return n
}

// Run reads until the context ends and calls deliver, from two goroutines, with
// whole batches.
func (p *Port) Run(ctx context.Context, deliver func(Batch)) error {
	stop := context.AfterFunc(ctx, p.Close)
	defer stop()
	var readers sync.WaitGroup
	errs := make([]error, 2)
	for i, s := range p.sockets() {
		readers.Go(func() {
			errs[i] = p.read(s, s == p.group, deliver)
			p.Close() // one socket alone is of no use
		})
	}
	readers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// Close closes the sockets; Run returns.
func (p *Port) Close() {
	p.close.Do(func() {
		for _, s := range p.sockets() {
			if s != nil {
				s.conn.Close()
			}
		}
	})
}
