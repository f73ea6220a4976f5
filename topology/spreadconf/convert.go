package spreadconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ringway/membership"
	"ringway/topology"
)

// Options say how a configuration becomes a topology.
type Options struct {
	// Federation is the federation's name; empty: "spread".
	Federation string
	// OneSite makes one ring of all segments, as Spread does. Without it each segment is
	// a site, unless the file says WideAreaNetwork = false.
	OneSite bool
	// Lookup finds the addresses of a daemon of which the file has the name alone. Nil:
	// such a daemon is a fault.
	Lookup func(name string) ([]netip.Addr, error)
	// AccessIP is what the file of method IP says (spread.access_ip), and its path for
	// messages.
	AccessIP     []byte
	AccessIPPath string
}

// Topology writes the topology file. If the configuration has something that no topology
// can have, the error is a *topology.Faults. With method TOKEN the file names another one,
// of tokens, which a comment says how to make.
func (c *Config) Topology(o Options) ([]byte, error) {
	if o.Federation == "" {
		o.Federation = "spread"
	}
	b := &builder{collector: &collector{path: c.Path}, config: c, options: o, sockets: newSockets(), names: map[string]bool{}}
	b.build()
	if err := topology.NewFaults(b.faults); err != nil {
		return nil, err
	}
	text := b.text()
	if _, err := topology.Parse("topology", text); err != nil {
		return nil, fmt.Errorf("%s: the topology that follows from it does not pass the check: %w", c.Path, err)
	}
	return text, nil
}

// A builder turns a Config into what is written.
type builder struct {
	*collector
	config  *Config
	options Options
	sockets *sockets
	names   map[string]bool // of nodes and sites, taken

	sites     []site
	certs     bool // an address is not loopback
	tokenLoss time.Duration
	methods   []string
	addresses []string // that clients may come from
	queue     int      // messages that wait for a client; 0: the default
	notes     []note
}

type site struct {
	name    string
	lines   []string // comments above it
	group   netip.AddrPort
	unicast bool
	nodes   []node
}

type node struct {
	name           string
	comments       []string
	address        netip.AddrPort
	clients        []string
	gateway, admin netip.AddrPort
	from           *Daemon
}

// A note is what became of some lines of the file.
type note struct {
	lines []noted
	why   string
}

// A noted line is one of which a note speaks.
type noted struct {
	line int
	what string
}

// note says why something of a line is not in the topology. The same reason is given once.
func (b *builder) note(line int, what, why string, args ...any) {
	why = fmt.Sprintf(why, args...)
	for i := range b.notes {
		if n := &b.notes[i]; n.why == why {
			n.lines = append(n.lines, noted{line, what})
			return
		}
	}
	b.notes = append(b.notes, note{[]noted{{line, what}}, why})
}

func (b *builder) build() {
	wide, said := b.config.flag("WideAreaNetwork")
	several := len(b.config.Segments) > 1
	one := b.options.OneSite || several && said && !wide
	for i := range b.config.Segments {
		s := &b.config.Segments[i]
		if !one || i == 0 {
			b.sites = append(b.sites, site{})
		}
		b.segment(&b.sites[len(b.sites)-1], s, one && several)
	}
	for i := range b.sites {
		s := &b.sites[i]
		s.name = b.siteName(s, i)
		b.checkSite(s)
	}
	b.services()
	b.settings(one)
	slices.SortStableFunc(b.notes, func(x, y note) int { return x.lines[0].line - y.lines[0].line })
}

