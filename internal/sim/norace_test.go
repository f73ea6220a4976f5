//go:build !race

package sim

// raceShare: without the race detector the ordinary tests run everything.
const raceShare = 1
