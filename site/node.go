package site

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ringway/internal/admin"
	"ringway/internal/pki"
	"ringway/membership"
	"ringway/overlay"
	"ringway/site/core"
	"ringway/site/keys"
	"ringway/site/lan"
	"ringway/site/merge"
	"ringway/site/ring"
	"ringway/site/session"
)

// Bounds of an orderly stop, step by step.
const (
	// drainTime: clients' departures go round the ring.
	drainTime = 2 * time.Second
	// flushTime: other sites have what this one has sent. The longest way there and back,
	// and the rings at both ends.
	flushTime = time.Second
	// leaveTime: everybody in the ring has what this node has sent.
	leaveTime = time.Second
)

// A node holds the parts of a running node together.
type node struct {
	cfg      Config
	log      *slog.Logger
	identity *pki.Identity
	boot     uint64
	port     *lan.Port
	seal     *lan.Seal      // nil: ring packets are not sealed
	keys     *keys.Exchange // nil: there are none
	sessions *session.Server
	gateway  *overlay.Gateway
	loop     *loop
	in       *inbox
	admin    *admin.Server
	done     chan struct{} // closed when the loop has ended
	unlinked chan struct{} // closed when the gateway has ended; nil: there is none
	unlink   context.CancelFunc
	draining atomic.Bool

	listeners []net.Listener
	reload    *reloader
}

// Run runs one node until the context ends, then drains and returns nil. It returns an
// error if the node cannot start or a part of it fails.
func Run(ctx context.Context, cfg Config) error {
	n, err := newNode(cfg)
	if err != nil {
		return err
	}
	defer n.close()
	return n.run(ctx)
}

