package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"ringway/membership"
	"ringway/topology"
)

// A Gateway is one node's end of the overlay. Its methods other than Run return
// without waiting and may be called from any goroutine, before, while and after Run
// runs.
type Gateway struct {
	cfg      Config
	self     *topology.Node
	handler  Handler
	log      *slog.Logger
	limiter  *rate.Limiter // of warnings about peers
	moves    *rate.Limiter // of lines about routes
	rand     func() float64
	began    time.Time
	gateways map[membership.NodeID]*topology.Node // of the topology, without self
	linked   atomic.Pointer[[]*topology.Link]     // in force
	verifier *verifier
	count    counters
	// pressures are those of the links to all gateways.
	pressures map[membership.NodeID]*pressure

	conn      net.PacketConn
	transport *quic.Transport
	door      *doorway
	out       *outbox
	in        inbox
	events    chan func(*core)
	done      chan struct{} // closed when the event loop has ended
	wg        sync.WaitGroup
}

// New returns a Gateway that listens but does nothing more before Run.
func New(cfg Config, h Handler) (*Gateway, error) {
	if !cfg.Node.IsGateway() {
		return nil, fmt.Errorf("overlay: node %s is no gateway: give it a gateway address in the topology", cfg.Node.Name)
	}
	g := &Gateway{
		cfg: cfg, self: cfg.Node, handler: h, log: cfg.Log, rand: cfg.Rand,
		limiter: rate.NewLimiter(rate.Every(time.Second), 10), moves: rate.NewLimiter(rate.Every(time.Second), membership.MaxSites),
		began: time.Now(), gateways: map[membership.NodeID]*topology.Node{}, pressures: map[membership.NodeID]*pressure{},
		out: newOutbox(), in: inbox{signalled: newSignalled()},
		events: make(chan func(*core), maxEvents), done: make(chan struct{}),
	}
	g.linked.Store(&cfg.Topology.Links)
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.rand == nil {
		g.rand = rand.Float64
	}
	for _, s := range cfg.Topology.Sites {
		for _, n := range s.Nodes {
			if n.IsGateway() && n.ID != g.self.ID {
				g.gateways[n.ID], g.pressures[n.ID] = n, new(pressure)
			}
		}
	}
	all := maps.Clone(g.gateways) // with self: an earlier run's advertisement may come round
	all[g.self.ID] = g.self
	g.verifier = newVerifier(cfg.Identity, all)
	if g.conn = cfg.Conn; g.conn == nil {
		conn, err := listen(cfg.Node.Gateway, g.log)
		if err != nil {
			return nil, fmt.Errorf("overlay: gateway %s: %w", cfg.Node.Name, err)
		}
		g.conn = conn
	}
	// quic-go would print its own warning about small buffers; listen has said it.
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	g.door = newDoorway(func() { g.count.refused.Add(1) })
	g.transport = &quic.Transport{Conn: g.conn, ConnContext: g.door.enter, VerifySourceAddress: g.door.doubtful}
	return g, nil
}

