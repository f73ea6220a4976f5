package main

import (
	"context"
	"fmt"
	"io"

	"ringway/client"
	"ringway/examples/internal/app"
)

func main() { app.Main("leader", run) }

// run takes part in elections until it is interrupted.
func run(ctx context.Context, args []string, _ io.Reader, out, errs io.Writer) error {
	flags, connection := app.Flags("leader")
	name := flags.String("name", "", "your name, at most 10 letters")
	if err := app.Parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *name == "" {
		return app.Usage("leader -connect ADDR -name YOU GROUP")
	}
	session, err := connection.Open(ctx, *name, errs)
	if err != nil {
		return err
	}
	defer session.Close()
	group := flags.Arg(0)
	if err := session.Join(ctx, group); err != nil {
		return err
	}
	return elect(ctx, session, group, out)
}

// elect carries events to the election and its votes to the group.
func elect(ctx context.Context, session *client.Session, group string, out io.Writer) error {
	var e election
	for {
		event, err := session.Receive(ctx)
		if err != nil {
			return err
		}
		led := e.leader != "" && e.leader == session.Name()
		switch event := event.(type) {
		case *client.View:
			vote := e.entered(event)
			if err := session.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{group}, Data: []byte(vote)}); err != nil {
				return err
			}
		case *client.Transition:
			e.left()
		case *client.Gap:
			e.lost()
		case *client.Message:
			if e.counted(event.Sender, string(event.Data)) {
				fmt.Fprintf(out, "%s leads %d\n", e.leader, len(e.view.Members))
			}
		}
		switch leads := e.leader != "" && e.leader == session.Name(); {
		case leads && !led:
			fmt.Fprintln(out, "I lead")
		case led && !leads:
			fmt.Fprintln(out, "I step down")
		}
	}
}