func newNode(cfg Config) (*node, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &node{cfg: cfg, log: cfg.Log.With("node", cfg.Node.Name), boot: uint64(time.Now().UnixNano()), in: newInbox(), done: make(chan struct{})}
	var err error
	if n.identity, err = cfg.identity(); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		n.close()
		return nil, err
	}
	if err := n.giveUpRoot(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// giveUpRoot goes on as the user that the configuration names. What that user cannot
// read could not be read again later, so it is said now.
func (n *node) giveUpRoot() error {
	name := n.cfg.User
	if name == "" {
		return nil
	}
	if err := becomeUser(name); err != nil {
		return err
	}
	if _, err := n.identity.Reload(); err != nil {
		return fmt.Errorf("certificates of node %s as user %s: %w: let %s own its key file", n.cfg.Node.Name, name, err, name)
	}
	n.log.Info("node goes on as another user", "user", name)
	return nil
}

// open binds every port before anything runs, so that a taken address is an error at
// start and not a surprise later.
func (n *node) open() error {
	if err := n.openLAN(); err != nil {
		return err
	}
	n.openSessions()
	n.reload = &reloader{node: n, now: n.cfg.Topology}
	for _, c := range n.cfg.Node.Clients {
		l, err := session.Listen(c.Network, c.Address, n.clientTLS())
		if err != nil {
			return fmt.Errorf("clients of node %s: %w", n.cfg.Node.Name, err)
		}
		n.listeners = append(n.listeners, l)
	}
	tracer, err := n.openTrace()
	if err != nil {
		return err
	}
	n.loop = &loop{
		log: n.log, started: time.Now(), in: n.in, port: n.port, sessions: n.sessions, trace: tracer,
		core: core.New(n.ringConfig(), n.mergeConfig(tracer.note())), nameOf: nodeNames(n.cfg.Topology), siteOf: n.siteName, primary: n.primaryState, seal: n.seal,
	}
	n.loop.say = newSayings(n.log, n.loop.nameOf, n.siteName)
	n.loop.joins = newJoinWatch(n.log, n.siteName)
	n.loop.flow = newFlow(n.loop, n.cfg.Node.ID, n.boot)
	if err := n.openAdmin(); err != nil {
		return err
	}
	if n.cfg.Node.IsGateway() {
		return n.openGateway()
	}
	return nil
}

func (n *node) openLAN() error {
	peers := map[membership.NodeID]netip.AddrPort{}
	for _, p := range n.cfg.Node.Site.Nodes {
		if p.ID != n.cfg.Node.ID {
			peers[p.ID] = p.Address
		}
	}
	if err := n.openKeys(); err != nil {
		return err
	}
	port, err := lan.Open(lan.Config{Address: n.cfg.Node.Address, Multicast: n.cfg.Node.Site.Multicast, Peers: peers, Seal: n.seal, Log: n.log})
	if err != nil {
		return fmt.Errorf("ring of node %s on %s: %w", n.cfg.Node.Name, n.cfg.Node.Address, err)
	}
	n.port = port
	return nil
}

// openKeys makes the ring's seal, and binds the port on which its keys are exchanged.
func (n *node) openKeys() error {
	if !n.cfg.sealed() {
		n.log.Warn("ring packets are not sealed: whoever is on the LAN can read and forge them", "next", "name a folder of certificates in [federation] certs, and leave --insecure out")
		return nil
	}
	var nodes []keys.Node
	var ids []membership.NodeID
	for _, p := range n.cfg.Node.Site.Nodes {
		if p.ID != n.cfg.Node.ID {
			nodes = append(nodes, keys.Node{ID: p.ID, Name: p.Name, Address: p.Address})
			ids = append(ids, p.ID)
		}
	}
	var err error
	if n.seal, err = lan.NewSeal(n.cfg.Node.ID, ids, n.log); err != nil {
		return fmt.Errorf("ring of node %s: %w", n.cfg.Node.Name, err)
	}
	n.keys, err = keys.Open(keys.Config{
		Site: n.cfg.Node.Site.Name, Self: n.cfg.Node.ID, Address: n.cfg.Node.Address, Nodes: nodes, Identity: n.identity, Keyring: n.seal, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("keys of node %s: %w", n.cfg.Node.Name, err)
	}
	n.seal.OnUnknown(n.keys.Meet)
	return nil
}

func (n *node) openSessions() {
	t := n.cfg.Topology
	n.sessions = session.NewServer(session.Config{
		NodeName: n.cfg.Node.Name, Node: n.cfg.Node.ID, Boot: n.boot,
		Access: t.Access, Order: memberOrder(t), NodeNameOf: nodeNames(t), Log: n.log,
	}, &backend{node: n})
}

func (n *node) openGateway() error {
	dial, err := n.cfg.dialOverrides()
	if err != nil {
		return err
	}
	w := &wan{loop: n.loop, in: n.in, done: n.done, site: n.cfg.Node.Site.ID, mates: map[membership.NodeID]bool{}}
	for _, p := range n.cfg.Node.Site.Nodes {
		w.mates[p.ID] = p.Gateway.IsValid() && p.ID != n.cfg.Node.ID
	}
	n.gateway, err = overlay.New(overlay.Config{
		Topology: n.cfg.Topology, Node: n.cfg.Node, Identity: n.identity, Dial: dial,
		Incarnation: n.boot, Log: n.log,
	}, w)
	if err != nil {
		return fmt.Errorf("gateway %s on %s: %w", n.cfg.Node.Name, n.cfg.Node.Gateway, err)
	}
	w.gateway, w.tellDead = n.gateway, n.gateway.Dead
	n.loop.wan = w
	return nil
}

func (n *node) ringConfig() ring.Config {
	members := make([]membership.NodeID, 0, len(n.cfg.Node.Site.Nodes))
	for _, p := range n.cfg.Node.Site.Nodes {
		members = append(members, p.ID)
	}
	return ring.Config{
		Self: n.cfg.Node.ID, Members: members, Incarnation: n.boot,
		Label: ringLabel(n.cfg.Topology.Name, n.cfg.Node.Site.Name), MaxPacket: n.port.MaxPacket(),
		Windows: ring.DefaultWindows(), Timing: ring.TimingFor(n.cfg.Topology.Timing.TokenLoss),
	}
}

func (n *node) mergeConfig(note func(*merge.TraceEvent)) merge.Config {
	t := n.cfg.Topology
	cfg := merge.Config{
		Self: n.cfg.Node.ID, Site: n.cfg.Node.Site.ID, Boot: n.boot,
		Nodes: t.NodeSites(), StartUnix: time.Now().Unix(), Trace: note, Timing: merge.TimingOf(t.Timing.Hello),
		SiteScoped: siteScoped(t), Datagrams: true, Bulk: true,
		SlowAfter: slowAfter(t),
		Weights:   weights(t),
	}
	for _, s := range t.Sites {
		cfg.Sites = append(cfg.Sites, s.ID)
	}
	for _, p := range n.cfg.Node.Site.Nodes {
		if p.IsGateway() {
			cfg.Gateways = append(cfg.Gateways, p.ID)
		}
	}
	return cfg
}

// ringLabel separates rings that share a network: packets with another label are
// dropped.
func ringLabel(federation, site string) uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d:%s/%s", len(federation), federation, site)
	return h.Sum32()
}

// run starts every part and waits for the context or for a part that fails.
func (n *node) run(ctx context.Context) error {
	parts, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	var running sync.WaitGroup
	start := func(name string, f func(context.Context) error) {
		running.Go(func() {
			if err := f(parts); err != nil && parts.Err() == nil {
				stop(fmt.Errorf("%s of node %s: %w", name, n.cfg.Node.Name, err))
			}
		})
	}
	start("certificates", func(ctx context.Context) error { n.identity.Watch(ctx, n.log); return nil })
	start("ring sockets", func(ctx context.Context) error { return n.port.Run(ctx, n.received) })
	if n.keys != nil {
		start("key exchange", n.keys.Run)
	}
	start("loop", func(ctx context.Context) error {
		if n.keys != nil { // a ring is soon formed again, but better once with all who are there
			n.keys.Settle(ctx)
		}
		n.loop.trace.start(n.loop.now, n.loop.core)
		n.loop.core.Start(n.loop.now(), &n.loop.fx)
		n.loop.carry()
		n.loop.run(ctx)
		n.loop.gate.release()
		close(n.done)
		return n.loop.trace.stop(n.loop.now())
	})
	start("watch of clients' hosts", func(ctx context.Context) error {
		n.sessions.WatchHosts(ctx)
		return nil
	})
	for _, l := range n.listeners {
		start("clients' port "+l.Addr().String(), func(ctx context.Context) error { return n.sessions.Serve(ctx, l) })
	}
	start("reloading", n.reload.run)
	if n.gateway != nil {
		links, unlink := context.WithCancel(parts)
		defer unlink()
		n.unlinked, n.unlink = make(chan struct{}), unlink
		start("overlay", func(context.Context) error {
			defer close(n.unlinked)
			return n.gateway.Run(links)
		})
	}
	if n.admin != nil {
		start("admin port", n.admin.Run)
	}
	n.log.Info("node is up", "site", n.cfg.Node.Site.Name, "address", n.cfg.Node.Address.String(), "lan", n.port.Mode(), "cores", runtime.NumCPU())

	select {
	case <-ctx.Done():
		n.drain()
		stop(nil)
	case <-parts.Done():
	}
	n.in.close()
	running.Wait()
	if cause := context.Cause(parts); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	n.log.Info("node has stopped")
	return nil
}

// received takes a batch of ring packets from a reader.
func (n *node) received(b lan.Batch) { n.in.packets(b.Packets, ring.IsToken) }

// close releases what open acquired.
func (n *node) close() {
	for _, l := range n.listeners {
		l.Close()
	}
	if n.port != nil {
		n.port.Close()
	}
	if n.keys != nil {
		n.keys.Close()
	}
	if n.admin != nil {
		n.admin.Close() //nolint:errcheck // the process ends
	}
}
