package ring

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// How long membership takes, in virtual time with the default timing: the protocol's
// share, which is the same on every machine. The shell and the machine's load come
// on top.

// A sample is what one run of a scene took.
type sample struct {
	name string
	took []time.Duration
}

func (x *sample) add(d time.Duration) { x.took = append(x.took, d) }

// within prints the median and the longest and asserts a bound for both.
func (x *sample) within(t *testing.T, median, most time.Duration) {
	t.Helper()
	if len(x.took) == 0 {
		t.Fatalf("%s: no run", x.name)
	}
	slices.Sort(x.took)
	mid, last := x.took[len(x.took)/2], x.took[len(x.took)-1]
	t.Logf("%-48s median %8v, longest %8v of %d", x.name, mid.Round(100*time.Microsecond), last.Round(100*time.Microsecond), len(x.took))
	if mid > median || last > most {
		t.Errorf("%s: median %v and longest %v, want at most %v and %v", x.name, mid, last, median, most)
	}
}

// aSite is a site at rest or at work, some random time after it was formed.
func aSite(t *testing.T, seed uint64, nodes int, busy bool) *sim {
	t.Helper()
	s := newSim(seed, nodes)
	s.startAll()
	if !s.run(2*time.Second, s.settled) {
		t.Fatalf("no ring of %d\n%s", nodes, s.describe())
	}
	s.run(200*time.Millisecond+time.Duration(s.rng.Int64N(int64(time.Second))), nil)
	if busy {
		s.chatter()
		s.run(20*time.Millisecond, nil)
	}
	return s
}

// chatter lets every node send a little each few milliseconds, for ever.
func (s *sim) chatter() {
	for _, n := range s.nodes {
		var again func()
		again = func() {
			if !n.paused {
				n.submit(1, membership.Agreed, 300)
			}
			s.at(4*time.Millisecond, again)
		}
		s.at(time.Duration(s.rng.Int64N(int64(4*time.Millisecond))), again)
	}
}

// ringOfJust says whether these nodes are in one ring without others.
func (s *sim) ringOfJust(nodes ...*simNode) bool {
	for _, n := range nodes {
		if !n.up() || n.m.state != Operational || n.m.ring.id != nodes[0].m.ring.id || len(n.m.ring.members) != len(nodes) {
			return false
		}
	}
	return true
}

func (s *sim) others(n *simNode) []*simNode {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(o *simNode) bool { return o == n })
}

func (s *sim) await(t *testing.T, what string, limit time.Duration, done func() bool) time.Duration {
	t.Helper()
	from := s.now
	for s.now-from < limit && !done() && s.fault == "" { // to the step, not to the millisecond
		if !s.step(from + limit) {
			s.now = from + limit
		}
	}
	if !done() || s.fault != "" {
		t.Fatalf("%s: not within %v\n%s\n%s", what, limit, s.fault, s.describe())
	}
	return s.now - from
}

// TestTimeToDropTheRefused: a process that died on a host that lives is out before any time-out.
func TestTimeToDropTheRefused(t *testing.T) {
	timeToDrop(t, "kill, the host lives, ", true, 60*time.Millisecond, 120*time.Millisecond)
}

// timeToDrop measures how long a ring has a dead node, whose host tells or does not.
func timeToDrop(t *testing.T, what string, refuses bool, median, most time.Duration) {
	for _, busy := range []bool{false, true} {
		for _, nodes := range []int{2, 3, 5} {
			x := sample{name: what + kindOf(nodes, busy)}
			for seed := range uint64(timingRuns) {
				s := aSite(t, seed, nodes, busy)
				s.refuses = refuses
				victim := s.nodes[s.rng.IntN(nodes)]
				victim.crash()
				rest := s.others(victim)
				x.add(s.await(t, "a ring without the dead", time.Second, func() bool { return s.ringOfJust(rest...) }))
			}
			x.within(t, median, most)
		}
	}
}

