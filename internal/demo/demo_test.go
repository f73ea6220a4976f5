package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/client"
	"ringway/topology"
)

// scene returns what five members received of two publishers, without a fault: ten lines
// of each for all, then five of each on its side of a cut, then one of each for all. The
// last member came at the end.
func scene() ([]history, []*publisher) {
	a, b := &publisher{name: "#web#lon-2", site: 0}, &publisher{name: "#web#fra-2", site: 1}
	all := audience{allSites(2), allSites(2)}
	histories := []history{{member: "#m#lon-1"}, {member: "#m#lon-2"}, {member: "#m#fra-1", site: 1}, {member: "#m#fra-2", site: 1}, {member: "#m#fra-3", site: 1, born: 20}}
	say := func(p *publisher, at time.Duration, text string, to audience) {
		n := len(p.sent)
		p.sent = append(p.sent, sending{[]byte(text), at, to})
		for i := range histories {
			h := &histories[i]
			if to.may.has(h.site) && at >= h.born {
				h.deliveries = append(h.deliveries, delivery{p.name, int16(n), []byte(text), at, len(h.views) - 1})
			}
		}
	}
	view := func(id uint32, of sites) {
		for i := range histories {
			if h := &histories[i]; of.has(h.site) && (h.born == 0 || id == 4) {
				h.views = append(h.views, groupView{id: client.ViewID{id}})
			}
		}
	}
	view(1, allSites(2))
	for i := range 10 {
		for _, p := range []*publisher{a, b} {
			say(p, 1, fmt.Sprintf("line %d", i/2), all) // some lines are equal
		}
	}
	view(2, siteSet(0))
	view(3, siteSet(1))
	for i := range 5 {
		for _, p := range []*publisher{a, b} {
			side := audience{siteSet(p.site), siteSet(p.site)}
			say(p, 10, fmt.Sprintf("apart %d", i), side)
		}
	}
	view(4, allSites(2))
	for _, p := range []*publisher{a, b} {
		say(p, 20, "together", all)
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

// TestCompare has a fault of each kind, and which checks see it: publishers' order, one
// order, nothing lost, the same in the same view. Behind a fault of the first, nothing
// else is looked at.
func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name, want string
		spoil      func(h *history)
	}{
		{"no fault", "++++", func(*history) {}},
		{"two publishers change places", "+-+-", func(h *history) { d := h.deliveries; d[4], d[5] = d[5], d[4] }},
		{"one publisher's lines change places", "--", func(h *history) { d := h.deliveries; d[0], d[8] = d[8], d[0] }},
		{"one is missing", "++--", func(h *history) { h.deliveries = slices.Delete(h.deliveries, 7, 8) }},
		{"the last is missing", "++-+", func(h *history) { h.deliveries = h.deliveries[:len(h.deliveries)-1] }},
		{"one comes twice", "--", func(h *history) { h.deliveries = slices.Insert(h.deliveries, 7, h.deliveries[6]) }},
		{"a byte differs", "--", func(h *history) { h.deliveries[3].data = []byte("line o") }},
		{"a stranger's message", "--", func(h *history) {
			h.deliveries = append(h.deliveries, delivery{sender: "#x#lon-1", data: []byte("hi")})
		}},
		{"another sender", "--", func(h *history) { h.deliveries[3].sender = h.deliveries[2].sender }},
		{"nothing at all", "++--", func(h *history) { h.deliveries = nil }},
		{"one of the other side", "++--", func(h *history) {
			h.deliveries = slices.Insert(h.deliveries, 25, delivery{"#web#lon-2", 10, []byte("apart 0"), 10, 1})
		}},
		{"one in the view after", "+++-", func(h *history) { h.deliveries[19].view++ }},
		{"its node was killed", "++++", func(h *history) { h.dead, h.deliveries, h.views = true, h.deliveries[:9], h.views[:1] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			histories, publishers := scene()
			test.spoil(&histories[3])
			checks := compare(histories, publishers)
			if got := verdicts(checks); got != test.want {
				t.Errorf("got %s, want %s: %+v", got, test.want, checks)
			}
		})
	}
}

func TestEveryoneAlikeAndWrong(t *testing.T) {
	histories, publishers := scene()
	for i := range histories[:4] {
		histories[i].deliveries = histories[i].deliveries[1:]
	}
	if got := verdicts(compare(histories, publishers)); got != "++-+" {
		t.Errorf("a message that nobody has: got %s", got)
	}
}

// TestNumbersBeyondTheTag: a publisher's messages are told apart beyond 65,536.
func TestNumbersBeyondTheTag(t *testing.T) {
	sent := make([]sending, 140_000)
	for i := range sent {
		sent[i].data = fmt.Appendf(nil, "line %d", i)
	}
	for _, n := range []int{0, 1, 40_000, 65_535, 65_536, 100_000, 139_999} {
		for _, from := range []int{0, n / 2, n} {
			if got := find(sent, from, delivery{tag: int16(n), data: sent[n].data}); got != n {
				t.Errorf("number %d, looked for from %d: got %d", n, from, got)
			}
		}
		if got := find(sent, n+1, delivery{tag: int16(n), data: sent[n].data}); got != -1 {
			t.Errorf("number %d is found behind itself, as %d", n, got)
		}
	}
}

