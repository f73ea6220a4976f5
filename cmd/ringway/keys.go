package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/pki"
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
		Short: "Make, renew, revoke and show the certificates of a federation",
		Args:  commands,
		RunE: func(*cobra.Command, []string) error {
			return usage("keys: want init, issue, renew, revoke, show or token: `ringway keys --help` explains them")
		},
	}
	cmd.AddCommand(newKeysInit(), newKeysIssue(), newKeysRenew(), newKeysRevoke(), newKeysShow(), newKeysToken())
	return cmd
}

func newKeysInit() *cobra.Command {
	var dir, federation, site string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "init --federation NAME [--site SITE] [--dir certs]",
		Short: "Make the federation's authority: ca.pem for every node, ca-key.pem for you",
		Long: `Make the federation's authority: ca.pem for every node, ca-key.pem for you.

With --site it is the authority of that site only: a certificate that it signs for a node
of another site is refused by every node. Each site then has a folder of its own, and
every node gets one ca.pem with the authorities of all sites:

  cat lon/ca.pem fra/ca.pem > bundle.pem`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if federation == "" {
				return usage("keys init: no --federation: give the name that the topology file has")
			}
			var err error
			of := federation
			if site == "" {
				err = pki.Init(dir, federation, valid)
			} else {
				of = "site " + site + " of " + federation
				err = pki.InitSite(dir, federation, site, valid)
			}
			if err != nil {
				return fmt.Errorf("keys init: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "authority of %s in %s: copy ca.pem to every node, keep ca-key.pem here\n", of, dir)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "certs", "folder")
	flags.StringVar(&federation, "federation", "", "the federation's name")
	flags.StringVar(&site, "site", "", "only for this site's nodes")
	flags.DurationVar(&valid, "valid", authorityValid, "how long it is valid")
	return cmd
}
