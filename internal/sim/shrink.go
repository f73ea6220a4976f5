package sim

import (
	"slices"
	"time"
)

// A Shrinker makes a failing schedule shorter: it leaves out what the failure does
// not need, for as long as the same predicate fails and time is left.
type Shrinker struct {
	// Fails says whether a schedule still fails in the same way.
	Fails func(*Schedule) bool
	// More says whether there is time for another run.
	More func() bool

	Runs int // so far
}

// Shrink returns the shortest schedule it found. It ends when nothing can be left out
// any more, or when there is no time left.
func (k *Shrinker) Shrink(s *Schedule) *Schedule {
	best := k.truncate(s.clone())
	for better := true; better && k.More(); {
		before := best.String()
		best = k.leaveOut(best)
		best = k.simplify(best)
		best = k.shorten(best)
		best = k.tighten(best)
		better = best.String() != before
	}
	return best
}

// luck is with how many dice a shorter schedule is tried. Whatever is left out makes
// other packets get lost than before, and a failure needs the right ones; the more is
// left out, the more it is worth to look for them.
func luck(best, less *Schedule) uint64 {
	return 2 + min(20, 100*uint64(max(0, len(best.Steps)-len(less.Steps)))/uint64(len(best.Steps)+1))
}

// try keeps a schedule if it still fails.
func (k *Shrinker) try(best, less *Schedule) (*Schedule, bool) {
	for range luck(best, less) {
		if !k.More() {
			break
		}
		if k.Runs++; k.Fails(less) {
			return less, true
		}
		less.Seed++
	}
	return best, false
}

// truncate ends the schedule early: what comes behind the failure is not needed, and a
// short run is a fast one.
func (k *Shrinker) truncate(best *Schedule) *Schedule {
	for low, high := 0, len(best.Steps); low < high; {
		middle := (low + high) / 2
		less := best.clone()
		less.Steps = less.Steps[:middle:middle]
		less.Length = less.end() + time.Second
		var ok bool
		if best, ok = k.try(best, less); ok {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return best
}

// end is when the last step is over, as far as it lies within the length.
func (s *Schedule) end() time.Duration {
	var end time.Duration
	for i := range s.Steps {
		end = max(end, min(s.Steps[i].end(), s.Length))
	}
	return end.Truncate(time.Millisecond) + time.Millisecond
}

// leaveOut drops steps, many at a time at first.
func (k *Shrinker) leaveOut(best *Schedule) *Schedule {
	best = k.leaveOutKinds(best)
	for size := max(len(best.Steps)/2, 1); size > 0; size /= 2 {
		// From the end: what comes late is needed least.
		for to := len(best.Steps); to > 0; {
			from := max(0, to-size)
			less := best.clone()
			less.Steps = slices.Delete(less.Steps, from, to)
			best, _ = k.try(best, less)
			to = min(from, len(best.Steps))
		}
	}
	return best
}

// leaveOutKinds drops all steps of a node, of a client, of a verb.
func (k *Shrinker) leaveOutKinds(best *Schedule) *Schedule {
	drop := func(which func(*Step) bool) {
		less := best.clone()
		less.Steps = slices.DeleteFunc(less.Steps, func(s Step) bool { return which(&s) })
		if len(less.Steps) < len(best.Steps) {
			best, _ = k.try(best, less)
		}
	}
	first := 0
	for i, x := range best.Sites {
		drop(func(s *Step) bool {
			return s.ofNode() && s.Node >= first && s.Node < first+x.Nodes || s.ofLAN() && s.Verb != OneWay && s.Site == i
		})
		first += x.Nodes
	}
	for n := range best.nodes() {
		drop(func(s *Step) bool { return s.ofNode() && s.Node == n })
		for c := range 4 {
			drop(func(s *Step) bool { return !s.fault() && s.Verb != Start && s.Node == n && s.Client == c })
		}
	}
	for verb := range slices.Values([]Verb{Say, Join, Leave, Bye, Mute, Hold, Blind, Deaf, Shake, Stretch, Spoil, Cut, Split,
		Delay, Double, Late, Slow, Jump, Lose, OneWay, Pause, Partition, Crash, Die}) {
		drop(func(s *Step) bool { return s.Verb == verb })
	}
	return best
}

// simplify makes single steps smaller, and the network better.
func (k *Shrinker) simplify(best *Schedule) *Schedule {
	all := func(change func(*Schedule)) {
		less := best.clone()
		if change(less); less.String() != best.String() {
			best, _ = k.try(best, less)
		}
	}
	all(func(s *Schedule) { s.Answers = 0 })
	all(func(s *Schedule) { s.LAN.Loss, s.LAN.Duplicate, s.LAN.Late, s.LAN.LateBy = 0, 0, 0, 0 })
	all(func(s *Schedule) { s.LAN.Jitter = 0 })
	all(func(s *Schedule) { s.WAN = WAN{Detect: s.WAN.Detect} })
	all(func(s *Schedule) {
		for i := range s.Links {
			s.Links[i].Jitter, s.Links[i].Loss = 0, 0
		}
	})
	all(func(s *Schedule) {
		for i := range s.Sites {
			s.Sites[i].Ahead, s.Sites[i].Gateways = 0, min(1, s.Sites[i].Gateways)
		}
	})
	for i := range best.Steps {
		step := func(change func(*Step)) { all(func(s *Schedule) { change(&s.Steps[i]) }) }
		if best.Steps[i].Verb == Say {
			step(func(s *Step) { s.Count = 1 })
			step(func(s *Step) { s.Count = (s.Count + 1) / 2 })
			step(func(s *Step) { s.Size = min(s.Size, 100) })
			step(func(s *Step) { s.Discard = false })
		}
		if len(best.Steps[i].Groups) > 1 {
			step(func(s *Step) { s.Groups = s.Groups[:1] })
		}
		if best.Steps[i].For > 20*time.Millisecond {
			step(func(s *Step) { s.For = (s.For / 2).Truncate(time.Millisecond) })
		}
	}
	return best
}

// shorten ends the schedule soon after its last step.
func (k *Shrinker) shorten(best *Schedule) *Schedule {
	end := best.end()
	for _, rest := range []time.Duration{100 * time.Millisecond, time.Second, calmBefore} {
		if length := end + rest; length < best.Length {
			less := best.clone()
			less.Length = length
			var ok bool
			if best, ok = k.try(best, less); ok {
				break
			}
		}
	}
	return best
}

// tighten takes out time in which nothing happens.
func (k *Shrinker) tighten(best *Schedule) *Schedule {
	const most = 700 * time.Millisecond
	for i := 1; i < len(best.Steps); i++ {
		gap := best.Steps[i].At - best.Steps[i-1].At
		if gap <= most {
			continue
		}
		less := best.clone()
		cut := (gap - most).Truncate(time.Millisecond)
		for j := i; j < len(less.Steps); j++ {
			less.Steps[j].At -= cut
		}
		less.Length -= cut
		best, _ = k.try(best, less)
	}
	return best
}
