package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"ringway/client"
)

// askEvery is how often a reader asks again that lacks something.
const askEvery = time.Second

// A reader prints each line of each writer once.
type reader struct {
	session   *client.Session
	group     string
	fromStart bool // also of what writers had sent before this reader knew them
	places    map[string]place
	statePath string
	out       *bufio.Writer
	log       io.Writer
	lacks     bool      // something: it asks
	asked     time.Time // for the last time
}

// work prints until the context ends. What is printed is written out before it counts.
func (r *reader) work(ctx context.Context, events <-chan client.Event) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-events:
			printed := 0
			for more := true; more; {
				n, err := r.take(e)
				if err != nil {
					return err
				}
				printed += n
				select {
				case e = <-events:
				default:
					more = false
				}
			}
			if printed > 0 {
				if err := r.out.Flush(); err != nil {
					return err
				}
				if err := save(r.statePath, r.places); err != nil {
					return err
				}
			}
		case <-tick.C:
		}
		if err := r.ask(ctx); err != nil {
			return err
		}
	}
}

// take takes what came, and returns how many lines it printed.
func (r *reader) take(e client.Event) (printed int, err error) {
	switch e := e.(type) {
	case *client.View: // somebody may have come who has what is missing
		r.lacks, r.asked = len(r.places) > 0 || r.fromStart, time.Time{}
	case *client.Rejected:
		return 0, fmt.Errorf("the node's rules do not let this client use %q", e.Groups)
	case *client.Message:
		if e.Type != typeEvent {
			return 0, nil
		}
		line, err := decode(e.Data)
		if err != nil {
			fmt.Fprintf(r.log, "%s: %v\n", e.Sender, err)
			return 0, nil
		}
		if r.accept(nameOf(e.Sender), &line) {
			fmt.Fprintf(r.out, "%s %d %s\n", nameOf(e.Sender), line.start, line.line)
			return 1, nil
		}
	}
	return 0, nil
}

// accept says whether a line is the next one of its writer, and then takes it.
func (r *reader) accept(writer string, e *event) bool {
	at, known := r.places[writer]
	switch {
	case !known && len(r.places) >= maxPlaces:
		return false
	case !known && !r.fromStart:
		at = place{e.epoch, e.start} // it begins here
	case !known || e.epoch > at.Epoch:
		at = place{e.epoch, 0}
	case e.epoch < at.Epoch || e.end <= at.Offset:
		return false // it had that
	}
	if e.start != at.Offset {
		r.places[writer], r.lacks = at, true
		return false
	}
	r.places[writer] = place{e.epoch, e.end}
	return true
}

// ask tells the writers where this reader is, if it may lack something. Who has nothing
// more for it does not answer.
func (r *reader) ask(ctx context.Context) error {
	if !r.lacks || time.Since(r.asked) < askEvery {
		return nil
	}
	r.lacks, r.asked = false, time.Now()
	data, err := json.Marshal(ask{r.places, r.fromStart})
	if err != nil {
		return err
	}
	return r.session.Send(ctx, client.Message{Service: client.Agreed, SelfDiscard: true, Groups: []string{r.group}, Type: typeAsk, Data: data})
}
