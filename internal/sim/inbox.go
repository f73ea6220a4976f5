package sim

import (
	"time"

	"ringway/site/core"
	"ringway/site/ring"
)

// maxSocket bounds the packets that wait for a node that sleeps or is slow, as a
// socket's buffer does.
const maxSocket = 512

// An inbox is what waits for a node, as between the readers and the loop of a real
// one: tokens apart from data, and what clients and the overlay want done.
type inbox struct {
	data, tokens [][]byte
	calls        []func(now time.Duration, fx *core.Effects)
}

func (in *inbox) empty() bool { return len(in.data)+len(in.tokens)+len(in.calls) == 0 }

func (in *inbox) add(packet []byte) {
	if len(in.data)+len(in.tokens) >= maxSocket {
		return
	}
	if ring.IsToken(packet) {
		in.tokens = append(in.tokens, packet)
	} else {
		in.data = append(in.data, packet)
	}
}

// arrive brings a packet to whoever lives here.
func (at *place) arrive(packet []byte) {
	if at.life != nil {
		at.life.receive(packet)
	}
}

// busy says that what comes now has to wait: the node sleeps, or works on what came
// before.
func (l *life) busy() bool {
	return l.working || l.asleep > l.f.now || l.free > l.f.now || !l.turn.empty() || !l.next.empty()
}

// receive takes a packet from the LAN.
func (l *life) receive(packet []byte) {
	if l.busy() {
		l.next.add(packet)
		return
	}
	l.core.Receive(l.begin(), packet, &l.fx)
	l.end()
}

// promised brings a promise to the gateway that lives here.
func (at *place) promised(data []byte) {
	l := at.life
	switch {
	case l == nil || !l.links.up:
	case l.busy():
		l.next.calls = append(l.next.calls, func(now time.Duration, fx *core.Effects) { l.core.PromiseIn(now, data, fx) })
	default:
		l.core.PromiseIn(l.begin(), data, &l.fx)
		l.end()
	}
}

// step lets one thing happen to the node's core and carries out what follows. A
// node that is busy does it later.
func (l *life) step(do func(now time.Duration, fx *core.Effects)) {
	switch {
	case !l.alive():
	case l.busy():
		l.next.calls = append(l.next.calls, do)
	default:
		do(l.begin(), &l.fx)
		l.end()
	}
}

// sleep stops the node, as SIGSTOP does.
func (l *life) sleep(until time.Duration) {
	if l.asleep > l.f.now {
		return
	}
	l.asleep = until
	l.f.at(until, l.proceed)
	if l.links.up {
		l.f.wan.changed()
		l.f.at(until, l.f.wan.changed)
	}
}

// jump lets the node's clock leap ahead, as that of a machine which was suspended, or back,
// as none should.
func (l *life) jump(by time.Duration) {
	l.leap += by
	l.wakeAt = -1
	if !l.busy() {
		l.arm()
	}
}

// begin counts a step and returns its time.
func (l *life) begin() time.Duration {
	l.f.stats.Events++
	return l.local()
}

// end carries out a step. A slow node is busy with it for a while.
func (l *life) end() {
	l.carryOut()
	if l.slow > 0 {
		l.free = l.f.now + l.slow
		l.f.at(l.free, l.proceed)
		return
	}
	if !l.working {
		l.arm()
	}
}

// proceed does what has waited, in turns as the loop of a real node: the packets
// that were there, data before tokens unless the ring prefers the token; the calls;
// and then what is due.
func (l *life) proceed() {
	if !l.alive() || l.asleep > l.f.now || l.free > l.f.now || l.working {
		return
	}
	l.working = true
	defer func() { l.working = false }()
	for l.free <= l.f.now {
		in := &l.turn
		switch {
		case len(in.data) == 0 && len(in.tokens) > 0, len(in.tokens) > 0 && l.core.Ring.PreferToken():
			packet := in.tokens[0]
			in.tokens = in.tokens[1:]
			l.core.Receive(l.begin(), packet, &l.fx)
		case len(in.data) > 0:
			packet := in.data[0]
			in.data = in.data[1:]
			l.core.Receive(l.begin(), packet, &l.fx)
		case len(in.calls) > 0:
			call := in.calls[0]
			in.calls = in.calls[1:]
			call(l.begin(), &l.fx)
		case l.due():
			if l.spinning() {
				return
			}
			l.core.Wake(l.begin(), &l.fx)
		case l.next.empty():
			l.arm()
			return
		default:
			l.turn, l.next = l.next, inbox{}
			continue
		}
		l.end()
	}
}

// due says that the node has a deadline behind it.
func (l *life) due() bool {
	return l.core.Deadline() <= l.local()
}

// arm sees to it that the node is woken at its deadline.
func (l *life) arm() {
	deadline := l.core.Deadline()
	at := max(l.global(deadline), l.f.now)
	if at == l.f.now && deadline > l.local() {
		at += time.Microsecond // rounding
	}
	if l.wakeAt >= 0 && l.wakeAt <= at {
		return
	}
	l.wakeAt = at
	l.f.wake(at, l)
}

// wake is the timer that was set for at. One that was set anew since is void.
func (l *life) wake(at time.Duration) {
	if !l.alive() || l.wakeAt != at {
		return
	}
	l.wakeAt = -1
	if l.busy() || l.spinning() {
		return // a busy node looks for itself
	}
	l.core.Wake(l.begin(), &l.fx)
	l.end()
}

// maxSpin bounds how often a node may be woken within a time of spinWindow. More is a
// loop that a real node would spend its core in.
const (
	maxSpin    = 5000
	spinWindow = time.Millisecond
)

// spinning notices a node that is woken again and again while hardly any time passes. It
// ends the run, which would never come to its end.
func (l *life) spinning() bool {
	if l.f.now-l.spinAt > spinWindow {
		l.spinAt, l.spins = l.f.now, 0
	}
	if l.spins++; l.spins < maxSpin {
		return false
	}
	if !l.f.over {
		l.f.report("spin", "node %s was woken %d times within %v: its deadline does not move", l.name, l.spins, l.f.now-l.spinAt)
	}
	l.f.over = true
	return true
}
