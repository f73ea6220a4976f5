//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ringway/internal/netem"
	"ringway/internal/netlab"
	"ringway/internal/pki"
	"ringway/topology"
)

// Config is what a Lab knows from the start.
type Config struct {
	Topology string // file
	Folder   string // for logs, traces and certificates; it is made
	Binary   string // ringway
	Emulate  bool   // even where the kernel has tc netem
	Network  string // begins the names of its namespaces; default the federation's name
	// Disks are folders of nodes whose logs and traces shall be elsewhere than in
	// Folder: as on a disk of their own.
	Disks    map[string]string
	Untraced bool // nodes write no traces
}

// A Lab is a topology as namespaces. Its methods may be called concurrently.
type Lab struct {
	plan   *plan
	folder string
	file   string // the topology as the nodes read it
	binary string
	began  time.Time

	mu       sync.Mutex
	network  *netlab.Network
	wan      wan
	routers  map[*sitePlan]*netlab.Space
	lans     map[*sitePlan]*netlab.Switch
	machines []*machine // in the topology's order
	disks    map[string]string
	untraced bool
	parts    []string                 // of the partitions in force, as they were said
	divided  map[*sitePlan][][]string // spaces of the parts of a site's LAN
}

// New makes the lab of a topology. No node runs yet.
func New(cfg Config) (*Lab, error) {
	t, err := topology.Load(cfg.Topology)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Topology, err)
	}
	l := &Lab{plan: p, folder: cfg.Folder, binary: cfg.Binary, began: time.Now(), disks: cfg.Disks, untraced: cfg.Untraced, divided: map[*sitePlan][][]string{},
		routers: map[*sitePlan]*netlab.Space{}, lans: map[*sitePlan]*netlab.Switch{}}
	if err := l.prepare(cfg.Topology); err != nil {
		return nil, err
	}
	if cfg.Network == "" {
		cfg.Network = networkName(t.Name)
	}
	if l.network, err = netlab.New(cfg.Network); err != nil {
		return nil, err
	}
	if err := l.build(cfg.Emulate); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// networkName makes a name for the network out of the federation's.
func networkName(federation string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(federation))
	name = strings.Trim(name, "-")
	return name[:min(len(name), netlab.MaxName)]
}

// prepare fills the folder: a copy of the topology, and certificates if it names some
// that are not there.
func (l *Lab) prepare(path string) error {
	for _, folder := range slices.Concat([]string{l.folder}, slices.Collect(maps.Values(l.disks))) {
		for _, sub := range []string{"log", "trace"} {
			if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
				return err
			}
		}
	}
	l.file = path
	t := l.plan.topology
	if t.Certs == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(t.Certs, "ca.pem")); err == nil {
		return nil
	}
	if filepath.IsAbs(t.Certs) && !strings.HasPrefix(t.Certs, filepath.Dir(path)) {
		return fmt.Errorf("%s: no certificates in %s: `ringway keys init` and `ringway keys issue` make some", path, t.Certs)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	l.file = filepath.Join(l.folder, "topology.toml")
	if err := os.WriteFile(l.file, text, 0o644); err != nil {
		return err
	}
	copied, err := topology.Load(l.file)
	if err != nil {
		return err
	}
	return issue(copied)
}

// certsValid is how long a lab's certificates are.
const certsValid = 30 * 24 * time.Hour

func issue(t *topology.Topology) error {
	if _, err := os.Stat(filepath.Join(t.Certs, "ca.pem")); err != nil {
		if err := pki.Init(t.Certs, t.Name, certsValid); err != nil {
			return err
		}
	}
	for _, s := range t.Sites {
		for _, n := range s.Nodes {
			if err := pki.Issue(t.Certs, t.Name, s.Name, n.Name, certsValid); err != nil {
				return err
			}
		}
	}
	return nil
}

// build makes sites first, then what is between them.
func (l *Lab) build(emulate bool) error {
	for _, s := range l.plan.sites {
		if err := l.buildSite(s); err != nil {
			return fmt.Errorf("site %s: %w", s.Name, err)
		}
	}
	if len(l.plan.links) == 0 {
		return nil
	}
	var err error
	if !emulate && hasNetem(l.routers[l.plan.sites[0]]) {
		l.wan, err = newKernel()
	} else {
		l.wan, err = newEmulated(l.binary, l.folder, l.routers[l.plan.sites[0]])
	}
	if err != nil {
		return err
	}
	for i := range l.plan.links {
		k := &l.plan.links[i]
		if err := l.buildLink(k); err != nil {
			return fmt.Errorf("link %s-%s: %w", k.a.Name, k.b.Name, err)
		}
	}
	return nil
}

