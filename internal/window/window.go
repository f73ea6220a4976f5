package window

// Bits is how far behind the newest counter something may come. A node of a ring has two
// sockets that are read independently: a token may overtake as much data as the ring
// lets be outstanding (2048 packets), sent again included.
const Bits = 8192

// A Window remembers which counters of one sender have come. The zero value has seen none.
//
//	W1 a counter is accepted once
//	W2 its memory does not depend on what comes
type Window struct {
	top  uint64            // highest accepted
	seen [Bits / 64]uint64 // counter n at bit n modulo Bits
}

// Fresh says whether a counter could still be accepted.
func (w *Window) Fresh(n uint64) bool {
	switch {
	case n > w.top:
		return true
	case n == 0 || w.top-n >= Bits:
		return false
	}
	return w.seen[n%Bits/64]>>(n%64)&1 == 0
}

// Accept takes a counter if it is fresh. What it came with must have been authenticated.
func (w *Window) Accept(n uint64) bool {
	if !w.Fresh(n) {
		return false
	}
	if n > w.top {
		w.forget(n)
		w.top = n
	}
	w.seen[n%Bits/64] |= 1 << (n % 64)
	return true
}

// forget empties the places between the top and n, which held older counters.
func (w *Window) forget(n uint64) {
	if n-w.top >= Bits {
		w.seen = [Bits / 64]uint64{}
		return
	}
	for left := n - w.top; left > 0; { // counted down: n may be the last number there is
		i := n - left + 1
		if i%64 == 0 && left >= 64 {
			w.seen[i%Bits/64] = 0
			left -= 64
			continue
		}
		w.seen[i%Bits/64] &^= 1 << (i % 64)
		left--
	}
}

// StartAt refuses everything up to n.
func (w *Window) StartAt(n uint64) {
	for i := range w.seen {
		w.seen[i] = ^uint64(0)
	}
	w.top = n
}
