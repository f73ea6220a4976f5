//go:build linux

package netlab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// bridgeName is the bridge's, in its own namespace.
const bridgeName = "bridge"

// A Switch is an Ethernet bridge.
type Switch struct {
	space  *Space
	bridge netlink.Link
}

// Switch makes a switch. Its name is a space's too.
func (n *Network) Switch(name string) (*Switch, error) {
	space, err := n.Space(name)
	if err != nil {
		return nil, err
	}
	// Snooping would have multicast depend on the queries of a router that is not
	// there; a small switch floods.
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}, MulticastSnooping: &snooping}
	if err := space.link.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("switch %s: make a bridge: %w", name, err)
	}
	if err := space.link.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("switch %s: set up its bridge: %w", name, err)
	}
	return &Switch{space: space, bridge: bridge}, nil
}

// A Cable connects a space with a switch.
type Cable struct {
	at   *Switch
	to   string
	port netlink.Link
}

// Plug connects a space with the switch and gives it the address there. The space's
// interfaces are eth0, eth1 and so on; the switch's port has the space's name.
func (w *Switch) Plug(s *Space, address netip.Prefix) (*Cable, error) {
	c, err := w.plug(s, address)
	if err != nil {
		return nil, fmt.Errorf("plug %s into switch %s: %w", s.name, w.space.name, err)
	}
	return c, nil
}

func (w *Switch) plug(s *Space, address netip.Prefix) (*Cable, error) {
	s.network.mu.Lock()
	end := interfaceName(s.cables)
	s.cables++
	s.network.mu.Unlock()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = s.name, w.bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: end, PeerNamespace: netlink.NsFd(s.ns)}
	if err := w.space.link.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("make a cable: %w", err)
	}
	if err := w.space.link.LinkSetUp(veth); err != nil {
		return nil, err
	}
	link, err := s.link.LinkByName(end)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", end, err)
	}
	parsed, err := netlink.ParseAddr(address.String())
	if err != nil {
		return nil, err
	}
	if err := s.link.AddrAdd(link, parsed); err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	if err := s.link.LinkSetUp(link); err != nil {
		return nil, err
	}
	return &Cable{at: w, to: s.name, port: veth}, nil
}

// Pull pulls the cable: both ends lose their carrier.
func (c *Cable) Pull() error { return c.say("pull", c.at.space.link.LinkSetDown(c.port)) }

// Replug plugs a pulled cable in again.
func (c *Cable) Replug() error { return c.say("replug", c.at.space.link.LinkSetUp(c.port)) }

func (c *Cable) say(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s the cable of %s: %w", what, c.to, err)
	}
	return nil
}
