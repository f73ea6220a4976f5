package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/pki"
	"ringway/topology"
)

// How long certificates are valid unless told otherwise: an authority long enough to
// forget it, a node short enough to practise its renewal.
const (
	authorityValid = 10 * 365 * 24 * time.Hour
	nodeValid      = 365 * 24 * time.Hour
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make a federation's authority and its nodes' certificates",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("keys: %s: no such command: want init or issue", args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			return usage("keys: want init or issue: `ringway keys --help` explains them")
		},
	}
	cmd.AddCommand(newKeysInit(), newKeysIssue())
	return cmd
}

func newKeysInit() *cobra.Command {
	var dir, federation string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "init --federation NAME [--dir certs]",
		Short: "Make the federation's authority: ca.pem for every node, ca-key.pem for you",
		Args:  args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if federation == "" {
				return usage("keys init: no --federation: give the name that the topology file has")
			}
			if err := pki.Init(dir, federation, valid); err != nil {
				return fmt.Errorf("keys init: %w", err)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "authority of %s in %s: copy ca.pem to every node, keep ca-key.pem here\n", federation, dir)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "certs", "folder")
	flags.StringVar(&federation, "federation", "", "the federation's name")
	flags.DurationVar(&valid, "valid", authorityValid, "how long it is valid")
	return cmd
}

// issueFlags are those of `keys issue`.
type issueFlags struct {
	dir, topology, federation, site string
	all                             bool
	valid                           time.Duration
}

func newKeysIssue() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue --topology FILE (--all | NODE…)",
		Short: "Make or renew certificates of nodes, signed by the authority in the same folder",
		Long: `Make or renew certificates of nodes, signed by the authority in the same folder.

The nodes are those of a topology file: --all of them, or those named. Without a file,
--federation and --site say where the named nodes belong.`,
		Example: `  ringway keys issue --dir certs --topology acme.toml --all
  ringway keys issue --dir certs --topology acme.toml lon-1
  ringway keys issue --dir certs --federation acme --site lon lon-1`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "certs", "folder with the authority")
	flags.StringVar(&f.topology, "topology", "", "topology file (default $RINGWAY_TOPOLOGY)")
	flags.StringVar(&f.federation, "federation", "", "the federation's name, without a topology file")
	flags.StringVar(&f.site, "site", "", "the nodes' site, without a topology file")
	flags.BoolVar(&f.all, "all", false, "for every node of the topology")
	flags.DurationVar(&f.valid, "valid", nodeValid, "how long they are valid")
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
func (f *issueFlags) holders(cmd *cobra.Command, names []string) ([]holder, error) {
	if f.federation != "" || f.site != "" {
		switch {
		case f.federation == "" || f.site == "":
			return nil, usage("keys issue: --federation and --site go together")
		case f.all || f.topology != "":
			return nil, usage("keys issue: either --topology, or --federation and --site")
		case len(names) == 0:
			return nil, usage("keys issue: no NODE: name those that get a certificate")
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
		return nil, usage("keys issue: want --all, or the names of nodes")
	}
	t, err := topology.Load(path)
	if err != nil {
		return nil, err
	}
	return holdersOf(t, names)
}

// holdersOf returns the named nodes of a topology, or all if none is named.
func holdersOf(t *topology.Topology, names []string) ([]holder, error) {
	var list []holder
	for _, name := range names {
		n, ok := t.Node(name)
		if !ok {
			return nil, usage("keys issue: %s: no such node in %s", name, t.Path)
		}
		list = append(list, holder{t.Name, n.Site.Name, n.Name})
	}
	if len(names) > 0 {
		return list, nil
	}
	for _, site := range t.Sites {
		for _, n := range site.Nodes {
			list = append(list, holder{t.Name, site.Name, n.Name})
		}
	}
	return list, nil
}
