package trace

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// uptime reads the machine's monotonic clock, which package time uses too but does not show.
func uptime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// machine names the machine's present boot: with the next one its clock begins anew.
func machine() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
