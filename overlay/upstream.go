package overlay

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"ringway/membership"
)

// An upstream is a subscription of this gateway at its parent for a log.
type upstream struct {
	lane  *lane
	store *store
	term  uint64
	sub   subscribe
	stop  context.CancelFunc

	progress atomic.Bool // something has come
}

// run pulls entries into the store until the stream ends, for whatever reason.
func (u *upstream) run(ctx context.Context) {
	err := u.pull(ctx)
	u.lane.check(err)
	u.lane.g.post(func(c *core) { c.upstreamEnded(u, err) })
}

func (u *upstream) pull(ctx context.Context) error {
	s, err := u.lane.conn.OpenStream()
	if err != nil {
		return fmt.Errorf("open stream to the parent: %w", err)
	}
	release := context.AfterFunc(ctx, func() { abandon(s) })
	defer abandon(s)
	defer release()
	if _, err := s.Write(u.sub.append([]byte{byte(streamSubscribe)})); err != nil {
		return err
	}
	in := newEntryReader(s)
	var batch []LogEntry
	for {
		e, err := in.next()
		if err != nil {
			return err
		}
		batch = append(batch, e)
		for size := len(e.Data); size < writeBatch && in.ready(); size += len(e.Data) {
			if e, err = in.next(); err != nil {
				break
			}
			batch = append(batch, e)
		}
		u.progress.Store(true)
		u.lane.g.count.entriesReceived.Add(uint64(len(batch)))
		if stale := u.store.append(u.term, batch, ctx.Done()); stale != nil {
			return stale
		}
		if err != nil {
			return err
		}
		clear(batch)
		batch = batch[:0]
	}
}

// abandon ends both directions of a stream.
func abandon(s *quic.Stream) {
	s.CancelRead(streamDone)
	s.CancelWrite(streamDone)
}

// addWant adds an instance from n to wants, which stay ascending; of two positions
// the lower one counts.
func addWant(wants []want, of membership.InstanceID, n uint64) []want {
	for i := range wants {
		switch {
		case wants[i].Instance == of:
			wants[i].From = min(wants[i].From, n)
			return wants
		case wants[i].Instance > of:
			wants = append(wants, want{})
			copy(wants[i+1:], wants[i:])
			wants[i] = want{of, n}
			return wants
		}
	}
	return append(wants, want{of, n})
}
