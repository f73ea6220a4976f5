package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A bodyStory is a large message from a client of the first of three sites to a group with
// members in the second, on links on which it takes a second.
type bodyStory struct {
	*world
	big, reader, late *simClient // late: at the third site, in no group
	m                 *message
}

const storyBytes = 2_000_000

func newBodyStory(seed uint64, off mutant) *bodyStory {
	opt := plainOptions(3, 3)
	opt.timing, opt.loss, opt.bulk = hasty, 0, true
	opt.rate = func(a, b int) int { return storyBytes }
	s := &bodyStory{world: newWorld(seed, opt, &hooks{off: off})}
	s.runUntil(20*time.Second, "sites meet", s.federated)
	s.big, s.reader, s.late = s.sites[0].nodes[2].connect("big"), s.sites[1].nodes[2].connect("reader"), s.sites[2].nodes[2].connect("late")
	s.reader.join("g")
	s.runUntil(10*time.Second, "joins", s.quiet)
	s.run(s.now + time.Second)
	s.m = s.big.sendLarge(membership.Agreed, storyBytes, "g")
	return s
}

// meanwhile runs until about that part of the body has come to the second site.
func (s *bodyStory) meanwhile(part float64) {
	s.runUntil(10*time.Second, "the body is on its way", func() bool {
		for _, list := range s.sites[1].alive()[0].replica.m.transfers {
			return float64(list[0].lacks) <= (1-part)*float64(len(list[0].there))
		}
		return false
	})
}

// ends waits until nothing is under way, and looks who has the body and whether any is left.
func (s *bodyStory) ends(to ...*simClient) {
	s.heal()
	s.runUntil(30*time.Second, "all are together", s.federated)
	s.runUntil(30*time.Second, "nothing under way", s.quiet)
	s.run(s.now + 2*time.Second)
	for _, c := range to {
		if !c.got[s.m.id] {
			s.fail("%s does not get the message", c.name)
		}
	}
	for _, n := range s.nodes {
		if m := n.replica.m; n.up && len(m.bodies)+len(m.transfers) > 0 {
			s.fail("%s still has %d bodies of clients, and bodies of %d sites", n.name, len(m.bodies), len(m.transfers))
		}
		if n.up && n.replica.proposer.far+n.replica.proposer.bodies > 0 {
			s.fail("%s still counts bodies as under way", n.name)
		}
	}
	s.check.final()
}

// bodyStories are what may happen while a body is on its way.
var bodyStories = []struct {
	name string
	tell func(s *bodyStory)
}{
	{"nothing", func(s *bodyStory) { s.ends(s.reader) }},
	{"a node of the destination dies", func(s *bodyStory) {
		s.meanwhile(0.3)
		s.sites[1].nodes[1].crash()
		s.run(s.now + 400*time.Millisecond)
		s.sites[1].nodes[1].restart() // and learns
		s.ends(s.reader)
	}},
	{"a node of the destination dies when all is there", func(s *bodyStory) {
		s.meanwhile(1)
		s.sites[1].nodes[1].crash()
		s.sites[1].reform(s.sites[1].alive())
		s.sites[1].nodes[1].restart()
		s.ends(s.reader)
	}},
	{"the leading gateway of the destination dies", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.leader(1).crash()
		s.ends(s.reader)
	}},
	{"the leading gateway of the source dies", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.leader(0).crash()
		s.ends(s.reader)
	}},
	{"the sites part and meet", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.parts("abc")
		s.run(s.now + 600*time.Millisecond)
		s.ends()
	}},
	{"a third site is lost", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.parts("aab")
		s.run(s.now + 300*time.Millisecond)
		s.ends(s.reader)
	}},
	{"somebody joins at a third site", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.late.join("g")
		s.run(s.now + 200*time.Millisecond)
		s.ends(s.reader, s.late)
	}},
	{"the only member leaves", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.reader.leave("g")
		s.ends()
	}},
	{"an Offer comes late", func(s *bodyStory) {
		s.meanwhile(0.5)
		var offer *bulk
		for from, list := range s.sites[1].alive()[0].replica.m.transfers {
			offer = &bulk{kind: bulkOffer, from: from, to: s.reader.node.instance(), bodyKey: list[0].bodyKey, size: list[0].size, order: list[0].order}
		}
		gw := s.leader(1)
		for len(gw.replica.m.transfers) > 0 { // the record has taken it
			s.run(s.now + time.Millisecond)
		}
		s.run(s.now + 5*time.Millisecond) // and a promise has said so
		pieces := 0
		s.dropControl = func(_, _ int, kind controlKind) bool {
			if bulkKind(kind) == bulkPiece {
				pieces++
			}
			return false
		}
		gw.replica.ControlIn(s.now, SiteInstance{Instance: offer.from, Site: s.sites[0].id}, offer.append(nil), &gw.fx)
		gw.carry()
		if s.ends(s.reader); pieces > 0 {
			s.fail("%d pieces came again", pieces)
		}
	}},
	{"the sender's node dies", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.big.node.crash()
		s.run(s.now + 500*time.Millisecond)
		s.big.node.restart()
		s.ends()
	}},
	{"a ring forms anew at the source", func(s *bodyStory) {
		s.meanwhile(0.5)
		s.sites[0].reform(s.sites[0].alive())
		s.ends(s.reader)
	}},
}

