package overlay

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/membership"
)

// A branch serves one child's subscription. Its writer takes entries from the
// store by number, so a slow child costs no memory of its own: QUIC's flow control
// holds the writer, and a child that falls behind what the store keeps is told so.
type branch struct {
	lane   *lane
	stream *quic.Stream
	sub    subscribe
	store  *store        // once served
	cursor atomic.Uint64 // everything below is with a writer, or written
	sent   atomic.Uint64 // bytes of entries
	ended  atomic.Uint32 // refusal with which the loop wants the branch to end
	stop   chan struct{} // closed after ended is set
	ending bool          // the loop's: stop is closed
	waited bool          // the loop's: for new routes, which it does once

	// goal, if not zero, is where the branch stops being a holder of the store: what
	// the store had when the child insisted. holdTo, the loop's, is when at the latest.
	goal   atomic.Uint64
	holdTo time.Duration

	cut      cutter
	broken   chan struct{} // closed when one of the streams has ended
	breaking sync.Once
	writing  atomic.Int64 // ns in which the link held up the writer, since the last look
}

// refuse answers a subscription that is not served.
func (b *branch) refuse(why refusal) {
	b.lane.g.count.refusals.Add(1)
	if _, err := b.stream.Write(why.append(nil)); err == nil {
		_ = b.stream.Close()
	}
}

// end lets the writer finish with a refusal. Only the event loop calls it.
func (b *branch) end(why refusal) {
	if b.ending {
		return
	}
	b.ending = true
	b.ended.Store(uint32(why))
	close(b.stop)
}

// serve writes entries until the child leaves or the log ends.
func (b *branch) serve() {
	b.cut.add(b.stream)
	w := entryWriter{stream: b.stream, buf: make([]byte, 0, writeBatch+inlineBody)}
	err := b.write(&w, true)
	b.breakOff()
	var why refusal
	if errors.As(err, &why) {
		b.refuse(why)
	} else {
		b.stream.CancelWrite(streamDone)
	}
	b.store.release(b)
	b.lane.g.post(func(c *core) { c.branchEnded(b) })
}

// write writes batches to one of the branch's streams; first: to the one that the
// subscription began with.
func (b *branch) write(w *entryWriter, first bool) error {
	var batch []item
	for {
		select {
		case <-b.stop:
			return refusal(b.ended.Load())
		case <-b.broken:
			return errBroken
		default:
		}
		clear(batch)
		var seq uint64
		var wait <-chan struct{}
		var err error
		batch, seq, wait, err = b.next(first, batch[:0])
		if err != nil {
			return err
		}
		if wait != nil {
			b.caughtUp()
			select {
			case <-wait:
			case <-b.stop:
			case <-b.broken:
			case <-w.stream.Context().Done():
				return w.stream.Context().Err()
			}
			continue
		}
		began := time.Now()
		b.lane.pressure.enter()
		err = w.writeBatch(seq, batch)
		b.lane.pressure.leave()
		if err != nil {
			return err
		}
		b.writingTime(began)
		for i := range batch {
			b.sent.Add(uint64(len(batch[i].entry.Data)))
		}
		b.taken()
	}
}

// caughtUp ends the branch's hold on the store when it has what it insisted on.
func (b *branch) caughtUp() {
	b.taken()
	if goal := b.goal.Load(); goal > 0 && b.cursor.Load() >= goal {
		b.store.release(b)
		b.goal.Store(0)
	}
}

// taken tells the store, if it waits for this branch, how far it is.
func (b *branch) taken() {
	if b.goal.Load() > 0 {
		b.store.takenTo(b, b.cursor.Load())
	}
}

// An entryWriter writes entries in batches; large bodies are not copied.
type entryWriter struct {
	stream *quic.Stream
	buf    []byte
	head   entryEncoder
	cert   []byte // that the child has, from an earlier seal on this stream
}

// writeBatch writes a batch, with its number if it has one.
func (w *entryWriter) writeBatch(seq uint64, batch []item) error {
	if seq > 0 {
		w.buf = batchHead{seq, uint32(len(batch))}.append(w.buf)
	}
	for i := range batch {
		if err := w.write(&batch[i]); err != nil {
			return err
		}
	}
	return w.flush()
}

func (w *entryWriter) write(it *item) error {
	e := &it.entry
	switch it.kind {
	case frameSkip:
		w.buf = (&skip{e.N, e.Dests, it.leaf}).append(w.buf)
		return nil
	case frameSeal:
		known := bytes.Equal(w.cert, it.seal.Certificate)
		w.cert = it.seal.Certificate
		w.buf = it.seal.append(w.buf, !known)
		return nil
	}
	w.buf = w.head.append(w.buf, e)
	if len(e.Data) < inlineBody {
		w.buf = append(w.buf, e.Data...)
	} else {
		if err := w.flush(); err != nil {
			return err
		}
		_, err := w.stream.Write(e.Data)
		return err
	}
	if len(w.buf) >= writeBatch {
		return w.flush()
	}
	return nil
}

func (w *entryWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.stream.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// An importer hands a log's entries for the own instance to the Handler, one batch
// after the other.
type importer struct {
	store    *store
	handler  Handler
	of       membership.SiteInstance // for whom: the own instance when it began
	skip     atomic.Uint64           // the site has everything below from elsewhere
	cursor   atomic.Uint64           // everything below was handed over
	stop     chan struct{}
	stopping bool // the loop's: stop is closed
	rewound  bool // the loop's: the site wants to go back, so cursor no longer counts
}

func (m *importer) run() {
	wants := []want{{Instance: m.of.Instance}}
	cursor := m.skip.Load()
	from := cursor // behind the last entry
	for {
		select {
		case <-m.stop:
			return
		default:
		}
		cursor = max(cursor, m.skip.Load())
		from = max(from, m.skip.Load())
		batch, next, wait, err := m.store.take(nil, wants, cursor, importEntries, importBatch)
		if err != nil && wait == nil {
			return // the log has ended
		}
		if wait == nil {
			if entries := entriesOf(batch); len(entries) > 0 {
				m.handler.Records(Batch{Log: m.store.id, For: m.of.Instance, From: from, Entries: entries})
				from = entries[len(entries)-1].N + 1
			}
			cursor = next
		} else if err == nil {
			cursor = next
		}
		m.cursor.Store(cursor)
		m.store.takenTo(m, cursor)
		if wait != nil {
			select {
			case <-wait:
			case <-m.stop:
				return
			}
		}
	}
}

// entriesOf returns the entries among items.
func entriesOf(items []item) (entries []LogEntry) {
	for i := range items {
		if items[i].kind == frameEntry {
			entries = append(entries, items[i].entry)
		}
	}
	return entries
}
