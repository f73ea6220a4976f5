package sim

import "time"

// An agenda is the virtual clock and what is still to happen. What is due at the
// same time happens in the order in which it was put down, so a run depends on
// nothing but its seed.
type agenda struct {
	now     time.Duration // since the run began
	count   uint64
	entries []entry // a heap, the next one first
}

// An entry is something to do, or a packet that arrives: most entries are packets,
// and those need no closure.
type entry struct {
	at     time.Duration
	order  uint64
	do     func()
	to     *place
	packet []byte
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// after puts down what is to happen in a while.
func (a *agenda) after(wait time.Duration, do func()) { a.at(a.now+max(0, wait), do) }

// at puts down what is to happen at a time, or now if that has passed.
func (a *agenda) at(when time.Duration, do func()) { a.put(entry{at: when, do: do}) }

// arrive puts down that a packet comes to a place in a while.
func (a *agenda) arrive(wait time.Duration, to *place, packet []byte) {
	a.put(entry{at: a.now + max(0, wait), to: to, packet: packet})
}

func (a *agenda) put(e entry) {
	a.count++
	e.at, e.order = max(e.at, a.now), a.count
	a.entries = append(a.entries, e)
	at := len(a.entries) - 1
	for at > 0 {
		parent := (at - 1) / 2
		if !e.before(&a.entries[parent]) {
			break
		}
		a.entries[at] = a.entries[parent]
		at = parent
	}
	a.entries[at] = e
}

// take removes the next entry.
func (a *agenda) take() entry {
	next := a.entries[0]
	last := len(a.entries) - 1
	moved := a.entries[last]
	a.entries[last] = entry{}
	a.entries = a.entries[:last]
	if last == 0 {
		return next
	}
	at := 0
	for {
		child := 2*at + 1
		if child >= last {
			break
		}
		if child+1 < last && a.entries[child+1].before(&a.entries[child]) {
			child++
		}
		if !a.entries[child].before(&moved) {
			break
		}
		a.entries[at] = a.entries[child]
		at = child
	}
	a.entries[at] = moved
	return next
}

// run lets everything happen that is due until the end, or until stop says so.
func (a *agenda) run(end time.Duration, stop *bool) {
	for len(a.entries) > 0 && a.entries[0].at <= end && !*stop {
		next := a.take()
		a.now = next.at
		if next.to != nil {
			next.to.arrive(next.packet)
		} else {
			next.do()
		}
	}
	if !*stop {
		a.now = end
	}
}
