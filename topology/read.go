package topology

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringway/membership"
)

// A reader builds a Topology from the decoded file, table by table, and goes on after
// each fault. It keeps which table each site, node and link came from, so that the
// checks that need the whole file (check.go) can name a line too.
type reader struct {
	*collector
	lines *lineIndex
	sites map[*Site]table
	nodes map[*Node]table
	links []linkTable // with a table in the file
	files bool        // files that the topology names are read, too
}

// A linkTable is a link as it stands in the file; its link is nil where the sites
// could not be read.
type linkTable struct {
	table
	link *Link
}

// Ranges of what a topology may ask for. They keep out slips (a unit too large, a
// value that switches a protocol off), not opinions.
const (
	minTokenLoss = 20 * time.Millisecond // below that an ordinary scheduling pause re-forms the ring
	maxTokenLoss = time.Minute
	minHello     = 5 * time.Millisecond
	maxHello     = 10 * time.Second
	maxWANDelay  = 10 * time.Second // the moon and back is 2.6 s
	maxCost      = 60_000           // ms
	minSlowAfter = 100 * time.Millisecond
	maxSlowAfter = time.Hour
	maxWeight    = 1000 // of a site: enough to rank the largest federation
	maxRules     = 1024 // entries of [[group]], and of [[access.allow]]; each name is held against all
)

// topology reads the whole file. What it returns is only valid if the collector has
// no fault.
func (r *reader) topology(path string, tree map[string]any) *Topology {
	r.sites, r.nodes = map[*Site]table{}, map[*Node]table{}
	top := table{collector: r.collector, lines: r.lines, data: tree}
	top.keys("federation", "site", "link", "group", "access", "timing")
	t := &Topology{Path: path}
	r.federation(t, path, top)
	for _, s := range top.tables("site", numbered("site")) {
		t.Sites = append(t.Sites, r.site(s))
	}
	r.links = r.readLinks(t, top)
	t.Groups = r.groups(top)
	t.Access = r.access(path, top)
	r.timing(t, top)
	r.check(t, top)
	return t
}

// numbered names the elements of an array until they are known by a better name.
func numbered(what string) func(int) string {
	return func(i int) string { return what + " " + strconv.Itoa(i) }
}

func (r *reader) federation(t *Topology, path string, top table) {
	if !top.has("federation") {
		top.add(1, `no [federation]: begin the file with [federation] and name = "acme"`)
		return
	}
	f, ok := top.table("federation", "federation")
	if !ok {
		return
	}
	f.keys("name", "certs", "primary")
	if name, ok := f.needed("name", "acme"); ok {
		if problem := checkFederationName(name); problem != "" {
			f.fault("name", "name %s %s", quote(name), problem)
		}
		t.Name = name
	}
	t.Primary = f.flag("primary", false)
	certs, ok := f.text("certs", "certs")
	switch {
	case ok && (certs == "" || strings.ContainsRune(certs, 0)):
		f.fault("certs", "certs %s is no folder: name the one that `ringway keys init` made, or leave the key out", quote(certs))
	case ok && filepath.IsAbs(certs):
		t.Certs = filepath.Clean(certs)
	case ok:
		t.Certs = filepath.Join(filepath.Dir(path), certs)
	}
}

func (r *reader) site(s table) *Site {
	site := &Site{}
	if name, ok := s.needed("name", "lon"); ok {
		s = s.called("site " + quote(name))
		site.Name, site.ID = name, membership.SiteIDOf(name)
		if problem := checkName(name, membership.MaxNodeName); problem != "" {
			s.fault("name", "name %s", problem)
		}
	}
	r.sites[site] = s
	s.keys("name", "multicast", "transport", "transit", "weight", "node")
	if text, ok := s.text("multicast", groupAddress.example.String()); ok {
		group, problem := parseAddress(text, groupAddress)
		if problem != "" {
			s.fault("multicast", "multicast %s %s", quote(text), problem)
		}
		site.Multicast = group
	}
	if transport, ok := s.text("transport", "unicast"); ok && transport != "unicast" {
		s.fault("transport", "transport %s is not known: write transport = \"unicast\", or multicast = %q instead", quote(transport), groupAddress.example)
	}
	site.NoTransit = !s.flag("transit", true)
	if site.Weight = 1; s.has("weight") {
		site.Weight = s.integer("weight", "2", 0, maxWeight)
	}
	for _, n := range s.tables("node", numbered("node")) {
		site.Nodes = append(site.Nodes, r.node(site, n))
	}
	return site
}

