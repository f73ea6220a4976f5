//go:build !race

package ring

// raceShare: without the race detector the ordinary tests run everything.
const raceShare = 1