// segment adds a segment's daemons to a site. shared: the site has other segments too.
func (b *builder) segment(to *site, s *Segment, shared bool) {
	to.lines = append(to.lines, fmt.Sprintf("Segment of line %d.", s.Line))
	for i := range s.Daemons {
		d := &s.Daemons[i]
		if n, ok := b.node(d, s.Port); ok {
			to.nodes = append(to.nodes, n)
		}
	}
	group := slices.IndexFunc(s.Addresses, netip.Addr.IsMulticast)
	switch {
	case shared:
		to.unicast = true
	case group >= 0:
		to.group = netip.AddrPortFrom(s.Addresses[group], s.Port)
	default:
		to.unicast = len(to.nodes) > 1
		if to.unicast {
			to.lines = append(to.lines,
				fmt.Sprintf("%s is no multicast group, and rings do not broadcast: packets go to each node.", s.Addresses[0]),
				"Where the network carries multicast, multicast = \"239.192.7.1:4803\" (a group of its",
				"own for each site) in place of transport makes a large ring faster.")
		}
	}
	if len(s.Addresses) > 1 {
		b.note(s.Line, segmentKeyword, "a site has one group, or uses unicast; of the segment's %d addresses the others are left out.", len(s.Addresses))
	}
}

// checkSite finds what no site can have, and a group that the ring cannot use.
func (b *builder) checkSite(s *site) {
	if n := len(s.nodes); n > membership.MaxSiteNodes {
		b.add(s.nodes[membership.MaxSiteNodes].from.Line, "one daemon too many: a site has at most %d nodes: make several segments of them", membership.MaxSiteNodes)
	}
	for i := range s.nodes {
		if n, first := &s.nodes[i], &s.nodes[0]; n.address.Addr().Is4() != first.address.Addr().Is4() {
			b.add(n.from.Line, "daemon %s has the address %s and daemon %s %s: a ring is IPv4 or IPv6, not both", said(n.name), n.address.Addr(), said(first.name), first.address.Addr())
		}
	}
	if len(s.nodes) == 0 || !s.group.IsValid() {
		return
	}
	taken := slices.ContainsFunc(b.sites, func(other site) bool { return other.name != "" && other.name != s.name && other.group == s.group })
	switch {
	case s.group.Addr().Is4() != s.nodes[0].address.Addr().Is4():
		s.lines = append(s.lines, fmt.Sprintf("The group %s is of another kind of IP than the daemons: packets go to each node.", s.group))
	case taken:
		s.lines = append(s.lines, fmt.Sprintf("The group %s is another site's too, and rings must not hear each other:", s.group),
			"packets go to each node. Give this site another group to use multicast.")
	default:
		return
	}
	s.group, s.unicast = netip.AddrPort{}, true
}

// node makes a node of a daemon, with the addresses that the file gives it.
func (b *builder) node(d *Daemon, port uint16) (node, bool) {
	n := node{from: d, name: b.nodeName(d)}
	address, ok := b.address(d, &n)
	if !ok {
		return n, false
	}
	n.address = netip.AddrPortFrom(address, port)
	home := machine(address)
	if !b.sockets.take("udp", home, n.address) || !b.sockets.take("udp", home, netip.AddrPortFrom(address, port+1)) {
		b.add(d.Line, "daemon %s is at %s, and another daemon uses that port or the one after it: give them addresses or ports of their own", said(n.name), n.address)
		return n, false
	}
	b.certs = b.certs || !address.IsLoopback()
	var clients []netip.AddrPort
	for _, i := range d.Interfaces {
		if i.Client {
			clients = append(clients, netip.AddrPortFrom(i.Address, port))
			b.certs = b.certs || !i.Address.IsLoopback()
		}
	}
	switch {
	case len(d.Interfaces) > 0:
	case address.IsLoopback():
		clients = []netip.AddrPort{n.address}
	case address.Is4():
		clients = []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	default:
		clients = []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
	}
	for _, c := range clients {
		if !b.sockets.take("tcp", home, c) {
			b.add(d.Line, "clients of daemon %s connect to %s, and so do those of another one, or it stands twice: give each an address or a port of its own", said(n.name), c)
			continue
		}
		n.clients = append(n.clients, c.String())
	}
	b.unixSocket(&n, port)
	if d.VirtualID != "" {
		b.note(d.Line, fmt.Sprintf("VirtualID = %s of %s", d.VirtualID, n.name), "a node's id is a hash of its name, and view ids come from it. Clients compare view ids and take nothing from them. Nothing to do.")
	}
	return n, true
}

