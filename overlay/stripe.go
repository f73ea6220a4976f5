package overlay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/internal/wire"
)

// A subscription begins as one stream. Where its link has several lanes, the child adds
// a stripe on each of the others: a stream that belongs to the same subscription. The
// parent then numbers its batches and gives each to whichever stripe is free; the child
// takes them in the order of their numbers. So one log uses all lanes, and a lane that
// recovers from a loss holds back no more than the batches after its own.

// A stripeHello opens a stripe: it names the peer's subscription that it belongs to.
type stripeHello struct{ ID uint32 }

func (s stripeHello) append(b []byte) []byte {
	start := len(b)
	return endFrame(wire.AppendUint32(beginFrame(b, frameStripe), s.ID), start)
}

func decodeStripe(body []byte) (stripeHello, error) {
	r := wire.NewReader(body)
	s := stripeHello{r.Uint32()}
	return s, breach(r.Done())
}

// A batchHead comes before the entries of a batch of a subscription with stripes.
type batchHead struct {
	Seq   uint64 // from 1, over all stripes
	Count uint32 // of items: entries, skips and seals
}

// maxBatchItems bounds a batch: the block that fills it is whole.
const maxBatchItems = importEntries + maxBlockEntries + 1

func (h batchHead) append(b []byte) []byte {
	start := len(b)
	return endFrame(wire.AppendUint32(wire.AppendUint64(beginFrame(b, frameBatch), h.Seq), h.Count), start)
}

func decodeBatch(body []byte) (batchHead, error) {
	r := wire.NewReader(body)
	h := batchHead{r.Uint64(), r.Uint32()}
	if h.Seq == 0 || h.Count > maxBatchItems {
		r.Fail(fmt.Errorf("%w: batch %d of %d entries", wire.ErrLimit, h.Seq, h.Count))
	}
	return h, breach(r.Done())
}

// errBroken ends the other stripes of a subscription when one of them has ended.
var errBroken = errors.New("another stripe of the subscription has ended")

// A cutter gives the batches of a branch to its stripes.
type cutter struct {
	mu       sync.Mutex
	seq      uint64 // of the latest batch; 0: not numbered yet
	numbered bool
	begun    chan struct{} // closed when the first stream has the first numbered batch
	streams  []*quic.Stream
	broken   bool
}

// add notes a stream; false: the branch has ended.
func (k *cutter) add(s *quic.Stream) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken {
		return false
	}
	k.streams = append(k.streams, s)
	k.numbered = len(k.streams) > 1
	return true
}

// end lets all stripes go.
func (k *cutter) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken = true
	for i, s := range k.streams {
		if i > 0 { // the first one's writer ends it, perhaps with a refusal
			s.CancelWrite(streamDone)
		}
	}
}

// next takes the next batch for a stripe. first says that it is the one that the
// subscription began with: what it wrote without numbers comes before batch 1, so it
// has that one.
func (b *branch) next(first bool, batch []item) ([]item, uint64, <-chan struct{}, error) {
	k := &b.cut
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken {
		return batch, 0, nil, errBroken
	}
	if !first && k.seq == 0 {
		return batch, 0, k.begun, nil
	}
	batch, cursor, wait, err := b.store.take(batch, b.sub.Wants, b.cursor.Load(), importEntries, writeBatch)
	if err != nil {
		return batch, 0, nil, err
	}
	b.cursor.Store(cursor)
	if wait != nil || len(batch) == 0 {
		return batch, 0, wait, nil
	}
	if k.numbered {
		if k.seq++; k.seq == 1 {
			close(k.begun)
		}
	}
	return batch, k.seq, nil, nil
}

// serveStripe writes batches to a stripe until the branch ends.
func (b *branch) serveStripe(s *quic.Stream) {
	if !b.cut.add(s) {
		s.CancelWrite(streamDone)
		return
	}
	w := entryWriter{stream: s, buf: make([]byte, 0, writeBatch+inlineBody)}
	_ = b.write(&w, false)
	s.CancelWrite(streamDone)
	b.breakOff()
}

