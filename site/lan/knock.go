package lan

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"ringway/membership"
)

// knockFresh is for how long a knock may be answered: a refusal that is older may be of a
// process before the one that listens now. With a second, a node that had been dead half a
// second before was given up again when the next one died. It is some times as long as a ring
// waits before it knocks again.
const knockFresh = 30 * time.Millisecond

// A knocker is the socket that knocks at one peer.
type knocker struct {
	conn *net.UDPConn
	to   netip.AddrPort
	at   time.Time // of the last knock
}

// knockers are a port's, opened when they are needed.
type knockers struct {
	mu     sync.Mutex
	by     map[membership.NodeID]*knocker
	closed bool
}

// Knock asks a peer's host whether anybody listens at the peer's address, and says whether
// the knock before this one, if it was a moment ago, was refused: the process is dead and its
// host lives. No answer says nothing.
//
// A knock is an empty datagram, from a connected socket of its own: the kernel hands a
// refusal (ICMP port unreachable) to the next call on that socket, if it quotes what the
// socket has sent, and the ring's sockets know nothing of it.
func (p *Port) Knock(node membership.NodeID) (refused bool) {
	peer, ok := p.peers.Load().byID[node]
	if !ok {
		p.stats.unknownPeer.Add(1)
		return false
	}
	k := &p.knockers
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	door, err := k.door(node, peer, p.unicast.local)
	if err != nil {
		p.stats.refused.Add(1)
		return false
	}
	_, err = door.conn.Write(nil)
	if refused = errors.Is(err, syscall.ECONNREFUSED); refused {
		_, err = door.conn.Write(nil) // the refusal stood in the way of this one
	}
	if err != nil {
		p.stats.refused.Add(1)
	}
	return refused
}

// door returns the socket for a peer, a new one if the last has nothing to tell any more.
func (k *knockers) door(node membership.NodeID, to *net.UDPAddr, own netip.AddrPort) (*knocker, error) {
	now := time.Now()
	if d := k.by[node]; d != nil {
		if d.to == to.AddrPort() && now.Sub(d.at) < knockFresh {
			d.at = now
			return d, nil
		}
		d.conn.Close()
		delete(k.by, node)
	}
	conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own.Addr(), 0)), to)
	if err != nil {
		return nil, err
	}
	if k.by == nil {
		k.by = map[membership.NodeID]*knocker{}
	}
	k.by[node] = &knocker{conn: conn, to: to.AddrPort(), at: now}
	return k.by[node], nil
}

func (k *knockers) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for _, d := range k.by {
		d.conn.Close()
	}
	clear(k.by)
}