// leader is the leading gateway of a site.
func (w *world) leader(site int) *simNode {
	for _, n := range w.sites[site].alive() {
		if n.replica.gateway.leads {
			return n
		}
	}
	w.fail("nobody leads site %d", site)
	return w.sites[site].nodes[0]
}

func TestABodyOnItsWay(t *testing.T) {
	for _, story := range bodyStories {
		t.Run(story.name, func(t *testing.T) {
			s := newBodyStory(1, 0)
			story.tell(s)
			report(t, 1, s.world)
		})
	}
}

// TestABodyThatWasDropped: a destination that has dropped a body asks for it when it meets
// the record (B1d).
func TestABodyThatWasDropped(t *testing.T) {
	for _, off := range []mutant{0, noAsking} {
		s := newBodyStory(1, off)
		s.runUntil(10*time.Second, "the message is accepted", func() bool { return s.big.node.replica.proposer.count == 0 })
		for _, n := range s.sites[1].nodes {
			clear(n.replica.m.transfers)
		}
		s.run(s.now + 4*time.Second)
		if s.reader.got[s.m.id] != (off == 0) {
			t.Errorf("mutant %d: the message came: %v", off, s.reader.got[s.m.id])
		}
		if off == 0 {
			s.ends(s.reader)
			report(t, 1, s.world)
		}
	}
}

// bodiesLife is one of a few bodies between sites whose rings are slow.
func bodiesLife(seed uint64, off mutant) *world {
	opt := plainOptions(2, 3)
	opt.bulk, opt.hop = true, 2*time.Millisecond
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	c := w.sites[0].nodes[2].connect("a")
	w.sites[1].nodes[2].connect("b").join("g")
	w.runUntil(20*time.Second, "joins", w.quiet)
	for range 5 {
		c.sendLarge(membership.Agreed, inlineMax+1, "g")
	}
	w.runUntil(20*time.Second, "nothing under way", w.quiet)
	w.check.final()
	return w
}