// unixSocket adds the socket to which clients connect that have a port alone.
func (b *builder) unixSocket(n *node, port uint16) {
	path := fmt.Sprintf("/tmp/%d", port)
	key := machine(n.address.Addr()) + " " + path
	if b.sockets.exact[key] {
		n.comments = append(n.comments, fmt.Sprintf("%s is another node's: clients of this one on the same machine use %s.", path, n.address))
		if len(n.clients) == 0 {
			b.add(n.from.Line, "no client could connect to daemon %s: give it an interface for clients (C)", said(n.name))
		}
		return
	}
	b.sockets.exact[key] = true
	n.clients = append(n.clients, "unix:"+path)
}

// address returns the address to which others send: the one of the file if the daemon
// listens there, else the first one on which it does.
func (b *builder) address(d *Daemon, n *node) (netip.Addr, bool) {
	address := d.Address
	if !address.IsValid() {
		found, ok := b.lookup(d)
		if !ok {
			return address, false
		}
		n.comments = append(n.comments, fmt.Sprintf("The file has the name alone; %s is what it was looked up as.", found))
		address = found
	}
	var listens []netip.Addr
	for _, i := range d.Interfaces {
		if i.Daemon {
			listens = append(listens, i.Address)
		}
	}
	if len(listens) > 0 && !slices.Contains(listens, address) {
		n.comments = append(n.comments, fmt.Sprintf("%s until now, and listening for daemons on %s.", address, listens[0]))
		address = listens[0]
	}
	return address, true
}

func (b *builder) lookup(d *Daemon) (netip.Addr, bool) {
	if b.options.Lookup == nil {
		b.add(d.Line, "daemon %s has no address: write it after the name", said(d.Name))
		return netip.Addr{}, false
	}
	found, err := b.options.Lookup(d.Name)
	want6 := b.wantsIPv6()
	for _, a := range found {
		if a = a.WithZone("").Unmap(); a.Is6() == want6 && !a.IsUnspecified() && !a.IsMulticast() {
			return a, true
		}
	}
	why := "no address of the right kind of IP was found"
	if err != nil {
		why = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	b.add(d.Line, "daemon %s has no address, and looking it up failed (%s): write it after the name", said(d.Name), why)
	return netip.Addr{}, false
}

// wantsIPv6 says which IP names are looked up for: the file's, or that of the first
// daemon that has an address.
func (b *builder) wantsIPv6() bool {
	if s, ok := b.config.last("ActiveIPVersion"); ok && len(s.Values) > 0 {
		return strings.HasSuffix(s.Values[0], "6")
	}
	for _, s := range b.config.Segments {
		for _, d := range s.Daemons {
			if d.Address.IsValid() {
				return d.Address.Is6()
			}
		}
	}
	return false
}

// The ports that this package chooses, counted from Spread's: clients and the ring have
// the first, DTLS the second.
const servicePort = 2

// services gives nodes what Spread's daemons do not have: gateways and admin. It comes
// last, so that it can keep clear of everything that the file asks for.
func (b *builder) services() {
	for i := range b.sites {
		for j := range b.sites[i].nodes {
			n := &b.sites[i].nodes[j]
			home, from := machine(n.address.Addr()), n.address.Port()+servicePort
			if from < servicePort {
				from = DefaultPort + servicePort
			}
			if len(b.sites) > 1 && j == 0 {
				ip := n.address.Addr()
				n.gateway = netip.AddrPortFrom(ip, b.sockets.choose("udp", home, ip, from))
			}
			ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			for _, f := range n.from.Interfaces {
				if f.Monitor && !(f.Daemon && f.Client) {
					ip = f.Address
					b.certs = b.certs || !ip.IsLoopback()
				}
			}
			n.admin = netip.AddrPortFrom(ip, b.sockets.choose("tcp", home, ip, from))
			if n.admin.Port() == 0 || n.gateway.IsValid() && n.gateway.Port() == 0 {
				b.add(n.from.Line, "no port is left above %d for the gateway or admin of daemon %s: use a lower port for the segment", from, said(n.name))
			}
		}
	}
}
