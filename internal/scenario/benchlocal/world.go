//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
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
	data  []byte        // what is sent
	stop  context.CancelFunc
	busy  sync.WaitGroup
	conns []*client.Conn

	paused atomic.Bool
	round  atomic.Uint64 // of marks
	ears   []*ear
}

// An ear is what a member of the group has got: marks of this round.
type ear struct{ marks atomic.Int64 }

func newWorld(ctx context.Context, f *scenario.Federation, rate float64, size int) (*world, error) {
	running, stop := context.WithCancel(context.Background())
	sites := f.Lab.Topology().Sites
	w := &world{lab: f, data: make([]byte, size), stop: stop}
	if rate > 0 {
		w.every = time.Duration(float64(time.Second) / rate)
	}
	for _, s := range sites {
		nodes := f.At(s.Name)
		options := f.ClientOptions()
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
		e := &ear{}
		w.ears = append(w.ears, e)
		w.busy.Go(func() { w.read(running, conn, e) })
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
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if w.paused.Load() {
			continue
		}
		if conn.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{worldGroup}, Data: w.data}) != nil {
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
		if m, ok := event.(*client.Message); ok && string(m.Data) == fmt.Sprint(mark, w.round.Load()) {
			e.marks.Add(1)
		}
	}
}

// mark begins a message that is no load; the round follows.
const mark = "mark"

// minSize is that of load: more than a mark's.
const minSize = 32

// markTime is how long the marks of a round may take. Who parts meanwhile does not get all of
// them: views change, and the next round asks again.
const markTime = 10 * time.Second

// settled waits until all nodes are in one view and what was under way has arrived: marks
// of all sites behind it have. Then the world goes on, and is given a moment.
func (w *world) settled(ctx context.Context) error {
	w.paused.Store(true)
	for {
		if err := w.lab.Ready(ctx); err != nil {
			return err
		}
		arrived, err := w.marks(ctx)
		if err != nil {
			return err
		}
		if arrived {
			break
		}
	}
	w.paused.Store(false)
	sleep(ctx, time.Second)
	return ctx.Err()
}

// marks sends a mark from each site, and says whether all of them come to all in time.
func (w *world) marks(ctx context.Context) (bool, error) {
	round := w.round.Add(1)
	for i := range w.ears {
		w.ears[i].marks.Store(0)
	}
	for _, c := range w.conns {
		if err := c.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{worldGroup}, Data: fmt.Append(nil, mark, round)}); err != nil {
			return false, err
		}
	}
	for began := time.Now(); time.Since(began) < markTime; {
		if !slices.ContainsFunc(w.ears, func(e *ear) bool { return int(e.marks.Load()) < len(w.conns) }) {
			return true, nil
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return false, fmt.Errorf("not everything that was under way has come: %w", ctx.Err())
		}
	}
	return false, nil
}
