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
	every time.Duration
	stop  context.CancelFunc
	busy  sync.WaitGroup
	conns []*client.Conn

	paused atomic.Bool
	seen   []atomic.Uint64
}

func newWorld(ctx context.Context, f *scenario.Federation, rate float64) (*world, error) {
	running, stop := context.WithCancel(context.Background())
	sites := f.Lab.Topology().Sites
	w := &world{lab: f, every: time.Duration(float64(time.Second) / rate), stop: stop, seen: make([]atomic.Uint64, len(sites))}
	for i, s := range sites {
		nodes := f.At(s.Name)
		conn, err := client.Dial(ctx, nodes[len(nodes)-1].Address(), f.ClientOptions())
		if err != nil {
			w.close()
			return nil, err
		}
		w.conns = append(w.conns, conn)
		if err := conn.Join(ctx, worldGroup); err != nil {
			w.close()
			return nil, err
		}
		w.busy.Go(func() { w.read(running, conn, &w.seen[i]) })
		w.busy.Go(func() { w.send(running, conn) })
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
func (w *world) read(ctx context.Context, conn *client.Conn, marks *atomic.Uint64) {
	for {
		event, err := conn.Receive(ctx)
		if err != nil {
			return
		}
		if m, ok := event.(*client.Message); ok && len(m.Data) == len(mark) {
			marks.Add(1)
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
	before := make([]uint64, len(w.seen))
	for i := range w.seen {
		before[i] = w.seen[i].Load()
	}
	for _, c := range w.conns {
		if err := c.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{worldGroup}, Data: []byte(mark)}); err != nil {
			return err
		}
	}
	for i := range w.seen {
		for w.seen[i].Load() < before[i]+uint64(len(w.conns)) {
			if !sleep(ctx, 10*time.Millisecond) {
				return fmt.Errorf("not everything that was under way has come to site %d: %w", i+1, ctx.Err())
			}
		}
	}
	w.paused.Store(false)
	sleep(ctx, time.Second)
	return ctx.Err()
}
