package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A succession is a small case of the rule of succession. Nodes are 1 to 5.
type succession struct {
	name     string
	heard    map[membership.NodeID]*lineage
	instance membership.InstanceID
	heirs    []membership.NodeID
}

func successions() []succession {
	at := func(counter uint64) ring.Position { return ring.Position{Counter: counter, Seq: 1} }
	voter := func(i membership.InstanceID, formed uint64, branch uint64, electorate ...membership.NodeID) *lineage {
		return &lineage{instance: i, voter: true, electorate: electorate, formed: at(formed), decided: formed, branch: branch}
	}
	tried := func(l *lineage, counter uint64, electorate ...membership.NodeID) *lineage {
		l.attempts = append(l.attempts, attempt{at(counter), electorate})
		return l
	}
	mute := func(l *lineage) *lineage {
		l.voter = false
		return l
	}
	all := []membership.NodeID{1, 2, 3, 4, 5}
	return []succession{
		{"all new", map[membership.NodeID]*lineage{1: {}, 2: {}}, 0, nil},
		{"a majority goes on", map[membership.NodeID]*lineage{1: voter(7, 1, 1, all...), 2: voter(7, 1, 1, all...), 3: voter(7, 1, 1, all...)}, 7, []membership.NodeID{1, 2, 3}},
		{"a minority does not", map[membership.NodeID]*lineage{1: voter(7, 1, 1, all...), 2: voter(7, 1, 1, all...)}, 0, nil},
		{"half with the lowest id does", map[membership.NodeID]*lineage{1: voter(7, 1, 1, 1, 2, 3, 4), 4: voter(7, 1, 1, 1, 2, 3, 4)}, 7, []membership.NodeID{1, 4}},
		{"the other half does not", map[membership.NodeID]*lineage{2: voter(7, 1, 1, 1, 2, 3, 4), 3: voter(7, 1, 1, 1, 2, 3, 4)}, 0, nil},
		{"who lost its state has no vote", map[membership.NodeID]*lineage{1: voter(7, 1, 1, 1, 2, 3), 2: {}, 3: {}}, 0, nil},
		{"who gave up its vote has none", map[membership.NodeID]*lineage{1: voter(7, 1, 1, 1, 2, 3), 2: mute(voter(7, 1, 1, 1, 2, 3))}, 0, nil},
		{"the newest electorate counts", map[membership.NodeID]*lineage{1: voter(7, 1, 1, all...), 2: voter(7, 1, 1, all...), 3: voter(7, 2, 2, 3, 4, 5)}, 0, nil},
		{"and it decides", map[membership.NodeID]*lineage{1: voter(7, 1, 1, all...), 3: voter(7, 2, 2, 3, 4, 5), 4: voter(7, 2, 2, 3, 4, 5)}, 7, []membership.NodeID{3, 4}},
		{"an attempt of others counts too", map[membership.NodeID]*lineage{1: tried(voter(7, 1, 1, all...), 2, 1, 4, 5), 2: voter(7, 1, 1, all...), 3: voter(7, 1, 1, all...)}, 0, nil},
		{"one that is here as well", map[membership.NodeID]*lineage{1: tried(voter(7, 1, 1, all...), 2, 1, 2, 5), 2: voter(7, 1, 1, all...), 3: voter(7, 1, 1, all...)}, 7, []membership.NodeID{1, 2}},
		{"who is not in it may lack what they came with", map[membership.NodeID]*lineage{1: voter(7, 1, 1, 1, 2, 3), 2: tried(voter(7, 1, 2, 1, 2, 3), 2, 2, 3)}, 7, []membership.NodeID{2}},
		{"also if they are more", map[membership.NodeID]*lineage{1: voter(7, 1, 1, all...), 2: tried(voter(7, 1, 2, all...), 2, 2, 3), 4: voter(7, 1, 1, all...)}, 7, []membership.NodeID{2}},
		{"also if they know of it", map[membership.NodeID]*lineage{1: tried(voter(7, 1, 1, 1, 2, 3), 2, 2, 3), 2: tried(voter(7, 1, 2, 1, 2, 3), 2, 2, 3)}, 7, []membership.NodeID{2}},
		{"of two attempts the last one", map[membership.NodeID]*lineage{1: tried(voter(7, 1, 1, 1, 2, 3), 2, 1, 3), 2: tried(tried(voter(7, 1, 2, 1, 2, 3), 3, 2, 3), 4, 2)}, 7, []membership.NodeID{2}},
		{"also if one of a lower one has decided", map[membership.NodeID]*lineage{2: tried(tried(voter(7, 1, 1, 1, 2, 3), 2, 2, 3), 3, 2), 3: voter(7, 2, 2, 2, 3)}, 7, []membership.NodeID{2}},
		{"an attempt below what was formed does not", map[membership.NodeID]*lineage{1: tried(voter(7, 1, 1, all...), 2, 1, 4, 5), 2: voter(7, 3, 3, 1, 2, 3), 3: voter(7, 3, 3, 1, 2, 3)}, 7, []membership.NodeID{2, 3}},
		{"who decided last has the state, also if they are fewer", map[membership.NodeID]*lineage{1: voter(7, 1, 1, all...), 2: voter(7, 2, 2, 1, 2, 4), 4: voter(7, 1, 1, all...)}, 7, []membership.NodeID{2}},
		{"states that parted: the larger part", map[membership.NodeID]*lineage{1: voter(7, 1, 8, 1, 2, 3), 2: voter(7, 1, 9, 1, 2, 3), 3: voter(7, 1, 9, 1, 2, 3)}, 7, []membership.NodeID{2, 3}},
		{"two instances: the one with more voters", map[membership.NodeID]*lineage{1: voter(7, 1, 1, 1), 2: voter(8, 1, 1, 2, 3), 3: voter(8, 1, 1, 2, 3)}, 8, []membership.NodeID{2, 3}},
		{"as many: the lower id", map[membership.NodeID]*lineage{1: voter(9, 1, 1, 1), 2: voter(8, 1, 1, 2)}, 8, []membership.NodeID{2}},
	}
}

