package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringway/client"
	"ringway/internal/bench"
	"ringway/membership"
)

// maxWarmUp bounds the warm-up, which is a fifth of the duration.
const maxWarmUp = 2 * time.Second

func newBench() *cobra.Command {
	var c connection
	var service string
	var asJSON bool
	cfg := bench.Config{}
	cmd := &cobra.Command{
		Use:   "bench --connect ADDR[,ADDR…]",
		Short: "Measure throughput and latency through real client connections",
		Long: `Measure throughput and latency through real client connections. Senders connect to the
addresses in turn, the receiver to the last one. Without --rate they send as fast as
--window lets them, and latency is that of a full queue; for the latency of an idle or
half-loaded federation, give a --rate. A connection that is lost ends the measurement.`,
		Args: commands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Connect, err = c.addresses(cmd); err != nil {
				return err
			}
			if err := c.credentials(&cfg.Options); err != nil {
				return usage("bench: %v", err)
			}
			if cfg.Service, err = membership.ParseService(service); err != nil {
				return usage("bench: %v", err)
			}
			cfg.WarmUp = min(cfg.Duration/5, maxWarmUp)
			if err := cfg.Check(); err != nil {
				return usage("bench: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
			}
			return runBench(cmd, cfg, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.connect, "connect", "", "addresses of nodes; the last one receives (default $RINGWAY_CONNECT)")
	c.flags(flags)
	flags.StringVar(&service, "service", "agreed", "unreliable, reliable, fifo, causal, agreed or safe")
	flags.IntVar(&cfg.Size, "size", 1000, "bytes of data in a message")
	flags.IntVar(&cfg.Senders, "senders", 1, "connections that send")
	flags.IntVar(&cfg.Groups, "groups", 1, "groups that they send to")
	flags.IntVar(&cfg.Window, "window", bench.DefaultWindow, "messages under way at most, of all senders")
	flags.DurationVar(&cfg.Duration, "duration", 5*time.Second, "how long to measure, after a warm-up")
	flags.Float64Var(&cfg.Rate, "rate", 0, "messages a second, of all senders (default: as fast as it goes)")
	flags.BoolVar(&asJSON, "json", false, "one JSON object")
	cmd.AddCommand(newBenchJoins(), newBenchSessions())
	return cmd
}

func newBenchJoins() *cobra.Command {
	var c connection
	var asJSON bool
	cfg := bench.JoinConfig{}
	cmd := &cobra.Command{
		Use:   "joins --connect ADDR[,ADDR…]",
		Short: "Measure joins a second, and how long a join takes",
		Long: `Measure how long one join takes until its own view is back, then let all sessions join
their groups at once. With --witness one session more, at that address, joins all groups;
when its node is lost, the time of the first and of the last new view is printed.`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Connect, err = c.addresses(cmd); err != nil {
				return err
			}
			if err := c.credentials(&cfg.Options); err != nil {
				return usage("bench joins: %v", err)
			}
			if err := cfg.Check(); err != nil {
				return usage("bench joins: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
			}
			result, err := bench.RunJoins(cmd.Context(), cfg, func() { fmt.Fprintln(cmd.ErrOrStderr(), "ready: all are in all groups") })
			if err != nil {
				return fmt.Errorf("bench joins: %w", err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
			}
			return result.WriteText(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.connect, "connect", "", "addresses of nodes (default $RINGWAY_CONNECT)")
	c.flags(flags)
	flags.IntVar(&cfg.Sessions, "sessions", 100, "connections")
	flags.IntVar(&cfg.Groups, "groups", 10_000, "groups in all")
	flags.IntVar(&cfg.Each, "each", 200, "groups that each session joins")
	flags.IntVar(&cfg.Probes, "probes", 1000, "joins one after the other, for the latency of one")
	flags.StringVar(&cfg.Witness, "witness", "", "address of a node that will be lost: wait for that, and time the views")
	flags.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func newBenchSessions() *cobra.Command {
	var asJSON bool
	var cfg bench.SessionsConfig
	cmd := &cobra.Command{
		Use:   "sessions --connect ADDR [--admin ADDR]",
		Short: "Measure connects a second, memory for each session, and what a stuck reader costs others",
		Long: `Connect many sessions to one node, at a rate or as fast as it goes, and leave them idle.
With --admin, tell how much more memory the node's process has then. With --pairs, measure
the latency of one group beside them, in pairs of runs without and with members of that
group that read nothing.`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Connect, err = fromEnv(cmd, "connect", cfg.Connect, "RINGWAY_CONNECT"); err != nil {
				return err
			}
			network, _, err := client.ParseAddress(cfg.Connect)
			if err != nil {
				return usage("bench sessions: --connect: %v", err)
			}
			if network == "tls" {
				return usage("bench sessions: --connect %s: its many connections speak no TLS: name a plain port of the node", cfg.Connect)
			}
			if err := cfg.Check(); err != nil {
				return usage("bench sessions: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
			}
			result, err := bench.RunSessions(cmd.Context(), cfg)
			if err != nil {
				return fmt.Errorf("bench sessions: %w", err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
			}
			return result.WriteText(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Connect, "connect", "", "address of a node (default $RINGWAY_CONNECT)")
	flags.StringVar(&cfg.Admin, "admin", "", "the node's admin address, HOST:PORT, for its memory")
	flags.IntVar(&cfg.Sessions, "sessions", 10_000, "connections")
	flags.Float64Var(&cfg.Rate, "rate", 1000, "connects a second; 0: as fast as it goes")
	flags.IntVar(&cfg.Pairs, "pairs", 0, "pairs of latency runs, without and with stuck readers")
	flags.IntVar(&cfg.Stuck, "stuck", 3, "members that read nothing")
	flags.DurationVar(&cfg.Duration, "duration", 3*time.Second, "of one run")
	flags.Float64Var(&cfg.Messages, "messages", 1000, "messages a second in a run")
	flags.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func runBench(cmd *cobra.Command, cfg bench.Config, asJSON bool) error {
	result, err := bench.Run(cmd.Context(), cfg)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(result)
	} else {
		err = result.WriteText(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	if err := result.Err(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}
