package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"ringway/site"
	"ringway/topology"
)

// nodeFlags are those of `node`.
type nodeFlags struct {
	topology, name, logFormat string
	trace, user               string
	insecure                  bool
	dial                      []string
}

func newNode() *cobra.Command {
	var f nodeFlags
	cmd := &cobra.Command{
		Use:   "node --topology FILE --name NODE",
		Short: "Run one node; SIGTERM lets its clients leave in order, then stops",
		Args:  args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd)
			if err != nil {
				return err
			}
			cfg.Reload = hangups(cmd.Context())
			return runNode(cmd.Context(), cfg)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.topology, "topology", "", "topology file (default $RINGWAY_TOPOLOGY)")
	flags.StringVar(&f.name, "name", "", "which of its nodes this is")
	flags.BoolVar(&f.insecure, "insecure", false, "without certificates, even beyond loopback; ring packets are not sealed")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&f.trace, "trace", "", "write a trace into this folder, for ringway trace check")
	flags.StringVar(&f.user, "user", "", "once all ports are bound, go on as this user, for good; for a node that root starts")
	flags.StringArrayVar(&f.dial, "dial", nil, "NODE=ADDRESS: reach a gateway at another address than the topology's, as through an emulator (repeatable)")
	return cmd
}

// hangups returns a channel that says when the process is told by SIGHUP to read its
// files again.
func hangups(ctx context.Context) <-chan struct{} {
	signals, again := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				select {
				case again <- struct{}{}:
				default: // it is about to
				}
			}
		}
	}()
	return again
}

func runNode(ctx context.Context, cfg site.Config) error {
	err := site.Run(ctx, cfg)
	switch {
	case errors.Is(err, site.ErrInsecure):
		return usageError{fmt.Errorf("node %s: %w", cfg.Node.Name, err)}
	case err != nil:
		return fmt.Errorf("node %s: %w", cfg.Node.Name, err)
	}
	return nil
}

func (f *nodeFlags) config(cmd *cobra.Command) (site.Config, error) {
	var none site.Config
	path, err := fromEnv(cmd, "topology", f.topology, "RINGWAY_TOPOLOGY")
	if err != nil {
		return none, err
	}
	if f.name == "" {
		return none, usage("node: no --name: say which node of %s this is", path)
	}
	lines := &logWriter{to: cmd.ErrOrStderr()}
	log, err := newLog(lines, f.logFormat)
	if err != nil {
		return none, err
	}
	t, err := topology.Load(path)
	if err != nil {
		return none, err
	}
	n, ok := t.Node(f.name)
	if !ok {
		return none, usage("node %s: %s has no node of that name", f.name, path)
	}
	dial, err := parseDial(t, f.dial)
	if err != nil {
		return none, err
	}
	return site.Config{Topology: t, Node: n, Insecure: f.insecure, Dial: dial, Trace: f.trace, User: f.user, Log: log, LogLost: lines.lost.Load}, nil
}

// A logWriter counts the lines that cannot be written, as on a full disk, and says how
// many they were once it can write again.
type logWriter struct {
	to     io.Writer
	lost   atomic.Uint64
	unsaid uint64 // of them; a logger writes one line at a time
}

func (w *logWriter) Write(line []byte) (int, error) {
	if w.unsaid > 0 {
		if _, err := fmt.Fprintf(w.to, "ringway: log: %d lines are lost here: they could not be written\n", w.unsaid); err == nil {
			w.unsaid = 0
		}
	}
	n, err := w.to.Write(line)
	if err != nil {
		w.lost.Add(1)
		w.unsaid++
	}
	return n, err
}

func newLog(w io.Writer, format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, usage("node: --log-format %s: want text or json", format)
}

// parseDial reads NODE=ADDRESS pairs.
func parseDial(t *topology.Topology, pairs []string) (map[string]string, error) {
	dial := map[string]string{}
	for _, pair := range pairs {
		name, address, ok := strings.Cut(pair, "=")
		if !ok || name == "" || !strings.Contains(address, ":") {
			return nil, usage("node: --dial %s: want NODE=HOST:PORT", pair)
		}
		if n, ok := t.Node(name); !ok || !n.IsGateway() {
			return nil, usage("node: --dial %s: the topology has no gateway %s", pair, name)
		}
		if _, twice := dial[name]; twice {
			return nil, usage("node: --dial %s: %s has an address already", pair, name)
		}
		dial[name] = address
	}
	return dial, nil
}
