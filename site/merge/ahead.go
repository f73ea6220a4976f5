package merge

// Who is far ahead (C2). That a member's clock is ahead of ours says nothing of which of the
// two is wrong: ours is behind after the ring stood still, after this node slept, and in a
// view that others have been in for longer. It catches up then by what others promise. So
// nobody is blamed for being found ahead, but for getting there: first all members' clocks
// must have been seen to agree with ours, and ours must have gone on since. All of them,
// because an honest site follows whoever is ahead, and may do so before this one hears of it.
// What comes right after a sleep may have waited in a socket since before it, and says nothing
// of how the clocks agree now.

// judgeReading looks at what a member's promise says of its clock.
func (r *Replica) judgeReading(src int, reading int64) {
	ahead := reading - max(r.viewNow(r.now), r.m.clock)
	if ahead > maxAhead && r.allLevel() {
		r.accuse(breach{kind: breachClock, src: uint8(src)})
	}
	if ahead <= int64(stepBehind) && !r.sleep.lately(r.now) {
		r.gateway.level[src] = true
	}
}

// judgeDeadline looks at the deadline of a member's record. The ring does not take it in
// before the clock is near it (inbound.go).
func (r *Replica) judgeDeadline(src int, t int64) {
	if t-max(r.viewNow(r.now), r.m.clock) > maxAhead+maxLead && r.allLevel() {
		r.accuse(breach{kind: breachDeadline, src: uint8(src)})
	}
}

func (r *Replica) allLevel() bool {
	if r.m.off(rash) {
		return true
	}
	for i, level := range r.gateway.level {
		if !level && i != r.m.self {
			return false
		}
	}
	return true
}

// unlevel: what time it is may have escaped this site.
func (r *Replica) unlevel() { clear(r.gateway.level) }