const timingRuns = 40 / raceShare

func TestTimeToDrop(t *testing.T) {
	timeToDrop(t, "kill, ", false, 350*time.Millisecond, 400*time.Millisecond)
}

// Who leaves in order is not waited for.
func TestTimeToLeave(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for _, nodes := range []int{2, 3, 5} {
			x := sample{name: "leave, " + kindOf(nodes, busy)}
			for seed := range uint64(timingRuns) {
				s := aSite(t, seed, nodes, busy)
				n := s.nodes[s.rng.IntN(nodes)]
				rest := s.others(n)
				n.leave()
				x.add(s.await(t, "a ring without who left", time.Second, func() bool { return s.ringOfJust(rest...) }))
			}
			x.within(t, 10*time.Millisecond, 30*time.Millisecond)
		}
	}
}

func kindOf(nodes int, busy bool) string {
	name := map[bool]string{false: "idle", true: "busy"}[busy]
	return fmt.Sprintf("%d nodes, %s", nodes, name)
}

func TestTimeToPartAndMerge(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for _, c := range []struct {
			nodes, left int
		}{{2, 1}, {3, 2}, {5, 3}} {
			part := sample{name: "partition, " + kindOf(c.nodes, busy)}
			merge := sample{name: "heal, " + kindOf(c.nodes, busy)}
			late := sample{name: "heal after two minutes, " + kindOf(c.nodes, busy)}
			for seed := range uint64(timingRuns) {
				s := aSite(t, seed, c.nodes, busy)
				for _, a := range s.nodes[:c.left] {
					for _, b := range s.nodes[c.left:] {
						s.cut(a, b)
					}
				}
				apart := func() bool { return s.ringOfJust(s.nodes[:c.left]...) && s.ringOfJust(s.nodes[c.left:]...) }
				part.add(s.await(t, "two rings", time.Second, apart))
				result := &merge
				wait := time.Second + time.Duration(s.rng.Int64N(int64(3*time.Second)))
				if seed%8 == 0 && !busy {
					wait, result = wait+2*time.Minute, &late
				}
				s.run(wait, nil)
				clear(s.net.blocked)
				result.add(s.await(t, "one ring", 2*time.Second, func() bool { return s.ringOfJust(s.nodes...) }))
			}
			part.within(t, 350*time.Millisecond, 400*time.Millisecond)
			merge.within(t, 300*time.Millisecond, 400*time.Millisecond)
			if !busy {
				late.within(t, time.Second, 1150*time.Millisecond)
			}
		}
	}
}

// A node started again under its old name is back before anybody could have
// noticed that it was gone, or while they notice.
func TestTimeToRestart(t *testing.T) {
	for _, c := range []struct {
		name      string
		from, to  time.Duration // down for
		busy      bool
		most      time.Duration
		viewsMost int
	}{
		{"restart within 10 ms, idle", 0, 10 * time.Millisecond, false, 50 * time.Millisecond, 1},
		{"restart within 10 ms, busy", 0, 10 * time.Millisecond, true, 50 * time.Millisecond, 1},
		{"restart while it is being given up, idle", 150 * time.Millisecond, 400 * time.Millisecond, false, 50 * time.Millisecond, 2},
		{"restart while it is being given up, busy", 150 * time.Millisecond, 400 * time.Millisecond, true, 50 * time.Millisecond, 2},
		{"restart after 2 s, idle", 2 * time.Second, 2100 * time.Millisecond, false, 50 * time.Millisecond, 2},
	} {
		x := sample{name: c.name}
		for seed := range uint64(3 * timingRuns) {
			s := aSite(t, seed, 2+int(seed%4), c.busy)
			n := s.nodes[s.rng.IntN(len(s.nodes))]
			witness := s.others(n)[0]
			before := witness.installed()
			n.crash()
			s.run(c.from+time.Duration(s.rng.Int64N(int64(c.to-c.from))), nil)
			n.start()
			took := s.await(t, "the new life in the ring", time.Second, func() bool { return s.ringOfJust(s.nodes...) })
			x.add(took)
			if views := int(witness.installed() - before); views > c.viewsMost {
				t.Errorf("%s, seed %d: %d views", c.name, seed, views)
			}
			v := witness.life.view()
			if i := slices.Index(v.Members, n.id); v.Origins[i] != (ID{}) || v.Incarnations[i] != n.life.incarnation || slices.Contains(v.Together, n.id) {
				t.Errorf("the new life counts as one that came along: %+v", v)
			}
		}
		x.within(t, c.most, c.most+50*time.Millisecond)
	}
}

