package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/evs"
)

// A sentMessage is a message to the group of all: when it was sent, and how long it took to
// get to the last of its receivers.
type sentMessage struct{ at, took time.Duration }

// latenciesOf are those of all messages, in the order in which they were sent.
func latenciesOf(traces []evs.Trace) (latencies []sentMessage) {
	sent, last := map[evs.Message]time.Duration{}, map[evs.Message]time.Duration{}
	var order []evs.Message
	for _, kind := range []evs.Kind{evs.Submit, evs.Dlv} {
		for i := range traces {
			for j := range traces[i].Events {
				e := &traces[i].Events[j]
				at := time.Duration(traces[i].Start + e.At)
				switch {
				case e.Kind != kind:
				case kind == evs.Submit && e.Groups[0] == "g0":
					sent[e.Msg] = at
					order = append(order, e.Msg)
				case kind == evs.Dlv && sent[e.Msg] > 0:
					last[e.Msg] = max(last[e.Msg], at)
				}
			}
		}
	}
	slices.SortStableFunc(order, func(a, b evs.Message) int { return int(sent[a] - sent[b]) })
	for _, m := range order {
		latencies = append(latencies, sentMessage{sent[m], last[m] - sent[m]})
	}
	return latencies
}

// leaps are by how much clocks leap in TestWrongClocks.
var leaps = []time.Duration{time.Hour, -time.Hour, 10 * time.Minute, -10 * time.Minute}

// wrongClocks is a federation of three sites 20 ms apart. The wall clocks of the middle one
// are ten minutes ahead; then the clocks that its three nodes measure time by leap, one node
// after the other, two of them gateways, and in the end those of all at once. Nobody is ever
// silent. It returns when they leap, and what.
func wrongClocks(seed uint64) (s *Schedule, when []time.Duration, what []string) {
	const first, every = 4 * time.Second, 500 * time.Millisecond
	var b strings.Builder
	fmt.Fprintf(&b, "schedule 2 profile figures seed %d answers 0 length 12500ms\n", seed)
	b.WriteString("site s0 nodes 1 gateways 1 ahead 0s\nsite s1 nodes 3 gateways 2 ahead 10m0s\nsite s2 nodes 1 gateways 1 ahead 0s\n")
	b.WriteString("lan delay 40µs 120µs jitter 20µs loss 0 double 0 late 0 0s\nwan detect 300ms hints 0 promises loss 0 double 0 late 0 0s\n")
	b.WriteString("link s0 s1 delay 20ms 20ms jitter 400µs loss 0\nlink s1 s2 delay 20ms 20ms jitter 400µs loss 0\nlink s0 s2 delay 20ms 20ms jitter 400µs loss 0\n")
	for n := range 5 {
		fmt.Fprintf(&b, "0s start n%d\n500ms connect n%d.0 g0\n%dms say n%d.0 agreed g0 100B x240 40ms\n", n, n, 2500+8*n, n)
	}
	at := first
	for _, n := range []string{"n1", "n2", "n3", "n1 n2 n3"} {
		for _, by := range leaps {
			for _, node := range strings.Fields(n) {
				fmt.Fprintf(&b, "%v jump %s %v\n", at, node, by)
			}
			when, what = append(when, at), append(what, fmt.Sprintf("%s by %v", n, by))
			at += every
		}
	}
	s, err := ParseSchedule(b.String())
	if err != nil {
		panic(err) // it is this file's
	}
	return s, when, what
}

// TestWrongClocks: wrong wall clocks, and leaps of the clock of any node, whether it leads
// its site, imports what comes from others or does neither, cost nobody anything but a
// little time: no ring re-forms, no site leaves the view, and no message is later by more
// than 50 ms.
func TestWrongClocks(t *testing.T) {
	const most = 50 * time.Millisecond
	s, when, what := wrongClocks(max(1, *flagSeed))
	p := newPlay(s)
	roles := map[string]bool{}
	var rings, views int
	for i, at := range when {
		p.f.at(at-time.Millisecond, func() {
			if i == 0 {
				rings, views = p.f.stats.Rings, p.f.stats.GroupViews
			}
			for _, place := range p.f.sites[1].places {
				if strings.HasPrefix(what[i], place.name+" by") {
					roles[roleOf(place)] = true
				}
			}
		})
	}
	p.run()
	r := p.f.result()
	if !judge(t, r) {
		t.FailNow()
	}
	if len(roles) != 3 {
		t.Errorf("of the roles in a site only %v were played", slices.Sorted(maps.Keys(roles)))
	}
	if p.f.stats.Rings != rings || p.f.stats.GroupViews != views {
		t.Errorf("%d rings re-formed and %d views changed for clocks that leapt", p.f.stats.Rings-rings, p.f.stats.GroupViews-views)
	}
	sent := latenciesOf(r.Traces)
	calm := slowestOf(sent, 3*time.Second, when[0])
	for i, at := range when {
		// Who was waiting when it happened is counted, too.
		slowest := slowestOf(sent, at-calm, at+500*time.Millisecond-calm)
		t.Logf("%-16s slowest message %v, with good clocks %v", what[i], slowest, calm)
		if slowest == 0 || slowest > calm+most {
			t.Errorf("%s: that is %v more, at most %v may be", what[i], slowest-calm, most)
		}
	}
}

// roleOf is what a node does for its site.
func roleOf(at *place) string {
	leader := at
	for _, other := range at.site.places {
		if other.gateway && (!leader.gateway || other.id < leader.id) {
			leader = other
		}
	}
	switch {
	case at == leader:
		return "leads"
	case at.gateway:
		return "gateway"
	}
	return "plain"
}

// slowestOf is the longest latency of messages sent in a stretch of time.
func slowestOf(sent []sentMessage, from, to time.Duration) (slowest time.Duration) {
	for _, m := range sent {
		if m.at >= from && m.at < to {
			slowest = max(slowest, m.took)
		}
	}
	return slowest
}
