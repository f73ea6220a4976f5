package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ringway/topology"
	"ringway/topology/spreadconf"
)

// checkFlags are those of `check`.
type checkFlags struct {
	json                   bool
	fromSpread, federation string
	accessIP               string
	oneSite                bool
}

func newCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Validate a topology file and print what follows from it",
		Long: `Validate a topology file and print what follows from it: sites, nodes, links, timing,
shortest paths. What is wrong is reported all at once, with lines and what would be right.

With --from-spread, read a configuration file of the Spread Toolkit instead and print the
topology file that is nearest to it, with notes about everything that has no equivalent:

  ringway check --from-spread /etc/spread.conf --federation acme > acme.toml
  ringway check acme.toml`,
		Args: args(0, 1, "one topology FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "one JSON object")
	flags.StringVar(&f.fromSpread, "from-spread", "", "a spread.conf to print as a topology file")
	flags.StringVar(&f.federation, "federation", "", `with --from-spread: the federation's name (default "spread")`)
	flags.BoolVar(&f.oneSite, "one-site", false, "with --from-spread: one ring over all segments, as Spread has it, instead of a site for each")
	flags.StringVar(&f.accessIP, "access-ip", "", "with --from-spread: the file of Spread's method IP, mostly spread.access_ip")
	cmd.MarkFlagFilename("access-ip")   //nolint:errcheck // the flag exists
	cmd.MarkFlagFilename("from-spread") //nolint:errcheck // the flag exists
	return cmd
}

func (f *checkFlags) run(cmd *cobra.Command, args []string) error {
	if f.fromSpread != "" {
		if len(args) > 0 || f.json {
			return usage("check: --from-spread reads that file alone and prints a topology file: leave %s out", leftOut(args))
		}
		return f.convert(cmd)
	}
	if f.federation != "" || f.oneSite || f.accessIP != "" {
		return usage("check: --federation, --one-site and --access-ip go with --from-spread: a topology file says all that itself")
	}
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
	if f.json {
		return t.ExplainJSON(cmd.OutOrStdout())
	}
	return t.Explain(cmd.OutOrStdout())
}

func leftOut(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "--json"
}

// maxSpreadConf is more than package spreadconf takes, so that it is the one to say so.
const maxSpreadConf = 2 << 20

// convert prints the topology of a Spread configuration.
func (f *checkFlags) convert(cmd *cobra.Command) error {
	data, err := readSpread(f.fromSpread)
	if err != nil {
		return usage("check: --from-spread: %v", err)
	}
	var accessIP []byte
	if f.accessIP != "" {
		if accessIP, err = readSpread(f.accessIP); err != nil {
			return usage("check: --access-ip: %v", err)
		}
	}
	config, err := spreadconf.Parse(f.fromSpread, data)
	if err != nil {
		return err
	}
	text, err := config.Topology(spreadconf.Options{
		Federation: f.federation,
		OneSite:    f.oneSite,
		AccessIP:   accessIP, AccessIPPath: f.accessIP,
		Lookup: func(name string) ([]netip.Addr, error) { return lookup(cmd.Context(), name) },
	})
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// readSpread reads a file of Spread's, or as much of it as is too much.
func readSpread(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSpreadConf))
}

// lookupTime bounds looking up one name.
const lookupTime = 5 * time.Second

func lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	return addresses, nil
}
