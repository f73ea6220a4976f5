package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ringway/internal/demo"
)

// demoFault names the variable by which a test injects a fault into the comparison of
// what the members received: swap or drop.
const demoFault = "RINGWAY_DEMO_FAULT"

func newDemo() *cobra.Command {
	cfg := demo.Config{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine: sites, a real feed, one order",
		Long: `Start sites of two nodes each as processes on this machine, with emulated WAN delays
between them; publish a real feed from all sites; cut one site off, show both sides' views
and that both go on, and heal; kill a gateway with SIGKILL and start it again. In the end
compare what every member received, byte by byte. Needs no root and no file. Exit code 0
only if everything held.

On a terminal a picture of sites, links and counters stands below the story. With --keep
the federation goes on running when the story is over, until Ctrl-C.

The feed is --feed FILE, a message for each line, or the request logs of a small web
server in each site.`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Sites < demo.MinSites || cfg.Sites > demo.MaxSites {
				return usage("demo: --sites %d: want %d to %d", cfg.Sites, demo.MinSites, demo.MaxSites)
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("demo: where this program is: %w", err)
			}
			cfg.Program, cfg.Fault = program, os.Getenv(demoFault)
			cfg.Out, cfg.Err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			cfg.Terminal = isTerminal(cmd.OutOrStdout())
			err = demo.Run(cmd.Context(), cfg)
			switch {
			case errors.Is(err, demo.ErrFeed):
				return usageError{fmt.Errorf("demo: %w", err)}
			case err != nil:
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Feed, "feed", "", "publish the lines of this file")
	flags.IntVar(&cfg.Sites, "sites", demo.DefaultSites, "how many sites")
	flags.BoolVar(&cfg.Keep, "keep", false, "go on running until interrupted, and keep the folder with topology, certificates and logs")
	flags.BoolVar(&cfg.JSON, "json", false, "one JSON object per line")
	return cmd
}
