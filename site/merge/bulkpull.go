package merge

import "time"

// A pull is how the leading gateway fetches a body. It asks for so many pieces that the way
// has work for a while, and no more: what waits in front of the thinnest link on the way is
// in somebody's memory. Pieces that do not come are asked for again.
type pull struct {
	next   int           // pieces below were asked for
	window int           // how many may be under way; zero: not begun
	seen   int           // of the transfer's lacks, at the latest look
	moved  time.Duration // when a piece came last
	wait   time.Duration // how long none may come
	mark   int           // lacks when the present window began
	marked time.Duration // when that was
	said   time.Duration // when the source was last told that all is here; zero: never
}

const (
	// startPull, leastPull and mostPull are windows in pieces. One piece under way holds up a
	// link of 256 kbit/s for a second.
	startPull = 8
	leastPull = 2
	mostPull  = 256
	// Nothing of a body may come for a while, beside the way there and back, until what is
	// missing is asked for again: some of the time that there was between the latest two
	// pieces, and twice as long each time that it was in vain.
	firstPatience = 500 * time.Millisecond
	leastPatience = 200 * time.Millisecond
	mostPatience  = 8 * time.Second
	// A window that is through in less than wideAfter, beside the way, was too small for the
	// link, and one that takes longer than thinAfter too large.
	wideAfter = 500 * time.Millisecond
	thinAfter = 2 * time.Second
	// maxPulls bounds the bodies of one source that are fetched at a time.
	maxPulls = 4
)

// want returns the pieces of t to ask for now, whether some of them were asked for before, and
// when to look again.
func (t *transfer) want(now, trip time.Duration) (wants []uint32, again bool, due time.Duration) {
	p := &t.pull
	if p.window == 0 {
		*p = pull{window: startPull, seen: t.lacks, moved: now, wait: firstPatience, mark: t.lacks, marked: now}
	}
	t.progress(now, trip)
	under, first := t.underWay()
	if again = under > 0 && now-p.moved >= p.wait+trip; again {
		p.next, p.window, p.moved, under = first, max(p.window/2, leastPull), now, 0
		p.wait = min(2*p.wait, mostPatience)
	}
	if free := p.window - under; under == 0 || free >= (p.window+3)/4 {
		for ; p.next < len(t.there) && len(wants) < min(free, maxAsk); p.next++ {
			if !t.there[p.next] {
				wants = append(wants, uint32(p.next))
			}
		}
	}
	return wants, again, p.moved + p.wait + trip
}

// progress notes what has come, and whether the window fits the link.
func (t *transfer) progress(now, trip time.Duration) {
	p := &t.pull
	if t.lacks < p.seen {
		p.wait = min(max(4*(now-p.moved), leastPatience), mostPatience)
		p.seen, p.moved = t.lacks, now
	}
	if p.mark-t.lacks < p.window {
		return
	}
	switch took := now - p.marked; {
	case took < wideAfter+trip:
		p.window = min(2*p.window, mostPull)
	case took > thinAfter+trip:
		p.window = max(p.window/2, leastPull)
	}
	p.mark, p.marked = t.lacks, now
}

// underWay is how many pieces were asked for and are not here, and the first that is not.
func (t *transfer) underWay() (n, first int) {
	first = -1
	for i := range t.pull.next {
		if !t.there[i] {
			if n++; first < 0 {
				first = i
			}
		}
	}
	return n, max(first, 0)
}
