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
	connect, name    string
	json, membership bool
	count            int
}

func newSub() *cobra.Command {
	var f subFlags
	cmd := &cobra.Command{
		Use:   "sub --connect ADDR GROUP…",
		Short: "Join groups and print their messages, and views, as they come",
		Long: `Join groups and print their messages as they come. With --membership, print views too.

` + addressHelp,
		Args: args(1, membership.MaxGroups, "one GROUP to 100"),
		RunE: func(cmd *cobra.Command, groups []string) error { return f.run(cmd, groups) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.connect, "connect", "", "the node to connect to (default $RINGWAY_CONNECT)")
	flags.StringVar(&f.name, "name", "", "private name (default: the node invents one)")
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
	conn, err := connect(cmd, f.connect, client.Options{Name: f.name, Membership: true})
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
	s := &subscriber{out: newEventWriter(out, f.json, f.membership), limit: f.count}
	if isTerminal(cmd.ErrOrStderr()) {
		s.joined = func(group string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "joined %s as %s\n", group, conn.Name())
		}
	}
	return s.run(ctx, conn, out)
}

// A receiveBatcher is a *client.Conn, or a test's.
type receiveBatcher interface {
	Name() string
	ReceiveBatch(context.Context, []client.Event) (int, error)
}

// A subscriber prints what a connection receives.
type subscriber struct {
	out    *eventWriter
	limit  int                // messages; 0: no limit
	joined func(group string) // told of the own joins; nil: nobody is
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
			if view, ok := event.(*client.View); ok && s.joined != nil && isOwnJoin(view, conn.Name()) {
				s.joined(view.Group)
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

func isOwnJoin(view *client.View, name string) bool {
	return view.Cause == client.ByJoin && len(view.MovedTogether) == 1 && view.MovedTogether[0] == name
}
