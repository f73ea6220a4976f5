package merge

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// descent is what a node knows about the lineage of its ring. In a new ring every
// node first says where it comes from; when all have, everybody decides alike, at
// that position, which instance goes on:
//
//	N1  An instance may go on if a majority of its electorate (of half, the half with
//	    the lowest id) is there as voters. Only who has its state is a voter.
//	N2  Of several the one with the most voters goes on, then the lowest id.
//	N3  Its state is that of the voters that decided last and came along together:
//	    the heirs. They are the new electorate.
//	N5  The others learn: the lowest heir sends its state through the ring. At that
//	    frame's position they become voters.
//	N7  Without an heir the ring founds a new instance in a view of its own.
type descent struct {
	view      *ring.View // in force; nil: none yet
	stable    ring.Position
	oldStable ring.Position // of the ring before
	said      bool          // the own lineage went out
	heard     map[membership.NodeID]*lineage
	decided   bool
	at        ring.Position // where it was decided
	learners  []membership.NodeID

	decidedRing uint64
	branch      uint64

	replay      []ring.Event // what a learner has to make up for
	replayBytes int
	overflown   bool
	outgoing    []byte // the state, for the learners
}

// formed says whether every member of the ring knows its lineage (S4).
func (d *descent) formed() bool { return d.decided && d.at.Compare(d.stable) <= 0 }

// covers says whether every member holds what lies at pos.
func (d *descent) covers(pos ring.Position) bool {
	return d.formed() && pos.Compare(d.stable) <= 0
}

// installed begins a ring.
func (d *descent) installed(v *ring.View) {
	h := fnv.New64a()
	var b [8]byte
	put := func(x uint64) {
		binary.LittleEndian.PutUint64(b[:], x)
		h.Write(b[:])
	}
	put(d.branch)
	put(v.Previous.Counter)
	put(uint64(v.Previous.Representative))
	for _, n := range v.Together {
		put(uint64(n))
	}
	*d = descent{view: v, oldStable: d.stable, heard: map[membership.NodeID]*lineage{}, decidedRing: d.decidedRing, branch: h.Sum64()}
}

// hear takes in a node's lineage and says whether it was the last one.
func (d *descent) hear(from membership.NodeID, l *lineage, pos ring.Position) bool {
	if d.view == nil || d.decided || d.heard[from] != nil || !slices.Contains(d.view.Members, from) {
		return false
	}
	d.heard[from] = l
	if len(d.heard) < len(d.view.Members) {
		return false
	}
	d.decided, d.at = true, pos
	return true
}

// A heritage is what the members of a ring decide.
type heritage struct {
	instance membership.InstanceID // zero: nobody goes on
	heirs    []membership.NodeID   // ascending
}

// decide is N1 to N3.
func (d *descent) decide() heritage {
	var best heritage
	most := 0
	instances := map[membership.InstanceID]bool{}
	for _, id := range d.view.Members {
		l := d.heard[id]
		if !l.voter || l.instance == 0 || instances[l.instance] {
			continue
		}
		instances[l.instance] = true
		n, heirs := d.heirsOf(l.instance)
		if n > most || n == most && n > 0 && l.instance < best.instance {
			most, best = n, heritage{l.instance, heirs}
		}
	}
	return best
}

// heirsOf returns how many voters an instance has here, zero if they are too few, and
// who holds its newest state.
func (d *descent) heirsOf(i membership.InstanceID) (voters int, heirs []membership.NodeID) {
	var newest *lineage
	for _, id := range d.view.Members {
		if l := d.heard[id]; l.voter && l.instance == i && (newest == nil || l.decided > newest.decided) {
			newest = l
		}
	}
	lowest := false
	for k, id := range newest.electorate {
		if l := d.heard[id]; l != nil && l.voter && l.instance == i {
			voters++
			lowest = lowest || k == 0
		}
	}
	if all := len(newest.electorate); 2*voters < all || 2*voters == all && !lowest {
		return 0, nil
	}
	branches := map[uint64][]membership.NodeID{}
	for _, id := range d.view.Members {
		if l := d.heard[id]; l.voter && l.instance == i && l.decided == newest.decided {
			branches[l.branch] = append(branches[l.branch], id)
			if b := branches[l.branch]; len(b) > len(heirs) || len(b) == len(heirs) && b[0] < heirs[0] {
				heirs = b
			}
		}
	}
	return voters, heirs
}

// settle remembers the decision.
func (d *descent) settle(i membership.InstanceID, heirs []membership.NodeID) {
	d.learners = nil
	for _, id := range d.view.Members {
		if !slices.Contains(heirs, id) {
			d.learners = append(d.learners, id)
		}
	}
	h := fnv.New64a()
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	binary.LittleEndian.PutUint64(b[8:], d.view.ID.Counter)
	binary.LittleEndian.PutUint64(b[16:], uint64(d.view.ID.Representative))
	h.Write(b[:])
	d.branch, d.decidedRing = h.Sum64(), d.view.ID.Counter
}

