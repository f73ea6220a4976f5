package overlay

import (
	"math"
	"time"

	"ringway/membership"
)

// A frameQueue has encoded frames that wait for a lane's control stream, and those that
// were written lately and of which nothing shows yet that the peer has them: should the
// lane end, they may be lost with it, and go another way (reroute.go). Both are bounded
// in number and bytes.
type frameQueue struct {
	signalled
	forgets  bool // whoever needs what is lost asks for it
	waiting  frameList
	unproved frameList // oldest first; the last may still be with the writer
}

// A queuedFrame is a frame with where it goes.
type queuedFrame struct {
	to      membership.SiteInstance // of a control message; zero: a promise
	data    []byte
	written time.Duration // when its writing ended; notWritten: it has not
}

const notWritten = time.Duration(math.MaxInt64)

func newFrameQueue() *frameQueue { return &frameQueue{signalled: newSignalled()} }

// put adds a frame; false: the queue is full.
func (q *frameQueue) put(to membership.SiteInstance, frame []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting.frames) >= maxControlQueue || q.waiting.bytes+len(frame) > maxControlQueueBytes {
		return false
	}
	q.waiting.push(queuedFrame{to, frame, notWritten})
	q.signal()
	return true
}

// next takes the first frame for the writer; nil: there is none.
func (q *frameQueue) next() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting.frames) == 0 {
		return nil
	}
	f := q.waiting.pop()
	if q.forgets {
		return f.data
	}
	q.unproved.push(f)
	for len(q.unproved.frames) > maxControlQueue || q.unproved.bytes > maxUnprovedBytes {
		q.unproved.pop()
	}
	return f.data
}

// wrote tells that the frame that the writer took last has been written.
func (q *frameQueue) wrote(now time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last := len(q.unproved.frames) - 1; last >= 0 && q.unproved.frames[last].written == notWritten {
		q.unproved.frames[last].written = now
	}
}

// proved forgets what was written before: the peer has answered something later.
func (q *frameQueue) proved(before time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.unproved.frames) > 0 && q.unproved.frames[0].written < before {
		q.unproved.pop()
	}
}

// take takes what waits, for the lane that comes in this one's place.
func (q *frameQueue) take() []queuedFrame {
	q.mu.Lock()
	defer q.mu.Unlock()
	frames := q.waiting.frames
	q.waiting = frameList{}
	return frames
}

// leave takes the control messages, whether they wait or may not have arrived, that go to
// one of these instances; nil: all. They are in the order in which they were put.
func (q *frameQueue) leave(to map[membership.SiteInstance]bool) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.leave(to, q.unproved.leave(to, nil))
}

// size returns how many frames wait, and their bytes.
func (q *frameQueue) size() (frames, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting.frames), q.waiting.bytes
}

// A frameList is a list of frames and the sum of their bytes.
type frameList struct {
	frames []queuedFrame
	bytes  int
}

func (l *frameList) push(f queuedFrame) {
	l.frames = append(l.frames, f)
	l.bytes += len(f.data)
}

func (l *frameList) pop() queuedFrame {
	f := l.frames[0]
	l.bytes -= len(f.data)
	if l.frames[0], l.frames = (queuedFrame{}), l.frames[1:]; len(l.frames) == 0 {
		l.frames = nil // what it was cut from can go
	}
	return f
}

// leave moves frames from the list to buf.
func (l *frameList) leave(to map[membership.SiteInstance]bool, buf [][]byte) [][]byte {
	var rest frameList
	for _, f := range l.frames {
		if f.to.Instance != 0 && (to == nil || to[f.to]) {
			buf = append(buf, f.data)
		} else {
			rest.push(f)
		}
	}
	*l = rest
	return buf
}
