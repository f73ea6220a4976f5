package ring

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

var (
	simSeed  = flag.Uint64("ring.seed", 0, "run only this seed")
	simSeeds = flag.Int("ring.seeds", 250, "how many seeds to run")
	simFrom  = flag.Uint64("ring.from", 1, "first seed")
)

// TestRandom runs random sites through random faults.
func TestRandom(t *testing.T) {
	from, n := *simFrom, *simSeeds
	if *simSeed != 0 {
		from, n = *simSeed, 1
	} else if testing.Short() {
		n = min(n, 60)
	}
	for seed := from; seed < from+uint64(n); seed++ {
		s, err := runRandom(seed)
		if err != nil {
			t.Fatalf("seed %d: %v\nagain: go test ./site/ring -run TestRandom -ring.seed=%d\n%s", seed, err, seed, s.describe())
		}
	}
}

// runRandom is one random run: faults for a while, then quiet, then judgement.
func runRandom(seed uint64) (*sim, error) {
	nodes := 1 + int(seed%5)
	s := newSim(seed, nodes)
	s.net.jitter = time.Duration(s.rng.Int64N(int64(2 * time.Millisecond)))
	switch s.rng.IntN(4) {
	case 0:
		s.net.loss, s.net.double = 0.02*s.rng.Float64(), 0.02*s.rng.Float64()
	case 1:
		s.net.loss, s.net.double = 0.1*s.rng.Float64(), 0.05
	}
	for _, n := range s.nodes {
		s.at(time.Duration(s.rng.Int64N(int64(400*time.Millisecond))), n.start)
	}
	length := 1500*time.Millisecond + time.Duration(s.rng.Int64N(int64(2*time.Second)))
	s.plan(length)
	s.run(length, nil)
	s.heal()
	settled := s.run(25*time.Second, s.settled)
	if err := s.check(settled); err != nil {
		return s, err
	}
	if !settled {
		return s, fmt.Errorf("not at rest after %v of quiet", 25*time.Second)
	}
	return s, nil
}

func (s *sim) heal() {
	clear(s.net.blocked)
	s.net.loss, s.net.double = min(s.net.loss, 0.01), 0
	for _, n := range s.nodes {
		if n.paused {
			n.resume()
		}
		n.start()
	}
}

// plan strews work and faults over the time to come.
func (s *sim) plan(length time.Duration) {
	some := func(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }
	for range s.rng.IntN(400) {
		n := s.nodes[s.rng.IntN(len(s.nodes))]
		burst := 1
		if s.rng.IntN(20) == 0 {
			burst = 30 + s.rng.IntN(150)
		}
		service := membership.Service(1 + s.rng.IntN(6))
		stream := uint64(s.rng.IntN(3))
		if service < membership.FIFO {
			stream += 100 // numbered apart: they keep no order
		}
		size := 32 + s.rng.IntN(1500)
		if s.rng.IntN(25) == 0 {
			size = s.rng.IntN(60_000)
			burst = min(burst, 3)
		}
		s.at(some(length), func() {
			for range burst {
				n.submit(stream, service, size)
			}
		})
	}
	if s.rng.IntN(8) == 0 {
		n := s.nodes[s.rng.IntN(len(s.nodes))]
		s.at(some(length), func() { n.submit(7, membership.Agreed, 700_000) })
	}
	for range s.rng.IntN(8) {
		n := s.nodes[s.rng.IntN(len(s.nodes))]
		other := s.nodes[s.rng.IntN(len(s.nodes))]
		at, lasts := some(length), 2*time.Millisecond+some(900*time.Millisecond)
		s.flurry(at)
		switch s.rng.IntN(6) {
		case 0:
			s.at(at, n.crash)
			s.at(at+lasts, n.start)
		case 1:
			s.at(at, n.crash)
			s.at(at+some(10*time.Millisecond), n.start)
		case 2:
			s.at(at, n.pause)
			s.at(at+2*lasts, n.resume)
		case 3:
			sides := s.rng.Uint64()
			s.at(at, func() { s.split(sides) })
			s.at(at+lasts, func() { clear(s.net.blocked) })
		case 4:
			s.at(at, func() { s.net.blocked[[2]membership.NodeID{n.id, other.id}] = true })
			s.at(at+lasts, func() { clear(s.net.blocked) })
		case 5:
			s.at(at, func() { s.net.loss += 0.2 })
			s.at(at+lasts/4, func() { s.net.loss = max(0, s.net.loss-0.2) })
		}
	}
}

// flurry makes some nodes busy around a fault, so that it hits packets under way.
func (s *sim) flurry(at time.Duration) {
	for _, n := range s.nodes {
		if s.rng.IntN(3) == 0 {
			continue
		}
		before := time.Duration(s.rng.Int64N(int64(4 * time.Millisecond)))
		service := membership.FIFO + membership.Service(s.rng.IntN(4))
		burst, size := 20+s.rng.IntN(150), 32+s.rng.IntN(1500)
		s.at(max(at-before, 0), func() {
			for range burst {
				n.submit(3, service, size)
			}
		})
	}
}

// split parts the nodes by the bits of sides.
func (s *sim) split(sides uint64) {
	for i, a := range s.nodes {
		for j, b := range s.nodes {
			if sides>>i&1 != sides>>j&1 {
				s.net.blocked[[2]membership.NodeID{a.id, b.id}] = true
			}
		}
	}
}

// describe shows where a run stands.
func (s *sim) describe() string {
	text := fmt.Sprintf("now %v\n", s.now)
	for _, n := range s.nodes {
		if !n.up() {
			text += fmt.Sprintf("%v down\n", n.id)
			continue
		}
		text += fmt.Sprintf("%v/%d %+v queue %d\n", n.id, n.life.incarnation, n.m.Status(), len(n.source.queue))
	}
	return text
}