// wrong says what comes out that should not.
func (s *succession) wrong(off mutant) string {
	d := descent{view: &ring.View{}, heard: s.heard}
	for id := membership.NodeID(1); id <= 5; id++ {
		if s.heard[id] != nil {
			d.view.Members = append(d.view.Members, id)
		}
	}
	if h := d.decide(func(m mutant) bool { return off == m }); h.instance != s.instance || !slices.Equal(h.heirs, s.heirs) {
		return fmt.Sprintf("got instance %v, heirs %v; want %v, %v", h.instance, h.heirs, s.instance, s.heirs)
	}
	return ""
}

var successionMutants = map[string]mutant{"anyHeir": anyHeir, "noAttempts": noAttempts, "learnerVotes": learnerVotes, "firstHeir": firstHeir, "anyState": anyState, "outsideHeir": outsideHeir}

// TestDecide is the rule of succession, N1 to N3.
func TestDecide(t *testing.T) {
	for _, s := range successions() {
		t.Run(s.name, func(t *testing.T) {
			if wrong := s.wrong(0); wrong != "" {
				t.Error(wrong)
			}
		})
	}
	for name, off := range successionMutants {
		t.Run(name, func(t *testing.T) {
			noticed := false
			for _, s := range successions() {
				if wrong := s.wrong(off); wrong != "" {
					t.Logf("%s: %s", s.name, wrong)
					noticed = true
				}
			}
			if !noticed {
				t.Error("no case notices")
			}
		})
	}
}

// aSite is one site of nodes that all have a client in group g.
func aSite(nodes int) (*world, []*simClient) {
	w := newWorld(1, options{sites: 1, nodes: nodes, gateways: 1, hop: 300 * time.Microsecond, delay: func(a, b int) time.Duration { return 0 }}, nil)
	w.runUntil(5*time.Second, "the site is there", w.whole)
	var clients []*simClient
	for i, n := range w.sites[0].nodes {
		c := n.connect(fmt.Sprintf("c%d", i))
		c.join("g")
		w.runUntil(5*time.Second, "it is in", func() bool { return c.memberOf["g"] })
		clients = append(clients, c)
	}
	w.run(w.now + 100*time.Millisecond)
	for _, c := range clients {
		c.told = nil
	}
	return w, clients
}

// whole says whether all nodes that live are attached.
func (w *world) whole() bool {
	for _, n := range w.nodes {
		if n.up && (n.replica.m == nil || !n.replica.attached || n.replica.m.frozen()) {
			return false
		}
	}
	return true
}

// rings makes rings of the nodes with these numbers, and lets them settle.
func (w *world) divide(parts ...[]int) {
	for _, part := range parts {
		var nodes []*simNode
		for _, i := range part {
			nodes = append(nodes, w.sites[0].nodes[i])
		}
		w.sites[0].reform(nodes)
	}
	w.runUntil(5*time.Second, "all are attached", w.whole)
	w.run(w.now + 100*time.Millisecond)
}

// expectTold compares what clients were told since the last time.
func expectTold(t *testing.T, w *world, c *simClient, want ...string) {
	t.Helper()
	for _, f := range w.faults {
		t.Error(f)
	}
	if !slices.Equal(c.told, want) {
		t.Errorf("%s was told\n%q, want\n%q", c.name, c.told, want)
	}
	c.told = nil
}

