//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/lab"
	"ringway/topology"
)

func newLab() *cobra.Command {
	var topology string
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Rehearse a topology on this machine: namespaces, WAN delays, faults (root)",
		Long: `A lab is a topology as network namespaces on this machine: a bridge for each site's LAN,
and between sites links with the delay, jitter, loss and rate that the topology's
[link.wan] says, by tc netem where the kernel has it, else by an emulator of our own.

  ringway lab up examples/topologies/six-regions.toml
  ringway lab run                      start all nodes
  ringway lab status
  ringway lab partition lon,fra/nyc    by sites, or by the nodes of one site
  ringway lab heal
  ringway lab set lon-fra delay=80ms loss=0.5%
  ringway lab set lon loss=5%          of a site's LAN, or of a node there, the loss
  ringway lab kill lon-1               and restart, pause, continue, stop
  ringway lab exec lon-1 -- ringway sub --connect 10.1.0.1:4803 g
  ringway lab down                     removes everything

Commands are for the lab that is up; if several are, name the --topology.`,
		Args: commands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("lab: say what to do: `ringway lab --help` lists it")
		},
	}
	cmd.PersistentFlags().StringVar(&topology, "topology", "", "of which lab (default $RINGWAY_TOPOLOGY, or the one that is up)")
	cmd.AddCommand(newLabUp(), newLabPlan(), newLabServe(), newLabEngine(), newLabDown(&topology), newLabStatus(&topology), newLabExec(&topology))
	for _, c := range []struct{ name, args, short string }{
		{"run", "[NODE…]", "Start nodes, or all"},
		{"kill", "NODE…", "End nodes as a power failure does"},
		{"stop", "NODE…", "Let nodes leave in order"},
		{"restart", "NODE…", "Kill nodes and start them again at once"},
		{"pause", "NODE…", "Stop nodes where they are, as SIGSTOP does"},
		{"continue", "NODE…", "Let paused nodes go on"},
		{"set", "A-B|A>B|all|SITE|NODE KEY=VALUE…", "Change links: delay=80ms jitter=2ms loss=0.5% rate=200mbit …; of a SITE's LAN or a NODE there, the loss"},
		{"cut", "A-B", "Cut one link"},
		{"join", "A-B", "Join a cut link again"},
		{"partition", "A,B/C", "Divide the federation by sites, or a site by its nodes"},
		{"heal", "", "Undo all partitions and cuts"},
	} {
		cmd.AddCommand(newLabCommand(&topology, c.name, c.args, c.short))
	}
	return cmd
}

// labHome returns the home of the lab that is meant.
func labHome(cmd *cobra.Command, topology, given string) (string, error) {
	if given == "" {
		given = topology
	}
	if given == "" {
		given = os.Getenv("RINGWAY_TOPOLOGY")
	}
	if given != "" {
		return lab.Home(given)
	}
	up, err := lab.Up()
	switch {
	case err != nil:
		return "", err
	case len(up) == 0:
		return "", fmt.Errorf("%s: no lab is up: `ringway lab up FILE` makes one", title(cmd))
	case len(up) > 1:
		return "", usage("%s: several labs are up: name one with --topology", title(cmd))
	}
	return up[0], nil
}

