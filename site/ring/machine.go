package ring

import (
	"errors"
	"math"
	"slices"
	"time"

	"ringway/membership"
)

var errOrder = errors.New("a list is not in order or beyond what it speaks of")

// A Machine is one node's part in the ring. It is not safe for concurrent use.
//
//	M1 events of a ring come between its Installed and the next
//	M2 this node is a member of every ring it installs
//	M3 counters of installed rings grow
type Machine struct {
	cfg    Config
	self   int // place in cfg.Members
	source Source
	state  State
	timers [timerCount]time.Duration
	peers  []peer // by place in cfg.Members
	count  Counters

	ring    *ring // in force: where events come from
	next    *ring // being recovered
	token   token // in hand or last seen
	late    token // arrived while one is in hand
	holding bool  // the token rests here
	prefer  bool  // the token is waiting behind data
	culprit membership.NodeID
	batch   [][]byte // of one visit
	spans   []span
	out     outbox
	arena   arena

	highest    uint64 // ring counter ever seen
	attempt    uint64 // of this node to gather
	gather     gathering
	commit     commit
	rec        recovery
	obliged    []membership.NodeID // see recovery.go
	probedAt   time.Duration
	eagerUntil time.Duration // probing often
	bornAt     time.Duration
	turnAt     time.Duration // of the latest step
	napUntil   time.Duration
	relentAt   time.Duration // from then on a node that failed may be taken back
	leaving    bool          // this node ends in order, see leave.go
	knocks     int           // since this node has begun to wait, see knock.go
	waitsFrom  time.Duration // when that was
}

// The timers. Each is a time at which something is due, or never.
const (
	timerLoss      = iota // token lost
	timerResend           // send token or commit again
	timerHold             // let go of the idle token
	timerHello            // let the successor hear, listen for the predecessor
	timerProbe            // make the ring known
	timerJoin             // repeat the join
	timerConsensus        // leave behind who has not agreed
	timerCommit           // the new ring does not come about
	timerSolo             // a ring of one has more to deliver
	timerKnock            // ask whether those waited for are alive
	timerCount
)

const never = time.Duration(math.MaxInt64)

// A peer is what a node remembers of another node of its site.
type peer struct {
	incarnation uint64
	reborn      bool          // another one was known before
	metAt       time.Duration // first packet of that incarnation
	seenAt      time.Duration // last packet of that incarnation
	foreignAt   time.Duration // last heard outside of our ring
	attempt     uint64        // newest join
	join        join          // in this gathering
	joined      bool          // join is valid
	allowance   int           // joins it may still send
	allowedAt   time.Duration
	left        bool // it said that it goes
	dead        bool // its host says so, see knock.go
	knockedAt   time.Duration
	shunUntil   time.Duration
	shunTime    time.Duration
}

// New returns a machine that takes its frames from source. It repairs what
// Config.Validate would refuse. Nothing happens before Start.
func New(cfg Config, source Source) *Machine {
	m := &Machine{cfg: cfg.repaired(), source: source, ring: &ring{}, next: &ring{}}
	m.self, _ = m.place(m.cfg.Self)
	m.peers = make([]peer, len(m.cfg.Members))
	m.highest = m.cfg.Incarnation
	m.ring.window.reset()
	m.next.window.reset()
	for i := range m.timers {
		m.timers[i] = never
	}
	return m
}

// Start begins to look for the other nodes.
func (m *Machine) Start(now time.Duration, fx *Effects) {
	if m.state == 0 {
		m.bornAt, m.turnAt = now, now
		m.enterGather(now, set{}, set{}, set{}, fx)
	}
}

