package lan

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"ringway/site/seal"
)

// Sizes of a reader.
const (
	readMessages = 16        // in one recvmmsg
	readBytes    = 65535     // a coalesced run
	chunkBytes   = 256 << 10 // of an arena
	// maxDatagram bounds what is handed up. Commit tokens of large sites exceed
	// MaxPacket and travel in IP fragments.
	maxDatagram = 16<<10 + seal.MaxOffersBytes
	// patientReads may fail one after the other before a reader pauses between them:
	// an error may stay for long (no memory), and must not take a core.
	patientReads = 16
	readPause    = 10 * time.Millisecond
)

// An arena hands out memory that is never reused.
type arena struct{ free []byte }

// keep returns a copy of b.
func (a *arena) keep(b []byte) []byte {
	copied := append(a.room(len(b)), b...)
	a.take(copied)
	return copied
}

// room returns an empty slice for n bytes. It is handed out again, unless take says that
// it was filled.
func (a *arena) room(n int) []byte {
	if len(a.free) < n {
		a.free = make([]byte, chunkBytes)
	}
	return a.free[:0:n]
}

// take keeps the bytes that room's slice was filled with.
func (a *arena) take(b []byte) { a.free = a.free[len(b):] }

// A reader takes from one socket. fill receives into messages, of which it may only
// set N, NN, Flags and Addr, and returns how many it received.
type reader struct {
	port      *Port
	socket    *socket
	multicast bool
	messages  []message
	memory    arena
	work      seal.Work
	fill      func() (int, error)
}

func (p *Port) newReader(s *socket, multicast bool) *reader {
	r := &reader{port: p, socket: s, multicast: multicast, messages: make([]message, readMessages)}
	for i := range r.messages {
		r.messages[i] = message{Buffers: [][]byte{make([]byte, readBytes)}, OOB: make([]byte, receiveControlBytes)}
	}
	r.fill = r.fillMany
	if p.Mode() == Plain {
		r.fill = r.fillOne
	}
	return r
}

func (r *reader) fillMany() (int, error) {
	n, err := r.socket.readBatch(r.messages)
	if err != nil && cannot(err) {
		r.port.log.Warn("the kernel cannot receive batches: going on packet by packet", "error", err)
		r.fill = r.fillOne
	}
	return n, err
}

func (r *reader) fillOne() (int, error) {
	m := &r.messages[0]
	var from *net.UDPAddr
	var err error
	m.N, m.NN, m.Flags, from, err = r.socket.conn.ReadMsgUDP(m.Buffers[0], m.OOB)
	if err != nil {
		return 0, err
	}
	m.Addr = from
	return 1, nil
}

// read hands up what a socket receives until it is closed.
func (p *Port) read(s *socket, multicast bool, deliver func(Batch)) error {
	r := p.newReader(s, multicast)
	failed := 0
	for {
		n, err := r.fill()
		if err != nil {
			if useless(err) {
				return err
			}
			p.stats.readErrors.Add(1)
			if failed++; failed > patientReads && !p.pause() {
				return net.ErrClosed
			}
			continue
		}
		failed = 0
		p.stats.receivedCalls.Add(1)
		if batch := r.batch(r.messages[:n]); len(batch.Packets) > 0 {
			deliver(batch)
		}
	}
}

// useless says that the socket will never receive again. Everything else passes: an
// answer of a peer's host to some packet sent before, an interface that is down.
func useless(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENOTSOCK)
}

// pause waits a little and says whether the port is still open.
func (p *Port) pause() bool {
	timer := time.NewTimer(readPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closed:
		return false
	}
}

// batch copies out the packets of some messages. The slice is the receiver's, who may
// still hold it when the next batch is read.
func (r *reader) batch(messages []message) Batch {
	room := 0
	for i := range messages {
		room += packetsIn(&messages[i])
	}
	b := Batch{Multicast: r.multicast, Packets: make([][]byte, 0, room)}
	for i := range messages {
		b.Packets = r.split(b.Packets, &messages[i])
	}
	return b
}

// packetsIn returns how many packets a message has: a coalesced run has several.
func packetsIn(m *message) int {
	size := stride(m)
	if size == 0 {
		return 0
	}
	return (m.N + size - 1) / size
}

// stride returns how many bytes lie between the starts of a message's packets.
func stride(m *message) int {
	if size := segmentSize(m); size > 0 && size < m.N {
		return size
	}
	return m.N
}

// split appends copies of a message's packets.
func (r *reader) split(packets [][]byte, m *message) [][]byte {
	p := r.port
	if m.N == 0 {
		return packets // a knock: it has its answer
	}
	if from, ok := m.Addr.(*net.UDPAddr); ok && p.isOwn(from) {
		p.stats.own.Add(1)
		return packets
	}
	if truncated(m) {
		p.stats.truncated.Add(1)
		return packets
	}
	size := stride(m)
	for rest := m.Buffers[0][:m.N]; len(rest) > 0; {
		packet := rest[:min(size, len(rest))]
		rest = rest[len(packet):]
		if len(packet) > maxDatagram {
			p.stats.truncated.Add(1)
			continue
		}
		p.stats.received.Add(1)
		p.stats.receivedBytes.Add(uint64(len(packet)))
		if packet = r.open(packet, m.Addr); packet != nil {
			packets = append(packets, packet)
		}
	}
	return packets
}

// open returns a packet as it is handed up, in memory of its own, or nil.
func (r *reader) open(packet []byte, from net.Addr) []byte {
	p := r.port
	switch s := p.cfg.Seal; {
	case s != nil:
		return s.open(packet, from, &r.memory, &r.work)
	case seal.IsSealed(packet):
		if n := p.stats.sealed.Add(1); n&(n-1) == 0 {
			p.log.Warn("a sealed ring packet was dropped: this node runs without seals, as --insecure", "from", from.String(), "so far", n)
		}
		return nil
	}
	return r.memory.keep(packet)
}

// isOwn recognises the node's own multicast packets, and counts strangers' packets.
func (p *Port) isOwn(from *net.UDPAddr) bool {
	address, ok := netip.AddrFromSlice(from.IP)
	if !ok {
		return false
	}
	source := plainAddress(netip.AddrPortFrom(address, uint16(from.Port)))
	if source == p.own {
		return true
	}
	if _, known := p.peers.Load().known[source]; !known {
		p.stats.foreign.Add(1)
	}
	return false
}
