package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringway/topology"
)

// scene returns what three members received of two publishers, without a fault.
func scene() ([]history, []*publisher) {
	a, b := &publisher{name: "#web#lon-2"}, &publisher{name: "#web#fra-2"}
	var order []delivery
	for i := range 10 {
		for _, p := range []*publisher{a, b} {
			data := fmt.Appendf(nil, "line %d", i/2) // some lines are equal
			p.sent = append(p.sent, sending{data, 0})
			order = append(order, delivery{p.name, data, 0})
		}
	}
	var histories []history
	for _, m := range []string{"#m#lon-1", "#m#lon-2", "#m#fra-1"} {
		histories = append(histories, history{m, order})
	}
	return histories, []*publisher{a, b}
}

func verdicts(checks []check) string {
	var b strings.Builder
	for _, c := range checks {
		b.WriteString(map[bool]string{true: "+", false: "-"}[c.OK])
	}
	return b.String()
}

// TestCompare has a fault of each kind, and which checks see it: one order, nothing
// lost or doubled, publishers' order.
func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name, want string
		spoil      func(d []delivery) []delivery
	}{
		{"no fault", "+++", func(d []delivery) []delivery { return d }},
		{"two publishers change places", "-++", func(d []delivery) []delivery { d[4], d[5] = d[5], d[4]; return d }},
		{"one publisher's lines change places", "-+-", func(d []delivery) []delivery { d[0], d[8] = d[8], d[0]; return d }},
		{"one is missing", "---", func(d []delivery) []delivery { return append(d[:7], d[8:]...) }},
		{"the last is missing", "--+", func(d []delivery) []delivery { return d[:len(d)-1] }},
		{"one comes twice", "---", func(d []delivery) []delivery { return append(d[:8:8], append([]delivery{d[6]}, d[8:]...)...) }},
		{"a byte differs", "---", func(d []delivery) []delivery { d[3].data = []byte("line o"); return d }},
		{"a stranger's message", "---", func(d []delivery) []delivery { return append(d, delivery{"#x#lon-1", []byte("hi"), 0}) }},
		{"another sender", "---", func(d []delivery) []delivery { d[3].sender = d[2].sender; return d }},
		{"nothing at all", "--+", func([]delivery) []delivery { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			histories, publishers := scene()
			last := &histories[2]
			last.deliveries = test.spoil(append([]delivery(nil), last.deliveries...))
			checks := compare(histories, publishers)
			if got := verdicts(checks); got != test.want {
				t.Errorf("got %s, want %s: %+v", got, test.want, checks)
			}
		})
	}
}

func TestEveryoneAlikeAndWrong(t *testing.T) {
	histories, publishers := scene()
	for i := range histories {
		histories[i].deliveries = histories[i].deliveries[1:]
	}
	if got := verdicts(compare(histories, publishers)); got != "+--" {
		t.Errorf("a message that nobody has: got %s", got)
	}
}

func TestInjectedFaultsAreSeen(t *testing.T) {
	for fault, want := range map[string]string{faultSwap: "-", faultDrop: "--"} {
		histories, publishers := scene()
		if err := inject(fault, histories); err != nil {
			t.Fatal(err)
		}
		if got := verdicts(compare(histories, publishers)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s", fault, got)
		}
		if histories[0].deliveries[10].sender != "#web#lon-2" || len(histories[0].deliveries) != 20 {
			t.Errorf("%s: another member was changed too", fault)
		}
	}
	histories, _ := scene()
	if err := inject("unheard-of", histories); err == nil {
		t.Error("an unknown fault is accepted")
	}
}

func TestPlanIsAValidTopology(t *testing.T) {
	for sites := MinSites; sites <= MaxSites; sites++ {
		for _, unicast := range []bool{false, true} {
			p, err := newPlan(t.TempDir(), sites, unicast)
			if err != nil {
				t.Fatal(err)
			}
			topo, err := topology.Load(p.topology)
			if err != nil {
				t.Fatalf("%d sites: %v\n%s", sites, err, p.text())
			}
			if len(topo.Sites) != sites || len(topo.Links) != sites*(sites-1)/2 || !topo.AllLoopback() {
				t.Errorf("%d sites: got %d sites, %d links, loopback %v", sites, len(topo.Sites), len(topo.Links), topo.AllLoopback())
			}
			for _, l := range topo.Links {
				if l.WAN.Delay <= 0 {
					t.Errorf("no delay between %s and %s", l.Between[0].Name, l.Between[1].Name)
				}
			}
			for _, s := range topo.Sites {
				if s.Multicast.IsValid() == unicast || len(s.Gateways()) != 1 {
					t.Errorf("site %s: multicast %v, %d gateways", s.Name, s.Multicast, len(s.Gateways()))
				}
			}
		}
	}
}

