package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ringway/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin)
	stop()
	switch {
	case errors.Is(err, errUsage), errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "feed:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: feed -connect ADDR [-group G] [-service S] [-from-start] [-follow=false] [FILE]")

// options are the command line.
type options struct {
	connect, group    string
	service           client.Service
	fromStart, follow bool
	file              string // empty: standard input
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("feed", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.connect, "connect", os.Getenv("RINGWAY_CONNECT"), "")
	flags.StringVar(&o.group, "group", "feed", "")
	flags.BoolVar(&o.fromStart, "from-start", false, "")
	flags.BoolVar(&o.follow, "follow", true, "")
	o.service = client.Agreed
	flags.Func("service", "", func(name string) error {
		for s := client.Unreliable; s <= client.Safe; s++ {
			if s.String() == name {
				o.service = s
				return nil
			}
		}
		return fmt.Errorf("no such service")
	})
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.connect == "" || flags.NArg() > 1 {
		return o, errUsage
	}
	o.file = flags.Arg(0)
	return o, nil
}

func run(ctx context.Context, args []string, stdin io.Reader) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	conn, err := client.Dial(ctx, o.connect, client.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()

	// Nothing is expected from the node, but a session must be read: that is how its
	// end is noticed.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for {
			if _, err := conn.Receive(ctx); err != nil {
				cancel(err)
				return
			}
		}
	}()

	send := func(lines [][]byte) error { return publish(ctx, conn, o, lines) }
	if o.file == "" {
		err = readLines(ctx, stdin, send)
	} else {
		err = tail(ctx, o.file, o.fromStart, o.follow, send)
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		return fmt.Errorf("connection to %s: %w", o.connect, context.Cause(ctx))
	}
	if errors.Is(err, context.Canceled) {
		return nil // asked to stop
	}
	return err
}

// A sender is a *client.Conn, or a test's.
type sender interface {
	SendBatch(context.Context, []client.Message) error
}

// publish sends lines that were read together with one write.
func publish(ctx context.Context, conn sender, o options, lines [][]byte) error {
	messages := make([]client.Message, len(lines))
	groups := []string{o.group}
	for i, line := range lines {
		messages[i] = client.Message{Service: o.service, Groups: groups, Data: line}
	}
	return conn.SendBatch(ctx, messages)
}
