package client

import (
	"context"
	"sync"
	"time"
)

// An interrupter makes one direction of a connection fail when the context of the call
// at work ends. Applications mostly pass the same context again and again: from the
// second time on it stays watched, and a call costs two uncontended locks and no
// memory. Calls of one direction come one at a time.
//
// Under mu:
//
//	I1  A deadline in the past is set only while a call is at work whose own context
//	    has ended; the end of that call clears it. So no later call fails by it.
//	I2  After close the deadline is left alone: it is Close's.
type interrupter struct {
	setDeadline func(time.Time) error

	mu     sync.Mutex
	done   <-chan struct{} // of the call at work, or of the last one
	stop   func() bool     // ends watching done; nil: nobody watches
	again  bool            // this call has the context of the one before
	atWork bool
	fired  bool
	closed bool
}

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

// begin starts a call; end must follow if it returns nil.
func (i *interrupter) begin(ctx context.Context) error {
	i.mu.Lock()
	done := ctx.Done()
	i.again = done == i.done
	if !i.again {
		i.unwatch()
		i.done = done
	}
	i.atWork = true
	if i.stop == nil && done != nil && !i.closed {
		i.stop = context.AfterFunc(ctx, func() { i.fire(done) })
	}
	i.mu.Unlock()
	// Only now: a context that ended before atWork was set fired in vain.
	if err := ctx.Err(); err != nil {
		i.end()
		return err
	}
	return nil
}

// end ends a call.
func (i *interrupter) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.atWork = false
	if i.fired && !i.closed {
		i.setDeadline(time.Time{}) //nolint:errcheck // a dead connection fails by itself
	}
	i.fired = false
	if !i.again {
		i.unwatch()
	}
}

func (i *interrupter) fire(done <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.atWork && i.done == done && !i.closed {
		i.fired = true
		i.setDeadline(past) //nolint:errcheck // a dead connection fails by itself
	}
}

// close ends watching for good.
func (i *interrupter) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	i.unwatch()
}

func (i *interrupter) unwatch() {
	if i.stop != nil {
		i.stop()
		i.stop = nil
	}
}
