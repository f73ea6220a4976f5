package overlay

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/routing"
	"ringway/topology"
)

// A mesh is a federation of real gateways, QUIC included, in virtual time. Gateways of a
// site "a" are "a-1", "a-2" and so on.
type mesh struct {
	t     *testing.T
	wire  *memNet
	top   *topology.Topology
	node  map[string]*topology.Node
	gate  map[string]*Gateway
	rec   map[string]*recorder
	stop  map[string]func()
	wg    sync.WaitGroup
	runs  uint64
	plug  func(name string, cfg *Config)
	state map[string]State // announced at start; else the whole site's
}

const meshHello = 100 * time.Millisecond

// inMesh runs a test on a mesh of so many gateways in each of the sites, which are named
// by one letter. Links are given as "a-b" with the one-way delay between the sites.
func inMesh(t *testing.T, sites string, gateways int, links map[string]time.Duration, test func(m *mesh)) {
	t.Helper()
	inMeshOf(t, strings.Split(sites, ""), gateways, links, test)
}

// inMeshOf is inMesh for sites with longer names.
func inMeshOf(t *testing.T, sites []string, gateways int, links map[string]time.Duration, test func(m *mesh)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &mesh{
			t: t, wire: newMemNet(1), node: map[string]*topology.Node{}, gate: map[string]*Gateway{}, rec: map[string]*recorder{},
			stop: map[string]func(){}, state: map[string]State{},
			top: &topology.Topology{Name: "test", Timing: topology.Timing{Hello: meshHello}},
		}
		byName := map[string]*topology.Site{}
		for i, name := range sites {
			site := &topology.Site{ID: membership.SiteIDOf(name), Name: name}
			byName[site.Name] = site
			for k := range gateways {
				name := fmt.Sprintf("%s-%d", site.Name, k+1)
				addr := &net.UDPAddr{IP: net.IPv4(10, 0, byte(i), byte(k+1)).To4(), Port: 4804}
				n := &topology.Node{ID: membership.NodeIDOf(name), Name: name, Site: site, Gateway: addr.AddrPort()}
				site.Nodes = append(site.Nodes, n)
				m.node[name] = n
			}
			m.top.Sites = append(m.top.Sites, site)
		}
		for _, l := range slices.Sorted(maps.Keys(links)) {
			a, b, _ := strings.Cut(l, "-")
			m.top.Links = append(m.top.Links, &topology.Link{Between: [2]*topology.Site{byName[a], byName[b]}})
			m.link(l, func(w *memWay) { w.delay = links[l] })
		}
		for _, site := range m.top.Sites {
			m.link(site.Name+"-"+site.Name, func(w *memWay) { w.delay = 50 * time.Microsecond })
		}
		defer func() {
			for _, stop := range m.stop {
				stop()
			}
			m.wg.Wait()
			m.wire.close()
		}()
		test(m)
	})
}

// link changes the ways between all gateways of two sites, in both directions.
func (m *mesh) link(sites string, change func(w *memWay)) {
	from, to, _ := strings.Cut(sites, "-")
	for _, a := range m.node {
		for _, b := range m.node {
			if a != b && a.Site.Name == from && b.Site.Name == to {
				m.between(a.Name, b.Name, change)
			}
		}
	}
}

// between changes the ways between two gateways.
func (m *mesh) between(a, b string, change func(w *memWay)) {
	x, y := m.node[a].Gateway.String(), m.node[b].Gateway.String()
	m.wire.mu.Lock()
	defer m.wire.mu.Unlock()
	change(m.wire.way(x, y))
	change(m.wire.way(y, x))
}

func cutWay(w *memWay)  { w.cut = true }
func mendWay(w *memWay) { w.cut = false }

// sent returns the bytes and packets that went from one gateway to another.
func (m *mesh) sent(from, to string) (bytes, packets int) {
	m.wire.mu.Lock()
	defer m.wire.mu.Unlock()
	w := m.wire.way(m.node[from].Gateway.String(), m.node[to].Gateway.String())
	return w.bytes, w.packets
}

