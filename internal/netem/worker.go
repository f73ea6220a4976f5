//go:build linux

package netem

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A worker moves the packets of some lanes on a thread of its own, which sleeps in ppoll
// until a packet comes or the next one is due.
//
// Go's timers would be late by a scheduler's turn each, and would reorder.
type worker struct {
	lanes []*lane
	fds   []unix.PollFd // the bell, then the lanes'
	begin time.Time
	woke  time.Duration // from ppoll, the last time
	ended bool

	bell int // eventfd: there are orders
	done chan struct{}

	mu     sync.Mutex
	orders []func()
	closed bool
}

func newWorker() (*worker, error) {
	bell, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w := &worker{bell: bell, begin: time.Now(), done: make(chan struct{})}
	w.fds = []unix.PollFd{{Fd: int32(bell), Events: unix.POLLIN}}
	go w.run()
	return w, nil
}

// do has the worker's thread call f, and returns when it has.
func (w *worker) do(f func()) {
	called := make(chan struct{})
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.orders = append(w.orders, func() { f(); close(called) })
	w.ring()
	w.mu.Unlock()
	<-called
}

// ring is called with the lock, which keeps the bell from being closed.
func (w *worker) ring() {
	one := [8]byte{1}
	unix.Write(w.bell, one[:]) //nolint:errcheck // full: it rings already
}

// close ends the thread.
func (w *worker) close() {
	w.do(func() { w.ended = true })
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		<-w.done
		unix.Close(w.bell)
	}
}

func (w *worker) add(l *lane) {
	w.lanes = append(w.lanes, l)
	w.fds = append(w.fds, unix.PollFd{Fd: int32(l.in.fd), Events: unix.POLLIN})
}

func (w *worker) remove(l *lane) {
	if i := slices.Index(w.lanes, l); i >= 0 {
		w.lanes = slices.Delete(w.lanes, i, i+1)
		w.fds = slices.Delete(w.fds, i+1, i+2)
	}
}

func (w *worker) clock() time.Duration { return time.Since(w.begin) }

func (w *worker) run() {
	defer close(w.done)
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	sharpen()
	for !w.ended {
		w.wait(w.send())
		if w.fds[0].Revents != 0 {
			w.obey()
			continue // the lanes may be others now
		}
		w.receive()
	}
}

// sharpen has the kernel wake the thread when asked instead of up to 50 µs later.
func sharpen() {
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) //nolint:errcheck // then it is a bit late
}

// moderation is how long the thread stays away from ppoll after it woke. It then finds
// several packets instead of one: at 200 Mbit/s that halves the processor time, and
// delays are 30 µs longer.
const moderation = 50 * time.Microsecond

const never time.Duration = math.MaxInt64

// send sends what is due and returns when the next packet is.
func (w *worker) send() (next time.Duration) {
	next = never
	for _, l := range w.lanes {
		l.send(w.clock)
		if due, ok := l.queue.first(); ok {
			next = min(next, due)
		}
	}
	return next
}

// wait sleeps until a time or until there is something to read.
func (w *worker) wait(until time.Duration) {
	if rest := w.woke + moderation - w.clock(); rest > 0 {
		t := unix.NsecToTimespec(int64(rest))
		unix.Nanosleep(&t, nil) //nolint:errcheck // EINTR: a bit early
	}
	var timeout *unix.Timespec
	if until != never {
		t := unix.NsecToTimespec(int64(max(0, until-w.clock())))
		timeout = &t
	}
	_, err := unix.Ppoll(w.fds, timeout, nil)
	w.woke = w.clock()
	if err != nil {
		// EINTR is the Go runtime knocking; nothing else can happen here. Either way
		// the results are not valid.
		for i := range w.fds {
			w.fds[i].Revents = 0
		}
	}
}

func (w *worker) receive() {
	for i, l := range w.lanes {
		if w.fds[i+1].Revents == 0 {
			continue
		}
		l.receive(w.clock)
		if l.fault != nil {
			w.fds[i+1].Fd = -1 // would be ready for ever
		}
	}
}

// obey carries out what other goroutines have ordered.
func (w *worker) obey() {
	var count [8]byte
	unix.Read(w.bell, count[:]) //nolint:errcheck // it rang
	w.mu.Lock()
	orders := w.orders
	w.orders = nil
	w.mu.Unlock()
	for _, order := range orders {
		order()
	}
}
