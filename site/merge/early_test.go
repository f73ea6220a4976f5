package merge

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

// piecesOutOfOrder plays two sites whose Fills have some fifty pieces each, on a way on which
// control messages overtake each other and one in a hundred is lost. It returns how long they take to come
// together, and how many pieces go out.
func piecesOutOfOrder(t *testing.T, off mutant) (heal time.Duration, pieces int) {
	const groups = 20_000
	opt := plainOptions(2, 1)
	opt.loss, opt.jitter, opt.unchecked = 0.02, 20*time.Millisecond, true
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	for _, s := range w.sites {
		n := s.nodes[0]
		for i := range groups {
			id := membership.ClientID{Node: n.id, Session: n.boot<<32 | uint64(1+i%manyClients)}
			if i < manyClients {
				n.replica.Connect(w.now, id, fmt.Sprint("c", i), &n.fx)
			}
			n.replica.Submit(w.now, id, Request{Kind: Join, Groups: []string{fmt.Sprintf("a-group-with-a-name-%d", i)}}, &n.fx)
			n.carry()
		}
	}
	w.runUntil(20*time.Minute, "all have joined", func() bool {
		for _, s := range w.sites {
			if len(s.nodes[0].replica.m.groups) < groups {
				return false
			}
		}
		return w.quiet()
	})
	w.parts("ab")
	w.runUntil(time.Minute, "two views", func() bool { return w.inView(0, 0) && w.inView(1, 1) })
	w.dropControl = func(_, _ int, kind controlKind) bool {
		if kind == controlFill {
			pieces++
		}
		return false
	}
	from := w.now
	w.heal()
	w.runUntil(10*time.Minute, "one view", w.federated)
	if len(w.faults) > 0 {
		t.Errorf("%v", w.faults)
	}
	return w.now - from, pieces
}

// TestPiecesOutOfOrder: a piece of a Fill that overtakes another one is kept, and the
// one that is missing is asked for.
func TestPiecesOutOfOrder(t *testing.T) {
	heal, pieces := piecesOutOfOrder(t, 0)
	slow, more := piecesOutOfOrder(t, inOrderOnly)
	t.Logf("together after %v, %d pieces; %v and %d if early ones are dropped", heal, pieces, slow, more)
	if heal > 5*time.Second || pieces > 250 {
		t.Errorf("together after %v, %d pieces", heal, pieces)
	}
	if slow < 2*heal {
		t.Errorf("%v, and %v if early pieces are dropped: this test proves nothing", heal, slow)
	}
}

// TestAHaveThatLies: what a peer says to have of a Fill, and to lack, need not be true.
func TestAHaveThatLies(t *testing.T) {
	opt := plainOptions(2, 1)
	opt.unchecked = true
	w := newWorld(1, opt, nil)
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.parts("ab")
	w.runUntil(time.Minute, "two views", func() bool { return w.inView(0, 0) && w.inView(1, 1) })
	w.heal()
	n := w.sites[0].nodes[0]
	w.runUntil(time.Minute, "a change of the view", func() bool { return n.replica.m.flush != nil })
	for _, c := range []control{{have: 3, gap: 2}, {gap: 1}, {gap: 1 << 31}, {have: 1 << 31, gap: 1<<31 + 1}, {have: 1<<32 - 1, gap: 1<<32 - 1}, {gap: 7}} {
		c.kind, c.view, c.from, c.to = controlHave, n.replica.m.flush.view, w.sites[1].nodes[0].replica.m.instance, n.replica.m.instance
		n.replica.ControlIn(w.now, SiteInstance{Instance: c.from, Site: w.sites[1].id}, c.append(nil), &n.fx)
		n.carry()
	}
	w.runUntil(time.Minute, "one view", w.federated)
	if len(w.faults) > 0 {
		t.Errorf("%v", w.faults)
	}
}
