package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ringway/examples/internal/app"
)

func main() { app.Main("replicated-map", run) }

// run answers commands until the input ends.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) error {
	flags, connection := app.Flags("replicated-map")
	name := flags.String("name", "", "this replica's name")
	all := flags.String("replicas", "", "all replicas, NAME@NODE, with commas between")
	group := flags.String("group", "map", "the group that they share")
	wait := flags.Duration("wait", 30*time.Second, "for an operation, and for enough replicas at the start")
	if err := app.Parse(flags, args); err != nil {
		return err
	}
	replicas, err := parseReplicas(*all)
	if err != nil || *name == "" || flags.NArg() != 0 {
		return app.Usage("replicated-map -connect ADDR -name NAME -replicas NAME@NODE,NAME@NODE,… (%v)", err)
	}
	session, err := connection.Open(ctx, *name, errs)
	if err != nil {
		return err
	}
	defer session.Close()
	if !strings.Contains(","+*all+",", ","+*name+"@"+session.Node()+",") {
		return app.Usage("%s@%s is not one of the replicas %s", *name, session.Node(), *all)
	}
	r := newReplica(session, *group, replicas)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(r.run(ctx)) }()
	err = prompt(ctx, r, *wait, in, out)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// parseReplicas turns a@n1,b@n2 into private groups.
func parseReplicas(text string) ([]string, error) {
	var replicas []string
	for one := range strings.SplitSeq(text, ",") {
		name, node, ok := strings.Cut(one, "@")
		if !ok || name == "" || node == "" {
			return nil, fmt.Errorf("replica %q: want NAME@NODE", one)
		}
		replicas = append(replicas, "#"+name+"#"+node)
	}
	return replicas, nil
}

// prompt performs the commands of the input, one a line.
func prompt(ctx context.Context, r *replica, wait time.Duration, in io.Reader, out io.Writer) error {
	lines := make(chan string)
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
		case line, more := <-lines:
			if !more {
				return nil
			}
			if answer := perform(ctx, r, wait, strings.Fields(line)); answer != "" {
				fmt.Fprintln(out, answer)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const help = "there are: set KEY VALUE, get KEY, cas KEY OLD NEW, del KEY"

// perform does one command and returns its answer.
func perform(ctx context.Context, r *replica, wait time.Duration, words []string) string {
	if len(words) == 0 {
		return ""
	}
	operands := map[string]int{"set": 2, "get": 1, "cas": 3, "del": 1}
	if n, known := operands[words[0]]; !known || len(words) != n+1 {
		return help
	}
	op := record{Op: words[0], Key: words[1]}
	if len(words) > 2 {
		op.Value = []byte(words[len(words)-1])
	}
	if len(words) > 3 {
		op.Old = []byte(words[2])
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := r.waitReady(ctx); err != nil {
		return "error: fewer than half of the replicas are in reach, or not all have come yet"
	}
	o, err := r.do(ctx, op)
	switch {
	case errors.Is(err, context.Canceled):
		return ""
	case err != nil:
		return "error: " + err.Error()
	case op.Op == "get" && o.found:
		return o.value
	case op.Op == "get":
		return "(none)"
	case op.Op == "cas" && !o.found:
		return "no: it is not " + words[2]
	}
	return "ok"
}
