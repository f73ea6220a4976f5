package merge

import (
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// What a Replica does with the lineage of its ring.

// ownLineage is what this node says in a new ring.
func (r *Replica) ownLineage() *lineage {
	d := &r.descent
	l := &lineage{boot: r.cfg.Boot, decided: d.decidedRing, branch: d.branch, epoch: r.epoch,
		unix: r.unixSeconds()}
	if m := r.m; m != nil {
		l.instance, l.attached, l.electorate = m.instance, r.attached, m.voters
		l.voter = len(d.attempts) <= maxAttempts
		l.formed, l.attempts = d.formed, d.attempts[:min(len(d.attempts), maxAttempts)]
		l.epoch = max(l.epoch, m.epoch)
	}
	return l
}

// lineageIn is a node's first frame in a ring.
func (r *Replica) lineageIn(ev *ring.Event) {
	in := wire.NewReader(ev.Frame[1:])
	l := &lineage{}
	if err := l.read(&in); err != nil {
		r.badFrames++
		return
	}
	d := &r.descent
	if ev.Torn || !d.hear(ev.From, l, ev.Pos) {
		return
	}
	h := d.decide(r.cfg.off)
	if d.closing {
		if r.m != nil && h.instance == r.m.instance {
			d.attempted(ev.Pos, h.heirs)
		}
		return
	}
	if r.m != nil {
		r.m.pos = ev.Pos
	}
	r.decided(h)
	r.lineageDone()
}

// decided acts on the last lineage of a ring.
func (r *Replica) decided(h heritage) {
	d := &r.descent
	heir := slices.Contains(h.heirs, r.cfg.Self)
	if r.m != nil && !heir {
		r.closeAlone()
	}
	switch {
	case h.instance == 0:
		r.found()
	case heir:
		d.settle(h.instance, h.heirs)
		r.inherit(h)
	default:
		d.settle(h.instance, h.heirs)
		r.traceLineage(h.instance, "learner", h.heirs, h.voters)
	}
}

// present are the members of the ring and which run of theirs it is.
func (d *descent) present() map[membership.NodeID]uint64 {
	boots := map[membership.NodeID]uint64{}
	for id, l := range d.heard {
		boots[id] = l.boot
	}
	return boots
}

// inherit goes on with the instance.
func (r *Replica) inherit(h heritage) {
	d, m, heirs := &r.descent, r.m, h.heirs
	boots := map[membership.NodeID]uint64{}
	for _, id := range heirs {
		boots[id] = d.heard[id].boot
		m.epoch = max(m.epoch, d.heard[id].epoch)
	}
	m.voters = heirs
	r.traceLineage(m.instance, "heir", heirs, h.voters)
	m.survive(boots, len(d.learners) > 0)
	m.expect(d.present(), d.view.Previous)
	if len(d.learners) > 0 && heirs[0] == r.cfg.Self {
		d.outgoing = m.snapshot()
	}
}

// found begins a new instance in a view of its own (N7). All members are voters, and
// bring in their clients like learners.
func (r *Replica) found() {
	d := &r.descent
	id := d.foundingID()
	view := membership.SiteView{ID: membership.ViewID{Proposer: id}, Members: []SiteInstance{{Instance: id, Site: r.cfg.Site}}}
	for _, l := range d.heard {
		if view.ID.Epoch = max(view.ID.Epoch, l.epoch+1); r.cfg.off(blindFounder) {
			view.ID.Epoch = 1
		}
		view.Founded = max(view.Founded, l.unix)
	}
	m := newMachine(&r.cfg, &r.names, id, view)
	m.voters = d.view.Members
	m.foundPrimary()
	d.settle(id, d.view.Members)
	m.expect(d.present(), ring.ID{})
	r.traceLineage(id, "founder", m.voters, m.voters)
	r.adopt(m)
}

// learn installs the state that an heir sent and makes up for what came since.
func (r *Replica) learn(data []byte) {
	d := &r.descent
	m, err := restoreMachine(&r.cfg, &r.names, data)
	if err != nil || d.overflown {
		r.badFrames++
		r.fx.Faults = append(r.fx.Faults, Fault{Site: r.cfg.Site, What: "this node cannot learn its site's state and waits for the next ring: " + reason(err)})
		d.refuses, r.fx.Kick = true, true
		return
	}
	r.adopt(m)
	replay := d.replay
	d.replay, d.replayBytes = nil, 0
	for i := range replay {
		r.apply(&replay[i])
	}
}

func reason(err error) string {
	if err != nil {
		return err.Error()
	}
	return "too much traffic came before it"
}

// stateIn is the state that an heir sends, at the heirs and at those who learned it:
// the learners become voters.
func (r *Replica) stateIn(pos ring.Position) {
	d := &r.descent
	if r.m != nil && len(d.learners) > 0 {
		r.elect(pos, append(slices.Clone(r.m.voters), d.learners...))
		d.learners = nil
	}
}

// refused: a learner cannot take in the state. It has no vote, and nobody waits for
// its clients.
func (r *Replica) refused(pos ring.Position, node membership.NodeID) {
	r.elect(pos, slices.DeleteFunc(slices.Clone(r.m.voters), func(id membership.NodeID) bool { return id == node }))
	r.m.excuse(node)
}

// elect changes the electorate at a safe frame. In the transitional configuration that
// is an attempt.
func (r *Replica) elect(pos ring.Position, voters []membership.NodeID) {
	slices.Sort(voters)
	d := &r.descent
	if d.closing {
		d.attempted(pos, voters)
		return
	}
	before := r.m.voters
	r.m.voters = voters
	d.formedAt(pos)
	r.traceLineage(r.m.instance, "", voters, before)
	r.chooseLeader()
}

// adopt makes m this node's machine. What it had to say in the same breath as a gateway of
// another instance is lost: it would go out as the new one's, which says such a thing
// falsely.
func (r *Replica) adopt(m *machine) {
	r.fx.Controls = r.fx.Controls[:0]
	m.lookup = r.lookup
	r.m = m
	r.epoch = max(r.epoch, m.epoch)
	r.attached = false
	r.base = timeBase{m.clock, r.now}
	m.pos, m.fx = r.descent.at, r.fx
	m.traceView()
	r.views.peers.adopted(r.now, &r.cfg.Timing, m.view.Members)
	r.viewChanged()
}

// closeAlone ends this node's part in its instance (N6).
func (r *Replica) closeAlone() {
	m := r.m
	if r.attached {
		together := map[membership.NodeID]bool{}
		for _, n := range r.descent.view.Together {
			together[n] = true
		}
		minT := m.closeAlone(r.descent.oldStable, together)
		if r.closed != m.view.ID {
			r.closedMinT = -1
		}
		r.closed, r.closedIn, r.closedMinT = m.view.ID, m.instance, max(r.closedMinT, minT)
		r.company = r.descent.branch
		r.proposer.noteApart(m.where)
		r.forgetEnded()
		r.leaveInstance()
	}
	r.epoch = max(r.epoch, m.epoch)
	r.m, r.attached = nil, false
	r.descent.attempts = nil
}

// traceLineage tells what a lineage came to. Without a role it tells that learners
// became voters.
func (r *Replica) traceLineage(i membership.InstanceID, role string, electorate, voters []membership.NodeID) {
	if r.cfg.Trace == nil {
		return
	}
	d := &r.descent
	e := TraceEvent{Kind: TraceLineage, Instance: i, Role: role, Number: d.formed, Nodes: electorate, Voters: voters, Formed: role != "learner"}
	if r.m != nil {
		e.View = r.m.view.ID
	}
	r.cfg.Trace(&e)
}
