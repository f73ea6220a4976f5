package overlay

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"ringway/internal/lockedbuf"
	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

const patience = time.Minute

// realHello is long: a link is in doubt when its peer was silent for little more than two
// of them, which on a busy machine somebody who was just not scheduled may be. Tests in
// virtual time judge what is faster.
const realHello = 400 * time.Millisecond

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("never came true: %s", what)
		}
	}
}

// A recorder is a Handler that remembers.
type recorder struct {
	mu       sync.Mutex
	numbers  map[membership.LogID][]uint64
	data     map[membership.LogID]int
	promises []string
	controls []string
	grams    []string    // Datagrams
	came     []time.Time // when each did
	reach    []Reach
	gate     chan struct{} // not nil: Records waits until it is closed
}

func newRecorder() *recorder {
	return &recorder{numbers: map[membership.LogID][]uint64{}, data: map[membership.LogID]int{}}
}

func (r *recorder) Records(batch Batch) {
	log, entries := batch.Log, batch.Entries
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		<-gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.numbers[log] = append(r.numbers[log], e.N)
		r.data[log] += len(e.Data)
	}
}

func (r *recorder) Promise(_ membership.SiteInstance, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.promises = append(r.promises, string(data))
}

func (r *recorder) Control(from membership.SiteInstance, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.controls = append(r.controls, fmt.Sprintf("%v:%s", from.Instance, data))
}

func (r *recorder) Datagrams(list []Datagram) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range list {
		r.grams, r.came = append(r.grams, fmt.Sprintf("%v:%s", d.From.Instance, d.Data)), append(r.came, time.Now())
	}
}

func (r *recorder) Reach(reach []Reach) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reach = reach
}

func (r *recorder) got(log membership.LogID) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.numbers[log])
}

// end returns the number after the latest record that has come of a log.
func (r *recorder) end(log membership.LogID) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.numbers[log]; len(n) > 0 {
		return n[len(n)-1] + 1
	}
	return 0
}

// after returns what has come of a log behind the first n records.
func (r *recorder) after(log membership.LogID, n int) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.numbers[log][n:])
}

func (r *recorder) count(log membership.LogID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.numbers[log])
}

// reached returns what is known of a site's first instance that can be reached.
func (r *recorder) reached(site membership.SiteID) (Reach, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.reach, func(x Reach) bool { return x.Site == site })
	if i < 0 {
		return Reach{}, false
	}
	return r.reach[i], true
}

// reaches says whether a site can be reached.
func (r *recorder) reaches(site membership.SiteID) bool {
	_, ok := r.reached(site)
	return ok
}

func (r *recorder) has(list *[]string, what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(*list, what)
}

// A cutConn is a gateway's socket on which ways to some addresses can be cut.
type cutConn struct {
	net.PacketConn
	mu  sync.Mutex
	cut map[string]bool
}

