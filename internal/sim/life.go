package sim

import (
	"slices"
	"strconv"
	"time"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
	"ringway/site/ring"
)

// maxSocket bounds the packets that wait for a node that sleeps, as a socket's
// buffer does.
const maxSocket = 512

// maxSpin bounds how often a node may be woken without time passing. More is a
// loop that a real node would spend its core in.
const maxSpin = 20_000

// maxDrift is how much faster or slower than true a node's clock runs, in parts
// per million.
const maxDrift = 200

// A life is a node from start to crash.
type life struct {
	*place
	f     *federation
	boot  uint64
	start time.Duration
	drift int64 // parts per million
	core  *core.Core
	fx    core.Effects
	trace *evs.Trace

	asleep  time.Duration // until then
	socket  int           // packets that wait for the node to wake
	waiting []func(now time.Duration, fx *core.Effects)

	wakeAt time.Duration
	spinAt time.Duration
	spins  int

	sessions map[membership.ClientID]*client
	order    []*client         // sessions in the order of their connects
	counter  uint64            // of sessions
	notes    []note            // of the step under way
	view     *merge.TraceEvent // the latest TraceView
	last     merge.TraceEvent  // the latest ordered federated delivery of the view
	cause    merge.TraceEvent  // the delivery that makes the present output
	state    *merge.State
	up       bool // its links to other sites have come up
	export   export
	pulls    []*pull // by site
	said     advert
	known    []advert // what link state shows
}

// boot begins a life at a place.
func (f *federation) boot(at *place) {
	if at.life != nil {
		return
	}
	l := &life{place: at, f: f, boot: f.boots.Uint64()>>1 | 1, start: f.now, drift: f.boots.Int64N(2*maxDrift+1) - maxDrift,
		sessions: map[membership.ClientID]*client{}, wakeAt: -1}
	at.life = l
	l.trace = &evs.Trace{Node: at.name, Boot: l.boot, Start: int64(f.now)}
	f.traces = append(f.traces, l.trace)
	l.record(evs.Event{Kind: evs.Start})

	cfg := ring.Config{Self: at.id, Incarnation: uint64(epochUnix)*1e9 + uint64(f.now) + 1, Label: 7, MaxPacket: 1400,
		Windows: ring.DefaultWindows(), Timing: ring.DefaultTiming(len(at.site.places))}
	var gateways []membership.NodeID
	for _, p := range at.site.places {
		cfg.Members = append(cfg.Members, p.id)
		if p.gateway {
			gateways = append(gateways, p.id)
		}
	}
	nodes := map[membership.NodeID]membership.SiteID{}
	var sites []membership.SiteID
	for _, s := range f.sites {
		sites = append(sites, s.id)
		for _, p := range s.places {
			nodes[p.id] = s.id
		}
	}
	l.core = core.New(cfg, merge.Config{Self: at.id, Site: at.site.id, Boot: l.boot, Sites: sites, Nodes: nodes,
		Gateways: gateways, StartUnix: epochUnix + int64(f.now/time.Second), Trace: l.note})
	l.step(l.core.Start)
	if at.gateway {
		f.wan.gatewayUp(l)
	}
	f.population(l)
}

// crash ends a life without a word.
func (l *life) crash() {
	if l.place.life == l {
		l.place.life = nil
		l.f.stats.Crashes++
		l.f.wan.gatewayDown(l)
	}
}

// alive says whether this life is still going on.
func (l *life) alive() bool { return l.place.life == l }

// local is the time by the node's own clock.
func (l *life) local() time.Duration {
	elapsed := int64(l.f.now - l.start)
	return time.Duration(elapsed + elapsed/1_000_000*l.drift)
}

// global turns a time of the node's clock into one of the run's, never too early.
func (l *life) global(local time.Duration) time.Duration {
	return l.start + time.Duration(int64(local)-int64(local)/1_000_000*l.drift) + time.Microsecond
}

// receive takes a packet from the LAN.
func (l *life) receive(data []byte) {
	if l.asleep > l.f.now {
		if l.socket++; l.socket > maxSocket {
			return
		}
	}
	l.step(func(now time.Duration, fx *core.Effects) { l.core.Receive(now, data, fx) })
}

// sleep stops the node, as SIGSTOP does.
func (l *life) sleep(until time.Duration) {
	if l.asleep > l.f.now {
		return
	}
	l.asleep = until
	l.f.at(until, func() {
		if !l.alive() {
			return
		}
		l.socket = 0
		waiting := l.waiting
		l.waiting = nil
		for _, do := range waiting {
			l.step(do)
		}
		l.arm()
	})
}

// step lets one thing happen to the node's core and carries out what follows. A
// node that sleeps does it when it wakes.
func (l *life) step(do func(now time.Duration, fx *core.Effects)) {
	if !l.alive() {
		return
	}
	if l.asleep > l.f.now {
		l.waiting = append(l.waiting, do)
		return
	}
	l.f.stats.Events++
	do(l.local(), &l.fx)
	l.carryOut()
	l.arm()
}

// arm sees to it that the node is woken at its deadline.
func (l *life) arm() {
	deadline, ok := l.core.Deadline()
	if !ok {
		return
	}
	at := max(l.global(deadline), l.f.now)
	if at == l.f.now && deadline > l.local() {
		at += time.Microsecond // rounding
	}
	if l.wakeAt >= 0 && l.wakeAt <= at {
		return
	}
	l.wakeAt = at
	l.f.at(at, func() {
		if !l.alive() || l.wakeAt != at {
			return
		}
		l.wakeAt = -1
		if l.asleep > l.f.now || l.spinning() {
			return
		}
		l.step(l.core.Wake)
	})
}

// spinning notices a node that is woken again and again without time passing, and
// then leaves it alone.
func (l *life) spinning() bool {
	if l.spinAt != l.f.now {
		l.spinAt, l.spins = l.f.now, 0
	}
	if l.spins++; l.spins < maxSpin {
		return false
	}
	l.f.report("spin", "node %s was woken %d times without time passing: its deadline does not move", l.name, l.spins)
	return true
}

// carryOut does what the core wants, in the order of Effects.
func (l *life) carryOut() {
	fx := &l.fx
	for _, p := range fx.Send {
		l.site.lan.send(l.place, p)
	}
	l.exportEnded(fx.Ended)
	if fx.Merge.State != nil {
		l.advertise(fx.Merge.State)
	}
	l.tell()
	l.exportRecords(fx.Merge.Records, fx.Merge.Trim)
	for _, data := range fx.Merge.Promises {
		l.f.wan.promise(l, data)
	}
	for _, c := range fx.Merge.Controls {
		l.f.wan.control(l, c)
	}
	for _, fault := range fx.Merge.Faults {
		l.f.report("fault", "node %s blames honest site %s: %s", l.name, l.f.siteOf[fault.Site].name, fault.What)
	}
	fx.Reset()
}

// record adds an event to the node's trace.
func (l *life) record(e evs.Event) {
	e.At, e.Node, e.Boot = int64(l.f.now-l.start), l.name, l.boot
	l.trace.Events = append(l.trace.Events, e)
}

func (f *federation) nodeNames(ids []membership.NodeID) []string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		if at := f.nodeOf[id]; at != nil {
			names = append(names, at.name)
		} else {
			names = append(names, "?"+strconv.FormatUint(uint64(id), 16))
		}
	}
	slices.Sort(names)
	return names
}