func TestPaths(t *testing.T) {
	best := paths(3)
	const ms = time.Millisecond
	if best[0][1] != 20*ms || best[0][2] != 40*ms || best[1][2] != 60*ms || best[2][1] != 60*ms || best[1][1] != 0 {
		t.Errorf("got %v: fra and nyc are 80 ms apart, but 60 ms through lon", best)
	}
	if farthest(best, 0) != 40*ms || farthest(best, 1) != 60*ms {
		t.Errorf("farthest: %v, %v", farthest(best, 0), farthest(best, 1))
	}
}

func TestQuantiles(t *testing.T) {
	var d []time.Duration
	for i := range 100 {
		d = append(d, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(d, share); got != want {
			t.Errorf("%v: got %v, want %v", share, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("quantile of nothing")
	}
}

func TestLatenciesByPair(t *testing.T) {
	p := &publisher{name: "#web#lon-2", site: 0, sent: []sending{{nil, 10}, {nil, 20}, {nil, 30}}}
	m := &member{site: 1, got: map[string][]delivery{feedGroup: {{p.name, nil, 15}, {"#x#y", nil, 16}, {p.name, nil, 27}, {p.name, nil, 99}}}}
	pairs := latencies([]*member{m}, []*publisher{p}, feedGroup, []int{2}, 2)
	if got := fmt.Sprint(pairs[1].samples); pairs[1].from != 0 || pairs[1].to != 1 || got != fmt.Sprint([]time.Duration{5, 7}) {
		t.Errorf("got %+v", pairs)
	}
}

func TestFileFeed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "feed")
	os.WriteFile(path, []byte("a\n\nb\nc"), 0o600)
	f, err := openFeed(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for site := range 3 {
		for {
			line, ok, err := f.next(t.Context(), site)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			got = append(got, fmt.Sprintf("%d:%s", site, line))
		}
	}
	if want := "0:a 0:c 1: 2:b"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}

	empty, long := filepath.Join(dir, "empty"), filepath.Join(dir, "long")
	os.WriteFile(empty, nil, 0o600)
	os.WriteFile(long, bytes.Repeat([]byte("x"), maxLineBytes+1), 0o600)
	for _, path := range []string{empty, long, filepath.Join(dir, "absent")} {
		if _, err := openFeed(path, 3); !errors.Is(err, ErrFeed) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestWebFeedIsTheServersLog(t *testing.T) {
	f, err := newWebFeed([]string{"lon", "fra"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for site, name := range []string{"lon", "fra"} {
		for i := range 10 {
			line, ok, err := f.next(t.Context(), site)
			if err != nil || !ok {
				t.Fatal(err)
			}
			want := fmt.Sprintf("\"GET %s HTTP/1.1\" ", pages[(i*5+site)%len(pages)])
			if !strings.HasPrefix(string(line), "127.0.0.1 - - [") || !strings.Contains(string(line), want) || !strings.Contains(string(line), name+".example") {
				t.Errorf("request %d of %s: %s", i, name, line)
			}
		}
	}
}

func TestScheduleDealsRoundRobin(t *testing.T) {
	now := time.Duration(0)
	s := &schedule{start: 0, offset: 1, stride: 3, perSecond: 1000, now: func() time.Duration { return now }, full: func() bool { return false }}
	// Line 1 of all is due after 1 ms, which has passed; line 4 after 4 ms.
	now = time.Millisecond
	if err := s.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a line that is not due: %v", err)
	}
}

func TestReportsAreObjects(t *testing.T) {
	p, err := newPlan(t.TempDir(), 3, false)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := newReporter(&out, true, false)
	r.start(p, "/tmp/x")
	r.ready(time.Second, nil)
	r.progress(progressJSON{Published: 1, Total: 2})
	r.latencies(p, []latency{{from: 0, to: 1, samples: []time.Duration{25 * time.Millisecond}}})
	r.local("lon", []time.Duration{time.Millisecond})
	r.check(check{"one order", false, "why"})
	r.say("a story")
	r.result(false, 1, 2, time.Second)
	var types []string
	for line := range strings.Lines(out.String()) {
		var object struct{ Type string }
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		types = append(types, object.Type)
	}
	if want := "start ready progress latency local_latency check result"; strings.Join(types, " ") != want {
		t.Errorf("got %v", types)
	}
	if !strings.Contains(out.String(), `"link_ms":20,"path_ms":20,"farthest_ms":40,"p50_ms":25,"p99_ms":25,"p50_per_farthest":0.625`) {
		t.Errorf("latency line: %s", out.String())
	}
}

func TestUsage(t *testing.T) {
	for _, sites := range []int{0, 1, 7} {
		if err := Run(t.Context(), Config{Sites: sites}); err == nil {
			t.Errorf("%d sites are accepted", sites)
		}
	}
}
