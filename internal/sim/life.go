package sim

import (
	"strconv"
	"time"

	"ringway/internal/evs"
	"ringway/internal/trace"
	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
	"ringway/site/ring"
)

// maxDrift is how much faster or slower than true a node's clock runs, in parts
// per million.
const maxDrift = 200

// A life is a node from start to crash.
type life struct {
	*place
	f     *federation
	boot  uint64
	start time.Duration
	drift int64         // parts per million
	leap  time.Duration // by which its clock has leapt ahead, in sum
	core  *core.Core
	fx    core.Effects
	trace *evs.Trace

	asleep  time.Duration // until then
	slow    time.Duration // how long a step takes
	free    time.Duration // when the present step is done
	next    inbox         // what has come
	turn    inbox         // what is being done of it
	working bool

	wakeAt time.Duration
	spinAt time.Duration
	spins  int

	sessions map[membership.ClientID]*client
	names    map[string]bool // of sessions, until their ends have gone round
	counter  uint64          // of sessions
	recorder *trace.Recorder
	carried  map[string]uint64 // of each instance of its site, the newest ring in which it was in it
	links    links             // to other gateways
	mark     mark              // see inHand
}

// boot begins a life at a place.
func (f *federation) boot(at *place) {
	if at.life != nil {
		return
	}
	// Each life by itself: a schedule without one has the same others.
	boots := newChance(f.seed, 1000+uint64(at.lives)<<16+uint64(at.number))
	l := &life{place: at, f: f, boot: boots.Uint64()>>1 | 1, start: f.now, drift: boots.Int64N(2*maxDrift+1) - maxDrift,
		sessions: map[membership.ClientID]*client{}, names: map[string]bool{}, wakeAt: -1}
	at.lives++
	at.life = l
	l.trace = &evs.Trace{Node: at.name, Boot: l.boot, Start: int64(f.now)}
	f.traces = append(f.traces, l.trace)
	l.recorder = trace.New(trace.Config{Self: at.id, Name: at.name, Boot: l.boot, NodeName: f.nodeName, Site: at.site.name, Scoped: siteScoped,
		Emit: l.emit, Message: l.delivered})

	cfg := ring.Config{Self: at.id, Incarnation: uint64(epochUnix)*1e9 + uint64(f.now) + 1, Label: 7, MaxPacket: 1400,
		Windows: ring.DefaultWindows(), Timing: ring.DefaultTiming(len(at.site.places))}
	var gateways []membership.NodeID
	for _, p := range at.site.places {
		cfg.Members = append(cfg.Members, p.id)
		if p.gateway {
			gateways = append(gateways, p.id)
		}
	}
	l.core = core.New(cfg, merge.Config{Self: at.id, Site: at.site.id, Boot: l.boot, Sites: f.siteIDs, Nodes: f.nodes,
		Gateways: gateways, SiteScoped: siteScoped, SlowAfter: slowAfter, Bulk: true, Weights: f.weights, Datagrams: true, StartUnix: epochUnix + int64((f.now+at.site.ahead)/time.Second), Trace: l.recorder.Note})
	l.recorder.Start(trace.Moment{}, l.core)
	l.step(l.core.Start)
	if at.gateway {
		f.wan.gatewayUp(l)
	}
	f.play.reopen(l)
}

// crash ends a life without a word.
func (l *life) crash() {
	if l.place.life == l {
		l.recorder.Crash(l.f.now - l.start)
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
	return time.Duration(elapsed+elapsed/1_000_000*l.drift) + l.leap
}

// global turns a time of the node's clock into one of the run's, never too early.
func (l *life) global(local time.Duration) time.Duration {
	local -= l.leap
	return l.start + time.Duration(int64(local)-int64(local)/1_000_000*l.drift) + time.Microsecond
}

// carryOut does what the core wants, in the order of Effects.
func (l *life) carryOut() {
	fx := &l.fx
	for _, p := range fx.Send {
		l.site.lan.send(l.place, p)
	}
	for _, node := range fx.Knock {
		l.site.lan.knock(l, node)
	}
	l.exportEnded(fx.Ended)
	if fx.Merge.State != nil {
		l.advertise(fx.Merge.State)
	}
	l.recorder.Step(l.f.now-l.start, fx)
	l.outputs(fx.Merge.Outputs)
	if len(fx.Merge.Records)+len(fx.Merge.Promises) > 0 {
		l.f.play.released(l)
	}
	l.exportRecords(fx.Merge.Records, fx.Merge.Trim)
	for _, data := range fx.Merge.Promises {
		l.f.wan.promise(l, data)
	}
	for _, c := range fx.Merge.Controls {
		l.f.wan.control(l, c)
	}
	for _, d := range fx.Merge.Datagrams {
		l.f.wan.datagram(l, d)
	}
	l.f.countEvictions(fx.Merge.Evicted)
	for _, fault := range fx.Merge.Faults {
		l.f.report("fault", "node %s blames honest site %s: %s", l.name, l.f.siteName(fault.Site), fault.What)
	}
	fx.Reset()
}

// nodeName returns the name of a node, of whatever site.
func (f *federation) nodeName(id membership.NodeID) string {
	if at := f.nodeOf[id]; at != nil {
		return at.name
	}
	return "?" + strconv.FormatUint(uint64(id), 16)
}

// siteName returns the name of a site.
func (f *federation) siteName(id membership.SiteID) string {
	if x := f.siteOf[id]; x != nil {
		return x.name
	}
	return "?" + strconv.FormatUint(uint64(id), 16)
}