func TestInjectedFaultsAreSeen(t *testing.T) {
	for fault, want := range map[string]string{faultSwap: "+-", faultDrop: "++-"} {
		histories, publishers := scene()
		if err := inject(fault, histories); err != nil {
			t.Fatal(err)
		}
		if got := verdicts(compare(histories, publishers)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s", fault, got)
		}
		if histories[0].deliveries[10].sender != "#web#lon-2" || len(histories[0].deliveries) != 27 {
			t.Errorf("%s: another member was changed too", fault)
		}
	}
	histories, _ := scene()
	if err := inject("unheard-of", histories); err == nil {
		t.Error("an unknown fault is accepted")
	}
}

func TestLongestStall(t *testing.T) {
	m := &member{got: map[string][]delivery{feedGroup: {
		{sender: "a", at: 5}, {sender: "a", at: 12}, {sender: "b", at: 20}, {sender: "a", at: 32}, {sender: "a", at: 35},
	}}}
	if got := longestStall([]*member{m}, "a", 10, 40); got != 20 {
		t.Errorf("got %d, want 20: from 12 to 32", got)
	}
	if got := longestStall([]*member{m}, "a", 33, 100); got != 65 {
		t.Errorf("got %d, want 65: since 35", got)
	}
}

// TestStrikeIsJudged: a death that costs too much is no good one, unless nodes may be silent for
// longer.
func TestStrikeIsJudged(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		s    strike
		want bool
	}{
		{"a good one", strike{left: 60 * ms, stall: 390 * ms, back: 720 * ms}, true},
		{"its member stays", strike{left: strikeBound, stall: 390 * ms, back: 720 * ms}, false},
		{"its site is not heard", strike{left: 60 * ms, stall: strikeBound, back: 720 * ms}, false},
		{"it does not come back", strike{left: 60 * ms, stall: 390 * ms, back: backBound}, false},
		{"with patience", strike{left: strikeBound, stall: strikeBound, back: backBound, slack: ms}, true},
	} {
		checks := test.s.checks()
		if len(checks) != 1 || checks[0].OK != test.want {
			t.Errorf("%s: %+v", test.name, checks)
		}
	}
}

// TestTimeIsJudged: a minute, more for a feed that takes longer to publish, and time before the
// attempt that counts is said.
func TestTimeIsJudged(t *testing.T) {
	const usual = 10_000
	for _, test := range []struct {
		took, whole time.Duration
		lines       int
		want        bool
		says        string
	}{
		{28 * time.Second, 28 * time.Second, usual, true, "28.0 s of 60"},
		{promisedTime, promisedTime, usual, false, "60.0 s of 60"},
		{40 * time.Second, 70 * time.Second, usual, true, "40.0 s of 60, after 30.0 s that did not count"},
		{promisedTime, promisedTime, 1 << 20, true, "60.0 s of "},
	} {
		if c := timeCheck(test.took, test.whole, test.lines); c.OK != test.want || !strings.HasPrefix(c.Detail, test.says) {
			t.Errorf("%v of %v, %d lines: %+v", test.took, test.whole, test.lines, c)
		}
	}
}

func TestSiteSets(t *testing.T) {
	p := &plan{sites: []planSite{{name: "lon"}, {name: "fra"}, {name: "nyc"}}}
	for set, want := range map[sites]string{0: "", siteSet(1): "fra", siteSet(0, 2): "lon and nyc", allSites(3): "lon, fra and nyc"} {
		if got := set.names(p); got != want {
			t.Errorf("%b: got %q, want %q", set, got, want)
		}
	}
}

// TestPicture: what stands below the text is taken away before more text comes.
func TestPicture(t *testing.T) {
	var out bytes.Buffer
	r := newReporter(&out, false, true)
	r.show(func() []string { return []string{"one", "two"} })
	r.say("text")
	r.show(nil)
	const erase = "\x1b[2A\x1b[J"
	if got, want := out.String(), "one\ntwo\n"+erase+"text\none\ntwo\n"+erase; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	plain := newReporter(&out, false, false)
	plain.show(func() []string { return []string{"picture"} })
	plain.say("text")
	if out.String() != "text\n" {
		t.Errorf("piped: got %q", out.String())
	}
}

func TestPlanIsAValidTopology(t *testing.T) {
	for sites := MinSites; sites <= MaxSites; sites++ {
		for _, unicast := range []bool{false, true} {
			p, err := newPlan(t.TempDir(), sites, unicast, patiences[sites%len(patiences)])
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
				if s.Multicast.IsValid() == unicast || len(s.Gateways()) != nodesPerSite {
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
	p := &publisher{name: "#web#lon-2", site: 0, sent: []sending{{at: 10}, {at: 20}, {at: 30}}}
	h := history{site: 1, deliveries: []delivery{{sender: p.name, at: 15}, {sender: "#x#y", at: 16}, {sender: p.name, at: 27}, {sender: p.name, at: 99}}}
	pairs := latencies([]history{h}, []*publisher{p}, []int{2}, 2)
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
	p, err := newPlan(t.TempDir(), 3, false, patiences[0])
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := newReporter(&out, true, false)
	r.start(p, "/tmp/x")
	r.ready(time.Second, nil)
	r.again(&errApart{"a", "b"}, patiences[1])
	r.progress(progressJSON{Published: 1, Total: 2})
	r.latencies(p, []latency{{from: 0, to: 1, samples: []time.Duration{25 * time.Millisecond}}})
	r.local("lon", []time.Duration{time.Millisecond})
	r.cut(p, &isolation{cut: siteSet(2)})
	r.strike(&strike{node: "fra-1"})
	r.running(p)
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
	if want := "start ready again progress latency local_latency cut kill running check result"; strings.Join(types, " ") != want {
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
