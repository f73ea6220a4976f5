package site

import (
	"context"
	"log/slog"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/core"
	"ringway/site/lan"
	"ringway/site/merge"
	"ringway/site/ring"
	"ringway/site/session"
)

// A loop owns the node's core and carries out its effects. Nothing here is safe for
// concurrent use: other goroutines reach it through the inbox.
type loop struct {
	log      *slog.Logger
	started  time.Time
	core     *core.Core
	fx       core.Effects
	in       *inbox
	port     *lan.Port
	seal     *lan.Seal // nil: none
	sessions *session.Server
	wan      *wan // nil: not a gateway
	gate     gate
	flow     *flow
	nameOf   func(membership.NodeID) string
	siteOf   func(membership.SiteID) string
	primary  func(bool) string
	trace    *tracer
	say      sayings
	joins    joinWatch

	clients  int // sessions that have not left the ring's order yet
	sendErrs uint64
	busy     time.Duration // spent in steps, for the status
}

// now is the time since the node's start.
func (l *loop) now() time.Duration { return time.Since(l.started) }

// run works until the context ends. The caller then drains.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var w work
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.in.wake:
		case <-timer.C:
		}
		begin := l.now()
		w = l.in.take(w)
		l.step(&w)
		l.flush()
		l.gate.check()
		end := l.now()
		l.say.look(end, l.core.Ring.State())
		if l.joins.due(end) {
			l.joins.look(end, l.core.Replica.JoinsWaiting(maxJoinsWatched))
		}
		l.busy += end - begin
		timer.Reset(max(0, l.core.Deadline()-end))
	}
}

// step feeds everything that came in to the core, ring packets first: the rest can
// wait, the token cannot.
func (l *loop) step(w *work) {
	l.receive(w)
	for _, call := range w.calls {
		call()
		l.carry()
	}
	now := l.now()
	if l.core.Deadline() <= now {
		l.core.Wake(now, &l.fx)
		l.carry()
	}
}

// receive feeds the ring packets, data before tokens unless the ring prefers the
// token.
func (l *loop) receive(w *work) {
	data, tokens := w.data, w.tokens
	for len(data)+len(tokens) > 0 {
		var packet []byte
		if len(data) == 0 || len(tokens) > 0 && l.core.Ring.PreferToken() {
			packet, tokens = tokens[0], tokens[1:]
		} else {
			packet, data = data[0], data[1:]
		}
		l.core.Receive(l.now(), packet, &l.fx)
		l.carry()
	}
}

// carry does what cannot wait for the end of the batch: ring packets go out, and a
// change of state is made known before anything that follows it.
func (l *loop) carry() {
	if len(l.fx.Send) > 0 {
		l.send(l.fx.Send)
		clear(l.fx.Send)
		l.fx.Send = l.fx.Send[:0]
	}
	dead := l.knock()
	if l.fx.Merge.State != nil {
		l.flush()
	}
	for _, node := range dead {
		l.core.Refused(l.now(), node, &l.fx)
		l.carry()
	}
}

// knock asks the hosts of silent nodes, and returns who is dead.
func (l *loop) knock() (dead []membership.NodeID) {
	for _, node := range l.fx.Knock {
		if l.port.Knock(node) {
			dead = append(dead, node)
		}
	}
	l.fx.Knock = l.fx.Knock[:0]
	return dead
}

func (l *loop) send(packets []ring.Packet) {
	if err := l.port.Send(packets); err != nil {
		// The ring retransmits; what matters is that somebody can see it.
		if l.sendErrs++; l.sendErrs&(l.sendErrs-1) == 0 {
			l.log.Warn("ring packets were not sent", "error", err, "times", l.sendErrs)
		}
	}
}

// flush hands clients and overlay what the core has for them.
func (l *loop) flush() {
	fx := &l.fx.Merge
	l.trace.step(l.now(), &l.fx)
	for _, r := range l.fx.Rings {
		l.say.ring(l.now(), r.View)
		if l.wan != nil {
			l.wan.mourn(r.View)
		}
	}
	if n := len(l.fx.Rings); n > 0 && l.seal != nil {
		l.seal.Installed(l.fx.Rings[n-1].View.ID)
	}
	if fx.State != nil {
		l.say.siteView(fx.State, l.primary(fx.State.Primary))
	}
	if len(fx.Outputs) > 0 {
		l.deliver(fx.Outputs)
	}
	if l.wan != nil {
		l.wan.carry(l.fx.Ended, fx)
	}
	for i := range fx.Faults {
		l.say.fault(&fx.Faults[i], l.siteOf(fx.Faults[i].Site))
	}
	for _, e := range fx.Evicted {
		l.log.Warn("a slow site is taken out of the view", "site", l.siteOf(e.Site), "group", e.Group, "behind", e.Behind)
	}
	l.fx.Reset()
}

func (l *loop) deliver(outputs []merge.Output) {
	for i := range outputs {
		if o := &outputs[i]; o.Kind == merge.OutMessage && o.Message.SenderName == flowName {
			l.flow.take(&o.Message, o.To)
			o.To = nil // the client never sees it
		}
	}
	l.sessions.Deliver(outputs)
	for i := range outputs {
		if outputs[i].Kind == merge.OutClosed {
			l.clients--
			for _, client := range outputs[i].To {
				l.sessions.Release(client)
			}
		}
	}
}

// connect, submit and disconnect are what sessions ask for.

func (l *loop) connect(c membership.ClientID, name string) {
	l.clients++
	l.trace.connect(l.now(), c, name)
	l.core.Connect(l.now(), c, name, &l.fx)
}

func (l *loop) submit(c membership.ClientID, requests []merge.Request) {
	now := l.now()
	for i := range requests {
		l.trace.submit(now, c, &requests[i])
		l.core.Submit(now, c, requests[i], &l.fx)
	}
}

// hold holds a sender back for a reader of this node.
func (l *loop) hold(reader membership.ClientID, sender merge.Member) {
	l.flow.hold(reader, sender, spread.PrivateGroup(sender.Name, l.nameOf(sender.Client.Node)))
}

func (l *loop) disconnect(c membership.ClientID) {
	l.flow.gone(c)
	l.trace.gone(l.now(), c)
	l.core.Disconnect(l.now(), c, &l.fx)
}