// TestPartitionAndMerge is what clients of Spread see in the same place.
func TestPartitionAndMerge(t *testing.T) {
	w, c := aSite(3)
	w.divide([]int{0, 1}, []int{2})
	for _, x := range c[:2] {
		expectTold(t, w, x, "g: signal", "g: network, c0 c1 [c0 c1]")
	}
	expectTold(t, w, c[2], "g: signal", "g: network, c2 [c2]")
	w.divide([]int{0, 1, 2})
	for _, x := range c {
		expectTold(t, w, x, "g: network, c0 c1 c2 [c0 c1] [c2]")
	}
}

// TestPartsMeetAtOnce: several parts that come together make one view.
func TestPartsMeetAtOnce(t *testing.T) {
	w, c := aSite(5)
	w.divide([]int{0, 1}, []int{2, 3}, []int{4})
	for i, want := range []string{"c0 c1", "c0 c1", "c2 c3", "c2 c3"} {
		expectTold(t, w, c[i], "g: signal", "g: network, "+want+" ["+want+"]")
	}
	expectTold(t, w, c[4], "g: signal", "g: network, c4 [c4]")
	w.divide([]int{0, 1, 2, 3, 4})
	for _, x := range c {
		expectTold(t, w, x, "g: network, c0 c1 c2 c3 c4 [c0 c1] [c2 c3] [c4]")
	}
}

// TestTwoLostAtOnce: one change of the network, one view.
func TestTwoLostAtOnce(t *testing.T) {
	w, c := aSite(5)
	for _, i := range []int{3, 4} {
		n := w.sites[0].nodes[i]
		n.up, n.ring, c[i].dead = false, nil, true
	}
	w.divide([]int{0, 1, 2})
	for _, x := range c[:3] {
		expectTold(t, w, x, "g: signal", "g: network, c0 c1 c2 [c0 c1 c2]")
	}
}

// TestNobodyLostNoSignal: groups whose members all stay are told nothing.
func TestNobodyLostNoSignal(t *testing.T) {
	w, c := aSite(3)
	c[0].join("near")
	c[1].join("near")
	w.run(w.now + 100*time.Millisecond)
	c[0].told, c[1].told = nil, nil
	w.divide([]int{0, 1}, []int{2})
	expectTold(t, w, c[0], "g: signal", "g: network, c0 c1 [c0 c1]")
}

// TestJoinWhileChanging: a join between the signal and the view without those who are
// gone comes as a change of the network, and the signal again.
func TestJoinWhileChanging(t *testing.T) {
	w, c := aSite(3)
	late := w.sites[0].nodes[1].connect("late")
	c[1].send(membership.Safe, "g") // not stable yet when the ring ends, so what is behind it is transitional
	late.join("g")
	n := w.sites[0].nodes
	entries := n[1].ring.entries
	for end := w.now + time.Second; len(n[1].ring.entries) < len(entries)+2 && w.now < end; {
		w.run(w.now + 10*time.Microsecond)
	}
	w.divide([]int{0, 1}, []int{2})
	expectTold(t, w, c[0], "g: signal", "g: network, c0 c1 c2 late [c0 c1] [c2] [late]", "g: signal", "g: network, c0 c1 late [c0 c1 late]")
	expectTold(t, w, late, "g: network, c0 c1 c2 late [c0 c1] [c2] [late]", "g: signal", "g: network, c0 c1 late [c0 c1 late]")
}

// TestRestartedNodeComesBack: its old clients are out, new ones may join.
func TestRestartedNodeComesBack(t *testing.T) {
	w, c := aSite(3)
	n := w.sites[0].nodes[2]
	n.up, n.ring, c[2].dead = false, nil, true
	n.restart()
	w.runUntil(5*time.Second, "all are attached", w.whole)
	w.run(w.now + 100*time.Millisecond)
	for _, x := range c[:2] {
		expectTold(t, w, x, "g: signal", "g: network, c0 c1 [c0 c1]")
	}
	again := n.connect("again")
	again.join("g")
	w.run(w.now + 100*time.Millisecond)
	expectTold(t, w, again, "g: join of again, again c0 c1")
}

// TestWhoCannotLearnDelaysNobody: a node that cannot take in the state, of another
// release perhaps, says so, and the others' clients are let in without it.
func TestWhoCannotLearnDelaysNobody(t *testing.T) {
	w, c := aSite(4)
	w.divide([]int{0, 1}, []int{2}, []int{3})
	for _, x := range c {
		x.told = nil
	}
	deaf := c[3].node
	w.sites[0].reform(w.sites[0].nodes)
	for end := w.now + time.Second; !deaf.replica.descent.decided && w.now < end; {
		w.run(w.now + 10*time.Microsecond)
	}
	deaf.replica.descent.overflown = true
	w.blames = true
	w.run(w.now + 200*time.Millisecond)
	for _, x := range c[:3] {
		expectTold(t, w, x, "g: network, c0 c1 c2 [c0 c1] [c2]")
	}
	if deaf.replica.m != nil || deaf.replica.Status().Faults != 1 {
		t.Errorf("the node that cannot learn: %+v", deaf.replica.Status())
	}
}
