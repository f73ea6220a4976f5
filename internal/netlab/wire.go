//go:build linux

package netlab

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
)

// Wire connects two spaces by a cable of their own, without a switch between them: as
// a machine and its router, or two routers. The interfaces have the given names.
func (n *Network) Wire(a *Space, nameA string, b *Space, nameB string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = nameA
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(b.ns)}
	if err := a.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("wire %s of %s to %s of %s: %w", nameA, a.name, nameB, b.name, err)
	}
	for _, end := range []struct {
		space *Space
		name  string
	}{{a, nameA}, {b, nameB}} {
		if err := end.space.up(end.name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Space) up(name string) error {
	link, err := s.link.LinkByName(name)
	if err == nil {
		err = s.link.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set up %s of %s: %w", name, s.name, err)
	}
	return nil
}

// Address gives an interface of the space an address.
func (s *Space) Address(name string, address netip.Prefix) error {
	link, err := s.link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, s.name, err)
	}
	parsed, err := netlink.ParseAddr(address.String())
	if err == nil {
		err = s.link.AddrAdd(link, parsed)
	}
	if err != nil {
		return fmt.Errorf("address %s of %s of %s: %w", address, name, s.name, err)
	}
	return nil
}

// Route sends what is for a network out of an interface: to a router there, or, if via
// is not valid, to whoever is at the other end of it.
func (s *Space) Route(to netip.Prefix, via netip.Addr, name string) error {
	link, err := s.link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("route of %s to %s: %s: %w", s.name, to, name, err)
	}
	parsed, err := netlink.ParseIPNet(to.String())
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: parsed}
	if via.IsValid() {
		route.Gw, route.Flags = via.AsSlice(), int(netlink.FLAG_ONLINK)
	} else {
		route.Scope = netlink.SCOPE_LINK
	}
	if err := s.link.RouteAdd(route); err != nil {
		return fmt.Errorf("route of %s to %s: %w", s.name, to, err)
	}
	return nil
}

// Router makes the space pass on what is not for itself.
func (s *Space) Router() error {
	return s.Do(func() error {
		for file, value := range map[string]string{
			"/proc/sys/net/ipv4/ip_forward":             "1",
			"/proc/sys/net/ipv4/conf/all/rp_filter":     "0",
			"/proc/sys/net/ipv4/conf/default/rp_filter": "0",
		} {
			if err := os.WriteFile(file, []byte(value), 0); err != nil {
				return fmt.Errorf("make %s a router: %w", s.name, err)
			}
		}
		return nil
	})
}