// Run connects to the other gateways and carries what they and the node have for
// each other, until ctx ends; then it announces that it drains, lets the neighbours
// move their streams, and closes. It is called once. The Handler's methods must
// return when the node stops, or Run does not.
func (g *Gateway) Run(ctx context.Context) error {
	listener, err := g.transport.ListenEarly(g.cfg.Identity.ServerTLS(), quicConfig())
	if err != nil {
		return fmt.Errorf("overlay: gateway %s listens on %v: %w", g.self.Name, g.conn.LocalAddr(), err)
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c := newCore(inner, g)
	g.wg.Go(func() { g.out.deliver(g.handler, g.done) })
	g.wg.Go(func() { g.accept(inner, listener) })
	g.wg.Go(func() { g.countGarbage(inner) })
	g.wg.Go(func() { g.guard(inner) })
	for _, l := range c.order {
		c.keepLinked(l)
	}
	c.run(ctx)
	cancel()
	c.stop()
	close(g.done)
	err = errors.Join(ignoreClosed(listener.Close()), g.transport.Close(), ignoreClosed(g.conn.Close()))
	g.wg.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, quic.ErrServerClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// now is the time since the Gateway was made.
func (g *Gateway) now() time.Duration { return time.Since(g.began) }

// post hands an event to the loop; when the loop has ended it is dropped.
func (g *Gateway) post(event func(*core)) {
	select {
	case g.events <- event:
	case <-g.done:
	}
}

// warn logs what a peer did, at a bounded rate.
func (g *Gateway) warn(msg string, args ...any) {
	if g.limiter.Allow() {
		g.log.Warn(msg, args...)
	} else {
		g.count.warningsSuppressed.Add(1)
	}
}

// An inbox has what the node has for the event loop. Its lock comes before those of
// stores (doc.go).
type inbox struct {
	signalled
	state    *State
	pulls    []pullPosition
	pulled   bool // pulls are news
	controls []controlMessage
	bytes    int // of controls
	promises [][]byte
	notes    fair[note]
	own      *store // the own log; nil: none yet
}

// Announce tells the other gateways about the own site.
func (g *Gateway) Announce(s State) {
	g.in.mu.Lock()
	g.in.state = &s
	g.in.mu.Unlock()
	g.in.signal()
}

// Append adds entries to the own site's log, in the order of their numbers; those
// that it has already are ignored. An entry without destinations goes nowhere; it
// keeps the numbers without gaps. A new LogID drops the former log. The entries'
// fields, not the slice, are kept and must not be changed.
func (g *Gateway) Append(log membership.LogID, entries []LogEntry) {
	for i := range entries {
		if len(entries[i].Data) > MaxEntryBytes || len(entries[i].Dests) > membership.MaxSites {
			g.log.Error("entry of the own log refused: too large, or to too many instances", "log", log, "n", entries[i].N, "bytes", len(entries[i].Data), "instances", len(entries[i].Dests))
			return
		}
	}
	g.in.mu.Lock()
	own := g.in.own
	if own == nil || own.id != log {
		if own != nil {
			own.close()
		}
		own = newStore(log, true, maxOwnLogBytes)
		g.in.own = own
		g.in.signal()
	}
	g.in.mu.Unlock()
	if dropped := own.appendOwn(entries); dropped > 0 {
		g.count.ownDropped.Add(uint64(dropped))
		g.warn("own log beyond its bound: dropped records that some site may lack", "log", log, "records", dropped, "bound", maxOwnLogBytes)
	}
}

// Trim forgets entries of the own log below that number: every destination has them.
func (g *Gateway) Trim(log membership.LogID, below uint64) {
	g.in.mu.Lock()
	own := g.in.own
	g.in.mu.Unlock()
	if own != nil && own.id == log {
		own.trim(below)
	}
}

// Pull says which logs the site imports and from where; it replaces the former
// call. Of a log that was pulled before, a higher From is followed and a lower one
// ignored; to rewind a log, leave it out of one call.
func (g *Gateway) Pull(logs []Position) {
	g.in.mu.Lock()
	defer g.in.mu.Unlock()
	pulls := make([]pullPosition, len(logs))
	for i, p := range logs {
		pulls[i] = pullPosition{Position: p, fresh: true}
		for _, former := range g.in.pulls {
			if former.Log == p.Log {
				pulls[i].fresh = former.fresh
			}
		}
	}
	g.in.pulls, g.in.pulled = pulls, true
	g.in.signal()
}

// A pullPosition is a Position; fresh says that the former Pull did not have the log.
type pullPosition struct {
	Position
	fresh bool
}

// Broadcast sends a promise to all other instances. It may be lost; a newer one
// supersedes it.
func (g *Gateway) Broadcast(data []byte) {
	if len(data) > MaxPromiseBytes {
		g.log.Error("promise refused: too large", "bytes", len(data), "limit", MaxPromiseBytes)
		return
	}
	g.in.mu.Lock()
	if len(g.in.promises) >= maxPromiseBacklog {
		g.in.promises = append(g.in.promises[:0], g.in.promises[1:]...)
		g.count.promisesDropped.Add(1)
	}
	g.in.promises = append(g.in.promises, data)
	g.in.mu.Unlock()
	g.in.signal()
}

// Control sends a message to a gateway of another instance. It arrives in order and once
// while routes and links stay as they are; otherwise it may be lost, and nobody is told:
// whoever sends one repeats it until it is answered (docs/decisions/, "Controls are
// repeated by whoever needs the answer"). False says that it was refused, as if it were
// lost at once: too large, or too much waits already. Refusals are counted.
func (g *Gateway) Control(to membership.SiteInstance, data []byte) bool {
	return g.putControl(controlMessage{To: to, Hops: maxHops, Data: data}, MaxControlBytes)
}

// Bulk sends a message likewise, but beside all others: on each link it only has the share of
// one more log. It is for what is large and can wait, in pieces of at most MaxBulkBytes. Those
// that wait at a link that fails are lost.
func (g *Gateway) Bulk(to membership.SiteInstance, data []byte) bool {
	return g.putControl(controlMessage{To: to, Hops: maxHops, Data: data, Bulk: true}, MaxBulkBytes)
}

func (g *Gateway) putControl(m controlMessage, limit int) bool {
	if len(m.Data) > limit {
		g.log.Error("control message refused: too large", "bytes", len(m.Data), "limit", limit)
		return false
	}
	g.in.mu.Lock()
	defer g.in.mu.Unlock()
	if len(g.in.controls) >= maxControlQueue || g.in.bytes+len(m.Data) > maxControlQueueBytes {
		g.count.controlsDropped.Add(1)
		return false
	}
	g.in.controls = append(g.in.controls, m)
	g.in.bytes += len(m.Data)
	g.in.signal()
	return true
}

// Datagram sends a message to other instances, at once or not at all: what gets lost on the
// way is lost, and where there is no room the oldest are dropped. The slices are kept and
// must not be changed.
func (g *Gateway) Datagram(to []membership.SiteInstance, data []byte) {
	if len(data) > MaxDatagramBytes || len(to) > membership.MaxSites {
		g.log.Error("datagram refused: too large, or to too many instances", "bytes", len(data), "limit", MaxDatagramBytes, "instances", len(to))
		return
	}
	g.in.mu.Lock()
	dropped := g.in.notes.put(g.self.ID, note{To: to, Data: data})
	g.in.mu.Unlock()
	g.count.notesDropped.Add(uint64(dropped))
	g.in.signal()
}
