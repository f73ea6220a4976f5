package main

import (
	"bufio"
	"context"
	"io"
	"time"

	"ringway/client"
	"ringway/examples/internal/app"
)

func main() { app.Main("feed", run) }

const usage = "feed -connect ADDR -group G -name N -state STATE FILE, or without FILE to read"

// run writes a file to the group, or reads the group, until it is interrupted.
func run(ctx context.Context, args []string, _ io.Reader, out, errs io.Writer) error {
	flags, connection := app.Flags("feed")
	group := flags.String("group", "feed", "the group")
	name := flags.String("name", "", "name of this writer or reader, at most 10 letters; a writer's must be its own in the federation")
	statePath := flags.String("state", "", "where the place is kept")
	fromStart := flags.Bool("from-start", false, "read what writers have sent before this reader knew them, too")
	if err := app.Parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 1 || *name == "" || *statePath == "" {
		return app.Usage(usage)
	}
	session, err := connection.Open(ctx, *name, errs)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.Join(ctx, *group); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events := receive(ctx, session, cancel)
	if flags.NArg() == 0 {
		r := &reader{session: session, group: *group, fromStart: *fromStart, places: map[string]place{}, statePath: *statePath, out: bufio.NewWriter(out), log: errs}
		if err := load(*statePath, &r.places); err != nil {
			return err
		}
		return r.work(ctx, events)
	}
	w := &writer{session: session, group: *group, statePath: *statePath, asking: map[string]int64{}}
	if err := load(*statePath, &w.state); err != nil {
		return err
	}
	if w.src, err = openSource(flags.Arg(0), &w.state, time.Now()); err != nil {
		return err
	}
	defer w.src.close()
	w.sent = w.state.Offset
	return w.work(ctx, events)
}

// receive carries what the session receives into a channel until the context ends. Its
// reader may be busy sending for a while, which must not hold up who sends to it.
func receive(ctx context.Context, session *client.Session, fail context.CancelCauseFunc) <-chan client.Event {
	events := make(chan client.Event, 4096)
	go func() {
		for {
			e, err := session.Receive(ctx)
			if err != nil {
				fail(err)
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events
}
