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
//	    the lowest id) is there as voters, and the same of every attempt above it that
//	    one of them knows. Only who has its state is a voter.
//	N2  Of several the one with the most voters goes on, then the lowest id.
//	N3  Its state is that of the voters that decided last and came along together:
//	    the heirs. They are the new electorate. If there may be a newer one, by an
//	    attempt, they are of that.
//	N5  The others learn: the lowest heir sends its state through the ring. At that
//	    frame's position they become voters.
//	N7  Without an heir the ring founds a new instance in a view of its own.
//
// What changes an electorate are safe frames. Whoever acts on one in the regular
// configuration knows that every member of the ring holds it, so that every member
// will have it before it is in another ring. Whoever gets one in the transitional
// configuration cannot know whether somebody has acted; it keeps the old electorate
// and notes the attempt. Two heirs would then need disjoint majorities of one
// electorate.
type descent struct {
	view      *ring.View // in force; nil: none yet
	closing   bool       // its transitional configuration has begun
	stable    ring.Position
	oldStable ring.Position // of the ring before
	said      bool          // the own lineage went out
	heard     map[membership.NodeID]*lineage
	decided   bool
	at        ring.Position // where it was decided
	learners  []membership.NodeID

	// What outlives the ring.
	formed      ring.Position // where the electorate was last changed
	attempts    []attempt     // above formed, in their order
	decidedRing uint64
	branch      uint64 // names the state, and who has gone along with it

	replay      []ring.Event // what a learner has to make up for
	replayBytes int
	overflown   bool
	refuses     bool   // could not learn; others need not wait for its clients
	outgoing    []byte // the state, for the learners
}

// An attempt is an electorate that others may have formed.
type attempt struct {
	at         ring.Position
	electorate []membership.NodeID
}

// covers says whether every member holds what lies at pos, and makes of it what this node
// does. That the lineage of the ring is formed (S4) needs no check: what decides it is a safe
// frame of the regular configuration, so whoever has decided knows that every member of the
// ring holds it. Others may get it in the transitional configuration only: they hold it and do
// not act on it. So what the lineage itself causes, the end of lost nodes, is not covered
// before something behind it is stable. Then the stable line has come to every member while
// it lay at the lineage, and all have decided.
func (d *descent) covers(pos ring.Position, off func(mutant) bool) bool {
	causedByLineage := pos == d.at && d.stable == d.at && !off(earlyLineage)
	return d.decided && pos.Compare(d.stable) <= 0 && !causedByLineage
}

// installed begins a ring.
func (d *descent) installed(v *ring.View) {
	*d = descent{view: v, oldStable: d.stable, heard: map[membership.NodeID]*lineage{},
		formed: d.formed, attempts: d.attempts, decidedRing: d.decidedRing, branch: mix(d.branch, v)}
}

// mix follows who has gone from ring to ring together: it stays equal only at nodes
// that have.
func mix(h uint64, v *ring.View) uint64 {
	list := []uint64{h, v.Previous.Counter, uint64(v.Previous.Representative)}
	for _, n := range v.Together {
		list = append(list, uint64(n))
	}
	return hashOf(list...)
}

func hashOf(list ...uint64) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, x := range list {
		binary.LittleEndian.PutUint64(b[:], x)
		h.Write(b[:])
	}
	return h.Sum64()
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
	d.at = pos
	return true
}

// A heritage is what the members of a ring decide.
type heritage struct {
	instance membership.InstanceID // zero: nobody goes on
	heirs    []membership.NodeID   // ascending
	voters   []membership.NodeID   // who decided that
}

// decide is N1 to N3.
func (d *descent) decide(off func(mutant) bool) heritage {
	var best heritage
	most := 0
	instances := map[membership.InstanceID]bool{}
	for _, id := range d.view.Members {
		l := d.heard[id]
		if !l.voter && !off(learnerVotes) || l.instance == 0 || instances[l.instance] {
			continue
		}
		instances[l.instance] = true
		h, n := d.heirsOf(l.instance, off)
		if better := n > most || n == most && n > 0 && l.instance < best.instance; better && (most == 0 || !off(firstHeir)) {
			most, best = n, h
		}
	}
	return best
}

// heirsOf returns who would go on with an instance, and how many voters of its
// electorate are here, zero if they are too few.
func (d *descent) heirsOf(i membership.InstanceID, off func(mutant) bool) (h heritage, n int) {
	h.instance = i
	var top *lineage
	for _, id := range d.view.Members {
		l := d.heard[id]
		if !l.voter && !off(learnerVotes) || l.instance != i {
			continue
		}
		h.voters = append(h.voters, id)
		if top == nil || top.formed.Compare(l.formed) < 0 {
			top = l
		}
	}
	if n = quorum(top.electorate, h.voters); off(anyHeir) {
		n = len(h.voters)
	}
	if n == 0 {
		return h, 0
	}
	last, ok := d.lastAttempt(h.voters, top.formed, off)
	if !ok {
		return h, 0
	}
	h.heirs = d.newest(d.mayHaveFormed(last, h.voters, off), off)
	return h, n
}

