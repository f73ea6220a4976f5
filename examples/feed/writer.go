package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ringway/client"
)

const (
	// pollEvery is how often the file is looked at.
	pollEvery = 100 * time.Millisecond
	// window bounds what was sent and has not come back.
	window = 1 << 20
	// maxAsking bounds the readers that are answered at once.
	maxAsking = 256
)

// A writer publishes a file. sent is up to where it has, state up to where it came back.
type writer struct {
	session   *client.Session
	group     string
	src       *source
	state     writerState
	statePath string
	sent      int64
	asking    map[string]int64 // readers' private groups, and up to where they are answered
}

// work publishes until the context ends.
func (w *writer) work(ctx context.Context, events <-chan client.Event) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-events:
			for more := true; more; { // what is there already, before the state is saved
				if err := w.take(e); err != nil {
					return err
				}
				select {
				case e = <-events:
				default:
					more = false
				}
			}
			if err := w.save(); err != nil {
				return err
			}
		case <-tick.C:
		}
		if err := w.publish(ctx); err != nil {
			return err
		}
		if err := w.answer(ctx); err != nil {
			return err
		}
	}
}

// take takes what came.
func (w *writer) take(e client.Event) error {
	switch e := e.(type) {
	case *client.Gap:
		w.sent = w.state.Offset // what has not come back may be lost: again
		clear(w.asking)         // they ask again, too
	case *client.Rejected:
		return fmt.Errorf("the node's rules do not let this client write to %q", e.Groups)
	case *client.Message:
		switch {
		case e.Type == typeAsk:
			w.asked(e)
		case e.Type == typeEvent && e.Sender == w.session.Name():
			if mine, err := decode(e.Data); err == nil && mine.epoch == w.src.epoch && mine.start == w.state.Offset {
				w.state.Offset = mine.end
			}
		}
	}
	return nil
}

func (w *writer) save() (err error) {
	if w.state.Print, err = w.src.print(w.state.Offset); err != nil {
		return nil //nolint:nilerr // the file was cut off: publish finds out
	}
	return save(w.statePath, &w.state)
}

// publish sends what the file has, as far as the window allows, and goes to the file that
// has taken its name when all of this one has come back.
func (w *writer) publish(ctx context.Context) error {
	replaced, err := w.src.replaced(w.sent)
	if err != nil {
		return err
	}
	for w.sent-w.state.Offset < window {
		n, err := w.send(ctx, w.group, w.sent, replaced)
		if err != nil {
			return err
		}
		if n == w.sent {
			break
		}
		w.sent = n
	}
	if !replaced || w.state.Offset < w.sent {
		return nil
	}
	if err := w.src.next(time.Now()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it is being replaced just now
		}
		return err
	}
	w.state.place, w.sent = place{Epoch: w.src.epoch}, 0
	clear(w.asking)
	return w.save()
}

// send sends the lines from offset on, about a chunk of them, and returns where they end.
func (w *writer) send(ctx context.Context, to string, offset int64, rest bool) (int64, error) {
	events, err := w.src.read(offset, rest)
	if err != nil || len(events) == 0 {
		return offset, err
	}
	messages := make([]client.Message, len(events))
	for i := range events {
		messages[i] = client.Message{Service: client.Agreed, Groups: []string{to}, Type: typeEvent, Data: events[i].encode()}
	}
	return events[len(events)-1].end, w.session.SendBatch(ctx, messages)
}

// asked notes from where on a reader lacks this writer's lines. A reader that knows
// another file begins with this one.
func (w *writer) asked(m *client.Message) {
	a, err := decodeAsk(m.Data)
	if err != nil || len(w.asking) >= maxAsking {
		return
	}
	at, known := a.Places[nameOf(w.session.Name())]
	switch {
	case !known && !a.All:
	case at.Epoch != w.src.epoch:
		w.asking[m.Sender] = 0
	case at.Offset >= 0:
		w.asking[m.Sender] = at.Offset
	}
}

// answer sends each reader that asked a chunk, until it has what the group was sent.
func (w *writer) answer(ctx context.Context) error {
	for reader, at := range w.asking {
		if at >= w.sent {
			delete(w.asking, reader)
			continue
		}
		end, err := w.send(ctx, reader, at, false)
		if err != nil {
			return err
		}
		if w.asking[reader] = end; end == at {
			delete(w.asking, reader)
		}
	}
	return nil
}
