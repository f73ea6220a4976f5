//go:build linux && race

package scenario

// slow: the race detector makes the clients ten times as dear.
const slow = true
