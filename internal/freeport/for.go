package freeport

import "net/netip"

// A Test is as much of a testing.TB as For needs.
type Test interface {
	Helper()
	Fatal(args ...any)
}

// For is Next for a test, which ends if there is none.
func For(t Test) netip.AddrPort {
	t.Helper()
	a, err := Next()
	if err != nil {
		t.Fatal(err)
	}
	return a
}
