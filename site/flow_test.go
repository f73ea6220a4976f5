package site

import (
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/merge"
)

// newTestFlow returns the flow of a loop that does not run, at node 1.
func newTestFlow(t testing.TB) *flow {
	l := &loop{started: time.Now(), in: newInbox(), nameOf: func(membership.NodeID) string { return "n2" }}
	l.flow = newFlow(l, 1, 7)
	t.Cleanup(func() {
		if l.flow.timer != nil {
			l.flow.timer.Stop()
		}
	})
	return l.flow
}

// signal is what another node's flow says.
func signal(reader membership.ClientID, hold byte) *merge.Message {
	return &merge.Message{SenderName: flowName, Data: reader.Append([]byte{flowVersion, hold})}
}

var (
	ours   = membership.ClientID{Node: 1, Session: 1}
	theirs = membership.ClientID{Node: 2, Session: 1}
	other  = membership.ClientID{Node: 3, Session: 1}
)

// TestASenderWaitsForAllItsReaders: one that lets go is not all.
func TestASenderWaitsForAllItsReaders(t *testing.T) {
	f := newTestFlow(t)
	f.take(signal(theirs, 1), []membership.ClientID{ours})
	f.take(signal(other, 1), []membership.ClientID{ours})
	f.hold(membership.ClientID{Node: 1, Session: 9}, merge.Member{Client: ours, Name: "a"}, "#a#n1")
	for i, letGo := range []func(){
		func() { f.take(signal(theirs, 0), []membership.ClientID{ours}) },
		func() { f.take(signal(other, 0), []membership.ClientID{ours}) },
		func() { f.letGo(membership.ClientID{Node: 1, Session: 9}) },
	} {
		if !f.isHeld(ours) {
			t.Fatalf("not held any more after %d of 3", i)
		}
		letGo()
	}
	if f.isHeld(ours) {
		t.Error("held by nobody")
	}
}

// TestALeaseEnds: whoever holds a sender must say so again; a dead node's word ends.
func TestALeaseEnds(t *testing.T) {
	f := newTestFlow(t)
	f.take(signal(theirs, 1), []membership.ClientID{ours})
	f.l.started = f.l.started.Add(-flowLease / 2)
	f.tick()
	if !f.isHeld(ours) {
		t.Fatal("let go before its time")
	}
	f.take(signal(theirs, 1), []membership.ClientID{ours})
	f.l.started = f.l.started.Add(-flowLease * 3 / 4)
	f.tick()
	if !f.isHeld(ours) {
		t.Fatal("saying it again does not count")
	}
	f.l.started = f.l.started.Add(-flowLease)
	f.tick()
	if f.isHeld(ours) || f.timer != nil {
		t.Error("still held, or still ticking, without anybody's word")
	}
}

// TestWhoIsGoneIsHeldByNobody: not at the next tick either.
func TestWhoIsGoneIsHeldByNobody(t *testing.T) {
	f := newTestFlow(t)
	f.hold(membership.ClientID{Node: 1, Session: 9}, merge.Member{Client: ours, Name: "a"}, "#a#n1")
	f.gone(ours)
	f.tick()
	if f.isHeld(ours) {
		t.Error("a sender that has ended is held again")
	}
}

func TestAStopLetsEverybodyGo(t *testing.T) {
	f := newTestFlow(t)
	f.take(signal(theirs, 1), []membership.ClientID{ours})
	f.stop()
	f.take(signal(theirs, 1), []membership.ClientID{ours})
	f.hold(theirs, merge.Member{Client: ours, Name: "a"}, "#a#n1")
	if f.timer != nil {
		t.Error("ticks after the stop")
	}
}

func FuzzFlowSignal(f *testing.F) {
	f.Add(signal(theirs, 1).Data)
	f.Add([]byte{flowVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		flow := newTestFlow(t)
		flow.take(&merge.Message{Data: data}, []membership.ClientID{ours})
		if flow.isHeld(ours) && (len(data) < 2+membership.ClientIDBytes || data[0] != flowVersion) {
			t.Errorf("%x holds a sender", data)
		}
	})
}
