package seal

// windowBits is how far behind the newest counter a packet may come. A node has two
// sockets that are read independently: a token may overtake as much data as the ring
// lets be outstanding (2048 packets), sent again included.
const windowBits = 8192

// A window remembers which counters of one sender have come under one key.
//
//	W1 a counter is accepted once
//	W2 its memory does not depend on what comes
type window struct {
	top  uint64 // highest accepted
	seen [windowBits / 64]uint64
}

// fresh says whether a counter could still be accepted.
func (w *window) fresh(n uint64) bool {
	switch {
	case n > w.top:
		return true
	case n == 0 || w.top-n >= windowBits:
		return false
	}
	return w.seen[n%windowBits/64]>>(n%64)&1 == 0
}

// accept takes a counter if it is fresh. The packet must have been authenticated.
func (w *window) accept(n uint64) bool {
	if !w.fresh(n) {
		return false
	}
	if n > w.top {
		w.forget(n)
		w.top = n
	}
	w.seen[n%windowBits/64] |= 1 << (n % 64)
	return true
}

// forget empties the places between the top and n, which held older counters.
func (w *window) forget(n uint64) {
	if n-w.top >= windowBits {
		w.seen = [windowBits / 64]uint64{}
		return
	}
	for i := w.top + 1; i <= n; i++ {
		if i%64 == 0 && n-i >= 63 {
			w.seen[i%windowBits/64] = 0
			i += 63
			continue
		}
		w.seen[i%windowBits/64] &^= 1 << (i % 64)
	}
}

// startAt refuses everything up to n.
func (w *window) startAt(n uint64) {
	for i := range w.seen {
		w.seen[i] = ^uint64(0)
	}
	w.top = n
}
