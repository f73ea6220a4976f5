package demo

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ringway/internal/pki"
	"ringway/internal/relay"
	"ringway/membership"
)

// The sites, in the order in which a demo of more sites adds them.
var siteNames = []string{"lon", "fra", "nyc", "sgp", "syd", "gru"}

// Bounds of Config.Sites.
const (
	MinSites     = 2
	MaxSites     = 6
	DefaultSites = 3
)

// nodesPerSite is two: the smallest ring in which there is something to agree on. Both
// are gateways, so that one may die.
const nodesPerSite = 2

// oneWay has the emulated one-way delays in milliseconds: row and column as siteNames,
// below the diagonal.
var oneWay = [MaxSites][MaxSites]int{
	1: {20},
	2: {40, 80},
	3: {80, 85, 110},
	4: {130, 135, 100, 50},
	5: {95, 100, 60, 160, 150},
}

// federation is the name in the demo's topology and certificates.
const federation = "demo"

// certValid is longer than a demo lasts.
const certValid = 24 * time.Hour

// linkDelay returns the emulated one-way delay between two sites.
func linkDelay(a, b int) time.Duration {
	return time.Duration(oneWay[max(a, b)][min(a, b)]) * time.Millisecond
}

// linkProfile returns what is emulated between two sites.
func linkProfile(a, b int) relay.Profile {
	delay := linkDelay(a, b)
	return relay.Profile{Delay: delay, Jitter: delay / 100}
}

// A plan is a demo before anything of it runs.
type plan struct {
	dir      string
	topology string // file
	sites    []planSite
	unicast  bool // multicast does not work on this machine's loopback
	patience patience
}

type planSite struct {
	name      string
	multicast netip.AddrPort
	nodes     []planNode
}

type planNode struct {
	name, site              string
	address, gateway, admin netip.AddrPort
}

// anchor is the node that carries its site on when the other one dies. Half a site may go
// on only with the lower of the two ids, or both halves might.
func (s *planSite) anchor() int {
	if membership.NodeIDOf(s.nodes[0].name) < membership.NodeIDOf(s.nodes[1].name) {
		return 0
	}
	return 1
}

// newPlan picks names and free ports, and writes topology and certificates to dir.
func newPlan(dir string, sites int, unicast bool, patience patience) (*plan, error) {
	p := &plan{dir: dir, topology: filepath.Join(dir, "demo.toml"), unicast: unicast, patience: patience}
	for s := range sites {
		site := planSite{name: siteNames[s]}
		var err error
		if site.multicast, err = newGroup(s); err != nil {
			return nil, err
		}
		for n := range nodesPerSite {
			node, err := newNode(fmt.Sprintf("%s-%d", site.name, n+1), site.name)
			if err != nil {
				return nil, err
			}
			site.nodes = append(site.nodes, node)
		}
		p.sites = append(p.sites, site)
	}
	if err := os.WriteFile(p.topology, []byte(p.text()), 0o644); err != nil {
		return nil, err
	}
	return p, p.certificates()
}

func (p *plan) certificates() error {
	certs := filepath.Join(p.dir, "certs")
	if err := pki.Init(certs, federation, certValid); err != nil {
		return err
	}
	for _, n := range p.nodes() {
		if err := pki.Issue(certs, federation, n.site, n.name, certValid); err != nil {
			return err
		}
	}
	return nil
}

// nodes returns the nodes of all sites.
func (p *plan) nodes() []planNode {
	var all []planNode
	for _, s := range p.sites {
		all = append(all, s.nodes...)
	}
	return all
}

// text returns the topology file.
func (p *plan) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# written by `ringway demo`\n[federation]\nname  = %q\ncerts = \"certs\"\n\n[timing]\nhello = \"%v\"\n", federation, p.patience.hello)
	if loss := p.patience.tokenLoss; loss > 0 {
		fmt.Fprintf(&b, "token_loss = \"%v\"\n", loss)
	}
	for _, s := range p.sites {
		fmt.Fprintf(&b, "\n[[site]]\nname = %q\n", s.name)
		if p.unicast {
			fmt.Fprintf(&b, "transport = \"unicast\"\n")
		} else {
			fmt.Fprintf(&b, "multicast = %q\n", s.multicast)
		}
		for _, n := range s.nodes {
			fmt.Fprintf(&b, "\n  [[site.node]]\n  name    = %q\n  address = %q\n  gateway = %q\n  admin   = %q\n", n.name, n.address, n.gateway, n.admin)
		}
	}
	for a := range p.sites {
		for b2 := range a {
			profile := linkProfile(a, b2)
			fmt.Fprintf(&b, "\n[[link]]\nbetween = [%q, %q]\n  [link.wan]\n  delay  = \"%v\"\n  jitter = \"%v\"\n",
				p.sites[b2].name, p.sites[a].name, profile.Delay, profile.Jitter)
		}
	}
	return b.String()
}

// paths returns the delay along the best chain of links between all sites.
func paths(sites int) [][]time.Duration {
	d := make([][]time.Duration, sites)
	for a := range d {
		d[a] = make([]time.Duration, sites)
		for b := range d[a] {
			if a != b {
				d[a][b] = linkDelay(a, b)
			}
		}
	}
	for via := range sites {
		for a := range sites {
			for b := range sites {
				d[a][b] = min(d[a][b], d[a][via]+d[via][b])
			}
		}
	}
	return d
}

// farthest returns the delay to the site that is farthest from a.
func farthest(paths [][]time.Duration, a int) time.Duration {
	var most time.Duration
	for _, d := range paths[a] {
		most = max(most, d)
	}
	return most
}

// randomByte returns a part of a multicast group that two demos on one machine hardly
// share.
func randomByte() byte { return byte(1 + rand.IntN(254)) }
