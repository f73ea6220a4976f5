package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ringway/client"
)

// A stage plays events to the machines of three replicas, as a group would.
type stage struct {
	machines map[string]*machine
	queue    []*client.Message
	outcomes map[string]outcome
	views    uint32
}

func newStage() *stage {
	s := &stage{machines: map[string]*machine{}, outcomes: map[string]outcome{}}
	all := []string{"#a#1", "#b#2", "#c#3"}
	for _, m := range all {
		s.machines[m] = newMachine("map", m, all)
	}
	return s
}

func (s *stage) step(member string, event client.Event) {
	fx := s.machines[member].step(event)
	for _, m := range fx.send {
		m.Sender = member
		s.queue = append(s.queue, &m)
	}
	for _, o := range fx.done {
		s.outcomes[o.id] = o
	}
}

// deliver plays what is queued to the members.
func (s *stage) deliver(members []string) {
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		for _, member := range members {
			if next.Groups[0] == "map" || next.Groups[0] == member {
				s.step(member, next)
			}
		}
	}
}

// view installs a view; members of a set, as in "abc" or "ab c", have come together.
func (s *stage) view(sets string) []string {
	s.views++
	var parts [][]string
	for set := range strings.FieldsSeq(sets) {
		var part []string
		for _, r := range set {
			part = append(part, fmt.Sprintf("#%c#%c", r, r-'a'+'1'))
		}
		parts = append(parts, part)
	}
	all := slices.Concat(parts...)
	slices.Sort(all)
	for _, part := range parts {
		for _, member := range part {
			s.step(member, &client.View{Group: "map", ID: client.ViewID{s.views}, Cause: client.ByNetwork, Members: all, MovedTogether: part})
		}
	}
	s.deliver(all)
	return all
}

// op sends an operation of the first member to the members.
func (s *stage) op(members []string, id, op, value string) {
	data := record{Kind: kindOp, ID: id, Op: op, Key: "k", Value: []byte(value)}.encode()
	s.queue = append(s.queue, &client.Message{Sender: members[0], Groups: []string{"map"}, Data: data})
	s.deliver(members)
}

func (s *stage) expect(t *testing.T, id, value string, err error) {
	t.Helper()
	o, ended := s.outcomes[id]
	if !ended || !errors.Is(o.err, err) || o.value != value {
		t.Errorf("operation %s: %+v (ended: %v), want %q, %v", id, o, ended, value, err)
	}
}

func TestItBeginsWhenAllAreThereAndGoesOnWithMostOfThem(t *testing.T) {
	s := newStage()
	ab := s.view("a b")
	s.op(ab, "early", "set", "0")
	if len(s.outcomes) > 0 {
		t.Fatal("an operation before the beginning has an outcome")
	}
	abc := s.view("ab c")
	s.expect(t, "early", "", errUnknown)
	s.op(abc, "1", "set", "x")
	s.expect(t, "1", "", nil)

	// c is cut off. It executes nothing; the others go on.
	c := s.view("c")
	s.op(c, "2", "set", "wrong")
	s.expect(t, "2", "", errNoMajority)
	ab = s.view("ab")
	s.op(ab, "3", "set", "y")
	s.expect(t, "3", "x", nil)

	// c comes back and has the map, and what came before it had it.
	abc = s.view("ab c")
	slices.Reverse(abc)
	s.op(abc, "4", "get", "")
	s.expect(t, "4", "y", nil)

	// All are cut off from each other: there is no map any more, and none is made up.
	s.view("a")
	s.view("b")
	s.view("c")
	abc = s.view("a b c")
	s.op(abc, "5", "get", "")
	if _, ended := s.outcomes["5"]; ended {
		t.Error("a map was made up")
	}
}

func TestOutcomesWaitWhileAViewIsInDoubt(t *testing.T) {
	s := newStage()
	abc := s.view("a b c")
	for _, m := range abc {
		s.step(m, &client.Transition{Group: "map"})
	}
	s.op(abc[:1], "alone", "set", "x")    // a, which will be alone
	s.op(abc[1:], "together", "set", "y") // b, which will not
	if len(s.outcomes) > 0 {
		t.Fatal("an outcome in doubt is told")
	}
	s.view("a")
	s.view("bc")
	s.expect(t, "alone", "", errUnknown)
	s.expect(t, "together", "", nil)
	abc = s.view("a bc")
	s.op(abc, "then", "get", "")
	s.expect(t, "then", "y", nil)
}

func TestOperationsThatComeBeforeTheCopyAreNotLost(t *testing.T) {
	s := newStage()
	s.view("a b c")
	s.view("c")
	ab := s.view("ab")
	s.op(ab, "1", "set", "x")
	// The view is there, its copy is not: an operation of c's comes first.
	s.views++
	all := []string{"#a#1", "#b#2", "#c#3"}
	for _, m := range all {
		together := all[:2]
		if m == "#c#3" {
			together = all[2:]
		}
		s.step(m, &client.View{ID: client.ViewID{s.views}, Cause: client.ByNetwork, Members: all, MovedTogether: together})
	}
	later := s.queue
	s.queue = nil
	s.op([]string{"#c#3", "#a#1", "#b#2"}, "2", "set", "y")
	s.queue = append(later, s.queue...)
	s.deliver(all)
	s.expect(t, "2", "x", nil)
	if got := s.machines["#c#3"].state["k"]; got != "y" {
		t.Errorf("c has %q", got)
	}
}

func TestALargeMapIsCopiedInPieces(t *testing.T) {
	state := map[string]string{}
	for i := range 10 {
		state[fmt.Sprint(i)] = strings.Repeat("\x00", maxValue)
	}
	parts := pieces(state, "v", "#c#3")
	if len(parts) != 11 {
		t.Errorf("%d pieces", len(parts))
	}
	for _, p := range parts {
		if len(p.Data) > 140_000 {
			t.Errorf("a piece of %d bytes, which not every node takes", len(p.Data))
		}
	}
}
