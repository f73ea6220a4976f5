//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ringway/client"
	"ringway/internal/scenario"
)

// worldGroup has a member in each site.
const worldGroup = "world"

// A world is what sites send each other all the time, beside what is measured: a client of
// each site's last node sends to a group of all, as far as it is not held back.
type world struct {
	lab   *scenario.Federation
	every time.Duration // zero: nothing is sent
	stop  context.CancelFunc
	busy  sync.WaitGroup
	conns []*client.Conn

	paused atomic.Bool
	ears   []ear
}

// An ear is what a member of the group has got.
type ear struct {
	marks   atomic.Uint64
	members atomic.Int64 // in its view
}

func newWorld(ctx context.Context, f *scenario.Federation, rate float64) (*world, error) {
	running, stop := context.WithCancel(context.Background())
	sites := f.Lab.Topology().Sites
	w := &world{lab: f, stop: stop, ears: make([]ear, len(sites))}
	if rate > 0 {
		w.every = time.Duration(float64(time.Second) / rate)
	}
	for i, s := range sites {
		nodes := f.At(s.Name)
		options := f.ClientOptions()
		options.Membership = true
		conn, err := client.Dial(ctx, nodes[len(nodes)-1].Address(), options)
		if err != nil {
			w.close()
			return nil, err
		}
		w.conns = append(w.conns, conn)
		if err := conn.Join(ctx, worldGroup); err != nil {
			w.close()
			return nil, err
		}
		w.busy.Go(func() { w.read(running, conn, &w.ears[i]) })
		if w.every > 0 {
			w.busy.Go(func() { w.send(running, conn) })
		}
	}
	return w, nil
}

func (w *world) close() {
	w.stop()
	for _, c := range w.conns {
		c.Close()
	}
	w.busy.Wait()
}

// send sends until ctx ends.
func (w *world) send(ctx context.Context, conn *client.Conn) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for data := make([]byte, 1000); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if w.paused.Load() {
			continue
		}
		if conn.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{worldGroup}, Data: data}) != nil {
			return
		}
	}
}

// read takes what comes, and counts the marks.
func (w *world) read(ctx context.Context, conn *client.Conn, e *ear) {
	for {
		event, err := conn.Receive(ctx)
		if err != nil {
			return
		}
		switch event := event.(type) {
		case *client.View:
			e.members.Store(int64(len(event.Members)))
		case *client.Message:
			if len(event.Data) == len(mark) {
				e.marks.Add(1)
			}
		}
	}
}

// mark is a message that is no load.
const mark = "mark"

// settled waits until all nodes are in one view and what was under way has arrived: marks
// of all sites behind it have. Then the world goes on, and is given a moment.
func (w *world) settled(ctx context.Context) error {
	w.paused.Store(true)
	if err := w.lab.Ready(ctx); err != nil {
		return err
	}
	all := func(what string, ok func(i int, e *ear) bool) error {
		for i := range w.ears {
			for !ok(i, &w.ears[i]) {
				if !sleep(ctx, 10*time.Millisecond) {
					return fmt.Errorf("%s at site %d: %w", what, i+1, ctx.Err())
				}
			}
		}
		return nil
	}
	if err := all("no view of the group's members", func(_ int, e *ear) bool { return int(e.members.Load()) == len(w.conns) }); err != nil {
		return err
	}
	before := make([]uint64, len(w.ears))
	for i := range w.ears {
		before[i] = w.ears[i].marks.Load()
	}
	for _, c := range w.conns {
		if err := c.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{worldGroup}, Data: []byte(mark)}); err != nil {
			return err
		}
	}
	err := all("not everything that was under way has come", func(i int, e *ear) bool {
		return e.marks.Load() >= before[i]+uint64(len(w.conns))
	})
	if err != nil {
		return err
	}
	w.paused.Store(false)
	sleep(ctx, time.Second)
	return ctx.Err()
}
