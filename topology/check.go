package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ringway/membership"
)

// check finds what is wrong between tables that are each right by themselves, and
// completes the topology's links.
func (r *reader) check(t *Topology, top table) {
	r.checkCounts(t, top)
	r.checkNames(t)
	for _, site := range t.Sites {
		r.checkSite(site)
	}
	r.checkMulticast(t)
	r.checkEndpoints(t)
	r.checkGateways(t)
	r.checkLinks(t)
}

func (r *reader) checkCounts(t *Topology, top table) {
	if !top.has("site") {
		top.add(1, "no site: add one with [[site]] and its nodes with [[site.node]]")
	}
	if n := len(t.Sites); n > membership.MaxSites {
		r.sites[t.Sites[membership.MaxSites]].here("one site too many: %d sites, at most %d make a federation", n, membership.MaxSites)
	}
	for _, site := range t.Sites {
		s := r.sites[site]
		switch n := len(site.Nodes); {
		case n > membership.MaxSiteNodes:
			r.nodes[site.Nodes[membership.MaxSiteNodes]].here("one node too many: %d nodes, at most %d make a site", n, membership.MaxSiteNodes)
		case n == 0 && !s.has("node"):
			s.here("no node: add one with [[site.node]], a name and an address")
		case n == 0:
			s.fault("node", "no node: add one with [[site.node]], a name and an address")
		}
	}
}

// checkNames finds names, and hashes of names, that are taken.
func (r *reader) checkNames(t *Topology) {
	sites := map[membership.SiteID]*Site{}
	for _, site := range t.Sites {
		if site.Name == "" {
			continue
		}
		first, taken := sites[site.ID]
		switch s := r.sites[site]; {
		case !taken:
			sites[site.ID] = site
		case first.Name == site.Name:
			s.fault("name", "the name is taken by the site of line %d: give this one another", r.sites[first].line())
		default:
			s.fault("name", "its id %v, a hash of the name, is also that of %s: give this one another name", site.ID, r.sites[first].what)
		}
	}
	nodes := map[membership.NodeID]*Node{}
	certs := t.Certs != ""
	for n := range t.nodes {
		if n.Name == "" {
			continue
		}
		first, taken := nodes[n.ID]
		switch at := r.nodes[n]; {
		case !taken:
			nodes[n.ID] = n
		case first.Name == n.Name:
			at.fault("name", "the name is taken by the node of line %d: give this one another", r.nodes[first].line())
		default:
			at.fault("name", "its id %v, a hash of the name, is also that of %s: give this one another name", n.ID, r.nodes[first].what)
		}
		if certs && (n.Name == "ca" || n.Name == "revoked" || strings.HasSuffix(n.Name, "-key")) {
			r.nodes[n].fault("name", "its certificate would be %s.pem, which is another file's name in the certs folder: choose a name other than ca and revoked that does not end in -key", n.Name)
		}
	}
}

// checkSite finds what is wrong within one site.
func (r *reader) checkSite(site *Site) {
	s := r.sites[site]
	switch multicast, unicast := s.has("multicast"), s.has("transport"); {
	case multicast && unicast:
		s.fault("transport", "both multicast and transport are given: keep multicast where the network carries it, else transport = \"unicast\"")
	case !multicast && !unicast && len(site.Nodes) > 1:
		s.here("multicast is missing: add multicast = %q, or transport = \"unicast\" where the network has no multicast", groupAddress.example)
	}
	var first *Node
	for _, n := range site.Nodes {
		if !n.Address.IsValid() {
			continue
		}
		if first == nil {
			first = n
		}
		if a, b := family(n.Address), family(first.Address); a != b {
			r.nodes[n].fault("address", "address %q is %s but that of %s is %s: a ring speaks one of them", n.Address, a, nodeName(first), b)
		}
	}
	if first != nil && site.Multicast.IsValid() && family(site.Multicast) != family(first.Address) {
		s.fault("multicast", "multicast %q is %s but the nodes' addresses are %s: a ring speaks one of them", site.Multicast, family(site.Multicast), family(first.Address))
	}
}

