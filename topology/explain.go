package topology

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
)

// Explain writes what the topology means, as `ringway check` prints it: plain text
// that stays the same for the same file.
func (t *Topology) Explain(w io.Writer) error {
	e := &explainer{out: w}
	e.line("federation %s: %s, %s, %s", t.Name, count(len(t.Sites), "site"), count(countNodes(t), "node"), count(len(t.Links), "link"))
	e.line("certificates: %s", certificates(t))
	if t.Primary {
		e.line("primary views: %s", weights(t))
	}
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

// weights lists what each site has to say.
func weights(t *Topology) string {
	texts := make([]string, len(t.Sites))
	for i, s := range t.Sites {
		texts[i] = fmt.Sprintf("%s %d", s.Name, s.Weight)
	}
	return "most of the weight of the one before; " + strings.Join(texts, ", ")
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
		through := ""
		if s.NoTransit {
			through = ", lets no other sites' traffic through"
		}
		e.line("site %s (id %v): %s, %s%s", s.Name, s.ID, ring, count(len(s.Nodes), "node"), through)
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
		texts = append(texts, c.String())
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
