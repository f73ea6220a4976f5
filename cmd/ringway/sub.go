package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ringway/client"
	"ringway/membership"
)

// subFlags are those of `sub`.
type subFlags struct {
	connection
	name, slowReader string
	json, membership bool
	count            int
}

func newSub() *cobra.Command {
	var f subFlags
	cmd := &cobra.Command{
		Use:   "sub --connect ADDR[,ADDR…] GROUP…",
		Short: "Join groups and print their messages, and views, as they come",
		Long: `Join groups and print their messages as they come. With --membership, print views too.
When the connection is lost, sub comes back over another one, joins again, and says that
messages may be missing.

` + addressHelp,
		Args: args(1, membership.MaxGroups, "one GROUP to 100"),
		RunE: func(cmd *cobra.Command, groups []string) error { return f.run(cmd, groups) },
	}
	flags := cmd.Flags()
	f.connection.comeBack(flags)
	flags.StringVar(&f.name, "name", "", "private name (default: the node invents one)")
	flags.StringVar(&f.slowReader, "slow-reader", "", "what the node does while this reads too slowly: disconnect, drop-oldest or block (default: what its topology says)")
	flags.BoolVar(&f.json, "json", false, "one JSON object per line")
	flags.BoolVar(&f.membership, "membership", false, "print views too")
	flags.IntVar(&f.count, "count", 0, "stop after so many messages (default: when interrupted)")
	return cmd
}

func (f *subFlags) run(cmd *cobra.Command, groups []string) error {
	if f.count < 0 {
		return usage("sub: --count %d: want a number of messages", f.count)
	}
	// Views are asked for in any case: they tell when a join is done.
	switch policy := client.SlowReader(f.slowReader); policy {
	case "", client.Disconnect, client.DropOldest, client.Block:
	default:
		return usage("sub: --slow-reader %s: want disconnect, drop-oldest or block", f.slowReader)
	}
	conn, err := f.open(cmd, client.Options{Name: f.name, Membership: true, SlowReader: client.SlowReader(f.slowReader)})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx := cmd.Context()
	for _, g := range groups {
		if err := conn.Join(ctx, g); err != nil {
			return fmt.Errorf("sub: join %s: %w", g, err)
		}
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	s := &subscriber{out: newEventWriter(out, f.json, f.membership), limit: f.count, lost: func(gap *client.Gap) { sayGap(cmd, gap) }}
	if isTerminal(cmd.ErrOrStderr()) {
		s.joined = func(group string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "joined %s as %s\n", group, conn.Name())
		}
	}
	return s.run(ctx, conn, out)
}

// A receiveBatcher is a *client.Session, or a test's.
type receiveBatcher interface {
	Name() string
	ReceiveBatch(context.Context, []client.Event) (int, error)
}

// A subscriber prints what a connection receives.
type subscriber struct {
	out    *eventWriter
	limit  int                // messages; 0: no limit
	joined func(group string) // told of the own joins; nil: nobody is
	in     map[[2]string]bool // groups and names for which it was
	lost   func(*client.Gap)  // told of losses of the connection; nil: nobody is
}

// run prints until the limit, the end of the context or that of the connection. Output
// is written out whenever nothing more has arrived.
func (s *subscriber) run(ctx context.Context, conn receiveBatcher, out *bufio.Writer) error {
	events := make([]client.Event, 256)
	for {
		n, err := conn.ReceiveBatch(ctx, events)
		if err != nil {
			if ctx.Err() != nil {
				return out.Flush() // interrupted: done
			}
			return fmt.Errorf("sub: %w", err)
		}
		for _, event := range events[:n] {
			if s.done() {
				break
			}
			if view, ok := event.(*client.View); ok {
				s.saw(view.Group, conn.Name())
			}
			if gap, ok := event.(*client.Gap); ok && s.lost != nil {
				s.lost(gap)
			}
			if rejected, ok := event.(*client.Rejected); ok {
				out.Flush()
				return fmt.Errorf("sub: the node's access rules refuse %q", rejected.Groups)
			}
			s.out.write(event)
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("sub: write: %w", err)
		}
		if s.done() {
			return nil
		}
	}
}

func (s *subscriber) done() bool { return s.limit > 0 && s.out.messages >= s.limit }

// saw takes a view: the first one of a group that a name gets tells that it has joined. Not
// all of those say so: while the network changes, they say that.
func (s *subscriber) saw(group, name string) {
	if who := [2]string{group, name}; s.joined != nil && !s.in[who] {
		if s.in == nil {
			s.in = map[[2]string]bool{}
		}
		s.in[who] = true
		s.joined(group)
	}
}
