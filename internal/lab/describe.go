//go:build linux

package lab

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"ringway/topology"
)

// Describe prints what a lab of the topology has: a line each for a site and its
// network; for a node, its LAN address and that of its gateway or "-"; for a link, its
// ends and what tc netem has to be told of it. Words are apart by blanks, for people and
// for scripts (examples/netem).
func Describe(t *topology.Topology, out io.Writer) error {
	p, err := newPlan(t)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range p.sites {
		fmt.Fprintf(w, "site\t%s\t%s\n", s.Name, s.subnet.Masked())
	}
	for _, s := range p.sites {
		for _, n := range s.nodes {
			gateway := "-"
			if n.IsGateway() {
				gateway = n.Gateway.Addr().String()
			}
			fmt.Fprintf(w, "node\t%s\t%s\t%s/%d\t%s\n", s.Name, n.Name, n.Address.Addr(), s.subnet.Bits(), gateway)
		}
	}
	for _, l := range p.links {
		fmt.Fprintf(w, "link\t%s\t%s\t%s\n", l.a.Name, l.b.Name, strings.Join(profileOf(l.wan).TC(), " "))
	}
	return w.Flush()
}
