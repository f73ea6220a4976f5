package topology

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"
)

// Explain writes what the topology means, as `ringway check` prints it: plain text
// that stays the same for the same file.
func (t *Topology) Explain(w io.Writer) error {
	e := &explainer{out: w}
	e.line("federation %s: %s, %s, %s", t.Name, count(len(t.Sites), "site"), count(countNodes(t), "node"), count(len(t.Links), "link"))
	e.line("certificates: %s", certificates(t))
	e.sites(t)
	e.links(t)
	e.policies(t)
	e.access(t)
	e.timing(t)
	e.paths(t)
	return e.err
}

func countNodes(t *Topology) int {
	n := 0
	for range t.nodes {
		n++
	}
	return n
}

func certificates(t *Topology) string {
	switch {
	case t.Certs != "":
		return "in " + t.Certs
	case t.AllLoopback():
		return "none; all addresses are loopback, so nodes start with throw-away ones that nobody verifies"
	}
	return "none; nodes start only with --insecure, and nobody verifies anybody"
}

// An explainer writes lines and tables until the first error.
type explainer struct {
	out io.Writer
	err error
}

func (e *explainer) line(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.out, format+"\n", args...)
	}
}

// table writes rows of cells in columns, indented.
func (e *explainer) table(rows [][]string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	// A strings.Builder takes everything.
	_ = w.Flush()
	for line := range strings.Lines(text.String()) {
		e.line("%s", strings.TrimRight(line, " \n"))
	}
}

func (e *explainer) sites(t *Topology) {
	for _, s := range t.Sites {
		ring := "unicast fan-out"
		switch {
		case s.Multicast.IsValid():
			ring = "multicast " + s.Multicast.String()
		case len(s.Nodes) == 1:
			ring = "one node"
		}
		e.line("")
		e.line("site %s (id %v): %s, %s", s.Name, s.ID, ring, count(len(s.Nodes), "node"))
		rows := [][]string{{"node", "id", "ring UDP", "DTLS UDP", "clients", "gateway UDP", "admin TCP"}}
		for _, n := range s.Nodes {
			rows = append(rows, []string{
				n.Name, n.ID.String(), n.Address.String(), n.DTLS().String(),
				strings.Join(listeners(n), " "), orNone(n.Gateway), orNone(n.Admin),
			})
		}
		e.table(rows)
	}
}

// DTLS returns the address for ring keys and joins of new nodes: the UDP port after
// the ring's.
func (n *Node) DTLS() netip.AddrPort {
	return netip.AddrPortFrom(n.Address.Addr(), n.Address.Port()+1)
}

func listeners(n *Node) []string {
	texts := make([]string, 0, len(n.Clients))
	for _, c := range n.Clients {
		text := c.Address
		if c.Network == "unix" {
			text = "unix:" + text
		}
		texts = append(texts, text)
	}
	return texts
}

func orNone(a netip.AddrPort) string {
	if a.IsValid() {
		return a.String()
	}
	return "-"
}

func (e *explainer) links(t *Topology) {
	if len(t.Links) == 0 {
		return
	}
	e.line("")
	e.line("links")
	rows := [][]string{{"between", "", "cost", "emulated by the lab"}}
	for _, l := range t.Links {
		cost := "measured"
		if l.Cost > 0 {
			cost = l.Cost.String()
		}
		rows = append(rows, []string{l.Between[0].Name, l.Between[1].Name, cost, l.WAN.String()})
	}
	e.table(rows)
}