// Receive takes in a packet from any of the ring's sockets. The machine keeps
// the slice.
func (m *Machine) Receive(now time.Duration, packet []byte, fx *Effects) {
	if m.state == 0 {
		return
	}
	m.noticeNap(now)
	h, ok := parseHeader(packet)
	if !ok {
		m.count.DroppedMalformed++
		return
	}
	if h.label != m.cfg.Label {
		m.count.DroppedLabel++
		return
	}
	if h.sender == m.cfg.Self {
		m.count.Duplicates++ // looped back, or of a life before this one
		return
	}
	if h.kind == kindData { // others send it again when its sender is long gone
		if i, ok := m.place(h.sender); ok {
			m.peers[i].seenAt = max(m.peers[i].seenAt, now)
			m.onData(now, packet, h, fx)
			return
		}
		m.count.DroppedStranger++
		return
	}
	i, ok := m.place(h.sender)
	if !ok {
		m.count.DroppedStranger++
		return
	}
	restarted, ok := m.meet(now, i, h.incarnation)
	if !ok {
		m.count.DroppedStale++
		return
	}
	m.dispatch(now, packet, h, i, restarted, fx)
}

func (m *Machine) dispatch(now time.Duration, packet []byte, h header, i int, restarted bool, fx *Effects) {
	if restarted && m.state == Operational && m.ring.has(h.sender) && h.kind != kindJoin {
		m.enterGather(now, m.setOf(m.ring.members), set{}, set{}, fx)
		return
	}
	switch h.kind {
	case kindToken:
		m.onToken(now, packet, h, fx)
	case kindCommit:
		m.onCommit(now, packet, h, fx)
	case kindJoin:
		m.onJoin(now, packet, i, restarted, fx)
	case kindHello:
		m.onHello(now, packet, h, fx)
	case kindWake:
		m.onWake(now, packet, h, fx)
	case kindProbe:
		m.onProbe(now, packet, h, fx)
	case kindLeave:
		m.onLeave(now, packet, i, fx)
	}
}

// meet notes which incarnation of a node is speaking. It refuses an older one
// than is known, unless the known one has been silent for so long that a clock
// must have been set back.
func (m *Machine) meet(now time.Duration, i int, incarnation uint64) (restarted, ok bool) {
	p := &m.peers[i]
	switch {
	case incarnation == 0 || incarnation >= maxIncarnation:
		return false, false
	case incarnation < p.incarnation && !m.off(staleLife) && now-p.seenAt < 10*m.cfg.Timing.TokenLoss:
		return false, false
	case incarnation != p.incarnation && m.off(sameLife):
		p.incarnation = incarnation
	case incarnation != p.incarnation:
		restarted = p.incarnation != 0
		*p = peer{incarnation: incarnation, reborn: restarted, metAt: now, allowance: p.allowance, allowedAt: p.allowedAt}
	}
	p.seenAt, p.dead = now, false
	return restarted, true
}

// Wake is to be called when Deadline has passed.
func (m *Machine) Wake(now time.Duration, fx *Effects) {
	if m.state == 0 {
		return
	}
	m.noticeNap(now)
	for i := range timerCount {
		if m.timers[i] <= now {
			m.timers[i] = never
			m.fire(i, now, fx)
		}
	}
}

func (m *Machine) fire(timer int, now time.Duration, fx *Effects) {
	switch timer {
	case timerLoss:
		if m.off(noTokenLoss) {
			return
		}
		m.count.TokensLost++
		m.regather(now, fx)
	case timerResend:
		m.resend(now, fx)
	case timerHold:
		if m.holding {
			m.release(now, fx)
		}
	case timerHello:
		m.hello(now, fx)
	case timerProbe:
		m.probe(now, fx)
	case timerJoin:
		m.sendJoin(now, fx)
	case timerConsensus:
		m.consensusTimeout(now, fx)
	case timerCommit:
		m.regather(now, fx)
	case timerSolo:
		m.solo(now, fx)
	case timerKnock:
		m.knock(now, fx)
	}
}

// resend repeats whatever this node sent last along the ring: a token, or the
// commit before there is one.
func (m *Machine) resend(now time.Duration, fx *Effects) {
	r := m.current()
	switch {
	case r != nil && r.visits > 0:
		if m.off(noTokenResend) {
			return
		}
		m.resendToken(now, r, fx)
		m.timers[timerResend] = now + m.cfg.Timing.Retransmit
	case m.state == Commit || m.state == Recovery:
		m.resendCommit(now, fx)
	}
}

