package lan

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"ringway/membership"
)

// Limits of a port.
const (
	// maxMTU caps what an interface allows: loopback's 64 KiB would make one lost
	// packet very dear, and jumbo frames are the largest that real LANs carry.
	maxMTU = 9000
	// minMTU is what every IPv6 link carries.
	minMTU = 1280
	// headerBytes is an IPv6 and a UDP header; IPv4's is 20 bytes shorter.
	headerBytes = 48
	// receiveBuffer is what is asked for: a global window of jumbo frames, twice.
	receiveBuffer = 8 << 20
	sendBuffer    = 4 << 20
)

// Mode is how packets are sent and received.
type Mode string

// below returns the next mode to try where m does not work; none is below Plain.
func (m Mode) below() (Mode, bool) {
	switch m {
	case Segment:
		return Sendmmsg, true
	case Sendmmsg:
		return Plain, true
	}
	return m, false
}

// The modes, best first. Auto tries them in this order.
const (
	Auto     Mode = ""
	Segment  Mode = "udp_segment"
	Sendmmsg Mode = "sendmmsg"
	Plain    Mode = "plain"
)

// Config says where a port's sockets are.
type Config struct {
	Address   netip.AddrPort                       // own LAN address
	Multicast netip.AddrPort                       // invalid: unicast fan-out
	Peers     map[membership.NodeID]netip.AddrPort // every other node of the site
	MTU       int                                  // of the path, headers included; 0: the interface's, at most maxMTU
	Mode      Mode                                 // Auto, or one that must be used
	// Seal seals and opens every packet. Without one (--insecure) packets are sent as
	// they are, and sealed ones are refused.
	Seal *Seal
	Log  *slog.Logger
}

// check refuses what could never work.
func (c *Config) check() error {
	if !c.Address.IsValid() {
		return fmt.Errorf("no LAN address")
	}
	if c.Multicast.IsValid() {
		if !c.Multicast.Addr().IsMulticast() {
			return fmt.Errorf("%s is no multicast group", c.Multicast.Addr())
		}
		if c.Multicast.Port() == 0 {
			return fmt.Errorf("multicast group %s has no port", c.Multicast.Addr())
		}
		if c.Multicast.Addr().Is4() != c.Address.Addr().Unmap().Is4() {
			return fmt.Errorf("multicast group %s and address %s are of different IP versions", c.Multicast.Addr(), c.Address.Addr())
		}
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return fmt.Errorf("MTU of %d bytes: want %d to %d, or 0 for the interface's", c.MTU, minMTU, maxMTU)
	}
	switch c.Mode {
	case Auto, Segment, Sendmmsg, Plain:
		return nil
	}
	return fmt.Errorf("mode %q is none of %q, %q, %q", c.Mode, Segment, Sendmmsg, Plain)
}

// interfaceOf returns the interface that has the address.
func interfaceOf(address netip.Addr) (*net.Interface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range interfaces {
		if hasAddress(&interfaces[i], address) {
			return &interfaces[i], nil
		}
	}
	return nil, fmt.Errorf("no network interface has address %s: give the node an address of this machine", address)
}

// hasAddress says whether packets to the address reach the interface. All of
// 127.0.0.0/8 reaches loopback, whatever single address is configured there. The same
// link-local address may be on several interfaces: its zone tells which.
func hasAddress(ifc *net.Interface, address netip.Addr) bool {
	if zone := address.Zone(); zone != "" && zone != ifc.Name && zone != strconv.Itoa(ifc.Index) {
		return false
	}
	address = address.WithZone("").Unmap()
	addresses, err := ifc.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if prefix.Addr() == address || ifc.Flags&net.FlagLoopback != 0 && prefix.Contains(address) {
			return true
		}
	}
	return false
}

// payload returns how many bytes a ring packet may have.
func payload(configured int, ifc *net.Interface, is4 bool) int {
	mtu := configured
	if mtu == 0 {
		mtu = ifc.MTU
	}
	mtu = min(max(mtu, minMTU), maxMTU)
	if is4 {
		return mtu - headerBytes + 20
	}
	return mtu - headerBytes
}
