//go:build race

package testnode_test

// raceShare is by how much less of something a race-built node gets to do: the detector makes each byte of
// a body that goes round cost ten times as much, and a ring that has no processor for its token breaks.
const raceShare = 8
