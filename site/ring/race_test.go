//go:build race

package ring

// raceShare divides what the ordinary tests run: the race detector makes a run about
// ten times as slow, and runs have one goroutine.
const raceShare = 10
