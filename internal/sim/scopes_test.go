package sim

import (
	"testing"
	"time"

	"ringway/internal/evs"
)

// scopes are two sites 50 ms apart. A client of the first sends to a group of both and then
// to one of its own site, of which it is no member, a hundred times.
const scopes = `schedule 2 profile figures seed 1 answers 0 length 12s
site s0 nodes 2 gateways 1 ahead 0s
site s1 nodes 2 gateways 1 ahead 0s
lan delay 40µs 120µs jitter 20µs loss 0 double 0 late 0 0s
wan detect 300ms hints 0 promises loss 0 double 0 late 0 0s
link s0 s1 delay 50ms 50ms jitter 400µs loss 0
0s start n0
0s start n1
0s start n2
0s start n3
500ms connect n1.0 near,far
500ms connect n3.0 far
`

// TestIndependentScopes: what a session sends within its site waits for what it sent to
// another one before, as long as the way there takes; that of a session with independent
// scopes does not, unless it goes to the same group.
func TestIndependentScopes(t *testing.T) {
	const way = 50 * time.Millisecond
	for _, c := range []struct {
		what, session, second string
		waits                 bool
	}{
		{"strict", "500ms connect n0.0 own", "near", true},
		{"independent", "500ms connect n0.0 own/independent", "near", false},
		{"independent, the same group", "500ms connect n0.0 own/independent", "near,far", true},
	} {
		s, err := ParseSchedule(scopes + c.session + "\n5s say n0.0 agreed far 100B x20 200ms\n5.001s say n0.0 agreed " + c.second + " 100B x20 200ms\n")
		if err != nil {
			t.Fatal(err)
		}
		r := Play(s)
		if !judge(t, r) {
			continue
		}
		second, longest := secondLatencies(r.Traces), time.Duration(0)
		if len(second) != 20 {
			t.Fatalf("%s: %d messages came", c.what, len(second))
		}
		shortest := second[0]
		for _, took := range second {
			shortest, longest = min(shortest, took), max(longest, took)
		}
		t.Logf("%s: %v to %v", c.what, shortest, longest)
		if c.waits && shortest < way/2 || !c.waits && longest > way/10 {
			t.Errorf("%s: what is sent second takes %v to %v", c.what, shortest, longest)
		}
	}
}

// secondLatencies are how long every second message of n0 took to n1.
func secondLatencies(traces []evs.Trace) (all []time.Duration) {
	sent := map[evs.Message]int64{}
	for _, kind := range []evs.Kind{evs.Submit, evs.Dlv} {
		for i := range traces {
			t := &traces[i]
			for j := range t.Events {
				switch e := &t.Events[j]; {
				case e.Kind != kind || e.Kind == evs.Dlv && t.Node != "n1":
				case kind == evs.Submit && e.Msg.Seq%2 == 0:
					sent[e.Msg] = t.Start + e.At
				case kind == evs.Dlv && sent[e.Msg] != 0:
					all = append(all, time.Duration(t.Start+e.At-sent[e.Msg]))
				}
			}
		}
	}
	return all
}