func newLabCommand(topology *string, name, argsText, short string) *cobra.Command {
	return &cobra.Command{
		Use: strings.TrimSpace(name + " " + argsText), Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (argsText == "") != (len(args) == 0) && !strings.HasPrefix(argsText, "[") {
				return usage("lab %s: want %s", name, strings.TrimSpace(name+" "+argsText))
			}
			home, err := labHome(cmd, *topology, "")
			if err != nil {
				return err
			}
			if _, err := lab.Call(home, lab.Request{Command: name, Args: args}); err != nil {
				return fmt.Errorf("lab %s: %w", name, err)
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			words := labWords(cmd, *topology, name, args)
			if name == "partition" {
				return partsAfter(typed, words), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// partsAfter completes the last name of parts, as in lon,fra/nyc. Who is named already is
// not offered again.
func partsAfter(typed string, names []string) (words []string) {
	at := strings.LastIndexAny(typed, ",/") + 1
	named := strings.FieldsFunc(typed[:at], func(r rune) bool { return r == ',' || r == '/' })
	for _, name := range names {
		if !slices.Contains(named, name) {
			words = append(words, typed[:at]+name)
		}
	}
	return words
}

// labWords are what could come next on the command line.
func labWords(cmd *cobra.Command, topology, name string, args []string) (words []string) {
	home, err := labHome(cmd, topology, "")
	if err != nil {
		return nil
	}
	reply, err := lab.Call(home, lab.Request{Command: "status"})
	if err != nil {
		return nil
	}
	switch name {
	case "set", "cut", "join":
		if len(args) > 0 {
			if name == "set" {
				return []string{"delay=", "jitter=", "loss=", "rate=", "duplicate=", "reorder="}
			}
			return nil
		}
		for _, d := range reply.Status.Links {
			words = append(words, d.From+"-"+d.To)
		}
		if name == "set" {
			for _, n := range reply.Status.Nodes {
				words = append(words, n.Site, n.Name)
			}
			slices.Sort(words)
			words = slices.Compact(words)
		}
	case "partition":
		for _, n := range reply.Status.Nodes {
			words = append(words, n.Site, n.Name)
		}
		slices.Sort(words)
		words = slices.Compact(words)
	case "heal":
	default:
		for _, n := range reply.Status.Nodes {
			if !slices.Contains(args, n.Name) {
				words = append(words, n.Name)
			}
		}
	}
	return words
}

func newLabUp() *cobra.Command {
	var c lab.Config
	var run bool
	cmd := &cobra.Command{
		Use:   "up FILE",
		Short: "Make the lab of a topology; with --run, start its nodes too",
		Args:  args(1, 1, "one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Topology = args[0]
			began := time.Now()
			home, err := lab.Start(c)
			if err != nil {
				return fmt.Errorf("lab up: %w", err)
			}
			if run {
				if _, err := lab.Call(home, lab.Request{Command: "run"}); err != nil {
					return fmt.Errorf("lab run: %w", err)
				}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "the lab is up after %.1f s: `ringway lab status` shows it, `ringway lab down` removes it\n", time.Since(began).Seconds())
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Folder, "folder", "", "where logs and traces go (default a folder below /run/ringway-lab)")
	flags.BoolVar(&c.Emulate, "emulate", false, "shape links by our own emulator even if the kernel has tc netem")
	flags.BoolVar(&run, "run", false, "start the nodes")
	return cmd
}

func newLabPlan() *cobra.Command {
	return &cobra.Command{
		Use:   "plan FILE",
		Short: "Print what the lab of a topology would have: sites, nodes, links",
		Args:  args(1, 1, "one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := topology.Load(args[0])
			if err != nil {
				return fmt.Errorf("lab plan: %w", err)
			}
			if err := lab.Describe(t, cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("lab plan: %w", err)
			}
			return nil
		},
	}
}

// newLabServe is what `lab up` starts in the background.
func newLabServe() *cobra.Command {
	var c lab.Config
	cmd := &cobra.Command{
		Use: "serve FILE", Hidden: true, Args: args(1, 1, "one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Topology = args[0]
			return lab.ServeUntilDown(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&c.Folder, "folder", "", "")
	cmd.Flags().BoolVar(&c.Emulate, "emulate", false, "")
	return cmd
}

// newLabEngine is what a lab starts to emulate its links.
func newLabEngine() *cobra.Command {
	return &cobra.Command{
		Use: "engine", Hidden: true, Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lab.ServeEngine(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

func newLabDown(topology *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down [FILE]",
		Short: "End the lab and remove everything it made, also after a crash",
		Args:  args(0, 1, "at most one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := labHome(cmd, *topology, strings.Join(args, ""))
			if err != nil {
				// Nothing is up: what crashed ones left goes all the same.
				if swept := lab.Sweep(); swept != nil {
					return fmt.Errorf("lab down: %w", swept)
				}
				var wrong usageError
				if errors.As(err, &wrong) {
					return err
				}
				return nil
			}
			if err := lab.Down(home); err != nil {
				return fmt.Errorf("lab down: %w", err)
			}
			return nil
		},
	}
}

func newLabStatus(topology *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [FILE]",
		Short: "Show nodes and links",
		Args:  args(0, 1, "at most one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := labHome(cmd, *topology, strings.Join(args, ""))
			if err != nil {
				return err
			}
			reply, err := lab.Call(home, lab.Request{Command: "status"})
			if err != nil {
				return fmt.Errorf("lab status: %w", err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(reply.Status)
			}
			return reply.Status.WriteText(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func newLabExec(topology *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec NODE -- COMMAND…",
		Short: "Run a command on a node's machine",
		Args:  args(2, -1, "a NODE and a COMMAND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := labHome(cmd, *topology, "")
			if err != nil {
				return err
			}
			if args[1] == "--" {
				args = slices.Delete(slices.Clone(args), 1, 2)
			}
			if len(args) < 2 {
				return usage("lab exec: want a NODE and a COMMAND")
			}
			reply, err := lab.Call(home, lab.Request{Command: "status"})
			if err != nil {
				return fmt.Errorf("lab exec: %w", err)
			}
			for _, n := range reply.Status.Nodes {
				if n.Name == args[0] {
					return lab.Exec(filepath.Base(n.Space), args[1:])
				}
			}
			return usage("lab exec: %s: no such node in %s", args[0], reply.Status.Topology)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}
