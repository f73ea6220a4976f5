//go:build !race

package merge

// raceShare: without the race detector the ordinary tests run everything.
const raceShare = 1
