package main

import (
	"github.com/spf13/cobra"

	"ringway/topology"
)

func newCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Validate a topology file and print what follows from it",
		Args:  args(0, 1, "one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			file, err := fromEnv(cmd, "topology", file, "RINGWAY_TOPOLOGY")
			if err != nil {
				return usage("check: no FILE: name a topology file, or set RINGWAY_TOPOLOGY")
			}
			t, err := topology.Load(file)
			if err != nil {
				return err
			}
			if asJSON {
				return t.ExplainJSON(cmd.OutOrStdout())
			}
			return t.Explain(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}