// bodyRules are scripts about bodies between sites.
var bodyRules = []rule{
	{"B1b: a large message is accepted when all destinations hold its body", earlyRequest, func(d *desk) string {
		d.cfg.Bulk = true
		seq := d.client("a").next
		d.step(func() {
			d.m.body(deskNode, &body{1, d.client("a").id.Session, seq, []string{"g"}, largeBody(1, inlineMax+1)})
		})
		f := localSend{kind: Send, service: membership.Agreed, federated: true, bodyRef: true, t: 50}
		for i := y; i <= n; i++ {
			if v := d.sends("a", f); v != rejectAway {
				return fmt.Sprintf("with %d of 4 it is %q", i-y, v)
			}
			d.moves(&bulk{kind: bulkHeld, from: d.view.Members[i].Instance, bodyKey: bodyKey{d.client("a").id, seq}})
		}
		return d.want(d.sends("a", f))
	}},
	{"B1b: and if more have come, they have to hold it too", earlyRequest, func(d *desk) string {
		d.cfg.Bulk = true
		d.m.groups["g"].Interest = membership.SetOf(x) | membership.SetOf(y)
		k := bodyKey{d.client("a").id, d.client("a").next}
		d.step(func() {
			d.m.body(deskNode, &body{1, k.client.Session, k.seq, []string{"g"}, largeBody(1, inlineMax+1)})
		})
		d.moves(&bulk{kind: bulkHeld, from: d.view.Members[y].Instance, bodyKey: k})
		d.m.groups["g"].Interest |= membership.SetOf(z)
		f := localSend{kind: Send, service: membership.Agreed, federated: true, bodyRef: true, t: 50}
		if v := d.sends("a", f); v != rejectAway {
			return "z does not hold it: " + string(v)
		}
		d.moves(&bulk{kind: bulkHeld, from: d.view.Members[z].Instance, bodyKey: k})
		return d.want(d.sends("a", f))
	}},
	{"B1c: a record takes its body, and is whole in Fills and for learners", 0, func(d *desk) string {
		r := d.record(y, membership.Agreed, 50, string(largeBody(7, inlineMax+1)))
		ref := r.appendReference(nil, &d.view)
		if d.step(func() { d.m.inbound(ref) }); d.m.inNext[y] != 0 {
			return "it is taken in without its body"
		}
		d.brings(y, r)
		if d.step(func() { d.m.inbound(ref) }); d.m.inNext[y] != 1 || len(d.m.transfers) > 0 {
			return "it is not taken in"
		}
		if whole := d.raw(r); string(d.m.heldIn[y][0].full()) != string(whole) {
			return "it is not the record that y made"
		}
		m, err := restoreMachine(&d.cfg, d.m.names, d.m.snapshot())
		if err != nil || string(m.heldIn[y][0].raw) != string(d.raw(r)) || string(m.pend[0].data) != string(r.data) {
			return fmt.Sprintf("a learner has another one: %v", err)
		}
		return ""
	}},
	{"B1c: a body of another size is its source's doing", 0, func(d *desk) string {
		r := d.record(y, membership.Agreed, 50, string(largeBody(7, inlineMax+1)))
		d.brings(y, r)
		r.data = append(r.data, 0)
		d.step(func() { d.m.inbound(r.appendReference(nil, &d.view)) })
		if len(d.m.broke) != 1 || d.m.inNext[y] != 0 {
			return fmt.Sprintf("%d are to blame", len(d.m.broke))
		}
		return ""
	}},
	{"B1e: what of bodies is on its way goes when somebody learns", 0, func(d *desk) string {
		for _, learns := range []bool{false, true} {
			d.offers(y, 1, 1, inlineMax+1)
			d.step(func() { d.m.survive(map[membership.NodeID]uint64{deskNode: 1}, learns) })
			if len(d.m.transfers) == 0 != learns {
				return fmt.Sprintf("learners %v: bodies of %d sites", learns, len(d.m.transfers))
			}
		}
		return ""
	}},
	{"B1f: a body goes that its source does not have", keepGone, func(d *desk) string {
		d.offers(y, 1, 1, inlineMax+1)
		d.moves(&bulk{kind: bulkGone, from: d.view.Members[y].Instance, bodyKey: d.key(y, 1)})
		if len(d.m.transfers) > 0 {
			return "it stays"
		}
		return ""
	}},
	{"B2a: bodies of one source beyond the window wait", anyWindow, func(d *desk) string {
		d.offers(y, 1, 1, bulkWindow/2)
		d.offers(y, 2, 2, bulkWindow/2+1)
		d.offers(z, 2, 2, bulkWindow/2+1)
		if n := len(d.m.transfers[d.view.Members[y].Instance]); n != 1 || len(d.m.transfers) != 2 {
			return fmt.Sprintf("%d bodies of y, and of %d sites", n, len(d.m.transfers))
		}
		return ""
	}},
	{"B2b: all give way to the body that came first at its source", firstCome, func(d *desk) string {
		d.offers(y, 2, 2, bulkWindow/2+1)
		d.offers(y, 1, 1, bulkWindow/2)
		if list := d.m.transfers[d.view.Members[y].Instance]; len(list) != 1 || list[0].bodyKey != d.key(y, 1) {
			return "it waits for a later one, which may wait for it elsewhere"
		}
		return ""
	}},
	{"B1d, B2b: so does every body for one that a record waits for", 0, func(d *desk) string {
		d.offers(y, 1, 1, bulkWindow)
		d.offers(y, 2, 0, bulkWindow)
		if list := d.m.transfers[d.view.Members[y].Instance]; len(list) != 1 || list[0].bodyKey != d.key(y, 2) {
			return "it waits"
		}
		return ""
	}},
}

