package merge

import (
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A gateway is what a node knows as a gateway: when to tick, what it has released.
// It is not replicated. The lowest gateway of the ring leads: it ticks by the clock.
// The others tick only with promises that the leader seems not to have. In a ring
// without gateways the lowest node leads, so that a view can still be installed.
type gateway struct {
	is      bool
	leads   bool
	inbox   []heardAt // newest promise of each member, by place
	behind  [][]heard // and some that came before it, since the latest Tick, whose records were not there
	late    []lateness
	delays  []time.Duration // to each member, a hint
	credits []credit        // of each member; every node has them
	level   []bool          // whose clock has been seen to agree with ours, see ahead.go

	tickDue    time.Duration // noTime: not due
	ticking    bool          // a Tick of ours is with the ring
	injected   time.Duration // when it went out
	lastTick   time.Duration // when the latest Tick was ordered
	tick       tick          // scratch
	lastActive time.Duration
	seen       uint64 // m.applied at the latest look

	released    uint64 // own records below are out
	trimmed     uint64
	promisedAt  ring.Position // Tick of the latest promise sent
	promiseTime time.Duration
	promiseDue  time.Duration
	counter     uint64
	promise     promise // scratch
	incoming    promise // likewise
}

// noTime is a deadline that is not set.
const noTime = time.Duration(-1)

// heardAt is a promise that waits for a Tick.
type heardAt struct {
	heard
	at    time.Duration // when the newest came
	since time.Duration // since when there has been news without a Tick
	new   bool
	taken uint64 // the member has taken in what we sent it below this index
	gated bool   // its records were not there when it came, and are not yet
}

// timeBase is where view time was last known.
type timeBase struct {
	clock int64
	at    time.Duration
}

// viewNow estimates view time.
func (r *Replica) viewNow(now time.Duration) int64 { return r.base.clock + int64(now-r.base.at) }

// gatewayReset begins a view.
func (r *Replica) gatewayReset() {
	g := &r.gateway
	n := len(r.m.view.Members)
	g.inbox, g.late, g.delays = make([]heardAt, n), make([]lateness, n), make([]time.Duration, n)
	g.credits = make([]credit, n)
	g.behind, g.level = make([][]heard, n), make([]bool, n)
	g.ticking, g.lastTick, g.tickDue, g.promiseDue = false, r.now, noTime, noTime
	g.released, g.trimmed = r.m.trim, r.m.trim
	g.promisedAt, g.seen = ring.Position{}, r.m.applied
	g.lastActive = r.now
	r.refreshDelays()
}

func (r *Replica) refreshDelays() {
	for i, x := range r.m.view.Members {
		if known := r.views.peers.known[x.Instance]; known != nil {
			r.gateway.delays[i] = known.Delay
		}
	}
}

// chooseLeader looks who ticks in the present ring. Who begins to lead looks at once
// whether a view is due: what made it due may have come before.
func (r *Replica) chooseLeader() {
	g := &r.gateway
	led := g.leads
	g.leads = r.m != nil && r.leader() == r.cfg.Self
	if g.leads && !led {
		r.views.peers.since = r.now
		r.consider()
	}
}

// leader is the first voter that is a gateway, or the first voter.
func (r *Replica) leader() membership.NodeID {
	for _, id := range r.m.voters {
		if slices.Contains(r.cfg.Gateways, id) {
			return id
		}
	}
	if len(r.m.voters) == 0 {
		return 0
	}
	return r.m.voters[0]
}

// active says whether there was federated traffic lately.
func (r *Replica) active() bool {
	return len(r.m.pend) > 0 || r.now-r.gateway.lastActive < quietAfter
}

// interval is the time between ticks that nothing else causes (C6).
func (r *Replica) interval() time.Duration {
	if !r.active() {
		return r.quiet()
	}
	return r.busyInterval()
}

func (r *Replica) busyInterval() time.Duration {
	nearest := time.Duration(0)
	for i, d := range r.gateway.delays {
		if i != r.m.self && (nearest == 0 || d < nearest) {
			nearest = d
		}
	}
	return min(max(nearest/10, minInterval), maxInterval)
}

// schedule works out when the next Tick is due.
func (r *Replica) schedule() {
	g, m := &r.gateway, r.m
	g.tickDue = noTime
	if m == nil || !r.descent.decided || g.ticking || !g.is && !g.leads {
		return
	}
	if m.applied != g.seen {
		g.seen, g.lastActive = m.applied, r.now
	}
	switch {
	case m.frozen():
		if g.leads {
			g.tickDue = g.lastTick + quietInterval
			if r.flushWantsTick() {
				g.tickDue = g.lastTick + minGap
			}
		}
	case m.solo():
	case !g.leads:
		g.tickDue = r.followerTick()
	default:
		g.tickDue = g.lastTick + r.interval()
		if r.active() {
			g.tickDue = min(g.tickDue, max(g.lastTick+minGap, r.wanted()))
		}
	}
}

// flushWantsTick says whether a Tick would bring a flush on: L would cover what it
// waits for.
func (r *Replica) flushWantsTick() bool {
	f := r.m.flush
	if f.ready && f.announced == (ring.Position{}) {
		return r.covers(f.readyPos)
	}
	at, ok := f.last()
	return ok && r.covers(at)
}

// followerTick is when a gateway that does not lead brings in its promises itself.
func (r *Replica) followerTick() time.Duration {
	due := noTime
	for i := range r.gateway.inbox {
		p := &r.gateway.inbox[i]
		if p.new = p.new && r.m.improves(p.heard); p.new && (due == noTime || p.since+r.interval() < due) {
			due = p.since + r.interval()
		}
	}
	return due
}

// wanted is when a Tick would let something go on: a delivery here, or a promise that
// covers a record of ours there.
func (r *Replica) wanted() time.Duration {
	m, g := r.m, &r.gateway
	far := r.now + quietInterval
	if len(m.pend) == 0 {
		return far
	}
	at := far
	if n := len(m.horizons); n > 0 && m.horizons[0].h >= m.pend[0].t && r.covers(m.horizons[0].pos) {
		at = r.now // L would cover it
	}
	if head := m.pend[0]; head.safe() && head.t <= m.h && r.stabler(head) {
		at = r.now
	}
	best := m.h
	if n := len(m.horizons); n > 0 {
		best = max(best, m.horizons[n-1].h)
	}
	first, _ := slices.BinarySearchFunc(m.pend, best, func(p *record, t int64) int {
		if p.t <= t {
			return -1
		}
		return 1
	})
	if first < len(m.pend) && r.known() >= m.pend[first].t {
		at = min(at, r.localTime(m.pend[first].t))
	}
	return min(at, r.uncovered(m.pend, g))
}

// known is how far all others' promises reach, with those not ticked yet.
func (r *Replica) known() int64 {
	m := r.m
	least := int64(1<<63 - 1)
	for i := range m.view.Members {
		if i == m.self {
			continue
		}
		p := m.prom[i]
		if in := &r.gateway.inbox[i]; in.new && in.idx <= m.inNext[i] {
			p = max(p, in.p)
		}
		least = min(least, p)
	}
	return least
}

// stabler says whether a Tick would bring what head waits for.
func (r *Replica) stabler(head *record) bool {
	m := r.m
	for rest := head.dests.Without(m.self); rest != 0; rest &= rest - 1 {
		i := rest.First()
		if in := &r.gateway.inbox[i]; m.w[i] < head.t && !(in.new && in.w >= head.t && in.idx <= m.inNext[i]) {
			return false
		}
	}
	if m.wself >= head.t || !head.dests.Has(m.self) {
		return true
	}
	return slices.ContainsFunc(m.snaps, func(s snap) bool { return s.w >= head.t && r.covers(s.pos) })
}

// uncovered is when the first own record that no floor covers yet will be covered.
func (r *Replica) uncovered(pend []*record, g *gateway) time.Duration {
	const look = 64 // records; more are only there when ticks come often anyway
	m := r.m
	at := r.now + quietInterval
	for _, p := range pend[:min(look, len(pend))] {
		if p.src != m.self {
			continue
		}
		for rest := p.dests.Without(m.self); rest != 0; rest &= rest - 1 {
			if i := rest.First(); m.floor[i] < p.t {
				at = min(at, r.localTime(p.t+1-m.leads[i]))
			}
		}
	}
	return at
}

// localTime is when view time will be t, but not before now.
func (r *Replica) localTime(t int64) time.Duration {
	return max(r.now, r.base.at+time.Duration(t-r.base.clock))
}

// makeTick makes the Tick that is due.
func (r *Replica) makeTick(now time.Duration) (ring.Frame, bool) {
	g, m := &r.gateway, r.m
	t := &g.tick
	t.tag, t.reading, t.line = m.tag, r.viewReading(now), r.descent.stable
	t.leads, t.promises = t.leads[:0], t.promises[:0]
	for i := range m.view.Members {
		t.leads = append(t.leads, r.lead(i, now-g.lastTick))
		if p := &g.inbox[i]; p.new && i != m.self {
			t.promises = r.takeBehind(t.promises, i)
			if p.new = false; m.improves(p.heard) {
				t.promises = append(t.promises, p.heard)
			}
		}
	}
	g.ticking, g.injected = true, now
	data := t.append(r.proposer.arena.take(64 + 8*len(t.leads) + heardBytes*len(t.promises)))
	return ring.Frame{Stream: controlStream, Service: membership.Agreed, Data: data}, true
}

// takeBehind appends the promises of a member that came before its newest, as far as there
// is room for everybody's newest.
func (r *Replica) takeBehind(promises []heard, i int) []heard {
	g, m := &r.gateway, r.m
	for _, p := range g.behind[i] {
		if len(promises)+len(m.view.Members)-i < maxTickPromises && m.improves(p) {
			promises = append(promises, p)
		}
	}
	g.behind[i] = g.behind[i][:0]
	return promises
}

// viewReading is view time, pulled towards the fastest peer (C1), and at once as far as this
// node has slept (C7).
func (r *Replica) viewReading(now time.Duration) int64 {
	g, m := &r.gateway, r.m
	reading := r.viewNow(now)
	ahead := int64(0)
	for i := range g.inbox {
		if p := &g.inbox[i]; i != m.self && p.reading > 0 {
			theirs := p.reading + int64(now-p.at) + int64(g.delays[i])
			ahead = max(ahead, theirs-reading)
		}
	}
	slew := max(0, reading-m.clock) / slewPart
	if ahead > int64(stepBehind) {
		slew = ahead
	}
	return reading + min(ahead, max(slew, r.makeUp(min(ahead, stepOf(len(m.view.Members))-(reading-m.clock)))))
}

// lead is how far ahead of our clock the promises to a member lie.
func (r *Replica) lead(i int, elapsed time.Duration) int64 {
	m := r.m
	if i == m.self {
		return 0
	}
	target := startLead(r.gateway.delays[i])
	if m.late[i] > 0 {
		target = m.late[i]
	}
	return nextLead(m.leads[i], target+int64(r.busyInterval()), elapsed)
}

// ticked: a Tick was ordered.
func (r *Replica) ticked(own bool, t *tick) {
	g, m := &r.gateway, r.m
	if t.tag != m.tag {
		if own {
			g.ticking = false
		}
		return
	}
	if r.now-g.lastTick > standstill {
		r.unlevel()
	}
	r.base = timeBase{m.clock, r.now}
	if own {
		if g.ticking && t.reading == m.clock { // it was that late when it went out
			r.base.at = g.injected
		}
		g.ticking = false
	}
	g.lastTick = r.now
	r.meterCredit()
	r.proposer.unblock()
}

// measure takes the lateness of what could not be taken when it came: a promise whose
// records have just been ordered.
func (r *Replica) measure() {
	g := &r.gateway
	for _, p := range r.m.samples {
		g.late[p.src].add(r.lateness(p))
	}
	for i := range g.inbox {
		if p := &g.inbox[i]; p.gated && p.idx <= r.m.inNext[i] {
			p.gated = false
			if p.new {
				g.late[i].add(r.lateness(p.heard))
			}
		}
	}
	r.m.samples = r.m.samples[:0]
}

// lateness is how late p comes, if it is usable now. How long it then waits for a Tick
// is no part of it: when nobody sends, that is long, and it would set the deadlines of
// whoever sends next. At least 1, so that it is not taken for unknown.
func (r *Replica) lateness(p heard) int64 { return max(1, r.viewNow(r.now)-p.reading) }

func (r *Replica) covers(pos ring.Position) bool { return r.descent.covers(pos, r.cfg.off) }

// release gives the overlay what every member of the ring holds (S2).
func (r *Replica) release() {
	g, m := &r.gateway, r.m
	if !g.is || m == nil || m.solo() || !r.descent.decided {
		return
	}
	for g.released < m.outN {
		rec := m.heldAt(g.released)
		if rec != nil && !r.covers(rec.pos) && !m.off(unsafeRelease) {
			break
		}
		r.fx.Records = append(r.fx.Records, r.released(g.released, rec))
		g.released++
	}
	if trim := min(m.trim, g.released); trim > g.trimmed {
		g.trimmed, r.fx.Trim = trim, trim
	}
}

// released is a record as it leaves.
func (r *Replica) released(n uint64, rec *record) Record {
	out := Record{N: n}
	if rec == nil {
		return out // stable everywhere already; numbers have no gaps
	}
	for rest := rec.dests.Without(r.m.self); rest != 0; rest &= rest - 1 {
		out.Dests = append(out.Dests, r.m.view.Members[rest.First()].Instance)
	}
	switch {
	case len(out.Dests) == 0:
	case r.m.byReference(rec):
		out.Data = rec.appendReference(make([]byte, 0, recordHeadBytes+128+8*len(rec.idx)), &r.m.view)
	default:
		out.Data = rec.append(make([]byte, 0, recordHeadBytes+64+8*len(rec.idx)+len(rec.data)), &r.m.view)
	}
	return out
}

// promiseOut sends what the latest ring-safe Tick allows (S3).
func (r *Replica) promiseOut() {
	g, m := &r.gateway, r.m
	g.promiseDue = noTime
	if !g.is || m == nil || m.solo() || m.frozen() || !r.descent.decided {
		return
	}
	at := len(m.snaps) - 1
	for at >= 0 && !r.covers(m.snaps[at].pos) && !m.off(unsafePromise) {
		at--
	}
	if at < 0 || m.snaps[at].pos.Compare(g.promisedAt) <= 0 {
		return
	}
	if due := g.promiseTime + promiseGap; r.now < due {
		g.promiseDue = due
		return
	}
	s := &m.snaps[at]
	g.promisedAt, g.promiseTime = s.pos, r.now
	g.counter++
	p := &g.promise
	*p = promise{view: m.view.ID, src: m.instance, counter: g.counter, w: s.w, reading: s.reading,
		busy: r.now-g.lastActive < quietAfter/2, to: p.to[:0]}
	for i := range m.view.Members {
		p.to = append(p.to, promised{s.floor[i], s.outIdx[i], s.inNext[i], g.late[i].quantile})
		if m.cfg.Trace != nil && i != m.self {
			m.cfg.Trace(&TraceEvent{Kind: TracePromise, To: m.view.Members[i].Instance, P: s.floor[i], Idx: s.outIdx[i], W: s.w, Out: true, Instance: m.instance, View: m.view.ID})
		}
	}
	r.fx.Promises = append(r.fx.Promises, p.append(make([]byte, 0, 80+promisedBytes*len(p.to))))
}

// promiseIn takes a promise that came from another site.
func (r *Replica) promiseIn(data []byte) {
	g, m := &r.gateway, r.m
	p := &g.incoming
	if err := p.read(data); err != nil {
		r.badFrames++
		return
	}
	if m == nil || !g.is || p.view != m.view.ID || len(p.to) != len(m.view.Members) {
		return
	}
	src, ok := m.view.Index(p.src)
	if !ok || src == m.self || g.inbox[src].reading > p.reading {
		return
	}
	if p.contradicts() {
		r.accuse(breach{kind: breachPromise, src: uint8(src)})
		return
	}
	r.judgeReading(src, p.reading)
	r.exchange.keepPromise(len(m.view.Members), m.self, src, p, m.inNext[src])
	to := p.to[m.self]
	next := heard{uint8(src), to.p, to.idx, p.w, p.reading, to.late}
	// What waits for a Tick has waited since the first of its like came.
	since := r.now
	if old := &g.inbox[src]; old.new {
		since = old.since
		if old.gated {
			if g.behind[src] = append(g.behind[src], old.heard); len(g.behind[src]) > maxWaiting {
				g.behind[src] = thinned(g.behind[src])
			}
		}
	}
	gated := next.idx > m.inNext[src]
	if !gated {
		g.late[src].add(r.lateness(next))
	}
	g.inbox[src] = heardAt{heard: next, at: r.now, since: since, taken: max(g.inbox[src].taken, to.inNext), new: m.improves(next), gated: gated}
	if p.busy {
		g.lastActive = max(g.lastActive, r.now-quietAfter/2)
	}
}
