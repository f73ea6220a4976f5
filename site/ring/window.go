package ring

import "ringway/membership"

// A window holds the packets of one ring between the stable line and the highest
// number seen, in a ring buffer indexed by number.
//
//	W1 base ≤ aru ≤ high ≤ base + windowSlots
//	W2 everything up to aru was held; aru+1 is not
//	W3 slots outside (base, high] are empty
type window struct {
	slots []slot
	base  Seq // released up to here
	aru   Seq // all received up to here
	high  Seq // highest received or, on a token, known
}

// A slot is a packet that is held. Frames alias packet, so it is never reused.
type slot struct {
	packet []byte
	sender membership.NodeID
	body   uint16 // where the entries begin
	flags  uint8
}

// insertion results.
type insertion uint8

const (
	inserted insertion = iota
	duplicate
	beyond
)

func (w *window) reset() {
	if w.slots == nil {
		w.slots = make([]slot, windowSlots)
	}
	for s := w.base + 1; s <= w.high && s <= w.base+windowSlots; s++ {
		*w.at(s) = slot{}
	}
	w.base, w.aru, w.high = 0, 0, 0
}

func (w *window) at(s Seq) *slot { return &w.slots[s%windowSlots] }

// holds says whether packet s is in the window.
func (w *window) holds(s Seq) bool {
	return s > w.base && s <= w.high && w.at(s).packet != nil
}

// fits says whether s is a number that the window may hold.
func (w *window) fits(s Seq) bool { return s > w.base && s-w.base <= windowSlots }

func (w *window) insert(s Seq, p slot) insertion {
	if s <= w.base {
		return duplicate
	}
	if !w.fits(s) {
		return beyond
	}
	at := w.at(s)
	if at.packet != nil {
		return duplicate
	}
	*at = p
	w.high = max(w.high, s)
	for w.aru < w.high && w.at(w.aru+1).packet != nil {
		w.aru++
	}
	return inserted
}

// release empties the slots up to s, which must not exceed aru.
func (w *window) release(s Seq) {
	s = min(s, w.aru)
	for w.base < s {
		w.base++
		*w.at(w.base) = slot{}
	}
}

// jump moves an empty window on to s: a ring of one keeps nothing.
func (w *window) jump(s Seq) { w.base, w.aru, w.high = s, s, s }

// A span is a range of numbers, both ends included.
type span struct{ first, last Seq }

// gaps appends what is missing up to limit, at most room spans.
func (w *window) gaps(dst []span, limit Seq, room int) []span {
	for s := w.aru + 1; s <= limit && room > 0; s++ {
		if w.fits(s) && w.at(s).packet != nil {
			continue
		}
		if n := len(dst); n > 0 && dst[n-1].last+1 == s {
			dst[n-1].last = s
			continue
		}
		if len(dst) == room {
			break
		}
		dst = append(dst, span{s, s})
	}
	return dst
}
