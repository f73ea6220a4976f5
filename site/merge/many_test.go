package merge

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"ringway/membership"
)

// manyClients is how many clients a site of manyGroups has: each joins as many groups.
const manyClients = 1000

// BenchmarkManyGroups prints what groups cost that have a member in each of two sites: the
// machine's own time, both sites together, for a join, a leave, a message, and for a site
// view without the other site and the merge of the two.
//
//	go test ./site/merge -run '^$' -bench ManyGroups -benchtime 1x
func BenchmarkManyGroups(b *testing.B) {
	for _, groups := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			for b.Loop() {
				manyGroups(b, groups, b.ReportMetric)
			}
		})
	}
}

// TestManyGroups is as many groups as are promised, through a cut and a merge: each has both
// members in the end. Their times are the benchmark's; what they take in memory is held here.
func TestManyGroups(t *testing.T) {
	const groups, most = 100_000 / raceShare, 4000 // bytes for each group and site, twice what it is
	manyGroups(t, groups, func(value float64, unit string) {
		t.Logf("%.0f %s", value, unit)
		if unit == "B/group" && value > most {
			t.Errorf("%.0f bytes for each group, at most %d are fine", value, most)
		}
	})
}

func manyGroups(b testing.TB, groups int, report func(value float64, unit string)) {
	opt := plainOptions(2, 1)
	opt.unchecked, opt.timing = true, hasty
	opt.delay = func(_, _ int) time.Duration { return 5 * time.Millisecond }
	w := newWorld(1, opt, nil)
	w.runUntil(10*time.Second, "sites meet", w.federated)
	before := heapBytes()
	step := func(what string, units int, ok func() bool) {
		begin := time.Now()
		w.runUntil(10*time.Minute, what, ok)
		report(float64(time.Since(begin).Microseconds())/float64(units), what)
		if len(w.faults) > 0 {
			b.Fatal(w.faults)
		}
	}
	name := func(i int) string { return fmt.Sprintf("group-%d", i) }
	clients := map[*simNode][]membership.ClientID{}
	for _, n := range w.nodes {
		for i := range manyClients {
			id := membership.ClientID{Node: n.id, Session: n.boot<<32 | uint64(i+1)}
			n.replica.Connect(w.now, id, fmt.Sprint("c", i), &n.fx)
			clients[n] = append(clients[n], id)
		}
	}
	ask := func(n *simNode, c int, kind RequestKind, group string) {
		q := Request{Kind: kind, Groups: []string{group}}
		if kind == Send {
			q.Service, q.Data = membership.Agreed, make([]byte, 100)
		}
		n.replica.Submit(w.now, clients[n][c%manyClients], q, &n.fx)
		n.carry()
	}
	for i := range groups {
		for n := range clients {
			ask(n, i, Join, name(i))
		}
	}
	all := func(per int) func() bool {
		return func() bool {
			for n := range clients {
				m := n.replica.m
				if len(m.groups) < groups || !w.quiet() || m.groups[name(groups-1)].Len() != per {
					return false
				}
			}
			return true
		}
	}
	step("µs/join", 2*groups, all(2))
	report(float64(heapBytes()-before)/float64(2*groups), "B/group")
	const some = 1000
	for i := range some {
		for n := range clients {
			ask(n, i, Send, name(i))
		}
	}
	step("µs/message", 2*some, w.quiet)
	for i := range some {
		for n := range clients {
			ask(n, i, Leave, name(i))
		}
	}
	step("µs/leave", 2*some, w.quiet)
	w.parts("ab")
	step("µs/cut", 1, func() bool { return w.inView(0, 0) && w.inView(1, 1) })
	w.heal()
	step("µs/merge", 1, w.federated)
	for n := range clients {
		for i := range groups {
			want := 2
			if i < some {
				want = 0
			}
			if g := n.replica.m.groups[name(i)]; want > 0 && g == nil || g != nil && g.Len() != want {
				b.Fatalf("node %v, group %d: %v after the merge, want %d members", n.id, i, g, want)
			}
		}
	}
}

// heapBytes is what is in use.
func heapBytes() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