// lastAttempt returns the last attempt above what is formed that some voters know, zero if
// there is none. Not ok: they have no quorum of such an attempt, so others may go on (N1).
func (d *descent) lastAttempt(voters []membership.NodeID, formed ring.Position, off func(mutant) bool) (last attempt, ok bool) {
	last.at = formed
	for _, id := range voters {
		for _, a := range d.heard[id].attempts {
			if a.at.Compare(formed) <= 0 || off(noAttempts) {
				continue
			}
			if quorum(a.electorate, voters) == 0 {
				return attempt{}, false
			}
			if a.at.Compare(last.at) > 0 {
				last = a
			}
		}
	}
	return last, true
}

// mayHaveFormed returns those of some voters that have the state with which others may have
// gone on: the electorate of the last attempt, if there is one. Whoever formed that may have
// let out what its nodes came with, and a voter outside of it may lack that, because it came
// from elsewhere, or decided later than they, in a ring whose lineage they know as an attempt.
// Such a one has let out nothing that they lack: for that, what comes behind the lineage has
// to be stable, and then every member of the ring has decided.
//
// Of several attempts the last one counts. If a lower one was formed, the last one was decided
// among voters that knew it (N1), so its heirs are of the lower one. If they did not know it,
// nobody has formed it.
//
// No instance ends by this: where voters may go on, a quorum of the last attempt is among
// them (N1), and a quorum is somebody.
func (d *descent) mayHaveFormed(last attempt, voters []membership.NodeID, off func(mutant) bool) []membership.NodeID {
	if last.electorate == nil || off(outsideHeir) {
		return voters
	}
	return slices.DeleteFunc(slices.Clone(voters), func(id membership.NodeID) bool { return !slices.Contains(last.electorate, id) })
}

// newest returns those of some voters that decided last and came along together: of several
// such parts the largest, then the one with the lowest id.
func (d *descent) newest(voters []membership.NodeID, off func(mutant) bool) (heirs []membership.NodeID) {
	var decided uint64
	for _, id := range voters {
		decided = max(decided, d.heard[id].decided)
	}
	branches := map[uint64][]membership.NodeID{}
	for _, id := range voters {
		if l := d.heard[id]; l.decided == decided || off(anyState) {
			b := append(branches[l.branch], id)
			if branches[l.branch] = b; len(b) > len(heirs) || len(b) == len(heirs) && b[0] < heirs[0] {
				heirs = b
			}
		}
	}
	return heirs
}

// quorum returns how many of an electorate are among voters, zero if that does not
// decide.
func quorum(electorate, voters []membership.NodeID) int {
	n := 0
	for _, id := range electorate {
		if slices.Contains(voters, id) {
			n++
		}
	}
	if all := len(electorate); 2*n < all || 2*n == all && !(n > 0 && slices.Contains(voters, electorate[0])) {
		return 0
	}
	return n
}

// settle remembers the decision.
func (d *descent) settle(i membership.InstanceID, heirs []membership.NodeID) {
	d.decided = true
	d.learners = nil
	for _, id := range d.view.Members {
		if !slices.Contains(heirs, id) {
			d.learners = append(d.learners, id)
		}
	}
	d.branch = hashOf(uint64(i), d.view.ID.Counter, uint64(d.view.ID.Representative))
	d.decidedRing = d.view.ID.Counter
	d.formedAt(d.at)
}

// formedAt: the electorate changed at pos, as every member of the ring knows.
func (d *descent) formedAt(pos ring.Position) { d.formed, d.attempts = pos, nil }

// attempted notes an electorate that others may have formed at pos. Rings end after
// one lineage and one state each, so that attempts are few; a node that has seen too
// many gives up its vote, which is always safe.
func (d *descent) attempted(pos ring.Position, electorate []membership.NodeID) {
	d.attempts = append(d.attempts, attempt{pos, electorate})
}

// foundingID names the instance that a ring founds.
func (d *descent) foundingID() membership.InstanceID {
	list := []uint64{d.view.ID.Counter, uint64(d.view.ID.Representative)}
	for _, id := range d.view.Members {
		list = append(list, uint64(id), d.heard[id].boot)
	}
	return membership.InstanceID(max(1, hashOf(list...)))
}
