//go:build !linux

package freeport

// A reservation is nothing where there are no abstract sockets: processes that start at
// random places seldom meet.
type reservation struct{}

func reserve(int) (reservation, bool) { return reservation{}, true }

func (reservation) release() {}