// A process that is stopped and continued gets out and back in, each by one view.
func TestTimeToStopAndContinue(t *testing.T) {
	for _, busy := range []bool{false, true} {
		out := sample{name: "stopped, " + kindOf(4, busy)}
		back := sample{name: "continued after 10 s, " + kindOf(4, busy)}
		brief := sample{name: "stopped for 60 ms, " + kindOf(4, busy)}
		for seed := range uint64(timingRuns) {
			s := aSite(t, seed, 4, busy)
			n := s.nodes[s.rng.IntN(4)]
			views := n.installed()
			n.pause()
			s.run(60*time.Millisecond, nil)
			n.resume()
			brief.add(s.await(t, "the same ring", time.Second, func() bool { return s.ringOfJust(s.nodes...) }))
			s.run(time.Second, nil)
			if n.installed() != views {
				t.Errorf("seed %d: a stop of 60 ms changed the ring", seed)
			}
			n.pause()
			rest := s.others(n)
			out.add(s.await(t, "a ring without the stopped", time.Second, func() bool { return s.ringOfJust(rest...) }))
			s.run(10*time.Second, nil)
			before, others := n.installed(), rest[0].installed()
			n.resume()
			back.add(s.await(t, "one ring again", 2*time.Second, func() bool { return s.ringOfJust(s.nodes...) }))
			s.run(2*time.Second, nil)
			if own, theirs := n.installed()-before, rest[0].installed()-others; own != 1 || theirs != 1 {
				t.Errorf("seed %d: coming back took the stopped node %d views and the others %d", seed, own, theirs)
			}
			if naps := n.m.Status().Naps; naps == 0 {
				t.Errorf("seed %d: the stopped node did not notice", seed)
			}
		}
		out.within(t, 350*time.Millisecond, 420*time.Millisecond)
		back.within(t, 150*time.Millisecond, 300*time.Millisecond)
		brief.within(t, time.Millisecond, 100*time.Millisecond)
	}
}

func TestTimeToFormLargeRings(t *testing.T) {
	for _, c := range []struct {
		nodes int
		runs  uint64
		most  time.Duration
	}{{20, 10 / raceShare, 500 * time.Millisecond}, {128 / max(1, raceShare/5), 1, 2 * time.Second}} {
		together := sample{name: fmt.Sprintf("%d nodes start at once", c.nodes)}
		strewn := sample{name: fmt.Sprintf("%d nodes start within 300 ms", c.nodes)}
		for seed := range c.runs {
			s := newSim(seed, c.nodes)
			s.startAll()
			together.add(s.await(t, "one ring", 5*time.Second, func() bool { return s.ringOfJust(s.nodes...) }))
			s = newSim(seed, c.nodes)
			for _, n := range s.nodes {
				s.at(time.Duration(s.rng.Int64N(int64(300*time.Millisecond))), n.start)
			}
			strewn.add(s.await(t, "one ring", 8*time.Second, func() bool { return s.ringOfJust(s.nodes...) }))
			if err := s.check(false); err != nil {
				t.Error(err)
			}
		}
		together.within(t, c.most, c.most)
		strewn.within(t, 4*c.most, 4*c.most)
	}
}
