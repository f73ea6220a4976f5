package merge

import (
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A target is a gateway in a federation of three sites with members and traffic.
type target struct {
	cfg    Config
	state  []byte // its machine, as a snapshot
	frames [][]byte

	node *simNode
}

func newTarget(f *testing.F) *target {
	f.Helper()
	opt := options{sites: 3, nodes: 2, gateways: 1, hop: 100 * time.Microsecond, delay: func(a, b int) time.Duration { return 5 * time.Millisecond }}
	w := newWorld(1, opt, nil)
	w.runUntil(10*time.Second, "sites meet", w.federated)
	for _, s := range w.sites {
		c := s.nodes[0].connect("c")
		c.join("g")
		c.send(membership.Agreed, "g")
		c.send(membership.Safe, "g")
		c.send(membership.FIFO, "g", "#c#n0-0")
	}
	w.run(w.now + 200*time.Millisecond)
	n := w.sites[0].nodes[0]
	t := &target{cfg: n.replica.cfg, state: n.replica.m.snapshot(), node: n}
	t.cfg.hooks = nil // hostile input may break what honest nodes keep; it must be counted
	for _, e := range n.ring.entries {
		t.frames = append(t.frames, e.data)
	}
	return t
}

// replica returns a Replica in the target's state.
func (t *target) replica(f *testing.T, fx *Effects) *Replica {
	f.Helper()
	r := New(t.cfg)
	r.begin(time.Second, fx)
	m, err := restoreMachine(&r.cfg, &r.names, t.state)
	if err != nil {
		f.Fatal(err)
	}
	m.fx = fx
	r.m = m
	r.gatewayReset()
	return r
}

// bodies are messages about a body that another site has for the target: an Offer, its pieces,
// and what else there is.
func (t *target) bodies() (all []*bulk) {
	m := t.node.replica.m
	head := bulk{from: m.view.Members[(m.self+1)%3].Instance, to: m.instance, bodyKey: bodyKey{membership.ClientID{Node: 1, Session: 1}, 1}, size: inlineMax + 1}
	add := func(kind bulkKind) *bulk {
		b := head
		b.kind = kind
		all = append(all, &b)
		return &b
	}
	add(bulkOffer).order = ring.Position{Counter: 1, Seq: 1}
	for i := range piecesOf(head.size) {
		b := add(bulkPiece)
		from, to := pieceAt(head.size, uint32(i))
		b.index, b.data = uint32(i), make([]byte, to-from)
	}
	add(bulkHeld)
	add(bulkAsk).wants = []uint32{0, 1}
	return append(all[:len(all):len(all)], &bulk{kind: bulkGone, from: head.from, to: head.to, bodyKey: bodyKey{head.client, 2}})
}

// reference is a record whose body is the one of bodies.
func (t *target) reference() []byte {
	m := t.node.replica.m
	src := (m.self + 1) % 3
	r := record{kind: kindData, service: membership.Agreed, src: src, n: m.logNext[src], t: m.prom[src] + 1, dests: m.view.All(), client: membership.ClientID{Node: 1, Session: 1},
		seq: 1, name: "c", groups: []string{"g"}, data: make([]byte, inlineMax+1), idx: []uint64{m.inNext[src], m.inNext[src]}}
	return r.appendReference(nil, &m.view)
}

// FuzzRingFrame gives the machine of a federated site any bytes as a frame of a node
// of its own ring.
func FuzzRingFrame(f *testing.F) {
	t := newTarget(f)
	for i, frame := range t.frames {
		if i%7 == 0 || i < 20 {
			f.Add(frame)
		}
	}
	f.Add((&localSend{tag: t.node.replica.m.tag, session: 1<<32 | 1, kind: Send, free: true, service: membership.Agreed, groups: []string{"g"}}).append(nil, frameSend))
	f.Add(append([]byte{byte(frameSnapshot)}, t.state...))
	for _, m := range t.bodies() {
		f.Add(m.append([]byte{byte(frameBulk)}))
	}
	f.Add((&body{t.node.replica.m.instance, 1<<32 | 1, 1, []string{"g"}, make([]byte, inlineMax+1)}).append(nil))
	f.Add((&breach{kind: breachGap, src: 1, want: 1 << 40, got: 1 << 41}).append(nil, t.node.replica.m.tag))
	f.Add((&spare{flush: membership.ViewID{Epoch: 9}, next: [][]uint64{{}, {1, 2}}}).append(nil, t.node.replica.m.tag))
	from := t.node.site.nodes[1].id
	f.Fuzz(func(tt *testing.T, frame []byte) {
		if len(frame) == 0 {
			return
		}
		var fx Effects
		r := t.replica(tt, &fx)
		pos := r.m.line
		for range 2 { // the second time it is a duplicate
			pos.Seq++
			r.apply(&ring.Event{Kind: ring.Deliver, Service: membership.Agreed, From: from, Pos: pos, Frame: frame})
		}
		if _, err := restoreMachine(&r.cfg, &r.names, r.m.snapshot()); err != nil {
			tt.Fatalf("the state cannot be handed to a learner any more: %v", err)
		}
	})
}

// FuzzRecord gives the machine any bytes as a record of another site.
func FuzzRecord(f *testing.F) {
	t := newTarget(f)
	for _, frame := range t.frames {
		if frameKind(frame[0]) == frameInbound {
			f.Add(frame[1:])
		}
	}
	f.Add(t.reference())
	f.Fuzz(func(tt *testing.T, data []byte) {
		var fx Effects
		r := t.replica(tt, &fx)
		for _, m := range t.bodies() {
			r.m.bulkIn(m)
		}
		r.m.inbound(data)
		r.m.advance()
	})
}

// FuzzPromise gives a gateway any bytes as a promise.
func FuzzPromise(f *testing.F) {
	t := newTarget(f)
	view := t.node.replica.m.view
	p := promise{view: view.ID, src: view.Members[1].Instance, counter: 1, to: make([]promised, len(view.Members))}
	f.Add(p.append(nil))
	f.Fuzz(func(tt *testing.T, data []byte) {
		var fx Effects
		r := t.replica(tt, &fx)
		r.promiseIn(data)
		r.schedule()
	})
}

// FuzzControl gives a gateway any bytes as a control message of another site.
func FuzzControl(f *testing.F) {
	t := newTarget(f)
	c := control{kind: controlPropose, view: t.node.replica.m.view, from: t.node.replica.m.view.Members[1].Instance}
	c.view.ID.Epoch++
	f.Add(c.append(nil))
	c.to = t.node.replica.m.instance
	for c.kind = controlFill; c.kind < controlEnd; c.kind++ {
		c.pieces, c.key.view, c.data = 1, t.node.replica.m.view.ID, append(make([]byte, 8), 0, 0, 0, 0)
		c.vectors = []promiseRow{{src: 1, to: make([]promiseEntry, len(c.view.Members))}}
		f.Add(c.append(nil))
	}
	for _, m := range t.bodies() {
		f.Add(m.append(nil))
	}
	f.Fuzz(func(tt *testing.T, data []byte) {
		var fx Effects
		r := t.replica(tt, &fx)
		r.controlIn(t.node.replica.m.view.Members[1], data)
		for _, next := range []func() (ring.Frame, bool){r.nextControl, r.nextBulk} {
			if frame, ok := next(); ok {
				r.apply(&ring.Event{Kind: ring.Deliver, From: t.node.id, Pos: ring.Position{Counter: r.m.line.Counter, Seq: r.m.line.Seq + 1}, Frame: frame.Data})
			}
		}
		r.bulkOut()
	})
}

// FuzzSnapshot decodes any bytes as a site's state.
func FuzzSnapshot(f *testing.F) {
	t := newTarget(f)
	f.Add(t.state)
	f.Fuzz(func(tt *testing.T, data []byte) {
		r := New(t.cfg)
		m, err := restoreMachine(&r.cfg, &r.names, data)
		if err != nil {
			return
		}
		var fx Effects
		m.fx = &fx
		if _, err := restoreMachine(&r.cfg, &r.names, m.snapshot()); err != nil {
			tt.Fatalf("a state that decodes does not decode when it is encoded again: %v", err)
		}
	})
}
