package ring

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// mutants are the rules of RING.md section 2 that can be switched off, each with
// what must notice: the checker over random schedules, within so many seeds, or a
// script made for it, whose random choices are from so many seeds.
var mutants = []struct {
	name   string
	off    mutant
	seeds  uint64
	script func(seed uint64, off mutant) error
}{
	{"noHello", noHello, 1, deathWhileTheTokenRests},
	{"noTokenLoss", noTokenLoss, 1, everyTokenLost},
	{"noTokenResend", noTokenResend, 1, oneTokenLost},
	{"noSharing", noSharing, 3, oneWayTriangle},
	{"noAgreement", noAgreement, 3, startAtOnce},
	{"noTimeout", noTimeout, 1, deathOfOne},
	{"noProbe", noProbe, 10, randomly},
	{"oneWayMerge", oneWayMerge, 1, ringsThatHearOneWay},
	{"lowCounter", lowCounter, 10, randomly},
	{"anyCommit", anyCommit, 1, commitsThatBindNobody},
	{"anyLife", anyLife, 1, commitForAFormerLife},
	{"noRewrap", noRewrap, 5, randomly},
	{"hastyInstall", hastyInstall, 5, randomly},
	{"closeEarly", closeEarly, 5, randomly},
	{"beyondGap", beyondGap, 20, randomly},
	{"safeEarly", safeEarly, 5, randomly},
	{"ownStable", ownStable, 30, randomly},
	{"noObligation", noObligation, 1, halfInstalled},
	{"matesByName", matesByName, 5, randomly},
	{"believeFailing", believeFailing, 1, joinsThatBreakNothing},
	{"believeOld", believeOld, 1, joinsThatBreakNothing},
	{"sameLife", sameLife, 20, lifeAfterLife},
	{"staleLife", staleLife, 1, joinsThatBreakNothing},
	{"noNap", noNap, 20, stoppedForLong},
	{"noRate", noRate, 1, floodOfJoins},
	{"noExpel", noExpel, 1, deafToData},
	{"noShun", noShun, 1, deafForLong},
	{"stableTooSoon", stableTooSoon, 5, randomly},
	{"hastyLeave", hastyLeave, 1, leaveWithLastWords},
	{"noWord", noWord, 1, leaveInOrder},
	{"noKnock", noKnock, 1, deathOnALivingHost},
	{"anyRefusal", anyRefusal, 1, refusalOfTheLiving},
}

func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= m.seeds; seed++ {
				if err := m.script(seed, m.off); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d seeds did not notice", m.seeds)
		})
	}
}