// moves is an ordered message about a body.
func (d *desk) moves(b *bulk) {
	b.to = 1
	d.step(func() { d.m.bulkIn(b) })
}

func (d *desk) key(src int, seq uint64) bodyKey {
	return bodyKey{membership.ClientID{Node: membership.NodeID(100 + src), Session: 1}, seq}
}

// offers is an Offer of a site; at is its place in the order there.
func (d *desk) offers(src int, seq uint64, at ring.Seq, size int) {
	order := d.at(at)
	if at == 0 {
		order = ring.Position{}
	}
	d.moves(&bulk{kind: bulkOffer, from: d.view.Members[src].Instance, bodyKey: d.key(src, seq), size: size, order: order})
}

// brings lets the body of a record come.
func (d *desk) brings(src int, r *record) {
	k, from := bodyKey{r.client, r.seq}, d.view.Members[src].Instance
	d.moves(&bulk{kind: bulkOffer, from: from, bodyKey: k, size: len(r.data), order: d.at(1)})
	for i := range piecesOf(len(r.data)) {
		a, b := pieceAt(len(r.data), uint32(i))
		d.moves(&bulk{kind: bulkPiece, from: from, bodyKey: k, index: uint32(i), data: r.data[a:b]})
	}
}

// TestPull: so many pieces are asked for as the link carries in a second or so; what does
// not come is asked for again, more and more slowly.
func TestPull(t *testing.T) {
	for _, perSecond := range []int{1, 10, 1000} {
		tr := &transfer{there: make([]bool, 2048), lacks: 2048}
		const trip = 40 * time.Millisecond
		var queue []uint32
		var asked, most int
		now := time.Duration(0)
		for tr.lacks > 0 && now < time.Hour {
			wants, _, _ := tr.want(now, trip)
			queue, asked = append(queue, wants...), asked+len(wants)
			if now > time.Minute {
				most = max(most, len(queue))
			}
			now += time.Second / time.Duration(perSecond)
			if len(queue) == 0 {
				continue
			}
			if i := queue[0]; !tr.there[i] {
				tr.there[i] = true
				tr.lacks--
			}
			queue = queue[1:]
		}
		if asked != 2048 {
			t.Errorf("at %d pieces a second %d are asked for", perSecond, asked)
		}
		if most > max(4, 4*perSecond) {
			t.Errorf("at %d pieces a second %d wait", perSecond, most)
		}
	}
	tr := &transfer{there: make([]bool, 4), lacks: 4}
	var at []time.Duration
	for now := time.Duration(0); now < 10*time.Second; now += 10 * time.Millisecond {
		if wants, _, _ := tr.want(now, 0); len(wants) > 0 {
			if !slices.Equal(wants[:min(2, len(wants))], []uint32{0, 1}) {
				t.Errorf("pieces %v are asked for", wants)
			}
			at = append(at, now)
		}
	}
	if want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond}; !slices.Equal(at, want) {
		t.Errorf("they are asked for at %v, not %v", at, want)
	}
}