// String writes what is emulated, or "-".
func (w WAN) String() string {
	var parts []string
	if w.Delay > 0 {
		parts = append(parts, "delay "+w.Delay.String())
	}
	if w.Jitter > 0 {
		parts = append(parts, "jitter "+w.Jitter.String())
	}
	if w.Loss > 0 {
		parts = append(parts, "loss "+formatLoss(w.Loss))
	}
	if w.Rate > 0 {
		parts = append(parts, "rate "+formatRate(w.Rate))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func (e *explainer) policies(t *Topology) {
	e.line("")
	e.line("groups")
	rows := [][]string{{"match", "scope", "slow site"}}
	for _, g := range append(t.Groups[:len(t.Groups):len(t.Groups)], DefaultGroup()) {
		rows = append(rows, []string{g.Match, g.scope(), g.slowSite()})
	}
	e.table(rows)
}

func (g Group) scope() string {
	if g.SiteScope {
		return "site"
	}
	return "federation"
}

func (g Group) slowSite() string {
	if g.EvictSlow {
		return "evict after " + shortDuration(g.SlowAfter)
	}
	return "wait"
}

func (e *explainer) access(t *Topology) {
	e.line("")
	e.line("access: methods %s", strings.Join(t.Access.Methods, ", "))
	if len(t.Access.Allow) == 0 {
		e.line("  every client may send to and join every group")
		return
	}
	rows := [][]string{{"client", "may send to", "may join"}}
	for _, rule := range t.Access.Allow {
		rows = append(rows, []string{rule.Client, patterns(rule.Send), patterns(rule.Join)})
	}
	e.table(append(rows, []string{"any other", "-", "-"}))
}

func patterns(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, " ")
}

func (e *explainer) timing(t *Topology) {
	e.line("")
	e.line("timing")
	var rows [][]string
	for _, d := range t.DerivedTiming() {
		rows = append(rows, []string{d.Name, d.Value.String(), d.Why})
	}
	e.table(rows)
}

func (e *explainer) paths(t *Topology) {
	if len(t.Sites) < 2 {
		return
	}
	e.line("")
	e.line("shortest paths (a link counts its cost, else its emulated delay, else %v)", unmeasuredHop)
	for _, from := range t.Sites {
		rows := [][]string{}
		for _, path := range t.Paths(from) {
			rows = append(rows, []string{"to " + path.To.Name, path.Cost.String(), strings.Join(siteNames(path.Via), " > ")})
		}
		e.line("from %s", from.Name)
		e.table(rows)
	}
}

func siteNames(sites []*Site) []string {
	names := make([]string, len(sites))
	for i, s := range sites {
		names[i] = s.Name
	}
	return names
}

// The JSON of ExplainJSON. Durations are nanoseconds; what a node does not have is
// left out. Keys are only ever added.
type (
	explained struct {
		Type        string          `json:"type"` // "topology"
		Federation  string          `json:"federation"`
		Certs       string          `json:"certs,omitempty"`
		AllLoopback bool            `json:"all_loopback"`
		Sites       []explainedSite `json:"sites"`
		Links       []explainedLink `json:"links"`
		Groups      []explainedRule `json:"groups"`
		Access      explainedAccess `json:"access"`
		Timing      []Derived       `json:"timing"`
		Paths       []explainedPath `json:"paths"`
	}
	explainedSite struct {
		Name      string          `json:"name"`
		ID        string          `json:"id"`
		Multicast string          `json:"multicast,omitempty"`
		Nodes     []explainedNode `json:"nodes"`
	}
	explainedNode struct {
		Name    string   `json:"name"`
		ID      string   `json:"id"`
		Address string   `json:"address"`
		DTLS    string   `json:"dtls"`
		Clients []string `json:"clients"`
		Gateway string   `json:"gateway,omitempty"`
		Admin   string   `json:"admin,omitempty"`
	}
	explainedLink struct {
		Between [2]string     `json:"between"`
		Cost    time.Duration `json:"cost_ns"` // 0: measured
		Planned time.Duration `json:"planned_ns"`
		Source  string        `json:"planned_from"`
		Delay   time.Duration `json:"wan_delay_ns,omitempty"`
		Jitter  time.Duration `json:"wan_jitter_ns,omitempty"`
		Loss    float64       `json:"wan_loss,omitempty"`     // fraction
		Rate    uint64        `json:"wan_rate_bps,omitempty"` // bit/s
	}
	explainedRule struct {
		Match     string        `json:"match"`
		Scope     string        `json:"scope"`
		SlowSite  string        `json:"slow_site"`
		SlowAfter time.Duration `json:"slow_after_ns"`
	}
	explainedAccess struct {
		Methods []string         `json:"methods"`
		Allow   []explainedAllow `json:"allow"`
	}
	explainedAllow struct {
		Client string   `json:"client"`
		Send   []string `json:"send"`
		Join   []string `json:"join"`
	}
	explainedPath struct {
		From string        `json:"from"`
		To   string        `json:"to"`
		Cost time.Duration `json:"cost_ns"`
		Via  []string      `json:"via"`
	}
)

// ExplainJSON writes what Explain says as one JSON object on one line.
func (t *Topology) ExplainJSON(w io.Writer) error {
	x := explained{
		Type: "topology", Federation: t.Name, Certs: t.Certs, AllLoopback: t.AllLoopback(),
		Sites: []explainedSite{}, Links: []explainedLink{}, Groups: []explainedRule{}, Paths: []explainedPath{},
		Access: explainedAccess{Methods: t.Access.Methods, Allow: []explainedAllow{}},
		Timing: t.DerivedTiming(),
	}
	for _, s := range t.Sites {
		x.Sites = append(x.Sites, explainSite(s))
		for _, path := range t.Paths(s) {
			x.Paths = append(x.Paths, explainedPath{From: s.Name, To: path.To.Name, Cost: path.Cost, Via: siteNames(path.Via)})
		}
	}
	for _, l := range t.Links {
		planned, source := l.planned()
		x.Links = append(x.Links, explainedLink{
			Between: [2]string{l.Between[0].Name, l.Between[1].Name},
			Cost:    l.Cost, Planned: planned, Source: source,
			Delay: l.WAN.Delay, Jitter: l.WAN.Jitter, Loss: l.WAN.Loss, Rate: l.WAN.Rate,
		})
	}
	for _, g := range t.Groups {
		slow := "wait"
		if g.EvictSlow {
			slow = "evict"
		}
		x.Groups = append(x.Groups, explainedRule{Match: g.Match, Scope: g.scope(), SlowSite: slow, SlowAfter: g.SlowAfter})
	}
	for _, rule := range t.Access.Allow {
		x.Access.Allow = append(x.Access.Allow, explainedAllow{
			Client: rule.Client, Send: append([]string{}, rule.Send...), Join: append([]string{}, rule.Join...),
		})
	}
	return json.NewEncoder(w).Encode(x)
}

func explainSite(s *Site) explainedSite {
	site := explainedSite{Name: s.Name, ID: s.ID.String(), Nodes: []explainedNode{}}
	if s.Multicast.IsValid() {
		site.Multicast = s.Multicast.String()
	}
	text := func(a netip.AddrPort) string {
		if a.IsValid() {
			return a.String()
		}
		return ""
	}
	for _, n := range s.Nodes {
		site.Nodes = append(site.Nodes, explainedNode{
			Name: n.Name, ID: n.ID.String(), Address: text(n.Address), DTLS: text(n.DTLS()),
			Clients: listeners(n), Gateway: text(n.Gateway), Admin: text(n.Admin),
		})
	}
	return site
}
