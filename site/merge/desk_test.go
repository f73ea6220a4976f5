package merge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// A desk is a machine fed by hand: that of a node with two clients, a and b, in a view of
// five sites, whose places are x (its own) to n. It notes what its clients get and what
// the machine says about the end of a view.
type desk struct {
	t    *testing.T
	m    *machine
	cfg  Config
	fx   Effects
	seq  ring.Seq
	next [5]uint64 // n and index of what comes next from each site
	told []string
	view membership.SiteView

	views   []GroupView // that clients got
	outputs []Output
}

// twin is another desk with the same rules.
func (d *desk) twin() *desk { return newDesk(d.t, d.cfg.hooks.off) }

const deskNode = 1

func newDesk(t *testing.T, off mutant) *desk {
	d := &desk{t: t, view: membership.SiteView{ID: membership.ViewID{Epoch: 3, Proposer: 1}}}
	for i := range 5 {
		d.view.Members = append(d.view.Members, SiteInstance{Instance: membership.InstanceID(i + 1), Site: membership.SiteID(i + 1)})
	}
	d.cfg = Config{Self: deskNode, Site: 1, Boot: 1, Nodes: map[membership.NodeID]membership.SiteID{deskNode: 1}, Trace: d.trace, hooks: &hooks{off: off}}
	d.m = newMachine(&d.cfg, &interner{}, 1, d.view)
	d.m.fx = &d.fx
	d.m.voters = []membership.NodeID{deskNode}
	d.m.present[deskNode] = 1
	d.m.nodes[deskNode] = attached{boot: 1, min: -1}
	d.member("a")
	return d
}

func (d *desk) client(name string) *ownClient {
	id := membership.ClientID{Node: deskNode, Session: 1<<32 | uint64(name[0])}
	if d.m.clients[id] == nil {
		d.m.clients[id] = &ownClient{id: id, name: name, last: -1}
	}
	return d.m.clients[id]
}

// member makes a client a member of g, in which every site has interest.
func (d *desk) member(name string) {
	d.m.joinNow(d.client(name), d.m.group("g"))
	d.m.groups["g"].Interest = d.view.All()
}

func (d *desk) trace(e *TraceEvent) {
	if e.Kind == TraceSig {
		d.drain() // what came before
		var places []string
		for _, x := range e.Members {
			places = append(places, string("xyzln"[x.Instance-1]))
		}
		d.told = append(d.told, "end with "+strings.Join(places, ""))
	}
}

// at is a position of the only ring.
func (d *desk) at(seq ring.Seq) ring.Position { return ring.Position{Counter: 1, Seq: seq} }

// step moves to the next position, where f happens.
func (d *desk) step(f func()) {
	d.seq++
	d.m.pos = d.at(d.seq)
	f()
	d.drain()
}

// frame is a frame of this node's ring.
func (d *desk) frame(r *Replica, data []byte) {
	d.seq++
	r.apply(&ring.Event{Kind: ring.Deliver, Service: membership.Safe, From: deskNode, Pos: d.at(d.seq), Frame: data})
}

// drain notes what clients have got.
func (d *desk) drain() {
	d.outputs = append(d.outputs, d.fx.Outputs...)
	for i := range d.fx.Outputs {
		switch o := &d.fx.Outputs[i]; o.Kind {
		case OutMessage:
			d.told = append(d.told, string(o.Message.Data))
		case OutTransition:
			d.told = append(d.told, "signal")
		case OutView:
			d.told, d.views = append(d.told, fmt.Sprintf("view of %d", len(o.View.Members))), append(d.views, *o.View)
		}
	}
	d.fx = Effects{}
}

// tick is a Tick with a reading; line is L in it. From others it brings the promise p, with
// the stable line w.
func (d *desk) tick(reading int64, line ring.Seq, p, w int64) {
	d.step(func() {
		t := tick{tag: d.m.tag, reading: reading, line: d.at(line), leads: make([]int64, 5)}
		for i := y; i <= n; i++ {
			t.promises = append(t.promises, heard{src: uint8(i), p: p, idx: d.next[i], w: w})
		}
		d.m.tick(&t)
	})
}

// record makes the next record of a site, to all.
func (d *desk) record(src int, service membership.Service, t int64, data string) *record {
	r := &record{kind: kindData, service: service, src: src, n: d.next[src], t: t, dests: d.view.All(), groups: []string{"g"}, data: []byte(data),
		client: membership.ClientID{Node: membership.NodeID(100 + src), Session: 1}, seq: d.next[src], name: "r", idx: slices.Repeat([]uint64{d.next[src]}, 4)}
	d.next[src]++
	return r
}

func (d *desk) raw(r *record) []byte { return r.append(nil, &d.view) }

