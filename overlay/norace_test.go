//go:build !race

package overlay

const underRace = false
