package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepPrecisely waits at most d, which is short, and about that long.
func sleepPrecisely(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	// EINTR only ends the wait early, and the caller looks at its clock.
	_ = unix.Nanosleep(&ts, nil)
}