// foundingID names the instance that a ring founds.
func (d *descent) foundingID() membership.InstanceID {
	h := fnv.New64a()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], d.view.ID.Counter)
	binary.LittleEndian.PutUint64(b[8:], uint64(d.view.ID.Representative))
	h.Write(b[:])
	for _, id := range d.view.Members {
		binary.LittleEndian.PutUint64(b[:], uint64(id))
		binary.LittleEndian.PutUint64(b[8:], d.heard[id].boot)
		h.Write(b[:])
	}
	return membership.InstanceID(max(1, h.Sum64()))
}

// The rest is the Replica's part: what it does with a decision.

// ownLineage is what this node says in a new ring.
func (r *Replica) ownLineage() *lineage {
	l := &lineage{boot: r.cfg.Boot, decided: r.descent.decidedRing, branch: r.descent.branch, epoch: r.epoch,
		unix: unixSeconds(r.cfg.StartUnix, r.now)}
	if m := r.m; m != nil {
		l.instance, l.voter, l.attached, l.electorate = m.instance, true, r.attached, m.voters
		l.epoch = max(l.epoch, m.epoch)
	}
	return l
}

// decided acts on the last lineage of a ring.
func (r *Replica) decided() {
	d := &r.descent
	h := d.decide()
	heir := slices.Contains(h.heirs, r.cfg.Self)
	if r.m != nil && !heir {
		r.closeAlone()
	}
	switch {
	case h.instance == 0:
		r.found()
	case heir:
		d.settle(h.instance, h.heirs)
		r.inherit(h.heirs)
	default:
		d.settle(h.instance, h.heirs)
	}
}

// inherit goes on with the instance.
func (r *Replica) inherit(heirs []membership.NodeID) {
	boots := map[membership.NodeID]uint64{}
	for _, id := range heirs {
		boots[id] = r.descent.heard[id].boot
		r.m.epoch = max(r.m.epoch, r.descent.heard[id].epoch)
	}
	r.m.voters = heirs
	r.m.survive(boots)
	if len(r.descent.learners) > 0 && heirs[0] == r.cfg.Self {
		r.descent.outgoing = r.m.snapshot()
	}
}

// found begins a new instance in a view of its own (N7).
func (r *Replica) found() {
	d := &r.descent
	id := d.foundingID()
	view := membership.SiteView{ID: membership.ViewID{Proposer: id}, Members: []SiteInstance{{Instance: id, Site: r.cfg.Site}}}
	for _, l := range d.heard {
		view.ID.Epoch = max(view.ID.Epoch, l.epoch+1)
		view.Founded = max(view.Founded, l.unix)
	}
	m := newMachine(&r.cfg, &r.names, id, view)
	m.voters = d.view.Members
	for _, n := range d.view.Members {
		m.nodes[n] = attached{boot: d.heard[n].boot, min: -1}
	}
	d.settle(id, d.view.Members)
	r.adopt(m)
}

// learn installs the state that an heir sent and makes up for what came since.
func (r *Replica) learn(data []byte) {
	d := &r.descent
	if r.m != nil {
		return
	}
	m, err := restoreMachine(&r.cfg, &r.names, data)
	if err != nil || d.overflown {
		r.badFrames++
		r.fx.Faults = append(r.fx.Faults, Fault{Site: r.cfg.Site, What: "this node cannot learn its site's state and waits for the next ring: " + reason(err)})
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

// admit makes the learners voters, at the position of the state that they learned.
func (r *Replica) admit() {
	d := &r.descent
	if r.m == nil || len(d.learners) == 0 {
		return
	}
	r.m.voters = slices.Sorted(slices.Values(append(slices.Clone(r.m.voters), d.learners...)))
	d.learners = nil
}

// adopt makes m this node's machine.
func (r *Replica) adopt(m *machine) {
	m.lookup = r.lookup
	r.m = m
	r.epoch = max(r.epoch, m.epoch)
	r.attached = false
	r.base = timeBase{m.clock, r.now}
	m.pos, m.fx = r.descent.at, r.fx
	m.traceView()
	r.viewChanged()
}

// closeAlone ends this node's part in its instance (N6).
func (r *Replica) closeAlone() {
	m := r.m
	together := map[membership.NodeID]bool{}
	for _, n := range r.descent.view.Together {
		together[n] = true
	}
	if r.attached {
		minT := m.closeAlone(r.descent.oldStable, together)
		if r.closed != m.view.ID {
			r.closedMinT = -1
		}
		r.closed, r.closedMinT = m.view.ID, max(r.closedMinT, minT)
		r.leaveInstance()
	}
	r.epoch = max(r.epoch, m.epoch)
	r.m, r.attached = nil, false
}