// current is the ring whose token this node takes, if any.
func (m *Machine) current() *ring {
	switch m.state {
	case Operational:
		return m.ring
	case Recovery:
		return m.next
	}
	return nil
}

// Deadline returns when Wake is to be called next.
func (m *Machine) Deadline() (time.Duration, bool) {
	d := slices.Min(m.timers[:])
	return d, d != never
}

// noticeNap finds out that this process did not run for a while though something
// was due, as after SIGSTOP. What seems overdue then is given time, so that the
// shell first reads what has come meanwhile, and joins that wait in its sockets are
// not believed.
func (m *Machine) noticeNap(now time.Duration) {
	gap := now - m.turnAt
	m.turnAt = max(now, m.turnAt)
	if gap <= m.cfg.Timing.TokenLoss/2 || m.off(noNap) {
		return
	}
	if d, ok := m.Deadline(); !ok || now-d <= m.cfg.Timing.TokenLoss/8 {
		return
	}
	m.count.Naps++
	m.napUntil = now + m.cfg.Timing.Join
	for i := range m.timers {
		if m.timers[i] <= now {
			m.timers[i] = now + m.cfg.Timing.TokenLoss/8
		}
	}
	m.ring.heardAt = max(m.ring.heardAt, now-m.cfg.Timing.Silence/2)
}

// Kick tells that the Source has new work.
func (m *Machine) Kick(now time.Duration, fx *Effects) {
	if m.state != Operational {
		return
	}
	m.noticeNap(now)
	switch r := m.ring; {
	case r.alone():
		m.solo(now, fx)
	case m.holding:
		if m.hasWork() {
			m.release(now, fx)
		}
	case r.me != 0 && r.quiet && !r.woke && m.hasWork():
		m.wakeUp(now, fx)
	}
}

// State is where the Machine stands: part of its Status, for who looks often.
func (m *Machine) State() State { return m.state }

// PreferToken says whether, with data and token packets waiting, the token is to
// be read first: the predecessor's packets that follow its token have begun to
// come, so the token is there. Otherwise data first.
func (m *Machine) PreferToken() bool { return m.prefer }

// Status returns a snapshot for operators.
func (m *Machine) Status() Status {
	return Status{
		State: m.state, Ring: m.ring.id, Members: slices.Clone(m.ring.members), Holding: m.holding,
		Seq: m.ring.high, Aru: m.ring.aru, Stable: m.ring.stable, Counters: m.count,
	}
}

// solo delivers what a ring of one has to send: at once, and it is stable.
func (m *Machine) solo(now time.Duration, fx *Effects) {
	r := m.ring
	m.timers[timerSolo] = never
	if m.state != Operational || !r.alone() {
		return
	}
	frames, bytes := 0, 0
	for ; frames < soloFrames && bytes < soloBytes; frames++ {
		f, ok := m.any(now)
		if !ok {
			break
		}
		bytes += len(f.Data)
		r.delivered++
		m.count.FramesSent++
		m.count.BytesSent += uint64(len(f.Data))
		kind := Deliver
		if f.Service < membership.FIFO {
			kind = Arrive
		}
		m.up(kind, f.Service, m.cfg.Self, r.position(r.delivered), f.Data, fx)
	}
	if frames == 0 {
		m.tryLeave(fx)
		return
	}
	r.jump(r.delivered)
	r.stable = r.delivered
	fx.Events = append(fx.Events, Event{Kind: Stable, Pos: r.position(r.stable)})
	if m.hasWork() {
		m.timers[timerSolo] = now
	}
	m.tryLeave(fx)
}

// any returns the next frame whatever its size.
func (m *Machine) any(now time.Duration) (Frame, bool) {
	o := &m.out
	switch {
	case len(o.ready) > 0:
		f := o.ready[0]
		o.sent()
		return f, true
	case len(o.waiting) > 0:
		f := o.waiting[0]
		o.waiting = slices.Delete(o.waiting, 0, 1)
		o.bytes -= len(f.Data)
		return f, true
	}
	return m.take(now, MaxFrameBytes)
}
