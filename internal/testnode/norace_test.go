//go:build !race

package testnode_test

const raceShare = 1