func (c *cutConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	cut := c.cut[to.String()]
	c.mu.Unlock()
	if cut {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

// A federation is some gateways in this process, over loopback UDP.
type federation struct {
	t    *testing.T
	top  *topology.Topology
	node map[string]*topology.Node
	gate map[string]*Gateway
	rec  map[string]*recorder
	wire map[string]*cutConn
	stop map[string]func()
	logs lockedbuf.Buffer               // of all gateways
	plug func(name string, cfg *Config) // changes a gateway's configuration
	fast bool                           // plain sockets, with all that quic-go can do with them
}

// newFederation makes a federation of gateways named site-number, such as "a-1"; links
// are pairs of sites such as "a-b".
func newFederation(t *testing.T, gateways []string, links ...string) *federation {
	t.Helper()
	f := &federation{
		t: t, node: map[string]*topology.Node{}, gate: map[string]*Gateway{}, rec: map[string]*recorder{},
		wire: map[string]*cutConn{}, stop: map[string]func(){},
		top: &topology.Topology{Name: "test", Timing: topology.Timing{Hello: realHello}},
	}
	sites := map[string]*topology.Site{}
	for _, name := range gateways {
		site := sites[name[:1]]
		if site == nil {
			site = &topology.Site{ID: membership.SiteIDOf(name[:1]), Name: name[:1]}
			sites[name[:1]] = site
			f.top.Sites = append(f.top.Sites, site)
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		f.wire[name] = &cutConn{PacketConn: conn, cut: map[string]bool{}}
		n := &topology.Node{ID: membership.NodeIDOf(name), Name: name, Site: site, Gateway: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
		site.Nodes = append(site.Nodes, n)
		f.node[name] = n
	}
	for _, l := range links {
		f.top.Links = append(f.top.Links, &topology.Link{Between: [2]*topology.Site{sites[l[:1]], sites[l[2:]]}})
	}
	t.Cleanup(func() {
		for _, stop := range f.stop {
			stop()
		}
		if t.Failed() {
			t.Log(f.logs.String())
		}
	})
	return f
}

func (f *federation) start(names ...string) *federation {
	f.t.Helper()
	for _, name := range names {
		n := f.node[name]
		id, err := pki.Throwaway(f.top.Name, n.Site.Name, name)
		if err != nil {
			f.t.Fatal(err)
		}
		log := slog.New(slog.NewTextHandler(&f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", name)
		cfg := Config{Topology: f.top, Node: n, Identity: id, Conn: f.wire[name], Incarnation: uint64(time.Now().UnixNano()), Log: log}
		if f.fast {
			cfg.Conn = f.wire[name].PacketConn
		}
		if f.plug != nil {
			f.plug(name, &cfg)
		}
		f.rec[name] = newRecorder()
		g, err := New(cfg, f.rec[name])
		if err != nil {
			f.t.Fatal(err)
		}
		f.gate[name] = g
		g.Announce(State{Instance: instanceOf(n.Site.ID), View: testView, Epoch: 1})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		f.stop[name] = sync.OnceFunc(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					f.t.Errorf("%s: Run: %v", name, err)
				}
			case <-time.After(patience):
				f.t.Errorf("%s: Run does not end", name)
			}
		})
	}
	return f
}

func (f *federation) all() *federation { return f.start(slices.Sorted(maps.Keys(f.node))...) }

// cut takes or mends the way between two gateways, in both directions.
func (f *federation) cut(a, b string, on bool) {
	for _, way := range [][2]string{{a, b}, {b, a}} {
		w := f.wire[way[0]]
		w.mu.Lock()
		w.cut[f.node[way[1]].Gateway.String()] = on
		w.mu.Unlock()
	}
}

// converged waits until every running gateway reaches every other one's site.
func (f *federation) converged() *federation {
	f.t.Helper()
	for name, g := range f.gate {
		for other := range f.gate {
			site := f.node[other].Site
			if site == g.self.Site {
				continue
			}
			eventually(f.t, name+" reaches "+site.Name, func() bool { return f.rec[name].reaches(site.ID) })
		}
	}
	return f
}

func (f *federation) link(a, b string) LinkStatus {
	f.t.Helper()
	var links []LinkStatus
	eventually(f.t, a+" to say what links it has", func() bool { // its loop may not answer in time
		links = f.gate[a].Status().Links
		return len(links) > 0
	})
	for _, l := range links {
		if l.Peer == b {
			return l
		}
	}
	return LinkStatus{}
}

func (f *federation) counter(name, counter string) uint64 {
	return f.gate[name].count.snapshot()["ringway_overlay_"+counter+"_total"]
}

var testView = membership.ViewID{Epoch: 1, Proposer: 7}

func instanceOf(s membership.SiteID) membership.InstanceID { return membership.InstanceID(s) << 8 }

func logOf(site string) membership.LogID {
	s := membership.SiteIDOf(site)
	return membership.LogID{Site: s, Instance: instanceOf(s), View: testView}
}

// of returns the instance of a site that is in one piece.
func of(site string) membership.SiteInstance {
	id := membership.SiteIDOf(site)
	return membership.SiteInstance{Instance: instanceOf(id), Site: id}
}

func instances(names ...string) (ids []membership.InstanceID) {
	for _, n := range names {
		ids = append(ids, of(n).Instance)
	}
	return ids
}

// entries makes count entries from number from on.
func entries(from, count uint64, size int, dests ...string) []LogEntry {
	list := make([]LogEntry, count)
	for i := range list {
		list[i] = LogEntry{N: from + uint64(i), Dests: instances(dests...), Data: bytes.Repeat([]byte{byte(i)}, size)}
	}
	return list
}

// upTo returns 0, step, 2*step, … below n.
func upTo(n, step uint64) (list []uint64) {
	for i := uint64(0); i < n; i += step {
		list = append(list, i)
	}
	return list
}
