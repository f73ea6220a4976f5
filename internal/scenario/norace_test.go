//go:build linux && !race

package scenario

const slow = false