func (r *reader) node(site *Site, n table) *Node {
	node := &Node{Site: site}
	if name, ok := n.needed("name", "lon-1"); ok {
		n = n.called("node " + quote(name))
		node.Name, node.ID = name, membership.NodeIDOf(name)
		if problem := checkName(name, membership.MaxNodeName); problem != "" {
			n.fault("name", "name %s", problem)
		}
	}
	r.nodes[node] = n
	n.keys("name", "address", "clients", "gateway", "admin")
	if text, ok := n.needed("address", ringAddress.example.String()); ok {
		address, problem := parseAddress(text, ringAddress)
		if problem == "" && address.Port() == 65535 {
			problem = "has no port after it, which DTLS needs: use one up to 65534"
			address = node.Address
		}
		if problem != "" {
			n.fault("address", "address %s %s", quote(text), problem)
		}
		node.Address = address
	}
	if text, ok := n.text("gateway", gatewayAddress.example.String()); ok {
		address, problem := parseAddress(text, gatewayAddress)
		if problem != "" {
			n.fault("gateway", "gateway %s %s", quote(text), problem)
		}
		node.Gateway = address
	}
	if text, ok := n.text("admin", adminAddress.example.String()); ok {
		address, problem := parseAddress(text, adminAddress)
		if problem != "" {
			n.fault("admin", "admin %s %s", quote(text), problem)
		}
		node.Admin = address
	}
	node.Clients = clients(n, node)
	return node
}

// maxListeners bounds the addresses of one node that clients connect to.
const maxListeners = 16

func clients(n table, node *Node) []ClientListener {
	const example = `["10.1.0.1:4803", "unix:/tmp/4803"]`
	if !n.has("clients") {
		if !node.Address.IsValid() {
			return nil
		}
		return []ClientListener{{Network: "tcp", Address: node.Address.String()}}
	}
	texts, ok := n.texts("clients", example)
	switch {
	case !ok:
		return nil
	case len(texts) == 0:
		n.fault("clients", "clients is empty, so that no client could connect: write one like %s, or leave the key out for TCP on address", example)
	case len(texts) > maxListeners:
		n.fault("clients", "clients has %d entries: at most %d make sense", len(texts), maxListeners)
		return nil
	}
	var listeners []ClientListener
	for i, text := range texts {
		listener, problem := parseListener(text)
		if problem != "" {
			n.faultAt(n.elementLine("clients", i), "client address %s %s", quote(text), problem)
			continue
		}
		listeners = append(listeners, listener)
	}
	return listeners
}

func (r *reader) readLinks(t *Topology, top table) []linkTable {
	byName := map[string]*Site{}
	for _, site := range t.Sites {
		if site.Name != "" {
			byName[site.Name] = site
		}
	}
	var links []linkTable
	for _, l := range top.tables("link", numbered("link")) {
		links = append(links, r.link(l, byName))
	}
	return links
}

