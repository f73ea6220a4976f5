//go:build !linux

package relay

import "time"

// sleepPrecisely waits for d, which is short.
func sleepPrecisely(d time.Duration) { time.Sleep(d) }
