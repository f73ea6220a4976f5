package overlay

import (
	"context"
	"errors"
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
	ctx   context.Context // ends with stop
	stop  context.CancelFunc

	turn    turn
	proof   *proof          // in the turn's hands once there are stripes
	stripes [maxLanes]*lane // the loop's: other lanes that it is pulled over

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
	if err := u.pullPlain(ctx, in); err != nil {
		return err
	}
	u.turn.done()
	for {
		if err := u.takeBatch(ctx, in); err != nil {
			return err
		}
	}
}

// pullPlain takes what comes before the first numbered batch.
func (u *upstream) pullPlain(ctx context.Context, in *entryReader) error {
	for {
		if numbered, err := in.numbered(); numbered || err != nil {
			return err
		}
		it, err := in.next()
		if err != nil {
			return err
		}
		if err := u.take(ctx, &it); err != nil {
			return err
		}
	}
}

// take takes the next item of the log. Blocks that are proved good go to the store.
func (u *upstream) take(ctx context.Context, it *item) error {
	block, err := u.proof.take(it)
	if errors.Is(err, errTampered) {
		u.lane.g.count.tampered.Add(1)
	}
	if block == nil || err != nil {
		return err
	}
	u.progress.Store(true)
	u.lane.g.count.entriesReceived.Add(uint64(len(block.entries)))
	return u.store.append(u.term, block, ctx.Done())
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