func family(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func nodeName(n *Node) string {
	if n.Name == "" {
		return "another node"
	}
	return "node " + quote(n.Name)
}

// checkMulticast finds sites that would hear each other's rings.
func (r *reader) checkMulticast(t *Topology) {
	owners := map[netip.AddrPort]*Site{}
	for _, site := range t.Sites {
		if !site.Multicast.IsValid() {
			continue
		}
		if first, taken := owners[site.Multicast]; taken {
			r.sites[site].fault("multicast", "multicast %q is also that of %s: give each site a group or a port of its own", site.Multicast, r.sites[first].what)
			continue
		}
		owners[site.Multicast] = site
	}
}

// checkGateways finds sites that cannot take part in a federation.
func (r *reader) checkGateways(t *Topology) {
	if len(t.Sites) < 2 {
		return
	}
	for _, site := range t.Sites {
		hasGateway := len(site.Nodes) == 0 // which is a fault of its own
		for _, n := range site.Nodes {
			hasGateway = hasGateway || r.nodes[n].has("gateway")
		}
		if !hasGateway {
			r.sites[site].here("no gateway: with two sites or more, each needs a node with gateway = %q", gatewayAddress.example)
		}
	}
}

// checkLinks finds links that make no sense and sites that no chain of links reaches.
// Without any [[link]] it links every pair of sites.
func (r *reader) checkLinks(t *Topology) {
	if len(r.links) == 0 {
		t.Links = fullMesh(t.Sites)
		return
	}
	seen := map[[2]*Site]linkTable{}
	complete := true
	for _, l := range r.links {
		if l.link == nil {
			complete = false
			continue
		}
		a, b := l.link.Between[0], l.link.Between[1]
		if a == b {
			l.fault("between", "a site needs no link with itself: name two sites")
			continue
		}
		first, taken := seen[[2]*Site{a, b}]
		if !taken {
			first, taken = seen[[2]*Site{b, a}]
		}
		if taken {
			l.fault("between", "these sites are linked by line %d already: one link is all that two sites have", first.line())
			continue
		}
		seen[[2]*Site{a, b}] = l
		t.Links = append(t.Links, l.link)
	}
	// A link that could not be read may be the one that connects.
	if complete {
		r.checkReachable(t)
	}
}

func fullMesh(sites []*Site) []*Link {
	// More sites than there may be have been reported; no need for their square.
	sites = sites[:min(len(sites), membership.MaxSites)]
	var links []*Link
	for i, a := range sites {
		for _, b := range sites[i+1:] {
			links = append(links, &Link{Between: [2]*Site{a, b}})
		}
	}
	return links
}

func (r *reader) checkReachable(t *Topology) {
	if len(t.Sites) == 0 {
		return
	}
	neighbours := map[*Site][]*Site{}
	for _, l := range t.Links {
		a, b := l.Between[0], l.Between[1]
		neighbours[a] = append(neighbours[a], b)
		neighbours[b] = append(neighbours[b], a)
	}
	start := t.Sites[0]
	reached := map[*Site]bool{start: true}
	for todo := []*Site{start}; len(todo) > 0; {
		site := todo[0]
		todo = todo[1:]
		for _, next := range neighbours[site] {
			if !reached[next] {
				reached[next] = true
				todo = append(todo, next)
			}
		}
	}
	if len(reached) == len(t.Sites) {
		r.checkTransit(t)
		return
	}
	for _, site := range t.Sites {
		if !reached[site] && site.Name != "" && start.Name != "" {
			r.sites[site].here("no chain of links leads here from site %s: add a [[link]] between this site and one that is connected", quote(start.Name))
		}
	}
}

// checkTransit finds sites that only reach each other through one that lets nobody
// through. All are connected.
func (r *reader) checkTransit(t *Topology) {
	for i, from := range t.Sites {
		paths := t.Paths(from)
		for _, to := range t.Sites[i+1:] {
			if !slices.ContainsFunc(paths, func(p Path) bool { return p.To == to }) {
				r.sites[to].here("it reaches site %s only through sites with transit = false: let one of them pass traffic on, or add a [[link]] that goes round", quote(from.Name))
				break // one is enough for each site
			}
		}
	}
}

// An endpoint is something that a node opens, for finding two that cannot be open at
// once.
type endpoint struct {
	node *Node
	line int
	what string // address, gateway, the DTLS port after address, …
	addr netip.AddrPort
}

// checkEndpoints finds two sockets of one protocol on one address and port.
func (r *reader) checkEndpoints(t *Topology) {
	udp, tcp := newEndpoints("UDP"), newEndpoints("TCP")
	sockets := map[string]endpoint{}
	for n := range t.nodes {
		at := r.nodes[n]
		free := true
		if a := n.Address; a.IsValid() {
			line := at.keyLine("address")
			free = udp.add(at, endpoint{n, line, "address", a}) &&
				udp.add(at, endpoint{n, line, "the DTLS port after address", netip.AddrPortFrom(a.Addr(), a.Port()+1)})
		}
		if n.Gateway.IsValid() {
			udp.add(at, endpoint{n, at.keyLine("gateway"), "gateway", n.Gateway})
		}
		// Clients on a taken address would be the same mistake once more.
		if free || at.has("clients") {
			r.checkListeners(n, tcp, sockets)
		}
		if n.Admin.IsValid() {
			tcp.add(at, endpoint{n, at.keyLine("admin"), "admin", n.Admin})
		}
	}
}

func (r *reader) checkListeners(n *Node, tcp *endpoints, sockets map[string]endpoint) {
	at := r.nodes[n]
	for i, c := range n.Clients {
		e := endpoint{node: n, line: at.elementLine("clients", i), what: "client address"}
		if !at.has("clients") {
			e.line, e.what = at.keyLine("address"), "address, where clients connect by default,"
		}
		var isTCP bool
		if e.addr, isTCP = c.addrPort(); isTCP {
			tcp.add(at, e)
			continue
		}
		where := machine(n) + " " + c.Address
		if first, taken := sockets[where]; taken {
			at.faultAt(e.line, "unix socket %s is also one %s: give each a path of its own", quote(c.Address), first.whose(n))
			continue
		}
		sockets[where] = e
	}
}

// machine returns a text that is the same for nodes that are known to share a machine:
// those with the same LAN address, and all on loopback. Others may too, unknown to us.
func machine(n *Node) string {
	switch a := n.Address.Addr(); {
	case !n.Address.IsValid():
		return fmt.Sprintf("%p", n)
	case a.IsLoopback():
		return "loopback"
	default:
		return a.String()
	}
}

// endpoints are the sockets of one protocol seen so far.
type endpoints struct {
	protocol string
	exact    map[string]endpoint // by machine where that matters, and address
	any      map[string]endpoint // those on 0.0.0.0 or [::], by machine and port
	port     map[string]endpoint // the first of each machine and port
}

func newEndpoints(protocol string) *endpoints {
	return &endpoints{protocol: protocol, exact: map[string]endpoint{}, any: map[string]endpoint{}, port: map[string]endpoint{}}
}

// add reports e if it collides with an endpoint seen before. An address belongs to
// one machine in the federation, but for loopback, which every machine has; one on
// 0.0.0.0 collides with every address of its own machine. It says whether e is free.
func (s *endpoints) add(at table, e endpoint) bool {
	home := machine(e.node)
	portKey := fmt.Sprintf("%s %d", home, e.addr.Port())
	exactKey := e.addr.String()
	if ip := e.addr.Addr(); ip.IsLoopback() || ip.IsUnspecified() {
		exactKey = home + " " + exactKey
	}
	first, taken := s.exact[exactKey]
	if !taken {
		first, taken = s.any[portKey]
	}
	if !taken && e.addr.Addr().IsUnspecified() {
		first, taken = s.port[portKey]
	}
	if taken {
		at.faultAt(e.line, "%s is %s %s, and so is %s %s: give one of them another port", e.what, s.protocol, e.addr, first.what, first.whose(e.node))
		return false
	}
	s.exact[exactKey] = e
	if _, ok := s.port[portKey]; !ok {
		s.port[portKey] = e
	}
	if e.addr.Addr().IsUnspecified() {
		s.any[portKey] = e
	}
	return true
}

// whose says whose endpoint e is, to a reader who looks at a node.
func (e endpoint) whose(node *Node) string {
	if e.node == node {
		return "of this node"
	}
	return fmt.Sprintf("of %s (line %d)", nodeName(e.node), e.line)
}