func (l *Lab) buildSite(s *sitePlan) error {
	lan, err := l.network.Switch(s.lan)
	if err != nil {
		return err
	}
	l.lans[s] = lan
	router, err := l.network.Space(s.router)
	if err != nil {
		return err
	}
	l.routers[s] = router
	if err := router.Router(); err != nil {
		return err
	}
	for _, n := range s.nodes {
		space, err := l.network.Space(n.space)
		if err != nil {
			return err
		}
		if _, err := lan.Plug(space, netip.PrefixFrom(n.Address.Addr(), s.subnet.Bits())); err != nil {
			return err
		}
		folder := l.disks[n.Name]
		if folder == "" {
			folder = l.folder
		}
		l.machines = append(l.machines, &machine{nodePlan: n, site: s, space: space, folder: folder})
		if n.IsGateway() {
			if err := l.uplink(s, n, router, space); err != nil {
				return err
			}
		}
	}
	return nil
}

// hop is the router's address on the way to its gateways.
var hop = netip.MustParseAddr("169.254.255.1")

// uplink connects a gateway with its site's router.
func (l *Lab) uplink(s *sitePlan, n *nodePlan, router, space *netlab.Space) error {
	if err := l.network.Wire(router, n.uplink, space, "wan"); err != nil {
		return err
	}
	own := n.Gateway.Addr()
	host := netip.PrefixFrom(own, own.BitLen())
	if own != n.Address.Addr() {
		if err := space.Address("wan", host); err != nil {
			return err
		}
	}
	if err := router.Address(n.uplink, netip.PrefixFrom(hop, 32)); err != nil {
		return err
	}
	if err := router.Route(host, netip.Addr{}, n.uplink); err != nil {
		return err
	}
	for _, other := range l.plan.sites {
		for _, far := range other.nodes {
			to := far.Gateway.Addr()
			if !far.IsGateway() || far == n || other == s && to == far.Address.Addr() {
				continue // those of its own site that have an address on the LAN are there
			}
			if err := space.Route(netip.PrefixFrom(to, to.BitLen()), hop, "wan"); err != nil {
				return err
			}
		}
	}
	return nil
}

func profileOf(w topology.WAN) netem.Profile {
	return netem.Profile{Delay: w.Delay, Jitter: w.Jitter, Loss: w.Loss, Rate: w.Rate}
}

func (l *Lab) buildLink(k *linkPlan) error {
	a, b := l.routers[k.a], l.routers[k.b]
	if l.wan.kind() != "emulated" {
		if err := l.network.Wire(a, k.b.Name, b, k.a.Name); err != nil {
			return err
		}
	}
	if err := l.wan.connect(k, a, b, profileOf(k.wan)); err != nil {
		return err
	}
	for _, end := range []struct {
		at       *netlab.Space
		to       *sitePlan
		own, far netip.Addr
	}{{a, k.b, k.nets[0], k.nets[1]}, {b, k.a, k.nets[1], k.nets[0]}} {
		if err := end.at.Address(end.to.Name, netip.PrefixFrom(end.own, 30)); err != nil {
			return err
		}
		for _, n := range end.to.nodes {
			if n.IsGateway() {
				to := n.Gateway.Addr()
				if err := end.at.Route(netip.PrefixFrom(to, to.BitLen()), end.far, end.to.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Close ends everything and removes it.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []error
	var ends sync.WaitGroup
	for _, m := range l.machines {
		if m.running() {
			ends.Go(func() { _ = m.stop() }) // a node that does not leave in order is killed with its namespace
		}
	}
	ends.Wait()
	if l.wan != nil {
		faults = append(faults, l.wan.close())
	}
	return errors.Join(append(faults, l.network.Close())...)
}

// machine returns the node of that name.
func (l *Lab) machine(name string) (*machine, error) {
	for _, m := range l.machines {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%s: no such node in %s", name, l.plan.topology.Path)
}

// Topology returns what the lab is made of.
func (l *Lab) Topology() *topology.Topology { return l.plan.topology }

// Dial connects as from a node's machine.
func (l *Lab) Dial(ctx context.Context, node, network, address string) (net.Conn, error) {
	m, err := l.machine(node)
	if err != nil {
		return nil, err
	}
	return m.space.Dial(ctx, network, address)
}