// comes lets a record of another site be ordered here.
func (d *desk) comes(r *record) { d.step(func() { d.m.inbound(d.raw(r)) }) }

// sends is the next request of an own client.
func (d *desk) sends(name string, f localSend) verdict {
	f.seq = d.client(name).next
	return d.says(name, f)
}

// says is a request of an own client.
func (d *desk) says(name string, f localSend) verdict {
	var v verdict
	f.session, f.tag, f.name = d.client(name).id.Session, d.m.tag, name
	if f.groups == nil {
		f.groups = []string{"g"}
	}
	d.step(func() { v = d.m.request(deskNode, &f) })
	return v
}

// answers are those of all sites to the desk's Prepare; y has the members.
func (d *desk) answers(group string, members ...Member) {
	for i := y; i <= n; i++ {
		ack := d.record(i, membership.Agreed, 20, "")
		ack.kind, ack.groups, ack.mark, ack.first, ack.last = kindPrepareAck, []string{group}, 10, true, true
		if i == y {
			ack.members = members
		}
		d.comes(ack)
	}
}

// A change is a proposal that the desk takes part in.
type change struct {
	d    *desk
	view membership.SiteView
}

// propose freezes the machine for a view of some places.
func (d *desk) propose(epoch uint64, places ...int) *change {
	c := &change{d: d, view: membership.SiteView{ID: membership.ViewID{Epoch: epoch, Proposer: 2}}}
	for _, p := range places {
		c.view.Members = append(c.view.Members, d.view.Members[p])
	}
	c.says(&control{kind: controlPropose})
	return c
}

func (c *change) says(k *control) {
	k.view, k.to = c.view, 1
	c.d.step(func() { c.d.m.control(k) })
}

// fill is the Fill of a place that comes from the desk's view: promises that it heard and
// records that it holds.
func (c *change) fill(place int, vectors []promiseRow, records ...*record) {
	c.fillFrom(flushKey{view: c.d.view.ID}, place, vectors, records...)
}

// fillFrom is the Fill of a place with a key.
func (c *change) fillFrom(key flushKey, place int, vectors []promiseRow, records ...*record) {
	data := wire.AppendUint32(wire.AppendBlob(nil, wire.AppendUint32(nil, 0)), uint32(len(records)))
	for _, r := range records {
		data = wire.AppendBlob(data, c.d.raw(r))
	}
	c.says(&control{kind: controlFill, from: c.d.view.Members[place].Instance, pieces: 1, key: key, vectors: vectors, data: data})
}

func (c *change) sync(place int, s stand) {
	s.place = place
	c.says(&control{kind: controlSync, from: c.d.view.Members[place].Instance, stand: s})
}

func (c *change) ready(place int) {
	c.says(&control{kind: controlReady, from: c.d.view.Members[place].Instance})
}

// installed says whether the view is in force.
func (c *change) installed() bool { return c.d.m.view.ID == c.view.ID }

// install lets all be ready, and ends the old view.
func (c *change) install(places ...int) {
	for _, p := range places {
		c.ready(p)
	}
	c.d.tick(c.d.m.clock, c.d.seq, -1, -1)
	if !c.installed() {
		c.d.t.Errorf("the view is not installed")
	}
}

// heardLittle is a promise of a lost source that covers nothing.
func heardLittle(src uint8, p int64) promiseRow { return heardOf(src, 0, p, p, p, p, p) }

// spares is what a gateway of the desk has heard from y, in a view of so many members.
func (c *change) spares(members int, next []uint64, flush membership.ViewID) {
	s := spare{flush: flush, next: make([][]uint64, members)}
	s.next[y] = next[:members]
	c.d.step(func() {
		in := wire.NewReader(s.append(nil, c.d.m.tag)[1:])
		if err := c.d.m.spareIn(&in); err != nil {
			c.d.t.Error(err)
		}
	})
}

// brings says how many records the desk's Fill for a place has.
func (c *change) brings(place int) int {
	at, _ := c.view.Index(c.d.view.Members[place].Instance)
	in := wire.NewReader(c.d.m.fillFor(at))
	in.Blob(maxListed)
	return in.Count(maxListed, 4)
}

// brought expects a number of records in the desk's Fill for y.
func (d *desk) brought(want int) string {
	if got := d.propose(4, x, y).brings(y); got != want {
		return fmt.Sprintf("y is brought %d records", got)
	}
	return ""
}

// ends ends the view, with y that can complete everything up to b and may have delivered up
// to f.
func (d *desk) ends(b, f int64) *desk {
	c := d.propose(4, x, y)
	c.fill(y, nil)
	c.sync(y, stand{b: b, f: f, moved: -1})
	c.install(y)
	return d
}
