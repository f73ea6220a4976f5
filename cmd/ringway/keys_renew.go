package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/pki"
)

// renewFlags are those of `keys renew`.
type renewFlags struct {
	holderFlags
	valid, ahead time.Duration
	newKey       bool
}

func newKeysRenew() *cobra.Command {
	f := renewFlags{holderFlags: holderFlags{verb: "keys renew"}}
	cmd := &cobra.Command{
		Use:   "renew --topology FILE (--all | NODE…)",
		Short: "Renew certificates that expire soon",
		Long: `Renew certificates that expire soon: those of which a third of the validity is left, at
most 30 days. Nodes read a new certificate from their folder by themselves; links that
stand go on, and are made anew with the new certificate one after the other.

With --new-key a node also gets a new key; copy both files to it.`,
		Example: `  ringway keys renew --dir certs --topology acme.toml --all
  ringway keys renew --dir certs --topology acme.toml --ahead 8760h --new-key lon-1`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	f.register(cmd)
	flags.DurationVar(&f.valid, "valid", nodeValid, "how long the new ones are valid")
	flags.DurationVar(&f.ahead, "ahead", 0, "renew what expires within this time (default a third of the validity, at most 30 days)")
	flags.BoolVar(&f.newKey, "new-key", false, "with new keys")
	return cmd
}

func (f *renewFlags) run(cmd *cobra.Command, args []string) error {
	if f.ahead < 0 {
		return usage("keys renew: --ahead %v: want a positive time", f.ahead)
	}
	holders, err := f.holders(cmd, args)
	if err != nil {
		return err
	}
	for _, h := range holders {
		r, err := pki.Renew(f.dir, h.federation, h.site, h.node, f.valid, f.ahead, f.newKey)
		if err != nil {
			return fmt.Errorf("keys renew: %w", err)
		}
		what := "is not due"
		if r.Renewed {
			what = "renewed"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s/%s.pem %s: expires %s\n", f.dir, h.node, what, r.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

func newKeysRevoke() *cobra.Command {
	var dir, federation, path string
	cmd := &cobra.Command{
		Use:   "revoke --topology FILE NODE…",
		Short: "Revoke every certificate of nodes: they are thrown out within 5 s of the list's arrival",
		Long: `Revoke every certificate that was issued for the nodes and has not expired: the
authority's list, revoked.pem in the same folder, is written anew. Copy it into the certs
folder of every node; they read it by themselves, and close every link with a revoked
node. The nodes' files here are set aside, so that ` + "`ringway keys issue`" + ` makes new keys.`,
		Example: `  ringway keys revoke --dir certs --topology acme.toml lon-1
  ringway keys revoke --dir certs --federation acme lon-1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("keys revoke: no NODE: name those whose certificates no longer count")
			}
			federation, err := federationOf(cmd, federation, path)
			if err != nil {
				return err
			}
			for _, node := range args {
				serials, err := pki.Revoke(dir, federation, node)
				if err != nil {
					return fmt.Errorf("keys revoke: %w", err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s/revoked.pem: node %s, %d certificates more; copy it to every node\n", dir, node, len(serials))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "certs", "folder with the authority")
	flags.StringVar(&path, "topology", "", "topology file (default $RINGWAY_TOPOLOGY)")
	flags.StringVar(&federation, "federation", "", "the federation's name, without a topology file")
	return cmd
}
