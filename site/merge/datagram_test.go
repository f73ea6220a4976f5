package merge

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// datagram carries an unreliable message to other instances: each copy may get lost, and
// every gateway there may get it.
func (s *simSite) datagram(n *simNode, d Datagram) {
	from := SiteInstance{Instance: n.state.Instance, Site: s.id}
	for _, to := range d.To {
		for _, t := range s.w.sites {
			if t.id != to.Site {
				continue
			}
			if s.w.rng.Float64() < s.w.opt.lost {
				s.w.lostDatagrams++
				continue
			}
			s.w.after(s.w.way(s.index, t.index), func() {
				for _, gw := range t.gatewaysOf(to.Instance) {
					if s.w.linked(s.index, t.index) {
						gw.replica.DatagramIn(s.w.now, from, d.Data, &gw.fx)
						gw.carry()
					}
				}
			})
		}
	}
}

// unreliableWorld is two sites of two gateways whose clients are in one group.
func unreliableWorld(t *testing.T, opt options) (*world, []*simClient) {
	opt.sites, opt.nodes, opt.gateways, opt.hop = 2, 3, 2, 200*time.Microsecond
	opt.delay = func(a, b int) time.Duration { return 20 * time.Millisecond }
	opt.datagrams = true
	return oneGroup(opt)
}

// cameFrom counts what a client got of another one, by service.
func (c *simClient) cameFrom(from *simClient) map[membership.Service]int {
	n := map[membership.Service]int{}
	for id := range c.when {
		if m := c.node.w.check.messages[id]; m.sender == from {
			n[m.service]++
		}
	}
	return n
}

// A farCast names an unreliable message.
type farCast struct {
	client membership.ClientID
	seq    uint64
}

// far holds that unreliable messages between sites are delivered in the view in which they
// had their place.
func (k *checker) far(e *TraceEvent) {
	id := farCast{e.Client, e.Seq}
	switch {
	case e.Kind == TraceSend && e.Far:
		if k.farViews == nil {
			k.farViews = map[farCast]membership.ViewID{}
		}
		k.farViews[id] = e.View
	case e.Kind == TraceDeliver:
		if v, ok := k.farViews[id]; ok && v != e.View {
			k.w.fail("unreliable message %d of %v sent in view %v is delivered in %v", e.Seq, e.Client, v, e.View)
		}
	}
}

// TestUnreliableMessagesGetLost: where datagrams are lost, unreliable messages are, and the
// reliable ones between them come. Both gateways of a site get each, and its clients get none
// twice. At home all come.
func TestUnreliableMessagesGetLost(t *testing.T) {
	w, c := unreliableWorld(t, options{lost: 0.3})
	const each = 300
	for range each {
		c[0].send(membership.Unreliable, "g")
		c[0].send(membership.Reliable, "g")
		w.run(w.now + time.Millisecond)
	}
	w.run(w.now + time.Second)
	report(t, 1, w)
	far, home := c[1].cameFrom(c[0]), c[0].cameFrom(c[0])
	if far[membership.Reliable] != each || home[membership.Reliable] != each || home[membership.Unreliable] != each {
		t.Errorf("of %d of each service came %v far away and %v at home", each, far, home)
	}
	if n := far[membership.Unreliable]; n != each-w.lostDatagrams || w.lostDatagrams < each/5 {
		t.Errorf("%d unreliable messages came of %d, %d were lost", n, each, w.lostDatagrams)
	}
	sum := DatagramCounters{}
	for _, s := range w.sites {
		for _, n := range s.nodes {
			x := n.replica.Status().Datagrams
			sum.Sent, sum.Dropped, sum.Late = sum.Sent+x.Sent, sum.Dropped+x.Dropped, sum.Late+x.Late
		}
	}
	if sum.Sent != each || sum.Dropped != 0 || sum.Late != 0 {
		t.Errorf("%+v, want %d sent, each by one gateway, and none dropped", sum, each)
	}
}

