package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/pki"
	"ringway/topology"
)

// holderFlags say which nodes `keys issue`, `renew` and `revoke` are about.
type holderFlags struct {
	verb                            string // the command, for errors
	dir, topology, federation, site string
	all                             bool
}

func (f *holderFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "certs", "folder with the authority")
	flags.StringVar(&f.topology, "topology", "", "topology file (default $RINGWAY_TOPOLOGY)")
	flags.StringVar(&f.federation, "federation", "", "the federation's name, without a topology file")
	flags.StringVar(&f.site, "site", "", "the nodes' site, without a topology file; with one, only nodes of this site")
	flags.BoolVar(&f.all, "all", false, "for every node of the topology")
}

// issueFlags are those of `keys issue`.
type issueFlags struct {
	holderFlags
	valid time.Duration
}

func newKeysIssue() *cobra.Command {
	f := issueFlags{holderFlags: holderFlags{verb: "keys issue"}}
	cmd := &cobra.Command{
		Use:   "issue --topology FILE (--all | NODE…)",
		Short: "Make certificates of nodes, signed by the authority in the same folder",
		Long: `Make certificates of nodes, signed by the authority in the same folder.

The nodes are those of a topology file: --all of them, with --site only those of one
site, or those named. Without a file, --federation and --site say where the named nodes
belong. A node that has a key keeps it.`,
		Example: `  ringway keys issue --dir certs --topology acme.toml --all
  ringway keys issue --dir certs --topology acme.toml lon-1
  ringway keys issue --dir certs --federation acme --site lon lon-1`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	f.register(cmd)
	flags.DurationVar(&f.valid, "valid", nodeValid, "how long they are valid; nodes warn when a third of it is left")
	return cmd
}

// A holder is who a certificate is for.
type holder struct{ federation, site, node string }

func (f *issueFlags) run(cmd *cobra.Command, args []string) error {
	holders, err := f.holders(cmd, args)
	if err != nil {
		return err
	}
	for _, h := range holders {
		if err := pki.Issue(f.dir, h.federation, h.site, h.node, f.valid); err != nil {
			return fmt.Errorf("keys issue: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s/%s.pem and its key, for node %s of site %s\n", f.dir, h.node, h.node, h.site)
	}
	return nil
}

// holders returns who gets certificates.
func (f *holderFlags) holders(cmd *cobra.Command, names []string) ([]holder, error) {
	if f.federation != "" {
		switch {
		case f.site == "":
			return nil, usage("%s: --federation needs --site, too", f.verb)
		case f.all || f.topology != "":
			return nil, usage("%s: either --topology, or --federation and --site", f.verb)
		case len(names) == 0:
			return nil, usage("%s: no NODE: name those that get a certificate", f.verb)
		}
		var list []holder
		for _, node := range names {
			list = append(list, holder{f.federation, f.site, node})
		}
		return list, nil
	}
	if f.all && f.topology == "" && len(names) == 1 { // --all FILE
		f.topology, names = names[0], nil
	}
	path, err := fromEnv(cmd, "topology", f.topology, "RINGWAY_TOPOLOGY")
	if err != nil {
		return nil, err
	}
	if f.all == (len(names) > 0) {
		return nil, usage("%s: want --all, or the names of nodes", f.verb)
	}
	t, err := topology.Load(path)
	if err != nil {
		return nil, err
	}
	return f.holdersOf(t, names)
}

// holdersOf returns the named nodes of a topology, or all if none is named.
func (f *holderFlags) holdersOf(t *topology.Topology, names []string) ([]holder, error) {
	var list []holder
	for _, name := range names {
		n, ok := t.Node(name)
		if !ok {
			return nil, usage("%s: %s: no such node in %s", f.verb, name, t.Path)
		}
		list = append(list, holder{t.Name, n.Site.Name, n.Name})
	}
	if len(names) > 0 {
		return list, nil
	}
	if _, ok := t.SiteByName(f.site); f.site != "" && !ok {
		return nil, usage("%s: --site %s: no such site in %s", f.verb, f.site, t.Path)
	}
	for _, site := range t.Sites {
		if f.site != "" && site.Name != f.site {
			continue
		}
		for _, n := range site.Nodes {
			list = append(list, holder{t.Name, site.Name, n.Name})
		}
	}
	return list, nil
}
