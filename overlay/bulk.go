package overlay

import (
	"sync/atomic"
	"time"
)

// A bulkQueue has encoded frames that give way to others and wait for a link. All lanes take
// from it: whichever has room takes the next, so they arrive in any order. Nothing is kept of
// what was written: whoever needs what is lost asks for it.
type bulkQueue struct {
	signalled
	waiting frameList
	writing atomic.Int64 // for how long writers have been held up since the last look
}

func newBulkQueue() *bulkQueue { return &bulkQueue{signalled: newSignalled()} }

// put adds a frame; false: the queue is full.
func (q *bulkQueue) put(frame []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting.frames) >= maxBulkQueue || q.waiting.bytes+len(frame) > maxBulkQueueBytes {
		return false
	}
	q.waiting.push(queuedFrame{data: frame})
	q.signal()
	return true
}

// next takes the first frame for a writer; nil: there is none. If there are more, another
// lane's writer is woken.
func (q *bulkQueue) next() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting.frames) == 0 {
		return nil
	}
	f := q.waiting.pop()
	if len(q.waiting.frames) > 0 {
		q.signal()
	}
	return f.data
}

// clear drops what waits.
func (q *bulkQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = frameList{}
}

// size returns how many frames wait, and their bytes.
func (q *bulkQueue) size() (frames, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting.frames), q.waiting.bytes
}

// writeBulk writes what waits for the link. On a full one it has its share beside the logs:
// neither waits for more than a packet of the other.
func (l *lane) writeBulk() error {
	s, err := l.openStream(streamBulk, urgencyLogs)
	if err != nil {
		return err
	}
	for {
		select {
		case <-l.done():
			l.bulk.signal() // it may have been for another lane
			return nil
		case <-l.bulk.wake:
		}
		for frame := l.bulk.next(); frame != nil; frame = l.bulk.next() {
			began := time.Now()
			_, err := s.Write(frame)
			l.bulk.writing.Add(int64(time.Since(began)))
			if err != nil {
				l.bulk.signal()
				return err
			}
		}
	}
}