// TestUnreliableMessagesPass: while records wait for a thin link, an unreliable message of
// another client takes as long as the way.
func TestUnreliableMessagesPass(t *testing.T) {
	w, c := unreliableWorld(t, options{rate: func(a, b int) int { return 50_000 }})
	other := w.sites[0].nodes[0].connect("other")
	for range 300 {
		c[0].send(membership.Reliable, "g")
	}
	w.run(w.now + 50*time.Millisecond)
	sent := w.now
	other.send(membership.Unreliable, "g")
	w.run(w.now + 30*time.Millisecond)
	if n := c[1].cameFrom(other)[membership.Unreliable]; n != 1 {
		t.Errorf("%d unreliable messages came within %v", n, w.now-sent)
	}
	if n := c[1].cameFrom(c[0])[membership.Reliable]; n == 300 {
		t.Error("the link was not thin")
	}
	w.run(w.now + 5*time.Second)
	if n := c[1].cameFrom(c[0])[membership.Reliable]; n != 300 {
		t.Errorf("%d of 300 reliable messages came", n)
	}
	report(t, 1, w)
}

// TestUnreliableMessagesOfTwoViews: sites that part and meet while one of them sends. The
// checker of the world sees in which view each message is delivered.
func TestUnreliableMessagesOfTwoViews(t *testing.T) {
	w, c := unreliableWorld(t, options{lost: 0.1, jitter: 30 * time.Millisecond})
	for k := range 3000 {
		switch k {
		case 500:
			w.cut[[2]int{0, 1}] = true
		case 1500:
			w.heal()
		}
		c[k%2].send(membership.Unreliable, "g")
		w.run(w.now + 2*time.Millisecond)
	}
	w.run(w.now + time.Second)
	report(t, 1, w)
	if n := c[1].cameFrom(c[0])[membership.Unreliable]; n < 200 || n > 1400 {
		t.Errorf("%d of 1500 messages came", n)
	}
}

// replica is the desk's, that of a gateway.
func (d *desk) replica() *Replica {
	for i := range 5 {
		d.cfg.Nodes[membership.NodeID(100+i)] = membership.SiteID(i + 1)
	}
	r := &Replica{cfg: d.cfg, m: d.m, fx: &d.fx, proposer: newProposer()}
	r.gateway.is, r.cfg.Datagrams = true, true
	return r
}

// datagram is one of a site, to all.
func (d *desk) datagram(src int, number uint64, data string) *far {
	node := membership.NodeID(100 + src)
	return &far{view: d.view.ID, src: d.view.Members[src].Instance, dests: d.view.All(), gateway: node, boot: 9, number: number,
		client: membership.ClientID{Node: node, Session: 1}, seq: castNumber | number, name: "r", groups: []string{"g"}, data: []byte(data)}
}

// datagrams gives them to the gateway and to its ring.
func (d *desk) datagrams(r *Replica, list ...*far) {
	for _, f := range list {
		src, _ := d.view.Index(f.src)
		r.DatagramIn(0, d.view.Members[max(0, src)], f.append(nil), &d.fx)
		for {
			frame, ok := r.nextDatagram(false)
			if !ok {
				break
			}
			r.arrived(&ring.Event{Kind: ring.Arrive, Service: frame.Service, From: deskNode, Frame: frame.Data})
		}
	}
	d.drain()
}

// datagramRules are about unreliable messages between sites.
var datagramRules = []rule{
	{"U3: an unreliable message of another view is dropped", anyView, func(d *desk) string {
		r := d.replica()
		f := d.datagram(y, 1, "old")
		d.view.ID.Epoch++
		d.m.reset(d.view)
		d.datagrams(r, f, d.datagram(y, 2, "new"))
		return d.expect(d.messages(), []string{"new"})
	}},
	{"U3: also if the view is installed while it is with the ring", anyView, func(d *desk) string {
		r := d.replica()
		r.DatagramIn(0, d.view.Members[y], d.datagram(y, 1, "old").append(nil), &d.fx)
		frame, _ := r.nextDatagram(false)
		d.view.ID.Epoch++
		d.m.reset(d.view)
		r.arrived(&ring.Event{Kind: ring.Arrive, Service: frame.Service, From: deskNode, Frame: frame.Data})
		d.drain()
		return d.expect(d.messages(), nil)
	}},
	{"U4: an unreliable message that comes again is dropped", datagramTwice, func(d *desk) string {
		r := d.replica()
		one, two := d.datagram(y, 1, "one"), d.datagram(y, 2, "two")
		d.datagrams(r, two, one, two, one)
		return d.expect(d.messages(), []string{"two", "one"})
	}},
}

