package ring

// An arena carves outgoing packets out of larger allocations. Memory is never
// reused: the garbage collector frees a chunk when the last packet in it is
// stable and delivered.
type arena struct{ free []byte }

// take returns an empty slice with room for n bytes. keep must follow before the
// next take.
func (a *arena) take(n int) []byte {
	if len(a.free) < n {
		a.free = make([]byte, max(arenaBytes, n))
	}
	return a.free[:0:n]
}

// keep returns b, which was filled from take's slice, and gives back the rest.
func (a *arena) keep(b []byte) []byte {
	if len(b) > 0 && len(b) <= len(a.free) && &b[0] == &a.free[0] {
		a.free = a.free[len(b):]
	}
	return b[:len(b):len(b)]
}
