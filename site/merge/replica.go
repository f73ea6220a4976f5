package merge

import (
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// Streams of this node's own frames. Clients' streams are their sessions, which
// start with a boot id and do not come near.
const (
	controlStream = ^uint64(0)
	importStream  = ^uint64(0) - membership.MaxSites - 1
	bulkStream    = importStream - 1
)

// A Replica is one node's part of its site: the replicated machine and what the node
// itself wants. It is not safe for concurrent use. Its methods are steps: what they
// want done is appended to fx, and is final.
type Replica struct {
	cfg   Config
	names interner
	m     *machine // nil: the node has no state of its site yet
	fx    *Effects // of the present step
	now   time.Duration

	descent  descent
	proposer proposer
	gateway  gateway
	importer importer
	views    viewProposer
	exchange exchange
	witness  witness
	bulk     bulkDesk

	datagrams datagrams

	attached   bool              // the clients of this node may use the machine
	asking     bool              // an Attach or Bump has to go out
	askDue     time.Duration     // when to ask again
	epoch      uint64            // highest known, also without a machine
	closed     membership.ViewID // closed alone last, for N8
	closedIn   membership.InstanceID
	closedMinT int64
	newest     membership.ViewID // that the clients saw
	company    uint64            // while not attached: equal at nodes whose clients have seen the same
	base       timeBase
	sleep      sleep
	fair       bool // whose turn it is: imports or clients
	bulky      bool // and whether pieces of bodies have theirs before
	importDue  time.Duration
	badFrames  uint64
	faults     uint64
	send       localSend // scratch
	tick       tick      // scratch
}

// New returns the Replica of a node that is in no ring yet.
func New(cfg Config) *Replica {
	r := &Replica{cfg: cfg, proposer: newProposer(), closedMinT: -1, askDue: noTime, importDue: noTime}
	r.gateway.is = slices.Contains(cfg.Gateways, cfg.Self)
	r.views.peers = newPeers()
	r.gateway.tickDue, r.gateway.promiseDue, r.views.due, r.exchange.due = noTime, noTime, noTime, noTime
	r.views.needed, r.views.frozen = noTime, noTime
	r.bulk.due = noTime
	if r.cfg.Timing == (Timing{}) {
		r.cfg.Timing = DefaultTiming
	}
	return r
}

// begin starts a step.
func (r *Replica) begin(now time.Duration, fx *Effects) {
	r.now, r.fx = now, fx
	if r.m != nil {
		r.m.fx = fx
	}
}

// end does what every step may have made due.
func (r *Replica) end() {
	if m := r.m; m != nil {
		r.forgetEnded()
		r.distrust()
		if r.gateway.is {
			r.measure()
			r.importer.settle(r.now, m.inNext)
			r.importDue = r.importer.retry(r.now)
			r.release()
			r.promiseOut()
			r.exchangeOut()
			r.bulkOut()
		} else {
			m.samples = m.samples[:0]
		}
		r.schedule()
		if g := &r.gateway; g.tickDue != noTime && g.tickDue <= r.now {
			r.fx.Kick = true
		}
	}
	r.faults += uint64(len(r.fx.Faults))
}

// forgetEnded drops the clients of this node whose end has gone round.
func (r *Replica) forgetEnded() {
	for _, id := range r.m.ended {
		r.proposer.forget(id)
	}
	r.m.ended = r.m.ended[:0]
}

// Ring takes the ring's next event.
func (r *Replica) Ring(now time.Duration, ev *ring.Event, fx *Effects) {
	r.begin(now, fx)
	switch ev.Kind {
	case ring.Installed:
		r.ringInstalled(ev.View)
	case ring.Stable:
		r.descent.stable = maxPosition(r.descent.stable, ev.Pos)
	case ring.Transitional:
		r.transitional(ev.View)
	case ring.Deliver:
		r.delivered(ev)
	case ring.Arrive:
		r.arrived(ev)
	}
	r.end()
}

// ringInstalled begins a ring: everybody says where it comes from.
func (r *Replica) ringInstalled(v *ring.View) {
	if v == nil {
		return
	}
	r.descent.installed(v)
	if r.m != nil {
		r.m.closing = false
	}
	if !r.attached {
		r.company = mix(r.company, v)
	}
	r.proposer.ringChanged()
	r.importer.again()
	r.exchange.ringChanged()
	r.witness.said = 0
	r.gateway.ticking, r.gateway.leads, r.asking = false, false, false
	r.askDue = noTime
	r.fx.Kick = true
}

// delivered takes a frame in the ring's order.
func (r *Replica) delivered(ev *ring.Event) {
	if len(ev.Frame) == 0 {
		r.badFrames++
		return
	}
	d := &r.descent
	switch kind := frameKind(ev.Frame[0]); {
	case kind == frameLineage:
		r.lineageIn(ev)
	case !d.decided: // nothing else belongs here
	case r.m == nil && d.closing: // too late to learn
	case r.m == nil && kind == frameSnapshot:
		if r.learn(ev.Frame[1:]); r.m != nil {
			r.m.pos = ev.Pos
			r.stateIn(ev.Pos)
			r.lineageDone()
		}
	case r.m == nil:
		r.remember(ev)
	case ev.Torn && kind != frameSend && kind != frameBody && !r.m.off(noGapRule):
		// N4. Clients must not send twice what their nodes know to be accepted. All else is
		// said again in the next ring; and behind a gap nobody can have formed an electorate.
	default:
		r.apply(ev)
	}
}

// transitional: what still comes of the old ring is delivered among those who come
// along only.
func (r *Replica) transitional(v *ring.View) {
	d := &r.descent
	d.closing = true
	if r.m == nil || v == nil || d.view == nil {
		return
	}
	r.m.closing = true
	var lost []membership.NodeID
	for _, id := range d.view.Members {
		if !slices.Contains(v.Together, id) {
			lost = append(lost, id)
		}
	}
	if len(lost) > 0 {
		r.m.part(mix(r.m.salt, v), lost)
	}
}

// remember keeps a frame for when the state comes.
func (r *Replica) remember(ev *ring.Event) {
	d := &r.descent
	if d.replayBytes += len(ev.Frame); d.replayBytes > maxReplay {
		d.overflown, d.replay = true, nil
		return
	}
	d.replay = append(d.replay, *ev)
}

// lineageDone: roles may have changed.
func (r *Replica) lineageDone() {
	r.chooseLeader()
	r.proposer.unblock()
	r.fx.Kick = true
	if r.m != nil {
		r.askAttach()
	}
}

// apply gives the machine a frame.
func (r *Replica) apply(ev *ring.Event) {
	m := r.m
	m.pos, m.torn = ev.Pos, ev.Torn
	in := wire.NewReader(ev.Frame[1:])
	own := ev.From == r.cfg.Self
	var err error
	switch frameKind(ev.Frame[0]) {
	case frameSend:
		if err = r.send.read(&in, &r.names); err == nil {
			v := m.request(ev.From, &r.send)
			if own {
				r.answer(&r.send, membership.ClientID{Node: ev.From, Session: r.send.session}, v)
				if len(r.proposer.ready) > 0 {
					r.fx.Kick = true
				}
			}
		}
	case frameCast, frameDatagram:
		r.arrived(ev)
	case frameFar:
		err = r.farSent(ev.From, &in)
	case frameTick:
		if err = r.tick.read(&in); err == nil {
			r.applyTick(own)
		}
	case frameInbound:
		m.inbound(in.Rest())
	case frameControl:
		c := &control{}
		if err = c.read(in.Rest()); err != nil {
			break
		}
		switch c.kind {
		case controlDecline:
			r.declined(c)
		case controlHave:
			r.toldOf(c)
		default:
			if m.control(c) {
				r.stateChanged()
				r.consider()
			}
		}
	case frameSnapshot:
		r.stateIn(ev.Pos)
	case frameAttach:
		err = r.applyAttach(ev.From, &in)
	case frameRefusal:
		if r.m.present[ev.From] != 0 && slices.Contains(r.m.voters, ev.From) {
			r.refused(ev.Pos, ev.From)
		}
	case frameBump:
		b := &bump{}
		if err = b.read(&in); err == nil && m.bump(b) {
			r.stateChanged()
			r.consider()
		}
	case frameBreach:
		err = r.breachIn(&in)
	case frameSpare:
		err = m.spareIn(&in)
	case frameBody:
		b := &body{}
		if err = b.read(&in, &r.names); err == nil && !m.body(ev.From, b) && own {
			r.bodyRefused(b)
		}
	case frameBulk:
		err = r.applyBulk(in.Rest())
	default:
		err = errKind
	}
	if err != nil {
		r.badFrames++
	}
}

func (r *Replica) applyTick(own bool) {
	m := r.m
	view := m.view
	m.tick(&r.tick)
	if m.view.ID != view.ID {
		r.views.peers.installed(r.now, &r.cfg.Timing, view.Members, m.view.Members)
		r.views.wait = 0
		r.viewChanged()
		return
	}
	r.comeIn()
	r.ticked(own, &r.tick)
	if len(r.proposer.ready) > 0 {
		r.fx.Kick = true
	}
}

func (r *Replica) applyAttach(from membership.NodeID, in *wire.Reader) error {
	a := &attach{}
	if err := a.read(in, &r.names); err != nil {
		return err
	}
	m := r.m
	m.attach(from, a)
	if !r.comeIn() && from == r.cfg.Self && !m.arrives(from) {
		r.askDue = r.now + repeatInterval
	}
	return nil
}

// comeIn lets this node's clients use the instance, if it has been let in.
func (r *Replica) comeIn() bool {
	m := r.m
	if at, ok := m.nodes[r.cfg.Self]; !r.attached && ok && at.boot == r.cfg.Boot {
		if r.closed == m.view.ID {
			m.skipT, m.skipPos, m.skipD = r.closedMinT, m.pos, 0
			if i, ok := m.view.Index(r.closedIn); ok {
				m.skipD = membership.SetOf(i)
			}
		}
		r.setAttached()
		r.fx.Kick = true
	}
	return r.attached
}

// askAttach lets this node ask for its clients, or for a newer view, when it does
// not take part yet.
func (r *Replica) askAttach() {
	r.askDue = noTime
	if at, ok := r.m.nodes[r.cfg.Self]; !ok || at.boot != r.cfg.Boot {
		r.attached = false
	}
	if r.comeIn() {
		return
	}
	if slices.Contains(r.m.voters, r.cfg.Self) && !r.asking && !r.m.arrives(r.cfg.Self) {
		r.asking = true
		r.fx.Kick = true
	}
}

// viewChanged: the machine is in another view, or there is another machine.
func (r *Replica) viewChanged() {
	m := r.m
	r.base = timeBase{m.clock, r.now}
	r.proposer.viewChanged()
	r.importer = importer{sources: make([]source, len(m.view.Members))}
	r.witness = witness{}
	r.gatewayReset()
	r.bulk.offers, r.bulk.needs = nil, nil
	r.exchange.viewChanged(m.view.ID)
	r.views.waiting = nil
	r.views.slow, r.views.wasWhole = slowWatch{}, m.whole()
	r.stateChanged()
	if r.attached {
		r.newest = m.view.ID
	} else {
		r.askAttach()
	}
	r.consider()
	r.fx.Kick = true
}

// stateChanged makes the state known.
func (r *Replica) stateChanged() {
	r.epoch = max(r.epoch, r.m.epoch)
	r.fx.State = r.m.state(r.cfg.Site)
}

// arrived takes a frame of a weak service: it goes to who is a member at present.
func (r *Replica) arrived(ev *ring.Event) {
	if r.m == nil || len(ev.Frame) == 0 {
		return
	}
	switch frameKind(ev.Frame[0]) {
	case frameCast:
	case frameDatagram:
		r.farCame(ev.Frame[1:])
		return
	default:
		return
	}
	in := wire.NewReader(ev.Frame[1:])
	f := &r.send
	if err := f.read(&in, &r.names); err != nil {
		r.badFrames++
		return
	}
	if f.kind != Send {
		r.badFrames++
		return
	}
	r.m.deliverData(&record{kind: kindData, src: r.m.self, service: f.service, discard: f.discard,
		client: membership.ClientID{Node: ev.From, Session: f.session}, seq: f.seq, name: f.name, hint: f.hint, groups: f.groups, data: f.data}, true)
}

// lookup returns the client of this node with that private name.
func (r *Replica) lookup(name string) (membership.ClientID, bool) {
	id, ok := r.proposer.byName[name]
	return id, ok
}
