package spreadconf

import (
	"fmt"
	"net/netip"
)

// sockets keep track of what nodes open, so that what this package chooses collides with
// nothing. They follow the rules of package topology: an address belongs to one machine,
// but for loopback, which is one machine too, and 0.0.0.0, which is every address of its.
type sockets struct {
	exact map[string]bool // protocol, machine where that matters, address and port
	all   map[string]bool // the same on 0.0.0.0 or [::], by machine and port
	ports map[string]bool // any of these, by machine and port
}

func newSockets() *sockets {
	return &sockets{exact: map[string]bool{}, all: map[string]bool{}, ports: map[string]bool{}}
}

// machine names the machine of a daemon.
func machine(address netip.Addr) string {
	if address.IsLoopback() {
		return "loopback"
	}
	return address.String()
}

// take books a socket of the machine, and says whether it was free.
func (s *sockets) take(protocol, machine string, a netip.AddrPort) bool {
	exact := protocol + " " + a.String()
	if a.Addr().IsLoopback() || a.Addr().IsUnspecified() {
		exact = machine + " " + exact
	}
	port := fmt.Sprintf("%s %s %d", protocol, machine, a.Port())
	if s.exact[exact] || s.all[port] || a.Addr().IsUnspecified() && s.ports[port] {
		return false
	}
	s.exact[exact], s.ports[port] = true, true
	if a.Addr().IsUnspecified() {
		s.all[port] = true
	}
	return true
}

// choose books the first port from from on that no socket of the machine has, on any
// address. 0: there is none.
func (s *sockets) choose(protocol, machine string, address netip.Addr, from uint16) uint16 {
	for port := int(from); port < 1<<16; port++ {
		if s.ports[fmt.Sprintf("%s %s %d", protocol, machine, port)] {
			continue
		}
		if s.take(protocol, machine, netip.AddrPortFrom(address, uint16(port))) {
			return uint16(port)
		}
	}
	return 0
}