func (r *reader) link(l table, byName map[string]*Site) linkTable {
	const example = `["lon", "fra"]`
	link := &Link{}
	known := false
	names, ok := l.texts("between", example)
	switch {
	case !l.has("between"):
		l.here("between is missing: add between = %s", example)
	case ok && len(names) != 2:
		l.fault("between", "between has %s: write the two sites that it links, as in between = %s", count(len(names), "site"), example)
	case ok:
		l = l.called(fmt.Sprintf("link %s to %s", quote(names[0]), quote(names[1])))
		known = true
		for i, name := range names {
			link.Between[i], ok = byName[name]
			if !ok {
				known = false
				l.faultAt(l.elementLine("between", i), "%s", unknownSite(name, byName))
			}
		}
	}
	l.keys("between", "cost", "wan")
	if cost, ok := l.number("cost", "8"); ok {
		if !(cost > 0 && cost <= maxCost) {
			l.fault("cost", "cost %v is out of range: write milliseconds above 0, up to %d, or leave the key out for the measured cost", cost, maxCost)
		}
		link.Cost = time.Duration(cost * float64(time.Millisecond))
	}
	if wan, ok := l.table("wan", "wan"); ok {
		link.WAN = readWAN(wan)
	}
	if !known {
		link = nil
	}
	return linkTable{table: l, link: link}
}

func unknownSite(name string, byName map[string]*Site) string {
	known := make([]string, 0, len(byName))
	for site := range byName {
		known = append(known, site)
	}
	slices.Sort(known)
	switch near := nearest(name, known); {
	case near != "":
		return fmt.Sprintf("there is no site %s: did you mean %q?", quote(name), near)
	case len(known) == 0 || len(known) > 8:
		return fmt.Sprintf("there is no site %s: name one that has a [[site]]", quote(name))
	default:
		return fmt.Sprintf("there is no site %s: the sites are %s", quote(name), strings.Join(known, ", "))
	}
}

func readWAN(w table) WAN {
	var wan WAN
	w.keys("delay", "jitter", "loss", "rate")
	wan.Delay, _ = w.duration("delay", "8ms", 0, maxWANDelay)
	wan.Jitter, _ = w.duration("jitter", "0.5ms", 0, maxWANDelay)
	if text, ok := w.text("loss", "0.1%"); ok {
		loss, problem := parseLoss(text)
		if problem != "" {
			w.fault("loss", "loss %s %s", quote(text), problem)
		}
		wan.Loss = loss
	}
	if text, ok := w.text("rate", "200mbit"); ok {
		rate, problem := parseRate(text)
		if problem != "" {
			w.fault("rate", "rate %s %s", quote(text), problem)
		}
		wan.Rate = rate
	}
	return wan
}

func (r *reader) groups(top table) []Group {
	var groups []Group
	tables := top.tables("group", numbered("group"))
	if len(tables) > maxRules {
		tables[maxRules].here("one policy too many: at most %d fit", maxRules)
	}
	for _, g := range tables {
		policy := DefaultGroup()
		if match, ok := g.needed("match", "metrics.*"); ok {
			g = g.called("group " + quote(match))
			if problem := checkPattern(match); problem != "" {
				g.fault("match", "match %s %s", quote(match), problem)
			}
			policy.Match = match
		}
		g.keys("match", "scope", "slow_site", "slow_after")
		policy.SiteScope = g.choice("scope", "federation", "site")
		policy.EvictSlow = g.choice("slow_site", "wait", "evict")
		if after, ok := g.duration("slow_after", "10s", minSlowAfter, maxSlowAfter); ok {
			policy.SlowAfter = after
		}
		groups = append(groups, policy)
	}
	return groups
}

// choice reads a key that has two values, and says whether it has the one that is not
// the default.
func (t table) choice(key, usual, other string) bool {
	text, ok := t.text(key, usual)
	if ok && text != usual && text != other {
		t.fault(key, "%s %s is not known: write %q or %q", key, quote(text), usual, other)
	}
	return text == other
}

func (r *reader) timing(t *Topology, top table) {
	t.Timing = derivedTiming(t)
	table, ok := top.table("timing", "timing")
	if !ok {
		return
	}
	table.keys("token_loss", "hello")
	if d, ok := table.duration("token_loss", "300ms", minTokenLoss, maxTokenLoss); ok {
		t.Timing.TokenLoss = d
	}
	if d, ok := table.duration("hello", "100ms", minHello, maxHello); ok {
		t.Timing.Hello = d
	}
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