// TestScriptsAreClean runs what the mutants are caught by with all rules on.
func TestScriptsAreClean(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= (m.seeds+raceShare-1)/raceShare; seed++ {
				if err := m.script(seed, 0); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

func randomly(seed uint64, off mutant) error {
	_, err := randomSchedule(seed, shortShape).play(off)
	return err
}

// A scene is a sim in which what must happen is written down step by step. The
// first thing that does not ends it.
type scene struct {
	*sim
	err error
}

func newScene(seed uint64, nodes int, off mutant) *scene {
	s := &scene{sim: newSim(seed, nodes)}
	s.config.off = off
	return s
}

func (s *scene) must(limit time.Duration, what string, done func() bool) {
	if s.err != nil {
		return
	}
	if !s.run(limit, done) {
		s.err = fmt.Errorf("%s: not within %v %s", what, limit, s.fault)
	}
}

func (s *scene) claim(ok bool, format string, args ...any) {
	if s.err == nil && !ok {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *scene) formed() {
	s.startAll()
	s.must(time.Second, "one ring of all", s.settled)
}

func (s *scene) verdict() error {
	if s.err != nil {
		return s.err
	}
	return s.check(s.settled())
}

// leaveWithLastWords: what a node sent just before it left comes to the others, though
// the first copy is lost.
func leaveWithLastWords(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	last := s.nodes[1]
	s.net.drop = func(from membership.NodeID, _ *simNode, b []byte) bool {
		return from == last.id && kind(b[2]) == kindData && last.up() && last.m.ring.high == 1 && last.m.count.Retransmitted == 0
	}
	last.submit(1, membership.Agreed, 100)
	s.must(20*time.Millisecond, "its packet is numbered", func() bool { return last.m.ring.high == 1 })
	last.leave()
	s.must(time.Second, "it leaves", func() bool { return !last.up() })
	s.must(time.Second, "a ring of the others", func() bool { return s.ringOfJust(s.nodes[0], s.nodes[2]) && s.settled() })
	return s.verdict()
}

// leaveInOrder: nobody has to notice that a node is gone which says so, even if it was
// the only other one.
func leaveInOrder(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	for n := len(s.nodes) - 1; n > 0; n-- {
		s.nodes[n].leave()
		s.must(10*time.Millisecond, "a ring of the others", func() bool { return s.ringOfJust(s.nodes[:n]...) })
		s.claim(s.err != nil || s.nodes[0].m.count.Departures == uint64(len(s.nodes)-n), "departures were not counted")
	}
	return s.verdict()
}

// deathWhileTheTokenRests: a dead node is found before anybody misses the token.
func deathWhileTheTokenRests(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	s.must(time.Second, "the token rests", s.resting)
	s.nodes[1].crash()
	t := s.config.Timing
	s.must(t.Silence+t.Consensus+10*time.Millisecond, "a ring without the dead", func() bool { return s.ringOfJust(s.nodes[0], s.nodes[2]) })
	return s.verdict()
}

// everyTokenLost: a ring without a token is given up although its members are
// heard.
func everyTokenLost(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	s.net.drop = func(_ membership.NodeID, _ *simNode, b []byte) bool { return kind(b[2]) == kindToken }
	s.must(500*time.Millisecond, "somebody gathers", func() bool {
		return slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.m.state == Gather })
	})
	s.net.drop = nil
	s.must(time.Second, "one ring again", s.settled)
	return s.verdict()
}

// oneTokenLost: a lone lost token does not end the ring.
func oneTokenLost(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	lost := 0
	s.net.drop = func(_ membership.NodeID, _ *simNode, b []byte) bool {
		if kind(b[2]) == kindToken {
			lost++
		}
		return kind(b[2]) == kindToken && lost == 1
	}
	s.nodes[1].submit(1, membership.Agreed, 100)
	s.must(150*time.Millisecond, "delivered in spite of it", func() bool { return lost > 0 && s.settled() })
	for _, n := range s.nodes {
		s.claim(n.installed() == 1, "node %v changed its view", n.id)
	}
	return s.verdict()
}

// oneWayTriangle: the first does not hear the last; the one in between hears both
// and must not end up alone.
func oneWayTriangle(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.net.blocked[[2]membership.NodeID{s.nodes[2].id, s.nodes[0].id}] = true
	s.startAll()
	s.must(2*s.config.Timing.Consensus+20*time.Millisecond, "the middle one is not alone", func() bool {
		return s.ringOfJust(s.nodes[0], s.nodes[1]) || s.ringOfJust(s.nodes[1], s.nodes[2])
	})
	clear(s.net.blocked)
	s.must(35*time.Second, "one ring", s.settled)
	return s.verdict()
}

// startAtOnce: nodes that start together need one gathering each and one proposal.
func startAtOnce(seed uint64, off mutant) error {
	s := newScene(seed, 6, off)
	s.formed()
	for _, n := range s.nodes {
		s.claim(n.m.count.Gathers == 1 && n.installed() == 1, "node %v gathered %d times and installed %d views", n.id, n.m.count.Gathers, n.installed())
	}
	return s.verdict()
}

func deathOfOne(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	s.nodes[0].crash()
	s.must(500*time.Millisecond, "a ring without the dead", func() bool { return s.ringOfJust(s.nodes[1:]...) })
	return s.verdict()
}

// ringsThatHearOneWay: a ring that hears another one, but is not heard, stays whole.
func ringsThatHearOneWay(seed uint64, off mutant) error {
	s := newScene(seed, 4, off)
	for _, a := range s.nodes[:2] {
		for _, b := range s.nodes[2:] {
			s.net.blocked[[2]membership.NodeID{a.id, b.id}] = true
		}
	}
	s.startAll()
	s.run(20*time.Second, nil)
	for _, n := range s.nodes {
		s.claim(n.installed() <= 3, "node %v installed %d views in 20 s", n.id, n.installed())
	}
	clear(s.net.blocked)
	s.must(2*time.Second, "one ring", s.settled)
	return s.verdict()
}

// gathering returns node 20 of three, gathering with the others.
func (s *scene) gatheringMiddle() *simNode {
	s.formed()
	n := s.nodes[1]
	n.m.regather(s.now, &n.fx)
	n.fx.Reset()
	return n
}

// commitsThatBindNobody: a commit token is taken only for the ring which the node
// has in mind, with a counter larger than any it saw.
func commitsThatBindNobody(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	n := s.gatheringMiddle()
	proposer := s.nodes[0].m
	for _, bad := range []struct {
		name   string
		change func(c *commit)
	}{
		{"leaves one out", func(c *commit) { c.records = c.records[:2] }},
		{"has an old counter", func(c *commit) { c.ring.Counter = n.m.ring.id.Counter }},
		{"has a counter that was seen", func(c *commit) { c.ring.Counter = n.m.highest }},
	} {
		c := commit{ring: ID{proposer.cfg.Self, n.m.highest + 1}, hop: 1}
		for _, o := range s.nodes {
			c.records = append(c.records, record{node: o.id, incarnation: o.life.incarnation})
		}
		bad.change(&c)
		n.m.Receive(s.now, proposer.encodeCommit(&c), &n.fx)
		s.claim(n.m.state == Gather, "a commit token that %s was taken", bad.name)
		n.fx.Reset()
	}
	return s.err
}

// commitForAFormerLife: what a node agreed to before it crashed does not bind it.
func commitForAFormerLife(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	n := s.gatheringMiddle()
	proposer := s.nodes[0].m
	c := commit{ring: ID{proposer.cfg.Self, n.m.highest + 1}, hop: 1}
	for _, o := range s.nodes {
		c.records = append(c.records, record{node: o.id, incarnation: o.life.incarnation})
	}
	c.records[1].incarnation--
	n.m.Receive(s.now, proposer.encodeCommit(&c), &n.fx)
	s.claim(n.m.state == Gather, "a commit token for a former life was taken")
	return s.err
}

// halfInstalled: node 0 installs a ring and hands up a safe frame beyond a gap; the
// others, who fail to install it, must hand it up too, though its sender does not
// come along with them.
func halfInstalled(seed uint64, off mutant) error {
	s := newScene(seed, 4, off)
	s.formed()
	s.must(time.Second, "at rest", s.resting)
	a, d := s.nodes[0], s.nodes[3]
	s.net.drop = func(from membership.NodeID, _ *simNode, b []byte) bool {
		return from == d.id && kind(b[2]) == kindData
	}
	d.submit(1, membership.Agreed, 50)
	s.must(5*time.Millisecond, "d has numbered its packet", func() bool { return d.m.ring.high == 1 })
	a.submit(1, membership.Safe, 60)
	s.must(5*time.Millisecond, "all have a's packet", func() bool { return s.nodes[2].m.ring.holds(2) && s.nodes[1].m.ring.holds(2) })
	d.crash()
	s.net.drop = func(from membership.NodeID, to *simNode, _ []byte) bool {
		return a.installed() > 1 && (from == a.id || to == a)
	}
	s.must(time.Second, "b and c in a ring of two", func() bool { return s.ringOfJust(s.nodes[1], s.nodes[2]) })
	if s.err == nil {
		s.claim(s.nodes[1].life.views[1].ID != a.life.views[1].ID, "b has installed a's ring: the scene is not the one meant")
	}
	s.net.drop = nil
	d.start()
	s.must(3*time.Second, "one ring again", s.settled)
	return s.verdict()
}

// joinsThatBreakNothing: RING.md's joins that cannot break an operational ring, and
// some that nobody should look at.
func joinsThatBreakNothing(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	m := s.nodes[0].m
	forge := func(from int, change func(f *Machine)) []byte {
		f := *s.nodes[from].m
		f.state = Gather
		f.gather = gathering{proc: m.setOf(m.ring.members)}
		change(&f)
		var fx Effects
		f.sendJoin(s.now, &fx)
		return fx.Send[0].Data
	}
	before := m.ring.id
	for _, c := range []struct {
		name string
		join []byte
	}{
		{"lists this node as failed", forge(1, func(f *Machine) { f.attempt++; f.gather.fail.add(m.self) })},
		{"is from before the ring", forge(1, func(f *Machine) { f.attempt++; f.highest = before.Counter - 1 })},
		{"is repeated", forge(1, func(*Machine) {})},
		{"is of an earlier attempt", forge(2, func(f *Machine) { f.attempt-- })},
		{"is of an older incarnation", forge(2, func(f *Machine) { f.attempt++; f.cfg.Incarnation-- })},
		{"is of another federation", forge(2, func(f *Machine) { f.attempt++; f.cfg.Label++ })},
		{"is a stranger's", forge(2, func(f *Machine) { f.attempt++; f.cfg.Self = 99 })},
	} {
		var fx Effects
		m.Receive(s.now, c.join, &fx)
		s.claim(m.state == Operational && m.ring.id == before, "a join that %s broke the ring", c.name)
	}
	var fx Effects
	m.Receive(s.now, forge(1, func(f *Machine) { f.attempt += 2 }), &fx)
	s.claim(m.state == Gather, "a good join was not heeded")
	return s.err
}

// lifeAfterLife: a node started again is soon back, before the others miss it and
// while they give it up.
func lifeAfterLife(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	s.run(200*time.Millisecond, nil)
	n := s.nodes[s.rng.IntN(3)]
	n.crash()
	s.run(time.Duration(s.rng.Int64N(int64(330*time.Millisecond))), nil)
	n.start()
	s.must(70*time.Millisecond, "the new life is in the ring", func() bool { return s.ringOfJust(s.nodes...) })
	s.must(time.Second, "at rest", s.settled)
	return s.verdict()
}

// stoppedForLong: a process that was stopped comes back by one view, whatever waits
// in its sockets.
func stoppedForLong(seed uint64, off mutant) error {
	s := newScene(seed, 4, off)
	s.formed()
	s.run(time.Duration(s.rng.Int64N(int64(time.Second))), nil)
	n := s.nodes[s.rng.IntN(4)]
	n.pause()
	s.run(10*time.Second, nil)
	before := n.installed()
	n.resume()
	s.must(time.Second, "one ring again", func() bool { return s.ringOfJust(s.nodes...) })
	s.run(2*time.Second, nil)
	s.claim(n.installed() == before+1, "the stopped node installed %d views", n.installed()-before)
	return s.verdict()
}

// floodOfJoins: a node that sends joins without end does not keep another one busy.
func floodOfJoins(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	m, mad := s.nodes[0].m, *s.nodes[1].m
	mad.state = Gather
	mad.gather = gathering{proc: m.setOf(m.ring.members)}
	flood, dropped := 20_000, m.count.DroppedJoins
	for range flood {
		var fx Effects
		mad.attempt++
		mad.sendJoin(s.now, &fx)
		join := fx.Send[0].Data
		fx.Reset()
		m.Receive(s.now, join, &fx)
		s.now += 50 * time.Microsecond
	}
	heeded := flood - int(m.count.DroppedJoins-dropped)
	s.claim(heeded <= joinRate+joinBurst+1, "of a second's flood, %d joins were looked into", heeded)
	return s.err
}

// deafToData: one node receives no data although tokens come through.
func deafToData(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	s.net.drop = func(_ membership.NodeID, to *simNode, b []byte) bool {
		return to == s.nodes[2] && kind(b[2]) == kindData
	}
	s.nodes[0].submit(1, membership.Safe, 100)
	s.must(time.Second, "delivered by the rest", func() bool {
		return s.ringOfJust(s.nodes[:2]...) && s.nodes[1].m.Status().FramesDelivered == 1
	})
	s.net.drop = nil
	s.must(10*time.Second, "one ring again", s.settled)
	return s.verdict()
}

// deafForLong: it stays out for longer each time, and the rest get on with their work.
func deafForLong(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	s.net.drop = func(_ membership.NodeID, to *simNode, b []byte) bool {
		return to == s.nodes[2] && kind(b[2]) == kindData
	}
	s.chatter()
	s.run(8*time.Second, nil)
	for _, n := range s.nodes[:2] {
		views := n.installed()
		s.claim(views <= 12, "node %v installed %d views in 8 s", n.id, views)
	}
	if s.err == nil && s.fault != "" {
		return errors.New(s.fault)
	}
	return s.err
}