// TestForeignDatagrams: what does not belong here is dropped and counted.
func TestForeignDatagrams(t *testing.T) {
	for name, change := range map[string]func(f *far){
		"of nobody in the view":                     func(f *far) { f.src = 77 },
		"of this site":                              func(f *far) { f.src = 1 },
		"of another site's client":                  func(f *far) { f.client.Node = 100 + z },
		"of a client that no site has":              func(f *far) { f.client.Node = 7 },
		"of another site's gateway":                 func(f *far) { f.gateway = 100 + z },
		"to others":                                 func(f *far) { f.dests = membership.SetOf(z) },
		"to nobody in the view":                     func(f *far) { f.dests |= membership.SetOf(9) },
		"for a group without members here":          func(f *far) { f.groups = []string{"h"} },
		"for no group":                              func(f *far) { f.groups = nil },
		"without a number":                          func(f *far) { f.number = 0 },
		"to a private name of somebody in no place": func(f *far) { f.groups = []string{"#u#nowhere"} },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 0)
			r := d.replica()
			f := d.datagram(y, 1, "m")
			change(f)
			r.DatagramIn(0, d.view.Members[y], f.append(nil), &d.fx)
			if c := r.datagrams.count; len(r.datagrams.waiting) > 0 || c.Dropped != 1 {
				t.Errorf("%d wait for the ring, counted %+v", len(r.datagrams.waiting), c)
			}
		})
	}
	d := newDesk(t, 0)
	r := d.replica()
	r.DatagramIn(0, d.view.Members[z], d.datagram(y, 1, "m").append(nil), &d.fx)
	if len(r.datagrams.waiting) > 0 {
		t.Error("one that another instance sends in its name is taken")
	}
}

// TestDatagramsWaitBounded: of a flood, the newest wait, and of what goes to the ring they
// are a part.
func TestDatagramsWaitBounded(t *testing.T) {
	d := newDesk(t, 0)
	r := d.replica()
	const flood = 3 * maxDatagrams
	for i := range uint64(flood) {
		r.DatagramIn(0, d.view.Members[y], d.datagram(y, i+1, "m").append(nil), &d.fx)
	}
	if c := r.datagrams.count; len(r.datagrams.waiting) != maxDatagrams || c.Dropped != flood-maxDatagrams || c.Received != flood {
		t.Errorf("%d wait, counted %+v", len(r.datagrams.waiting), c)
	}
	taken := 0
	for range 4 * datagramPart {
		if _, ok := r.nextDatagram(true); ok {
			taken++
		}
	}
	if taken != 4 {
		t.Errorf("%d of %d frames are datagrams while others wait", taken, 4*datagramPart)
	}
	for {
		if _, ok := r.nextDatagram(false); !ok {
			break
		}
		taken++
	}
	if taken != maxDatagrams || r.datagrams.bytes != 0 {
		t.Errorf("%d were taken, %d bytes are left", taken, r.datagrams.bytes)
	}
}

// TestDatagramsFit: the largest message that flies fits a Datagram.
func TestDatagramsFit(t *testing.T) {
	f := far{name: string(bytes.Repeat([]byte{'n'}, membership.MaxPrivateName)), groups: []string{"g"}, data: make([]byte, maxFlying-2)}
	if n := len(f.append(nil)); n != MaxDatagramBytes {
		t.Errorf("%d bytes, want %d", n, MaxDatagramBytes)
	}
	var back far
	if err := back.read(append(f.append(nil), 0), &interner{}); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("one byte more: %v", err)
	}
}

// FuzzDatagram: any bytes as a datagram. What decodes encodes to the same, and what comes of
// it is bounded.
func FuzzDatagram(f *testing.F) {
	seed := newDesk(&testing.T{}, 0)
	f.Add(seed.datagram(y, 1, "data").append(nil))
	many := seed.datagram(z, 1<<40, "")
	many.groups = slices.Repeat([]string{"g"}, membership.MaxGroups)
	f.Add(many.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var x, again far
		names := &interner{}
		if err := x.read(data, names); err == nil {
			if len(x.groups) > membership.MaxGroups || len(x.name) > membership.MaxPrivateName || len(data) > MaxDatagramBytes {
				t.Fatal("beyond the limits")
			}
			if err := again.read(x.append(nil), names); err != nil || !reflect.DeepEqual(x, again) {
				t.Fatalf("%+v became %+v, %v", x, again, err)
			}
		}
		d := newDesk(t, 0)
		r := d.replica()
		r.DatagramIn(0, d.view.Members[y], data, &d.fx)
		r.farCame(data)
		d.drain()
	})
}
