package relay

import (
	"context"
	"time"
)

// coarse is how late the Go runtime's timers may be on an idle machine: it waits in
// epoll_wait, which counts in milliseconds.
const coarse = 1500 * time.Microsecond

// sleepUntil waits until the clock shows due, or the context ends: first with a timer,
// then, for the last stretch, in the kernel, which is precise.
func sleepUntil(ctx context.Context, clock func() time.Duration, due time.Duration) {
	if wait := due - clock() - coarse; wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	for wait := due - clock(); wait > 0; wait = due - clock() {
		sleepPrecisely(wait)
	}
}