// start runs gateways, anew if they ran before.
func (m *mesh) start(names ...string) *mesh {
	m.t.Helper()
	for _, name := range names {
		n := m.node[name]
		id, err := pki.Throwaway(m.top.Name, n.Site.Name, name)
		if err != nil {
			m.t.Fatal(err)
		}
		m.runs++
		conn := m.wire.conn(net.UDPAddrFromAddrPort(n.Gateway))
		cfg := Config{Topology: m.top, Node: n, Identity: id, Conn: conn, Incarnation: m.runs, Rand: func() float64 { return 0.5 }}
		if testing.Verbose() && *meshLog {
			cfg.Log = slog.New(slog.NewTextHandler(m.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", name)
		}
		if m.plug != nil {
			m.plug(name, &cfg)
		}
		if m.rec[name] == nil {
			m.rec[name] = newRecorder()
		}
		g, err := New(cfg, m.rec[name])
		if err != nil {
			m.t.Fatal(err)
		}
		m.gate[name] = g
		state, ok := m.state[name]
		if !ok {
			state = State{Instance: instanceOf(n.Site.ID), View: testView, Epoch: 1}
		}
		g.Announce(state)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		m.wg.Go(func() {
			defer close(ended)
			if err := g.Run(ctx); err != nil {
				m.t.Errorf("%s: %v", name, err)
			}
		})
		m.stop[name] = func() { cancel(); <-ended }
	}
	return m
}

// kill makes a gateway vanish: no packet of it gets out any more.
func (m *mesh) kill(name string) {
	for other := range m.node {
		if other != name {
			m.between(name, other, cutWay)
		}
	}
	m.stop[name]()
	delete(m.stop, name)
	delete(m.gate, name)
	for other := range m.node {
		if other != name {
			m.between(name, other, mendWay)
		}
	}
}

func (m *mesh) all() *mesh { return m.start(slices.Sorted(maps.Keys(m.node))...) }

// until lets virtual time pass until ok, and returns how much it was.
func (m *mesh) until(what string, limit time.Duration, ok func() bool) time.Duration {
	m.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			m.t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

// converged waits until every gateway reaches every site, and all measure.
func (m *mesh) converged() *mesh {
	m.t.Helper()
	for name := range m.gate {
		m.until(name+" reaches all", 10*time.Second, func() bool {
			r := m.rec[name]
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.reach) == len(m.top.Sites)-1
		})
	}
	time.Sleep(2 * time.Second) // routes settle, and the throttle calms down
	return m
}

// pull lets all gateways pull the log of a site's instance.
func (m *mesh) pull(site string) {
	for name, g := range m.gate {
		if m.node[name].Site.Name != site {
			g.Pull([]Position{{Log: logOf(site)}})
		}
	}
}

// have returns how many records of a site's log have reached another site.
func (m *mesh) have(site, from string) (n int) {
	for name, r := range m.rec {
		if m.node[name].Site.Name == site {
			n += r.count(logOf(from))
		}
	}
	return n
}

// agreed says whether all gateways have the same link state, and trees of it.
func (m *mesh) agreed() bool {
	type known struct {
		digest []routing.Summary
		trees  string
	}
	var all []known
	for _, name := range slices.Sorted(maps.Keys(m.gate)) {
		answer := make(chan known, 1)
		m.gate[name].post(func(c *core) {
			k := known{digest: c.db.Digest()}
			for _, origin := range c.routes.Instances() {
				for _, s := range c.db.All() {
					parent, _ := c.routes.Parent(origin, s.Gateway)
					depth, _ := c.routes.Depth(origin, s.Gateway)
					k.trees += fmt.Sprintln(origin, s.Gateway, parent, depth)
				}
			}
			answer <- k
		})
		all = append(all, <-answer)
	}
	return !slices.ContainsFunc(all, func(k known) bool { return k.trees != all[0].trees || !slices.Equal(k.digest, all[0].digest) })
}
