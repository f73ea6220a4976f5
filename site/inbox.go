package site

import "sync"

// maxQueuedPackets bounds the ring packets between the readers and the loop. A
// reader that meets the bound waits, and the kernel's socket buffer takes the rest:
// about 12 MB of packets at an Ethernet's size.
const maxQueuedPackets = 8192

// An inbox is where reader goroutines leave whole batches for the event loop. It is
// the only thing that they share with it.
type inbox struct {
	mu     sync.Mutex
	room   sync.Cond // signalled when the loop has taken what was queued
	next   work
	closed bool
	wake   chan struct{} // capacity one: there is work
}

// work is what the loop takes at once. Tokens are apart because the ring says which
// of the two it wants first.
type work struct {
	data, tokens [][]byte
	calls        []func()
}

// reset empties w, keeps its memory and drops its references.
func (w *work) reset() {
	clear(w.data)
	clear(w.tokens)
	clear(w.calls)
	w.data, w.tokens, w.calls = w.data[:0], w.tokens[:0], w.calls[:0]
}

func newInbox() *inbox {
	in := &inbox{wake: make(chan struct{}, 1)}
	in.room.L = &in.mu
	return in
}

// packets queues a batch of ring packets, tokens apart from data, and waits while
// too many are queued.
func (in *inbox) packets(batch [][]byte, isToken func([]byte) bool) {
	in.mu.Lock()
	for len(in.next.data)+len(in.next.tokens) > maxQueuedPackets && !in.closed {
		in.room.Wait()
	}
	for _, packet := range batch {
		if isToken(packet) {
			in.next.tokens = append(in.next.tokens, packet)
		} else {
			in.next.data = append(in.next.data, packet)
		}
	}
	in.mu.Unlock()
	in.signal()
}

// call queues f to run on the loop. It returns false when the loop has ended; f
// will not run then. Callers bound their own number: each session has at most one
// batch under way, each log one, and the overlay waits for its other messages.
func (in *inbox) call(f func()) bool {
	in.mu.Lock()
	closed := in.closed
	if !closed {
		in.next.calls = append(in.next.calls, f)
	}
	in.mu.Unlock()
	if closed {
		return false
	}
	in.signal()
	return true
}

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take gives the loop everything that is queued and takes done, which the loop has
// finished with, as the next queue's memory.
func (in *inbox) take(done work) work {
	done.reset()
	in.mu.Lock()
	taken := in.next
	in.next = done
	in.mu.Unlock()
	in.room.Broadcast()
	return taken
}

// close lets nothing more in, and lets go who waits. What is queued stays queued.
func (in *inbox) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.room.Broadcast()
	in.signal()
}
