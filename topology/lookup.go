package topology

import (
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"ringway/membership"
)

// Node returns the node of that name. The lookups walk the lists: they are for
// starting up and for operators, not for every message.
func (t *Topology) Node(name string) (*Node, bool) {
	return t.findNode(func(n *Node) bool { return n.Name == name })
}

// NodeByID returns the node of that id.
func (t *Topology) NodeByID(id membership.NodeID) (*Node, bool) {
	return t.findNode(func(n *Node) bool { return n.ID == id })
}

func (t *Topology) findNode(is func(*Node) bool) (*Node, bool) {
	for n := range t.nodes {
		if is(n) {
			return n, true
		}
	}
	return nil, false
}

// nodes yields every node in the order of the file.
func (t *Topology) nodes(yield func(*Node) bool) {
	for _, s := range t.Sites {
		for _, n := range s.Nodes {
			if !yield(n) {
				return
			}
		}
	}
}

// SiteByName returns the site of that name.
func (t *Topology) SiteByName(name string) (*Site, bool) {
	for _, s := range t.Sites {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}

// SiteByID returns the site of that id.
func (t *Topology) SiteByID(id membership.SiteID) (*Site, bool) {
	for _, s := range t.Sites {
		if s.ID == id {
			return s, true
		}
	}
	return nil, false
}

// Gateways returns the nodes of the site that have a WAN endpoint, in the order of
// the file; none if there is no such site.
func (t *Topology) Gateways(site membership.SiteID) []*Node {
	s, ok := t.SiteByID(site)
	if !ok {
		return nil
	}
	return s.Gateways()
}

// Gateways returns the nodes of s that have a WAN endpoint, in the order of the file.
func (s *Site) Gateways() []*Node {
	var found []*Node
	for _, n := range s.Nodes {
		if n.IsGateway() {
			found = append(found, n)
		}
	}
	return found
}

// LinkBetween returns the link between two sites, whichever is named first.
func (t *Topology) LinkBetween(a, b membership.SiteID) (*Link, bool) {
	for _, l := range t.Links {
		x, y := l.Between[0].ID, l.Between[1].ID
		if x == a && y == b || x == b && y == a {
			return l, true
		}
	}
	return nil, false
}

// NodeSites returns the site of every node.
func (t *Topology) NodeSites() map[membership.NodeID]membership.SiteID {
	sites := map[membership.NodeID]membership.SiteID{}
	for n := range t.nodes {
		sites[n.ID] = n.Site.ID
	}
	return sites
}

// AllLoopback says whether nothing in the federation can be reached from another
// machine: every address of every kind is loopback. Unix sockets and multicast groups
// do not count; the groups are joined on the interface of the node's address.
func (t *Topology) AllLoopback() bool {
	outside := func(n *Node) bool {
		if !n.Address.Addr().IsLoopback() ||
			n.Gateway.IsValid() && !n.Gateway.Addr().IsLoopback() ||
			n.Admin.IsValid() && !n.Admin.Addr().IsLoopback() {
			return true
		}
		for _, c := range n.Clients {
			if address, ok := c.addrPort(); ok && !address.Addr().IsLoopback() {
				return true
			}
		}
		return false
	}
	_, found := t.findNode(outside)
	return !found
}

// GroupPolicy returns the policy for the group of that name: the first entry that
// matches, or the default.
func (t *Topology) GroupPolicy(name string) Group {
	for _, g := range t.Groups {
		if Matches(g.Match, name) {
			return g
		}
	}
	return DefaultGroup()
}

// DefaultGroup is the policy of a group that no entry matches.
func DefaultGroup() Group {
	return Group{Match: "*", SlowAfter: defaultSlowAfter}
}

const defaultSlowAfter = 10 * time.Second

// From says whether clients may connect from an address; the zero one stands for a unix
// socket. byAddress: they choose method IP, which takes nobody at their word where the
// file has no addresses: it then admits the clients of this machine.
func (a Access) From(address netip.Addr, byAddress bool) bool {
	unix := !address.IsValid()
	address = address.Unmap().WithZone("")
	if a.Addresses == nil {
		return !byAddress || unix || address.IsLoopback()
	}
	if unix {
		return a.Addresses.Unix
	}
	return slices.ContainsFunc(a.Addresses.Prefixes, func(p netip.Prefix) bool { return p.Contains(address) })
}

// MaySend says whether the client of that private name may send to the group.
func (a Access) MaySend(client, group string) bool {
	return a.may(client, group, func(r *Rule) []string { return r.Send })
}

// MayJoin says whether the client of that private name may join the group.
func (a Access) MayJoin(client, group string) bool {
	return a.may(client, group, func(r *Rule) []string { return r.Join })
}

// may asks the first rule that matches the client. Where there are rules, a client
// that none of them matches may do nothing.
func (a Access) may(client, group string, patterns func(*Rule) []string) bool {
	if len(a.Allow) == 0 {
		return true
	}
	for i := range a.Allow {
		if !Matches(a.Allow[i].Client, client) {
			continue
		}
		for _, pattern := range patterns(&a.Allow[i]) {
			if Matches(pattern, group) {
				return true
			}
		}
		return false
	}
	return false
}

// Matches says whether the shell pattern matches the whole name. Names have no
// folders: the slash, which path.Match lets no wildcard match, is like any other byte.
// A pattern that is none matches nothing.
func Matches(pattern, name string) bool {
	ok, err := path.Match(flatten.Replace(pattern), flatten.Replace(name))
	return ok && err == nil
}

// flatten trades the slash for a byte that neither names nor patterns contain.
var flatten = strings.NewReplacer("/", "\x00")
