package lan

import (
	"maps"
	"net"
	"net/netip"
	"slices"

	"ringway/membership"
)

// A directory says where the other nodes are. It is never changed, only replaced.
type directory struct {
	byID  map[membership.NodeID]*net.UDPAddr
	all   []*net.UDPAddr // where a packet to all is sent: the group, or each peer by id
	known map[netip.AddrPort]struct{}
}

func newDirectory(peers map[membership.NodeID]netip.AddrPort, group netip.AddrPort) *directory {
	d := &directory{byID: make(map[membership.NodeID]*net.UDPAddr, len(peers)), known: make(map[netip.AddrPort]struct{}, len(peers))}
	for _, id := range slices.Sorted(maps.Keys(peers)) {
		address := net.UDPAddrFromAddrPort(peers[id])
		d.byID[id] = address
		d.all = append(d.all, address)
		d.known[plainAddress(peers[id])] = struct{}{}
	}
	if group.IsValid() {
		d.all = []*net.UDPAddr{net.UDPAddrFromAddrPort(group)}
	}
	return d
}

// SetPeers replaces the other nodes' addresses; a Send under way may use either.
func (p *Port) SetPeers(peers map[membership.NodeID]netip.AddrPort) {
	p.peers.Store(newDirectory(peers, p.cfg.Multicast))
}

// plainAddress makes addresses comparable: IPv4 in its short form, and no zone, which
// the kernel gives by number and people by name.
func plainAddress(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone("").Unmap(), a.Port())
}