// breakOff ends the branch because one of its streams has ended.
func (b *branch) breakOff() {
	b.cut.end()
	b.breaking.Do(func() { close(b.broken) })
}

// joined finds the branch that a stripe belongs to.
func (c *core) joined(l *lane, s *quic.Stream, id uint32) {
	for b := range c.branches {
		if b.lane.peer == l.peer && b.sub.ID == id && !b.ending {
			c.wg.Go(func() { b.serveStripe(s) })
			return
		}
	}
	s.CancelWrite(streamDone)
}

// A turn lets the stripes of an upstream append their batches in order. First, as batch 0,
// the stream that the subscription began with appends what comes without numbers.
type turn struct {
	mu    sync.Mutex
	next  uint64
	taken bool // by the stripe whose turn it is
	moved chan struct{}
}

func newTurn() turn { return turn{taken: true, moved: make(chan struct{})} }

// await waits for the turn of a batch.
func (t *turn) await(ctx context.Context, seq uint64) error {
	for {
		t.mu.Lock()
		turn, again, moved := seq == t.next && !t.taken, seq < t.next || seq == t.next && t.taken, t.moved
		t.taken = t.taken || turn
		t.mu.Unlock()
		switch {
		case turn:
			return nil
		case again: // two of one number must not be taken at the same time either
			return breach(fmt.Errorf("batch %d came again", seq))
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// done lets the next batch have its turn.
func (t *turn) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	t.taken = false
	signal(&t.moved)
}

// addStripe pulls over another lane of the link as well.
func (u *upstream) addStripe(ctx context.Context, l *lane) {
	err := u.pullStripe(ctx, l)
	l.check(err)
	// Batches may have been lost with it: the subscription begins anew where the store
	// ends.
	u.stop()
}

func (u *upstream) pullStripe(ctx context.Context, l *lane) error {
	s, err := l.conn.OpenStream()
	if err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { abandon(s) })
	defer abandon(s)
	defer release()
	if _, err := s.Write(stripeHello{u.sub.ID}.append([]byte{byte(streamStripe)})); err != nil {
		return err
	}
	in := newEntryReader(s)
	for {
		if err := u.takeBatch(ctx, in); err != nil {
			return err
		}
	}
}

// takeBatch reads one numbered batch and appends it in its turn. A refusal in its place is
// returned as the error.
func (u *upstream) takeBatch(ctx context.Context, in *entryReader) error {
	k, body, err := readFrame(in.in, frameBatch, frameRefusal)
	if err != nil {
		return err
	}
	if k == frameRefusal {
		return refusalIn(body)
	}
	head, err := decodeBatch(body)
	if err != nil {
		return err
	}
	batch := make([]item, 0, head.Count)
	for range head.Count {
		it, err := in.next()
		if err != nil {
			return err
		}
		batch = append(batch, it)
	}
	if err := u.turn.await(ctx, head.Seq); err != nil {
		return err
	}
	for i := range batch {
		if err := u.take(ctx, &batch[i]); err != nil {
			return err
		}
	}
	u.turn.done()
	return nil
}

// stripeOver keeps the subscription of a feed on all lanes of its link.
func (c *core) stripeOver(u *upstream) {
	if !u.progress.Load() {
		return // the parent may not serve it yet
	}
	for i, lane := range c.links[u.lane.peer.ID].lanes {
		if lane != nil && lane != u.lane && u.stripes[i] == nil {
			u.stripes[i] = lane
			c.wg.Go(func() { u.addStripe(u.ctx, lane) })
		}
	}
}

// uses says whether the subscription has a stream on that lane.
func (u *upstream) uses(l *lane) bool { return u.lane == l || u.stripes[l.index] == l }

// writingTime adds to what laneMeter takes: how long the link has held up the writer.
func (b *branch) writingTime(from time.Time) { b.writing.Add(int64(time.Since(from))) }
