package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"ringway/internal/netlab"
	"ringway/topology"
)

// A plan names everything that a topology needs.
type plan struct {
	topology *topology.Topology
	sites    []*sitePlan
	links    []linkPlan
}

type sitePlan struct {
	*topology.Site
	lan    string // space of the bridge
	router string // space of the router
	subnet netip.Prefix
	nodes  []*nodePlan
}

type nodePlan struct {
	*topology.Node
	space  string
	uplink string // the router's interface to it; "" if it is no gateway
}

type linkPlan struct {
	a, b *sitePlan
	wan  topology.WAN
	nets [2]netip.Addr // the routers' own addresses on it
}

// maxSubnet is the longest prefix that a LAN gets.
const maxSubnet = 24

// newPlan says what is wrong with a topology for a lab, all of it.
func newPlan(t *topology.Topology) (*plan, error) {
	p := &plan{topology: t}
	var faults []error
	bySite := map[*topology.Site]*sitePlan{}
	for i, site := range t.Sites {
		s := &sitePlan{Site: site, lan: fit("lan-", site.Name, "lan", i), router: fit("wan-", site.Name, "wan", i)}
		bySite[site] = s
		p.sites = append(p.sites, s)
		for k, n := range site.Nodes {
			x := &nodePlan{Node: n, space: fit("", n.Name, "node", i*1000+k)}
			if n.IsGateway() {
				x.uplink = fmt.Sprintf("to%d", k)
			}
			s.nodes = append(s.nodes, x)
			faults = append(faults, suits(n))
		}
		if len(site.Name) > netlab.MaxName {
			faults = append(faults, fmt.Errorf("site %s: its name becomes that of an interface, which has at most %d bytes", site.Name, netlab.MaxName))
		}
		subnet, err := subnetOf(site)
		s.subnet = subnet
		faults = append(faults, err)
	}
	for i, l := range t.Links {
		base := [2]byte{byte(i / 64), byte(i % 64 * 4)}
		p.links = append(p.links, linkPlan{a: bySite[l.Between[0]], b: bySite[l.Between[1]], wan: l.WAN, nets: [2]netip.Addr{
			netip.AddrFrom4([4]byte{169, 254, base[0], base[1] + 1}), netip.AddrFrom4([4]byte{169, 254, base[0], base[1] + 2})}})
	}
	return p, errors.Join(faults...)
}

// fit returns a name that a space can have.
func fit(prefix, name, other string, i int) string {
	if full := prefix + name; len(full) <= netlab.MaxName {
		return full
	}
	return fmt.Sprintf("%s-%d", other, i)
}

// suits says why a node cannot live in a namespace.
func suits(n *topology.Node) error {
	for _, a := range []netip.AddrPort{n.Address, n.Gateway} {
		switch {
		case !a.IsValid():
		case a.Addr().IsLoopback():
			return fmt.Errorf("node %s: %s is a loopback address: machines of a lab have their own; use one like 10.1.0.1", n.Name, a)
		case !a.Addr().Is4():
			return fmt.Errorf("node %s: %s: a lab speaks IPv4", n.Name, a)
		}
	}
	return nil
}

// subnetOf is the smallest network that has all nodes of a site, at most a /24.
func subnetOf(site *topology.Site) (netip.Prefix, error) {
	first := site.Nodes[0].Address.Addr()
	for bits := maxSubnet; bits >= 8; bits-- {
		prefix, err := first.Prefix(bits)
		if err != nil {
			return prefix, fmt.Errorf("site %s: %w", site.Name, err)
		}
		all := true
		for _, n := range site.Nodes {
			all = all && prefix.Contains(n.Address.Addr())
		}
		if all {
			return prefix, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("site %s: its nodes' addresses have no network in common; a LAN needs one", site.Name)
}

// node returns the node of that name.
func (p *plan) node(name string) (*nodePlan, *sitePlan) {
	for _, s := range p.sites {
		for _, n := range s.nodes {
			if n.Name == name {
				return n, s
			}
		}
	}
	return nil, nil
}

func (p *plan) site(name string) *sitePlan {
	for _, s := range p.sites {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// link returns the link between two sites.
func (p *plan) link(a, b string) (*linkPlan, error) {
	for i := range p.links {
		l := &p.links[i]
		if l.a.Name == a && l.b.Name == b || l.a.Name == b && l.b.Name == a {
			return l, nil
		}
	}
	for _, name := range []string{a, b} {
		if p.site(name) == nil {
			return nil, fmt.Errorf("%s: no such site in %s", name, p.topology.Path)
		}
	}
	return nil, fmt.Errorf("%s has no link between %s and %s", p.topology.Path, a, b)
}
