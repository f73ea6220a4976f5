package site

import "testing"

// TestWhoIsGoneWaitsForNothing: a session that has ended is let go though it is held, and
// the others still wait.
func TestWhoIsGoneWaitsForNothing(t *testing.T) {
	var g gate
	held := true
	gone, waits, passes := make(chan struct{}), make(chan struct{}), make(chan struct{})
	for _, open := range []chan struct{}{gone, waits} {
		g.hold(func() bool { return !held }, open)
	}
	g.hold(func() bool { return true }, passes)
	g.drop(gone)
	g.drop(gone) // once is enough
	g.drop(passes)
	isOpen := func(c chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	if !isOpen(gone) || isOpen(waits) || !isOpen(passes) {
		t.Errorf("gone %v, waits %v, passes %v", isOpen(gone), isOpen(waits), isOpen(passes))
	}
	held = false
	g.check()
	if !isOpen(waits) || len(g.waiting) != 0 {
		t.Error("still waiting")
	}
}
