package trace

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ringway/internal/evs"
)

// FlushInterval is how old an event may get before it is in the file.
const FlushInterval = 200 * time.Millisecond

// queueBatches bounds the batches that wait for the disk. A recorder that is faster
// waits: a trace with holes would accuse the innocent.
const queueBatches = 64

// batchEvents is how many events make a batch at most.
const batchEvents = 512

// A Writer writes events to a file. Put and Close are for one goroutine.
type Writer struct {
	log   *slog.Logger
	file  *os.File
	batch []evs.Event
	queue chan []evs.Event
	done  sync.WaitGroup
	err   error // of the writing goroutine, read after done
	lost  atomic.Uint64
}

// Create makes the file of a node's life in a folder, which it makes too.
func Create(folder, node string, boot uint64, log *slog.Logger) (*Writer, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	file, err := os.Create(filepath.Join(folder, fmt.Sprintf("%s-%d.jsonl", node, boot)))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	return newWriter(file, log), nil
}

func newWriter(file *os.File, log *slog.Logger) *Writer {
	w := &Writer{log: log, file: file, queue: make(chan []evs.Event, queueBatches)}
	w.done.Go(w.run)
	return w
}

// Put takes an event.
func (w *Writer) Put(e evs.Event) {
	if w.batch = append(w.batch, e); len(w.batch) >= batchEvents {
		w.Flush()
	}
}

// Flush hands what was put to the goroutine that writes. It waits while the disk is
// slower than the node.
func (w *Writer) Flush() {
	if len(w.batch) > 0 {
		w.queue <- w.batch
		w.batch = make([]evs.Event, 0, batchEvents)
	}
}

// Lost returns how many events are not in the file because it could not be written: 0,
// or all from one on.
func (w *Writer) Lost() uint64 { return w.lost.Load() }

// Close writes what is left.
func (w *Writer) Close() error {
	w.Flush()
	close(w.queue)
	w.done.Wait()
	return errors.Join(w.err, w.file.Close())
}

// run writes until the queue is closed. A file that cannot be written ends there; the
// node goes on.
func (w *Writer) run() {
	out := bufio.NewWriterSize(w.file, 64<<10)
	tick := time.NewTicker(FlushInterval)
	defer tick.Stop()
	buffered := 0 // events, that are perhaps not in the file yet
	for more := true; more; {
		var batch []evs.Event
		select {
		case batch, more = <-w.queue:
		case <-tick.C:
		}
		buffered += len(batch)
		if w.err == nil {
			w.fail(evs.Encode(out, batch))
		}
		if w.err == nil && (batch == nil || !more) {
			if w.fail(out.Flush()); w.err == nil {
				buffered = 0
			}
		}
		if w.err != nil {
			w.lost.Add(uint64(buffered))
			buffered = 0
		}
	}
}

func (w *Writer) fail(err error) {
	if err != nil {
		w.err = fmt.Errorf("trace: %w", err)
		w.log.Warn("the trace ends here: it cannot be written", "file", w.file.Name(), "error", err)
	}
}
