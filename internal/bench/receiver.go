package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ringway/client"
)

// The histogram's range, in microseconds, and its precision.
const (
	lowest  = 1
	highest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

// A receiver is the connection that receives.
type receiver struct {
	run    *run
	conn   *client.Conn
	events []client.Event

	from, until time.Duration // measured

	latency    *hdrhistogram.Histogram
	messages   uint64 // that arrived in the time measured
	disordered uint64 // not the next of its sender
	total      uint64
}

func newReceiver(r *run, conn *client.Conn) *receiver {
	return &receiver{run: r, conn: conn, events: make([]client.Event, 256), latency: hdrhistogram.New(lowest, highest, digits)}
}

// join returns when the receiver is a member of all groups.
func (r *receiver) join(ctx context.Context, groups []string) error {
	for _, g := range groups {
		if err := r.conn.Join(ctx, g); err != nil {
			return fmt.Errorf("join %s: %w", g, err)
		}
	}
	waiting := joining{}
	for _, g := range groups {
		waiting[g] = true
	}
	for len(waiting) > 0 {
		event, err := r.conn.Receive(ctx)
		if err != nil {
			return fmt.Errorf("join of %d groups, %d to go: %w", len(groups), len(waiting), err)
		}
		waiting.saw(event)
	}
	return nil
}

// joining are the groups that a receiver has asked to join and has no view of.
type joining map[string]bool

// saw takes an event. Any view of a group is one with the receiver: while the network changes
// the first one says that, and not that somebody joined.
func (j joining) saw(event client.Event) {
	if view, ok := event.(*client.View); ok {
		delete(j, view.Group)
	}
}

// work receives until the context ends.
func (r *receiver) work(ctx context.Context, fail context.CancelCauseFunc) {
	next := make([]uint64, len(r.run.senders))
	came := next // what opens a sender's window: the numbers seen, if some may be lost
	if guaranteed(r.run.cfg.Service) {
		came = make([]uint64, len(next)) // else how many have come
	}
	for {
		n, err := r.conn.ReceiveBatch(ctx, r.events)
		if err != nil {
			if ctx.Err() == nil {
				fail(fmt.Errorf("receiver %s: %w", r.conn.Name(), err))
			}
			return
		}
		now := r.run.now()
		for _, event := range r.events[:n] {
			if m, ok := event.(*client.Message); ok {
				if sender, ok := r.count(m, now, next); ok && &came[0] != &next[0] {
					came[sender]++
				}
			}
		}
		for i, s := range r.run.senders {
			if came[i] > s.received.Load() {
				s.received.Store(came[i])
				select {
				case s.progress <- struct{}{}:
				default:
				}
			}
		}
	}
}

// count takes a message and returns its sender. next has the number after the highest
// seen of each sender.
func (r *receiver) count(m *client.Message, now time.Duration, next []uint64) (sender int, ours bool) {
	sender, seq, at, ok := readStamp(m.Data)
	if !ok || sender >= len(next) || len(m.Data) != r.run.cfg.Size {
		return 0, false // anybody may send to a group
	}
	r.total++
	if seq != next[sender] {
		r.disordered++
	}
	next[sender] = max(next[sender], seq+1)
	if now < r.from || now >= r.until {
		return sender, true
	}
	r.messages++
	if at >= r.from {
		_ = r.latency.RecordValue(min(highest, max(lowest, int64((now-at)/time.Microsecond))))
	}
	return sender, true
}
