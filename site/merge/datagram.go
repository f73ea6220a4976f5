package merge

import (
	"fmt"
	"time"

	"ringway/internal/window"
	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// Datagrams: unreliable messages between sites (SEQUENCING section 6).
//
//	U1  Place. An unreliable message that fits a datagram and has members elsewhere takes
//	    its place in its own site's order, without a T, credit or a record. There it is
//	    delivered to the site's own members, and there it belongs to the view that the site
//	    is in.
//	U2  At most once out. The gateway that leads at that place, alone, gives it to the
//	    overlay: at once, as nothing rests on it. None does while the ring ends, as others may
//	    go on without what is ordered there, nor when the view's end is computed.
//	U3  Its view or none. Whoever gets it in another view than it was sent in drops it.
//	U4  At most once in. The gateway of another site hands it to its ring, where it is
//	    delivered on arrival. Each node takes a number of a run of a gateway once in a view,
//	    also if it comes into the view a second time; from an instance of its own site that it
//	    has left in this view it takes nothing any more.
//	U5  It never takes the room of what is reliable: a bounded queue, of which the oldest
//	    are dropped, and a quarter of the frames where others wait.

// A Datagram is an unreliable message on its way to other instances.
type Datagram struct {
	To   []SiteInstance
	Data []byte
}

// Limits of the protocol.
const (
	// MaxDatagramBytes bounds a Datagram's Data: what the overlay carries in one packet over
	// any path that carries QUIC.
	MaxDatagramBytes = 1024
	// maxFlying bounds the data of an unreliable message and its groups' names, each with
	// one byte more, so that it fits with everything else. What is larger travels as a record.
	maxFlying = MaxDatagramBytes - datagramBytes - membership.MaxPrivateName
	// datagramBytes is the size of a datagram less names and data.
	datagramBytes = membership.ViewIDBytes + 8 + 8 + 4 + 8 + 8 + 1 + membership.ClientIDBytes + 8 + 1 + 4 + 1
)

// Tuning.
const (
	// maxDatagrams bounds what waits for the ring: a few turns of it. Later they would be
	// old news.
	maxDatagrams = 256
	// datagramPart is one in how many frames may be a datagram while others wait.
	datagramPart = 4
	// datagramStream is of the ring.
	datagramStream = controlStream - 2
)

// A far is a decoded Datagram.
type far struct {
	view    membership.ViewID
	src     membership.InstanceID
	dests   membership.Set    // places in view
	gateway membership.NodeID // that gave it to the overlay
	boot    uint64            // its run
	number  uint64            // counts those of the run, from 1
	discard bool
	client  membership.ClientID
	seq     uint64
	name    string
	hint    [4]byte
	groups  []string
	data    []byte
}

func (f *far) append(b []byte) []byte {
	b = wire.AppendUint64(f.view.Append(b), uint64(f.src))
	b = wire.AppendUint32(wire.AppendUint64(b, uint64(f.dests)), uint32(f.gateway))
	b = wire.AppendUint64(wire.AppendUint64(b, f.boot), f.number)
	b = f.client.Append(wire.AppendBool(b, f.discard))
	b = wire.AppendString(wire.AppendUint64(b, f.seq), f.name)
	b = appendGroups(append(b, f.hint[:]...), f.groups)
	return append(b, f.data...)
}

// read fills f; groups and data are valid as long as the input.
func (f *far) read(b []byte, names *interner) error {
	r := wire.NewReader(b)
	if len(b) > MaxDatagramBytes {
		return fmt.Errorf("%w: datagram of %d bytes, at most %d", wire.ErrLimit, len(b), MaxDatagramBytes)
	}
	*f = far{view: membership.ReadViewID(&r), src: membership.InstanceID(r.Uint64()), dests: membership.Set(r.Uint64()),
		gateway: membership.NodeID(r.Uint32()), boot: r.Uint64(), number: r.Uint64(), discard: r.Bool(),
		client: membership.ReadClientID(&r), seq: r.Uint64()}
	f.name = names.name(readName(&r, membership.MaxPrivateName))
	copy(f.hint[:], r.Bytes(4))
	f.groups = readGroups(&r, names)
	f.data = r.Rest()
	return r.Err()
}

// datagrams is what a node knows of unreliable messages between sites. Not replicated.
type datagrams struct {
	number  uint64   // of the latest that this gateway has sent
	waiting [][]byte // frames for the ring, oldest first
	bytes   int
	others  int // frames of others since the last datagram's
	view    membership.ViewID
	had     map[gatewayRun]*window.Window // in view
	in      far                           // scratch
	count   DatagramCounters
}

// DatagramCounters count unreliable messages from and to other sites at a node.
type DatagramCounters struct {
	Sent      uint64 // given to the overlay: by the gateway that leads its site
	Received  uint64 // that came from the overlay
	Delivered uint64 // taken off the ring in their view, for the first time
	Dropped   uint64 // malformed, not for anybody here, or one too many
	Late      uint64 // of another view than the node is in
	Duplicate uint64 // that the node has had
}

// flies says whether a request travels as a datagram (U1).
func (r *Replica) flies(c *client, it *item) bool {
	m := r.m
	if it.Kind != Send || it.Service != membership.Unreliable || it.numbered || m.solo() || !r.cfg.Datagrams {
		return false
	}
	size := len(it.Data)
	for _, g := range it.Groups {
		size += 1 + len(g)
	}
	d, _ := m.destinations(it.Groups)
	return size <= maxFlying && d.Without(m.self) != 0 && !r.returning(c.id, it.Groups)
}

// fly makes the frame of such a request.
func (r *Replica) fly(c *client, f *localSend) ring.Frame {
	p := &r.proposer
	it := &c.queue[c.sent]
	c.casts++
	f.seq = castNumber | c.casts
	if r.cfg.Trace != nil {
		r.cfg.Trace(&TraceEvent{Kind: TraceNamed, Client: c.id, Seq: f.seq, Tag: it.Tag, Instance: r.m.instance, View: r.m.view.ID})
	}
	frame := ring.Frame{Stream: c.id.Session, Service: membership.Agreed, Data: f.append(p.arena.take(f.size()), frameFar)}
	p.remove(c, c.sent)
	return frame
}

// farSent takes an unreliable message to other sites at its place in the order.
func (r *Replica) farSent(node membership.NodeID, in *wire.Reader) error {
	f, m := &r.send, r.m
	if err := f.read(in, &r.names); err != nil {
		return err
	}
	if f.kind != Send || f.service != membership.Unreliable {
		return errKind
	}
	if at, ok := m.nodes[node]; !ok || f.session>>32 != at.boot&(1<<32-1) {
		r.datagrams.count.Dropped++
		return nil
	}
	d, _ := m.destinations(f.groups)
	rec := &record{kind: kindData, src: m.self, service: f.service, discard: f.discard, dests: d,
		client: membership.ClientID{Node: node, Session: f.session}, seq: f.seq, name: f.name, hint: f.hint, groups: f.groups, data: f.data}
	m.traceFar(rec)
	m.deliverData(rec, true)
	if r.gateway.is && r.leader() == r.cfg.Self && !m.solo() && !m.closing && m.cut == nil {
		r.sendFar(rec)
	}
	return nil
}

func (m *machine) traceFar(r *record) {
	if m.cfg.Trace == nil {
		return
	}
	e := &TraceEvent{Kind: TraceSend, Client: r.client, Seq: r.seq, Request: Send, Groups: r.groups, Service: r.service, Far: true,
		Instance: m.instance, View: m.view.ID, Closing: m.closing}
	for rest := r.dests; rest != 0; rest &= rest - 1 {
		e.Dests = append(e.Dests, m.view.Members[rest.First()].Instance)
	}
	m.cfg.Trace(e)
}

// sendFar is U2.
func (r *Replica) sendFar(rec *record) {
	m, g := r.m, &r.datagrams
	f := far{view: m.view.ID, src: m.instance, dests: rec.dests, gateway: r.cfg.Self, boot: r.cfg.Boot, number: g.number + 1,
		discard: rec.discard, client: rec.client, seq: rec.seq, name: rec.name, hint: rec.hint, groups: rec.groups, data: rec.data}
	d := Datagram{Data: f.append(make([]byte, 0, datagramBytes+64+len(f.data)))}
	if len(d.Data) > MaxDatagramBytes {
		g.count.Dropped++ // no node of this site sends that
		return
	}
	for rest := rec.dests.Without(m.self); rest != 0; rest &= rest - 1 {
		d.To = append(d.To, m.view.Members[rest.First()])
	}
	if len(d.To) > 0 {
		g.number++
		g.count.Sent++
		r.fx.Datagrams = append(r.fx.Datagrams, d)
	}
}

// DatagramIn takes an unreliable message of another instance, which a gateway of that one
// has sent, for the ring.
func (r *Replica) DatagramIn(now time.Duration, from SiteInstance, data []byte, fx *Effects) {
	r.begin(now, fx)
	g, f := &r.datagrams, &r.datagrams.in
	g.count.Received++
	switch err := f.read(data, &r.names); {
	case err != nil:
		r.badFrames++
		g.count.Dropped++
		return
	case r.m == nil || !r.gateway.is:
		g.count.Dropped++
		return
	case f.view != r.m.view.ID && !r.m.off(anyView):
		g.count.Late++
		return
	case f.src != from.Instance || r.cfg.Nodes[f.gateway] != from.Site || !r.m.fits(f) || !r.m.concerns(f):
		g.count.Dropped++
		return
	}
	if len(g.waiting) >= maxDatagrams {
		g.bytes -= len(g.waiting[0])
		g.waiting[0] = nil
		g.waiting = g.waiting[1:]
		g.count.Dropped++
	}
	frame := append(append(make([]byte, 0, 1+len(data)), byte(frameDatagram)), data...)
	g.waiting = append(g.waiting, frame)
	g.bytes += len(frame)
	fx.Kick = true
}

// fits says whether a datagram is one that its source may send to this instance: of one of
// that site's clients, and by one of its gateways.
func (m *machine) fits(f *far) bool {
	src, ok := m.view.Index(f.src)
	if !ok || src == m.self || f.dests&^m.view.All() != 0 || !f.dests.Has(m.self) || f.number == 0 {
		return false
	}
	site := m.view.Members[src].Site
	return m.cfg.Nodes[f.client.Node] == site && m.cfg.Nodes[f.gateway] == site
}

// concerns says whether a datagram has members in this instance.
func (m *machine) concerns(f *far) bool {
	d, _ := m.destinations(f.groups)
	return d.Has(m.self)
}

// nextDatagram returns the frame of the next datagram for the ring, if it is their turn:
// others is set if somebody else may have something as well.
func (r *Replica) nextDatagram(others bool) (ring.Frame, bool) {
	g := &r.datagrams
	if len(g.waiting) == 0 {
		return ring.Frame{}, false
	}
	if others && g.others+1 < datagramPart {
		g.others++
		return ring.Frame{}, false
	}
	f := ring.Frame{Stream: datagramStream, Service: membership.Reliable, Bound: true, Data: g.waiting[0]}
	g.bytes -= len(f.Data)
	g.waiting[0], g.others = nil, 0
	if g.waiting = g.waiting[1:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	return f, true
}

// farCame takes a datagram off the ring, on arrival: U3 and U4.
func (r *Replica) farCame(data []byte) {
	m, g, f := r.m, &r.datagrams, &r.datagrams.in
	if err := f.read(data, &r.names); err != nil {
		r.badFrames++
		return
	}
	switch {
	case f.view != m.view.ID && !m.off(anyView), m.cut != nil:
		g.count.Late++
		return
	case !m.fits(f):
		g.count.Dropped++
		return
	}
	src, _ := m.view.Index(f.src)
	if m.skipD.Has(src) && m.skipT >= 0 && !m.off(seenAgain) {
		g.count.Dropped++
		return
	}
	if !g.first(m.view.ID, f) && !m.off(datagramTwice) {
		g.count.Duplicate++
		return
	}
	g.count.Delivered++
	m.deliverData(&record{kind: kindData, src: src, service: membership.Unreliable, discard: f.discard, dests: f.dests,
		client: f.client, seq: f.seq, name: f.name, hint: f.hint, groups: f.groups, data: f.data}, true)
}

// first says whether a datagram of the view comes for the first time, and remembers it.
func (g *datagrams) first(view membership.ViewID, f *far) bool {
	if g.view != view || g.had == nil {
		g.view, g.had = view, map[gatewayRun]*window.Window{}
	}
	run := gatewayRun{f.gateway, f.boot}
	w := g.had[run]
	if w == nil {
		if len(g.had) >= maxRuns {
			return false
		}
		w = &window.Window{}
		g.had[run] = w
	}
	return w.Accept(f.number)
}

// A gatewayRun is a life of a gateway. Boot ids are not in order.
type gatewayRun struct {
	gateway membership.NodeID
	boot    uint64
}

// maxRuns bounds the runs in one view: those of two gateways of each site, started eight
// times. Of later ones nothing is taken before the next view.
const maxRuns = 8 * 2 * membership.MaxSites
