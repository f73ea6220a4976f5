//go:build linux

package netem

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// maxWaiting bounds the bytes that are on their way in one direction: 200 ms at
// 2.5 Gbit/s.
const maxWaiting = 64 << 20

// batch is how many packets of a lane are moved before the others have their turn.
const batch = 64

// A lane is one direction of a link. Once a worker has it, it belongs to its thread.
type lane struct {
	from, to string
	in, out  *device
	model    *Model
	queue    *queue
	down     bool
	fault    error // why it carries nothing any more
	counters Counters
}

// setDown cuts the lane or joins it again. What was on its way is lost.
func (l *lane) setDown(down bool) {
	l.down = down
	if down {
		l.model.Clear()
		l.counters.Down += uint64(l.queue.clear())
	}
}

// receive takes up to a batch of packets from the interface.
func (l *lane) receive(clock func() time.Duration) {
	for range batch {
		slot, ok := l.queue.take()
		var buffer []byte
		if ok {
			buffer = l.queue.buffer(slot)
		} else {
			buffer = l.queue.spare()
		}
		n, err := unix.Read(l.in.fd, buffer)
		if err == nil && ok {
			l.admit(clock(), slot, n)
			continue
		}
		if ok {
			l.queue.give(slot)
		}
		switch {
		case err == nil:
			l.counters.Came.add(n)
			l.counters.NoMemory++
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return
		default:
			// The interface is gone: somebody removed it, or its namespace.
			l.fault = err
			return
		}
	}
}

// admit gives a packet that came to the model, and enters what the model lets pass.
func (l *lane) admit(now time.Duration, slot uint32, size int) {
	c := &l.counters
	c.Came.add(size)
	if l.down {
		c.Down++
		l.queue.give(slot)
		return
	}
	fate := l.model.Admit(now, size)
	c.Lost += uint64(fate.Lost)
	c.Full += uint64(fate.Full)
	c.Jumped += uint64(fate.Jumped)
	if fate.Duplicated {
		c.Duplicated++
	}
	if fate.Copies == 0 {
		l.queue.give(slot)
		return
	}
	if fate.Copies == 2 {
		if twin, ok := l.queue.take(); ok {
			copy(l.queue.buffer(twin), l.queue.buffer(slot)[:size])
			l.queue.push(twin, size, fate.At[1])
		} else {
			c.NoMemory++
		}
	}
	l.queue.push(slot, size, fate.At[0])
}

// send writes up to a batch of packets that are due to the other interface.
func (l *lane) send(clock func() time.Duration) {
	for range batch {
		due, ok := l.queue.first()
		if !ok {
			return
		}
		now := clock()
		if due > now {
			return
		}
		e := l.queue.pop()
		if err := l.write(l.queue.buffer(e.slot)[:e.size]); err != nil {
			l.counters.Refused++
		} else {
			l.counters.Left.add(int(e.size))
			l.counters.Late.Add(now - due)
		}
		l.queue.give(e.slot)
	}
}

func (l *lane) write(packet []byte) error {
	for {
		_, err := unix.Write(l.out.fd, packet)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
