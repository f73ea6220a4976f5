package merge

import "time"

// A sleep is the time that this node's clock leaves out (C7): what passed while it could
// not act, or what its machine's clock has leapt by. Which of the two it was, other sites'
// clocks tell. If they have gone on meanwhile, view time has to follow: whoever waits for
// this site's promises would wait for as long as this node slept. Slewing takes ten times
// as long.
type sleep struct {
	all  time.Duration // ever
	lack time.Duration // what view time may still make up for
	at   time.Duration // when the latest was noticed
}

// makeUpTime is for how long after a sleep view time may make up for it: all sites'
// promises come within that time, also where nobody sends.
const makeUpTime = quietAfter

// Slept tells that time has passed, or that the clock has leapt, without its being counted
// in the times that steps are given.
func (r *Replica) Slept(by time.Duration) {
	s := &r.sleep
	s.lack = s.lacks(r.now) + by
	s.all += by
	s.at = r.now
	r.unlevel()
}

// lately says whether the node has slept not long ago.
func (s *sleep) lately(now time.Duration) bool { return s.all > 0 && now-s.at <= makeUpTime }

// lacks is by how much view time may still be behind for having slept.
func (s *sleep) lacks(now time.Duration) time.Duration {
	if !s.lately(now) {
		return 0
	}
	return s.lack
}

// makeUp returns how much of what other sites are ahead a Tick makes up for; most is what
// it can.
func (r *Replica) makeUp(most int64) int64 {
	step := min(r.sleep.lacks(r.now), time.Duration(most))
	if step <= 0 || r.m.off(lateRiser) {
		return 0
	}
	r.sleep.lack -= step
	return int64(step)
}
