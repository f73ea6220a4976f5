package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"ringway/client"
)

// A hall is members in one view, and the votes on their way to all of them.
type hall struct {
	members []string
	votes   [][2]string
}

func newView(id uint32, members ...string) *client.View {
	return &client.View{ID: client.ViewID{id}, Members: slices.Sorted(slices.Values(members))}
}

// enter has members go into a view and vote in some order.
func enter(v *client.View, all map[string]*election, random *rand.Rand) *hall {
	h := &hall{members: v.Members}
	for _, i := range random.Perm(len(v.Members)) {
		h.votes = append(h.votes, [2]string{v.Members[i], all[v.Members[i]].entered(v)})
	}
	return h
}

// deliver brings so many of the votes to everybody in the hall.
func (h *hall) deliver(n int, all map[string]*election) {
	for _, vote := range h.votes[:n] {
		for _, m := range h.members {
			all[m].counted(vote[0], vote[1])
		}
	}
	h.votes = h.votes[n:]
}

// leader returns whom all of them have.
func leader(t *testing.T, all map[string]*election, members ...string) string {
	t.Helper()
	first := all[members[0]].leader
	for _, m := range members {
		if all[m].leader != first {
			t.Fatalf("%s has %q, %s has %q", members[0], first, m, all[m].leader)
		}
	}
	if first != "" && !slices.Contains(members, first) {
		t.Fatalf("%q leads %v and is not there", first, members)
	}
	return first
}

// TestWhoComesDoesNotTakeOver is E2.
func TestWhoComesDoesNotTakeOver(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := map[string]*election{"b": {}, "c": {}, "a": {}}
	enter(newView(1, "b", "c"), all, random).deliver(2, all)
	if got := leader(t, all, "b", "c"); got != "b" {
		t.Fatalf("%q leads", got)
	}
	for range 20 { // whatever the order of votes
		enter(newView(2, "a", "b", "c"), all, random).deliver(3, all)
		if got := leader(t, all, "a", "b", "c"); got != "b" {
			t.Fatalf("%q leads after a came", got)
		}
		all["a"].lost()
	}
}

// TestPartitionAndMerge: each side has its own, then one of the two leads all.
func TestPartitionAndMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	all := map[string]*election{}
	names := []string{"a", "b", "c", "d", "e"}
	for _, n := range names {
		all[n] = &election{}
	}
	enter(newView(1, names...), all, random).deliver(5, all)
	for _, n := range names {
		all[n].left()
	}
	if got := leader(t, all, names...); got != "" {
		t.Fatalf("%q leads behind the signal", got)
	}
	left, right := enter(newView(2, "a", "b"), all, random), enter(newView(3, "c", "d", "e"), all, random)
	left.deliver(2, all)
	right.deliver(2, all)
	if got := leader(t, all, "c", "d", "e"); got != "" {
		t.Fatalf("%q leads before all have voted", got)
	}
	right.deliver(1, all)
	if l, r := leader(t, all, "a", "b"), leader(t, all, "c", "d", "e"); l != "a" || r != "c" {
		t.Fatalf("%q and %q lead", l, r)
	}
	enter(newView(4, names...), all, random).deliver(5, all)
	if got := leader(t, all, names...); got != "a" && got != "c" {
		t.Fatalf("%q leads after the merge", got)
	}
}

// TestRandomViews: views of any members, votes cut off by the next one or repeated; at
// most one leads, the same for all.
func TestRandomViews(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 5))
		all, names := map[string]*election{}, []string{}
		for i := range 6 {
			names = append(names, fmt.Sprintf("m%d", i))
			all[names[i]] = &election{}
		}
		for id := range uint32(20) {
			random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			in := names[:1+random.IntN(len(names))]
			for _, out := range names[len(in):] {
				all[out].lost()
			}
			h := enter(newView(id+1, in...), all, random)
			n, had := random.IntN(len(h.votes)+1), all[h.members[0]].had
			h.deliver(n, all)
			got := leader(t, all, in...)
			if whole := len(h.votes) == 0; whole != (got != "") {
				t.Fatalf("seed %d: %q leads after %d of %d votes", seed, got, n, len(in))
			}
			if got != "" && len(in) == 1 && had != "" && got != had {
				t.Fatalf("seed %d: alone, and %q leads", seed, got)
			}
		}
	}
}

// TestVotesThatDoNotCount: of another view, of a stranger, a second one, a short one.
func TestVotesThatDoNotCount(t *testing.T) {
	var e election
	if e.counted("a", "x y") {
		t.Fatal("a vote without a view decides")
	}
	old := e.entered(newView(1, "a", "b"))
	vote := e.entered(newView(2, "a", "b"))
	for _, v := range [][2]string{{"a", old}, {"z", vote}, {"a", vote}, {"a", vote}, {"b", ""}, {"b", vote[:len(vote)-1]}} {
		if e.counted(v[0], v[1]) || e.leader != "" {
			t.Fatalf("%q decides", v)
		}
	}
	if !e.counted("b", vote+"stranger") || e.leader != "a" {
		t.Fatalf("%q leads", e.leader)
	}
}
