package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/pki"
	"ringway/topology"
)

// errUnusable is why `keys show` ends with exit code 1.
var errUnusable = errors.New("keys show: a certificate cannot be used: the last column says why")

func newKeysShow() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [--dir certs] [--json]",
		Short: "Show the certificates of a folder, when they expire and what is wrong with them",
		Long: `Show the certificates of a folder, when they expire and what is wrong with them. Exit
code 1 says that one of them cannot be used. With --json, one object per line; its fields
are those of Description in internal/pki.`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := pki.Inspect(dir)
			if len(list) == 0 {
				return fmt.Errorf("keys show: %w", err)
			}
			if asJSON {
				err = errors.Join(err, showJSON(cmd.OutOrStdout(), list))
			} else {
				err = errors.Join(err, showTable(cmd.OutOrStdout(), list))
			}
			if err != nil {
				return fmt.Errorf("keys show: %w", err)
			}
			for i := range list {
				if list[i].Problem != "" {
					return errUnusable
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "certs", "folder")
	flags.BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func showJSON(w io.Writer, list []pki.Description) error {
	out := json.NewEncoder(w)
	for i := range list {
		if err := out.Encode(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func showTable(w io.Writer, list []pki.Description) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHO\tEXPIRES\tLEFT\tKEY\tSERIAL\tSTATE")
	for _, d := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", whoIs(&d), d.Expires.Format(time.RFC3339), left(d.LeftS), d.Key, d.Serial, stateOf(&d))
	}
	return table.Flush()
}

func whoIs(d *pki.Description) string {
	switch {
	case d.Kind == "node":
		return d.Site + "/" + d.Node
	case d.Site != "":
		return "authority of site " + d.Site + " of " + d.Federation
	}
	return "authority of " + d.Federation
}

// left writes a time as an operator wants it: days, and hours when they are few.
func left(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d <= 0:
		return "none"
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Minute).String()
}

func stateOf(d *pki.Description) string {
	switch {
	case d.Problem != "":
		return d.Problem
	case d.Renew:
		return "renew"
	}
	return "ok"
}

// federationOf returns the federation's name, from the flag or the topology file.
func federationOf(cmd *cobra.Command, federation, path string) (string, error) {
	if federation != "" {
		if path != "" {
			return "", usage("keys revoke: either --topology or --federation")
		}
		return federation, nil
	}
	path, err := fromEnv(cmd, "topology", path, "RINGWAY_TOPOLOGY")
	if err != nil {
		return "", err
	}
	t, err := topology.Load(path)
	if err != nil {
		return "", err
	}
	return t.Name, nil
}
