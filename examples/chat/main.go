package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"ringway/client"
	"ringway/examples/internal/app"
)

func main() { app.Main("chat", run) }

// run chats until the input ends.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) error {
	flags, connection := app.Flags("chat")
	name := flags.String("name", "", "your name, at most 10 letters")
	if err := app.Parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *name == "" {
		return app.Usage("chat -connect ADDR -name YOU ROOM")
	}
	session, err := connection.Open(ctx, *name, errs)
	if err != nil {
		return err
	}
	defer session.Close()
	r := &room{name: flags.Arg(0)}
	if err := session.Join(ctx, r.name); err != nil {
		return err
	}
	return talk(ctx, session, r, in, out)
}

// talk shows what comes and sends what is typed. Both are handled here, one at a time, so
// that a line of the user's stands where it belongs.
func talk(ctx context.Context, session *client.Session, r *room, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events, lines := make(chan client.Event), make(chan string)
	go func() {
		for {
			event, err := session.Receive(ctx)
			if err != nil {
				cancel(err)
				return
			}
			select {
			case events <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() { // ends with the input, or with the program
		defer close(lines)
		for typed := bufio.NewScanner(in); typed.Scan(); {
			select {
			case lines <- typed.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case event := <-events:
			for _, line := range r.show(event) {
				fmt.Fprintln(out, line)
			}
		case line, more := <-lines:
			q := r.parse(line)
			if !more || q.quit {
				return nil
			}
			if q.say != "" {
				fmt.Fprintln(out, q.say)
			}
			if len(q.groups) == 0 {
				continue
			}
			if err := session.Send(ctx, client.Message{Service: client.Agreed, Groups: q.groups, Data: []byte(q.text)}); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
