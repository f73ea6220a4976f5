//go:build !linux

package trace

// uptime is zero: traces have the wall clock only.
func uptime() int64 { return 0 }

// machine has no name without a clock of its own.
func machine() string { return "" }
