package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ringway/membership"
)

func parse(t *testing.T, text string) *Topology {
	t.Helper()
	topology, err := Parse("dir/fed.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// everything uses each key of the schema.
const everything = `
# A comment with [[site]] and "quotes".
[federation]
name  = "acme"
certs = "certs"
primary = true

[[site]]
name      = "lon"
multicast = "239.192.7.1:4803"

  [[site.node]]
  name    = "lon-1"
  address = "10.1.0.1:4803"
  clients = ["10.1.0.1:4803", "unix:/tmp/4803"]
  gateway = "198.51.100.10:4804"
  admin   = "127.0.0.1:4805"

  [[site.node]]
  name    = "lon_2.x"
  address = "[::ffff:10.1.0.2]:4803"   # the same as 10.1.0.2
  admin   = "127.0.0.1:4805"

[[site]]
name      = "fra"
transport = "unicast"
weight    = 3

  [[site.node]]
  name    = "fra-1"
  address = "[fd00::1]:4803"
  gateway = "[2001:db8::1]:4804"
  admin   = "[::]:4805"

[[link]]
between = ["lon", "fra"]
cost    = 8
  [link.wan]
  delay = "8ms"
  jitter = "0.5ms"
  loss = "0.1%"
  rate = "200mbit"

[[group]]
match   = "metrics.*"
scope   = "site"

[[group]]
match   = "m*"
slow_site = "evict"
slow_after = "5s"

[access]
methods = ["IP", "NULL"]
  [[access.allow]]
  client = "logger*"
  send = ["logs.*"]
  join = []
  [[access.allow]]
  client = "[a-k]*"
  join = ["*"]

[timing]
token_loss = "200ms"
hello      = "50ms"
`

func TestEverything(t *testing.T) {
	got := parse(t, everything)
	lon := &Site{ID: membership.SiteIDOf("lon"), Name: "lon", Weight: 1, Multicast: netip.MustParseAddrPort("239.192.7.1:4803")}
	fra := &Site{ID: membership.SiteIDOf("fra"), Name: "fra", Weight: 3}
	lon.Nodes = []*Node{{
		ID: membership.NodeIDOf("lon-1"), Name: "lon-1", Site: lon,
		Address: netip.MustParseAddrPort("10.1.0.1:4803"),
		Clients: []ClientListener{{"tcp", "10.1.0.1:4803"}, {"unix", "/tmp/4803"}},
		Gateway: netip.MustParseAddrPort("198.51.100.10:4804"),
		Admin:   netip.MustParseAddrPort("127.0.0.1:4805"),
	}, {
		ID: membership.NodeIDOf("lon_2.x"), Name: "lon_2.x", Site: lon,
		Address: netip.MustParseAddrPort("10.1.0.2:4803"),
		Clients: []ClientListener{{"tcp", "10.1.0.2:4803"}},
		Admin:   netip.MustParseAddrPort("127.0.0.1:4805"),
	}}
	fra.Nodes = []*Node{{
		ID: membership.NodeIDOf("fra-1"), Name: "fra-1", Site: fra,
		Address: netip.MustParseAddrPort("[fd00::1]:4803"),
		Clients: []ClientListener{{"tcp", "[fd00::1]:4803"}},
		Gateway: netip.MustParseAddrPort("[2001:db8::1]:4804"),
		Admin:   netip.MustParseAddrPort("[::]:4805"),
	}}
	want := &Topology{
		Path: "dir/fed.toml", Name: "acme", Certs: "dir/certs", Primary: true,
		Sites: []*Site{lon, fra},
		Links: []*Link{{
			Between: [2]*Site{lon, fra}, Cost: 8 * time.Millisecond,
			WAN: WAN{Delay: 8 * time.Millisecond, Jitter: 500 * time.Microsecond, Loss: 0.001, Rate: 200_000_000},
		}},
		Groups: []Group{
			{Match: "metrics.*", SiteScope: true, SlowAfter: 10 * time.Second},
			{Match: "m*", EvictSlow: true, SlowAfter: 5 * time.Second},
		},
		Access: Access{SlowReader: Disconnect, BlockTime: defaultBlockTime,
			Methods: []string{"IP", "NULL"},
			Allow:   []Rule{{Client: "logger*", Send: []string{"logs.*"}, Join: []string{}}, {Client: "[a-k]*", Join: []string{"*"}}},
		},
		Timing: Timing{TokenLoss: 200 * time.Millisecond, Hello: 50 * time.Millisecond},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// federation writes a topology of sites with so many nodes each, without links.
func federation(sites ...int) string {
	var b strings.Builder
	b.WriteString("[federation]\nname = \"acme\"\n")
	for s, nodes := range sites {
		fmt.Fprintf(&b, "[[site]]\nname = \"s%d\"\ntransport = \"unicast\"\n", s)
		for n := range nodes {
			fmt.Fprintf(&b, "[[site.node]]\nname = \"s%d-%d\"\naddress = \"127.%d.%d.1:4803\"\n", s, n, s+1, n)
			if n == 0 {
				fmt.Fprintf(&b, "gateway = \"127.%d.0.1:4810\"\n", s+1)
			}
		}
	}
	return b.String()
}

func TestDefaults(t *testing.T) {
	top := parse(t, federation(2, 1, 1))
	if got, want := top.Timing, (Timing{TokenLoss: 300 * time.Millisecond, Hello: 100 * time.Millisecond}); got != want {
		t.Errorf("timing %v, want %v", got, want)
	}
	if got := top.Access; len(got.Allow) != 0 || !reflect.DeepEqual(got.Methods, []string{"NULL"}) {
		t.Errorf("access %v", got)
	}
	if got, want := top.GroupPolicy("any"), (Group{Match: "*", SlowAfter: 10 * time.Second}); got != want {
		t.Errorf("policy %v, want %v", got, want)
	}
	if top.Certs != "" || len(top.Groups) != 0 {
		t.Errorf("certs %q, groups %v", top.Certs, top.Groups)
	}
	node, _ := top.Node("s0-1")
	if got, want := node.Clients, []ClientListener{{"tcp", "127.1.1.1:4803"}}; !reflect.DeepEqual(got, want) || node.IsGateway() || node.Admin.IsValid() {
		t.Errorf("node %+v", node)
	}
	var links []string
	for _, l := range top.Links {
		links = append(links, l.Between[0].Name+"-"+l.Between[1].Name)
	}
	if got := strings.Join(links, " "); got != "s0-s1 s0-s2 s1-s2" {
		t.Errorf("links %s, want a full mesh", got)
	}
	// One node alone needs neither multicast nor unicast.
	parse(t, "[federation]\nname = \"a\"\n[[site]]\nname = \"s\"\n[[site.node]]\nname = \"n\"\naddress = \"10.0.0.1:4803\"\n")
}

func TestTokenLossGrowsWithTheRing(t *testing.T) {
	for nodes, want := range map[int]time.Duration{1: 300, 16: 300, 17: 305, 128: 860} {
		if got := parse(t, federation(1, nodes)).Timing.TokenLoss; got != want*time.Millisecond {
			t.Errorf("%d nodes: %v, want %dms", nodes, got, want)
		}
	}
}

func TestCertsFolder(t *testing.T) {
	for _, c := range []struct{ path, certs, want string }{
		{"dir/fed.toml", "certs", "dir/certs"},
		{"fed.toml", "certs", "certs"},
		{"fed.toml", ".", "."},
		{"/etc/ringway/fed.toml", "../pki", "/etc/pki"},
		{"dir/fed.toml", "/etc/certs/", "/etc/certs"},
		{"", "certs", "certs"},
	} {
		text := strings.Replace(federation(1), "\n", "\ncerts = \""+c.certs+"\"\n", 1)
		top, err := Parse(c.path, []byte(text))
		if err != nil {
			t.Error(err)
		} else if top.Certs != c.want {
			t.Errorf("certs %q of %q: %q, want %q", c.certs, c.path, top.Certs, c.want)
		}
	}
}

// TestNotCollisions has sockets that look alike but can be open at once.
func TestNotCollisions(t *testing.T) {
	site := func(nodes ...string) string {
		text := "[federation]\nname = \"acme\"\n[[site]]\nname = \"s\"\ntransport = \"unicast\"\n"
		for i, n := range nodes {
			text += fmt.Sprintf("[[site.node]]\nname = \"n%d\"\n%s\n", i, n)
		}
		return text
	}
	for name, text := range map[string]string{
		"loopback of two machines":        site("address = \"10.0.0.1:1\"\nadmin = \"127.0.0.1:80\"", "address = \"10.0.0.2:1\"\nadmin = \"127.0.0.1:80\""),
		"unix sockets of two machines":    site("address = \"10.0.0.1:1\"\nclients = [\"unix:/s\"]", "address = \"10.0.0.2:1\"\nclients = [\"unix:/s\"]"),
		"every address of two machines":   site("address = \"10.0.0.1:1\"\nadmin = \"0.0.0.0:80\"", "address = \"10.0.0.2:1\"\nadmin = \"0.0.0.0:80\""),
		"UDP and TCP":                     site("address = \"10.0.0.1:1\"\ngateway = \"10.0.0.1:80\"\nadmin = \"10.0.0.1:80\""),
		"admin on the DTLS port's number": site("address = \"10.0.0.1:1\"\nadmin = \"10.0.0.1:2\""),
		"two ports of one address":        site("address = \"10.0.0.1:1\"", "address = \"10.0.0.1:3\""),
		"one group, two ports": "[federation]\nname = \"a\"\n" +
			"[[site]]\nname = \"s\"\nmulticast = \"239.0.0.1:1\"\nnode = [{name = \"a\", address = \"10.0.0.1:1\", gateway = \"10.9.0.1:1\"}]\n" +
			"[[site]]\nname = \"t\"\nmulticast = \"239.0.0.1:2\"\nnode = [{name = \"b\", address = \"10.0.0.2:1\", gateway = \"10.9.0.2:1\"}]\n",
	} {
		if _, err := Parse(name, []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestLookups(t *testing.T) {
	top := parse(t, everything)
	lon, fra := top.Sites[0], top.Sites[1]
	if n, ok := top.Node("fra-1"); !ok || n != fra.Nodes[0] {
		t.Errorf("Node: %v, %v", n, ok)
	}
	if n, ok := top.NodeByID(membership.NodeIDOf("lon_2.x")); !ok || n != lon.Nodes[1] {
		t.Errorf("NodeByID: %v, %v", n, ok)
	}
	if s, ok := top.SiteByName("fra"); !ok || s != fra {
		t.Errorf("SiteByName: %v, %v", s, ok)
	}
	if s, ok := top.SiteByID(lon.ID); !ok || s != lon {
		t.Errorf("SiteByID: %v, %v", s, ok)
	}
	if g := top.Gateways(lon.ID); len(g) != 1 || g[0] != lon.Nodes[0] {
		t.Errorf("Gateways: %v", g)
	}
	a, okA := top.LinkBetween(lon.ID, fra.ID)
	b, okB := top.LinkBetween(fra.ID, lon.ID)
	if a != top.Links[0] || b != a || !okA || !okB {
		t.Errorf("LinkBetween: %v, %v", a, b)
	}
	want := map[membership.NodeID]membership.SiteID{
		membership.NodeIDOf("lon-1"): lon.ID, membership.NodeIDOf("lon_2.x"): lon.ID, membership.NodeIDOf("fra-1"): fra.ID,
	}
	if got := top.NodeSites(); !reflect.DeepEqual(got, want) {
		t.Errorf("NodeSites: %v", got)
	}
	_, ok1 := top.Node("x")
	_, ok2 := top.NodeByID(1)
	_, ok3 := top.SiteByName("x")
	_, ok4 := top.SiteByID(1)
	_, ok5 := top.LinkBetween(lon.ID, lon.ID)
	if ok1 || ok2 || ok3 || ok4 || ok5 || top.Gateways(1) != nil {
		t.Error("found what is not there")
	}
}

func TestAllLoopback(t *testing.T) {
	text := `[federation]
name = "a"
[[site]]
name = "s"
multicast = "239.0.0.1:1"
[[site.node]]
name = "n"
address = "127.1.2.3:1"
clients = ["127.0.0.1:3", "unix:/tmp/s"]
gateway = "127.0.0.1:4"
admin = "127.0.0.1:5"
`
	if !parse(t, text).AllLoopback() {
		t.Error("loopback is not seen")
	}
	for _, address := range []string{"127.1.2.3:1", "127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5"} {
		outside := "10" + strings.TrimPrefix(address, "127")
		if parse(t, strings.Replace(text, address, outside, 1)).AllLoopback() {
			t.Errorf("%s counts as loopback", outside)
		}
	}
	if parse(t, strings.Replace(text, "127.0.0.1:5", "0.0.0.0:5", 1)).AllLoopback() {
		t.Error("0.0.0.0 counts as loopback")
	}
	six := "[federation]\nname = \"a\"\n[[site]]\nname = \"s\"\n[[site.node]]\nname = \"n\"\naddress = \"[::1]:1\"\n"
	if !parse(t, six).AllLoopback() {
		t.Error("::1 is not loopback")
	}
}

func TestGroupPolicy(t *testing.T) {
	top := parse(t, everything)
	for name, want := range map[string]string{
		"metrics.cpu": "metrics.*", "metrics.": "metrics.*", "metrics.a/b": "metrics.*",
		"mail": "m*", "metrics": "m*", "other": "*", "": "*",
	} {
		if got := top.GroupPolicy(name); got.Match != want {
			t.Errorf("%q falls under %q, want %q", name, got.Match, want)
		}
	}
}

func TestAccessRules(t *testing.T) {
	access := parse(t, everything).Access
	for _, c := range []struct {
		client, group string
		send, join    bool
	}{
		{"logger1", "logs.a", true, false},
		{"logger1", "other", false, false},
		{"alice", "logs.a", false, true},
		{"zoe", "logs.a", false, false}, // no rule is for her
	} {
		if send, join := access.MaySend(c.client, c.group), access.MayJoin(c.client, c.group); send != c.send || join != c.join {
			t.Errorf("%s in %s: send %v, join %v", c.client, c.group, send, join)
		}
	}
	var open Access
	if !open.MaySend("a", "b") || !open.MayJoin("a", "b") {
		t.Error("without rules not everything is allowed")
	}
}

func TestPaths(t *testing.T) {
	// a--1ms--b--1ms--c, a--2ms--c (same cost, fewer links), c--cost 5--d, b--d unmeasured.
	top := parse(t, federation(1, 1, 1, 1)+`
[[link]]
between = ["s0", "s1"]
[[link]]
between = ["s1", "s2"]
wan = { delay = "1ms" }
[[link]]
between = ["s2", "s0"]
wan = { delay = "2ms" }
[[link]]
between = ["s3", "s2"]
cost = 1.5
wan = { delay = "100ms" }
[[link]]
between = ["s3", "s1"]
cost = 40
`)
	want := []string{
		"s0 > s1 1ms, s0 > s2 2ms, s0 > s2 > s3 3.5ms",
		"s1 > s0 1ms, s1 > s2 1ms, s1 > s2 > s3 2.5ms",
		"s2 > s0 2ms, s2 > s1 1ms, s2 > s3 1.5ms",
		"s3 > s2 > s0 3.5ms, s3 > s2 > s1 2.5ms, s3 > s2 1.5ms",
	}
	for i, from := range top.Sites {
		var paths []string
		for _, p := range top.Paths(from) {
			paths = append(paths, strings.Join(siteNames(p.Via), " > ")+" "+p.Cost.String())
		}
		if got := strings.Join(paths, ", "); got != want[i] {
			t.Errorf("from %s: %s\nwant %s", from.Name, got, want[i])
		}
	}
	if got := top.Paths(&Site{}); got != nil {
		t.Errorf("paths from nowhere: %v", got)
	}
}

// TestExplain holds what `ringway check` prints of the examples, as text and as JSON.
func TestExplain(t *testing.T) {
	for _, name := range []string{"single-site", "two-sites", "cloud-unicast", "three-sites", "six-regions", "hub-and-spoke"} {
		top, err := Load(filepath.Join("../examples/topologies", name+".toml"))
		if err != nil {
			t.Error(err)
			continue
		}
		var text, object, indented bytes.Buffer
		if err := top.Explain(&text); err != nil {
			t.Error(err)
		}
		if err := top.ExplainJSON(&object); err != nil {
			t.Error(err)
		}
		if bytes.Count(object.Bytes(), []byte("\n")) != 1 {
			t.Errorf("%s: JSON is not one line", name)
		}
		if err := json.Indent(&indented, object.Bytes(), "", "  "); err != nil {
			t.Error(err)
		}
		golden(t, filepath.Join("testdata", name+".explained.txt"), text.Bytes())
		golden(t, filepath.Join("testdata", name+".explained.json"), indented.Bytes())
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestExplainReportsWriteErrors(t *testing.T) {
	top := parse(t, everything)
	if top.Explain(brokenWriter{}) == nil || top.ExplainJSON(brokenWriter{}) == nil {
		t.Error("a failed write is not reported")
	}
}

// TestNamesOfOtherFiles: a node's certificate must not be the authority's file, the list of
// what was revoked, or a key.
func TestNamesOfOtherFiles(t *testing.T) {
	for name, good := range map[string]bool{"ca": false, "revoked": false, "lon-key": false, "lon-1": true} {
		text := "[federation]\nname = \"acme\"\ncerts = \"certs\"\n[[site]]\nname = \"lon\"\n[[site.node]]\nname = \"" + name + "\"\naddress = \"10.1.0.1:4803\"\n"
		if _, err := Parse("t.toml", []byte(text)); (err == nil) != good {
			t.Errorf("a node called %s: %v", name, err)
		}
	}
}
