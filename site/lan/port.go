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

	"ringway/site/ring"
	"ringway/site/seal"
)

// A Port is a node's place on its LAN. Send is for one goroutine at a time; the
// rest is safe for concurrent use.
type Port struct {
	cfg       Config
	log       *slog.Logger
	maxPacket int // on the wire
	unicast   *socket
	group     *socket        // nil: unicast fan-out
	own       netip.AddrPort // as it is seen as a source
	peers     atomic.Pointer[directory]
	send      sender
	sealer    sealer
	knockers  knockers
	mode      atomic.Pointer[Mode]
	stats     stats
	close     sync.Once
	closed    chan struct{}
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
	p := &Port{cfg: cfg, log: cfg.Log, closed: make(chan struct{})}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.maxPacket = payload(cfg.MTU, ifc, cfg.Address.Addr().Unmap().Is4())
	p.SetPeers(cfg.Peers)
	if p.unicast, err = bindUnicast(cfg.Address); err != nil {
		return nil, fmt.Errorf("LAN address %s: %w (does another node run with it?)", cfg.Address, err)
	}
	p.own = plainAddress(p.unicast.local)
	if err := p.prepare(ifc); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// prepare makes the bound port ready to send and receive.
func (p *Port) prepare(ifc *net.Interface) error {
	if p.cfg.Multicast.IsValid() {
		if err := p.joinGroup(ifc); err != nil {
			return err
		}
	}
	p.buffers()
	return p.choose()
}

// joinGroup binds the second socket and makes the first one send to the group.
func (p *Port) joinGroup(ifc *net.Interface) error {
	group, err := bindGroup(p.cfg.Multicast, ifc)
	if err == nil {
		p.group = group
		err = p.unicast.sendOn(ifc)
	}
	if err != nil {
		return fmt.Errorf("multicast group %s on interface %s: %w (where the network has no multicast, write transport = \"unicast\")", p.cfg.Multicast, ifc.Name, err)
	}
	return nil
}

// buffers raises the sockets' buffers.
func (p *Port) buffers() {
	granted := receiveBuffer
	for _, s := range p.sockets() {
		granted = min(granted, s.raiseBuffers())
	}
	p.stats.receiveBuffer = granted
	warnOfSmallBuffer(p.log, granted)
}

// warnOfSmallBuffer says what stands in the way of the receive buffer that is wanted.
func warnOfSmallBuffer(log *slog.Logger, granted int) {
	if granted < receiveBuffer {
		log.Warn("small receive buffer: bursts may be lost and sent again",
			"bytes", granted, "wanted", receiveBuffer, "next", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", receiveBuffer))
	}
}

// choose takes the configured mode, or the best one that works.
func (p *Port) choose() error {
	works := probe(p.cfg.Address.Addr())
	mode := p.cfg.Mode
	if mode == Auto {
		mode = works
	}
	if mode == Segment {
		if works != Segment {
			return fmt.Errorf("mode %q does not work on this kernel, the best that does is %q", mode, works)
		}
		for _, s := range p.sockets() {
			// Kernels from 4.18 to 4.20 send runs and cannot receive them in one
			// piece: then they arrive packet by packet, which is right too.
			if err := s.coalesce(); err != nil && p.cfg.Mode == Segment {
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

// MaxPacket returns how many bytes a packet may have that is given to Send.
func (p *Port) MaxPacket() int {
	if p.cfg.Seal != nil {
		return p.maxPacket - seal.Overhead
	}
	return p.maxPacket
}

// Address returns the own address, with the port that was chosen if none was given.
func (p *Port) Address() netip.AddrPort { return p.unicast.local }

// Send sends the packets in order. It fails only when a socket is of no more use;
// what a peer or the network does not take is lost, as on any LAN.
func (p *Port) Send(packets []ring.Packet) error {
	if p.cfg.Seal == nil {
		return p.sendRuns(packets)
	}
	for len(packets) > 0 {
		n := min(len(packets), sealBatch)
		if err := p.sendRuns(p.cfg.Seal.seal(packets[:n], &p.sealer)); err != nil {
			return err
		}
		packets = packets[n:]
	}
	return nil
}

// sendRuns sends packets as they are, those in a row to one destination together.
func (p *Port) sendRuns(packets []ring.Packet) error {
	peers := p.peers.Load()
	for len(packets) > 0 {
		run := sameDestination(packets)
		to := peers.all
		if id := packets[0].To; id != 0 {
			peer, ok := peers.byID[id]
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
		close(p.closed)
		for _, s := range p.sockets() {
			s.conn.Close()
		}
		p.knockers.close()
	})
}
