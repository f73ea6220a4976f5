package overlay

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var allMoments = flag.Bool("crash.all", false, "kill gateways at more moments")

// TestGatewaysDieAtAnyMoment kills one gateway of a pair, at the origin or at the
// destination, at some moment of a stream, lets it come back, and then kills the other
// one, and the first again while its links still have to prove themselves. What a site has imported is the union of what its gateways were given, in order
// at each: nothing may be missing, and the stall is bounded.
func TestGatewaysDieAtAnyMoment(t *testing.T) {
	moments := []time.Duration{33} // ms after the pulls began
	if *allMoments {
		moments = []time.Duration{0, 7, 20, 27, 33, 41, 55, 90, 140, 200, 260, 450, 700}
	}
	for _, victims := range [][]string{{"a-1", "a-2", "a-1"}, {"a-2", "a-1"}, {"b-1", "b-2", "b-1"}, {"b-2", "b-1"}, {"a-1", "b-1"}} {
		for _, at := range moments {
			t.Run(fmt.Sprintf("%s at %d ms", strings.Join(victims, ", then "), at), func(t *testing.T) {
				inMesh(t, "ab", 2, map[string]time.Duration{"a-b": 20 * time.Millisecond}, func(m *mesh) {
					m.all().converged()
					s := &pairStream{m: m}
					s.pull()
					s.run(at*time.Millisecond + time.Millisecond)
					for i, victim := range victims {
						m.kill(victim)
						s.run(700 * time.Millisecond)
						m.start(victim)
						s.restore(victim)
						s.run(time.Duration(600+900*(i%2)) * time.Millisecond)
					}
					s.finish()
				})
			})
		}
	}
}

// A pairStream is a stream of records from site a to site b, both with two gateways,
// each of which knows what its site's ring would tell its node.
type pairStream struct {
	m     *mesh
	size  int        // of a record; at least 200 bytes
	n     uint64     // records so far
	log   []LogEntry // all of them
	have  []bool     // by number, whether site b has it
	next  uint64     // first that site b lacks
	moved time.Time  // when next moved last
	stall time.Duration
	limit time.Duration  // of stall; 0: half a second
	seen  map[string]int // records taken from each recorder
	lives map[string]int // how often a gateway came back
	step  time.Duration  // from one record to the next; 0: a millisecond
	// every, if not nil, is called with each record; moves with each stall of the stream
	// that has ended.
	every func()
	moves func(stall time.Duration)
}

// at lists the gateways of a site.
func (s *pairStream) at(site string) (names []string) {
	for name := range s.m.node {
		if name[:1] == site {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *pairStream) pull() {
	s.moved, s.seen, s.lives = time.Now(), map[string]int{}, map[string]int{}
	for _, name := range s.at("b") {
		s.m.gate[name].Pull([]Position{{Log: logOf("a"), From: s.next}})
	}
}

// restore gives a gateway that has come back what its ring knows.
func (s *pairStream) restore(name string) {
	s.lives[name]++
	switch name[:1] {
	case "a":
		s.m.gate[name].Append(logOf("a"), s.log)
	case "b":
		s.m.gate[name].Pull([]Position{{Log: logOf("a"), From: s.next}})
	}
}

// run lets the stream flow for that long, one record a millisecond.
func (s *pairStream) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(max(s.step, time.Millisecond)) {
		e := entries(s.n, 1, max(s.size, 200), "b")
		s.log = append(s.log, e...)
		s.have = append(s.have, false)
		s.n++
		for _, name := range s.at("a") {
			if g := s.m.gate[name]; g != nil {
				g.Append(logOf("a"), e)
			}
		}
		if s.every != nil {
			s.every()
		}
		s.look()
	}
}

// look takes what the gateways of site b were given, as its ring would.
func (s *pairStream) look() {
	for _, name := range s.at("b") {
		news := s.m.rec[name].after(logOf("a"), s.seen[name])
		for _, n := range news {
			s.have[n] = true
		}
		s.seen[name] += len(news)
	}
	was := s.next
	for s.next < s.n && s.have[s.next] {
		s.next++
	}
	if s.next > was {
		s.stall = max(s.stall, time.Since(s.moved))
		if s.moves != nil {
			s.moves(time.Since(s.moved))
		}
		s.moved = time.Now()
	}
	if s.next/100 > was/100 { // the nodes tell their gateways how far the site is
		for _, name := range s.at("b") {
			if g := s.m.gate[name]; g != nil {
				g.Pull([]Position{{Log: logOf("a"), From: s.next}})
			}
		}
	}
}

// finish waits for the rest and judges.
func (s *pairStream) finish() {
	s.m.t.Helper()
	s.m.until("all records", 30*time.Second, func() bool { s.look(); return s.next == s.n })
	s.m.t.Logf("the longest stall of the stream was %v", s.stall)
	if s.stall >= max(s.limit, 500*time.Millisecond) {
		s.m.t.Errorf("the stream stood still for %v", s.stall)
	}
	for _, name := range s.at("b") {
		// A gateway that comes back begins anew; in between, numbers ascend.
		got := s.m.rec[name].got(logOf("a"))
		falls := 0
		for i := range got[min(1, len(got)):] {
			if got[i+1] <= got[i] {
				falls++
			}
		}
		if falls > max(s.lives[name], 1) {
			s.m.t.Errorf("%s was given records out of order %d times", name, falls)
		}
	}
	if !slices.Contains(s.have, true) {
		s.m.t.Error("nothing came")
	}
}
