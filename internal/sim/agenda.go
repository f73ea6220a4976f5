package sim

import "time"

// An agenda is the virtual clock and what is still to happen. What is due at the
// same time happens in the order in which it was put down, so a run depends on
// nothing but its seed.
type agenda struct {
	now   time.Duration // since the run began
	count uint64
	due   []due   // a heap of four branches, the next one first
	slots []entry // what is due, where due says
	free  []uint32
}

// branches is how many children an entry of the heap has: with four, half as many are moved.
const branches = 4

// A due says when an entry is due. The heap has no pointers: it is what a run moves most.
type due struct {
	at    time.Duration
	order uint64
	slot  uint32
}

// An entry is something to do. Most are packets and promises that arrive and nodes that are
// to be woken, and those need no closure.
type entry struct {
	do      func()
	wake    *life
	to      *place
	packet  []byte
	promise bool // the packet is one
}

// happen does it, now.
func (e *entry) happen(now time.Duration) {
	switch {
	case e.do != nil:
		e.do()
	case e.wake != nil:
		e.wake.wake(now)
	case e.promise:
		e.to.promised(e.packet)
	default:
		e.to.arrive(e.packet)
	}
}

func (d *due) before(o *due) bool {
	return d.at < o.at || d.at == o.at && d.order < o.order
}

// after puts down what is to happen in a while.
func (a *agenda) after(wait time.Duration, do func()) { a.at(a.now+max(0, wait), do) }

// at puts down what is to happen at a time, or now if that has passed.
func (a *agenda) at(when time.Duration, do func()) { a.put(when, entry{do: do}) }

// wake puts down that a node is to be woken at a time that has not passed.
func (a *agenda) wake(when time.Duration, l *life) { a.put(when, entry{wake: l}) }

// promise puts down that a promise comes to a gateway in a while.
func (a *agenda) promise(wait time.Duration, to *place, data []byte) {
	a.put(a.now+max(0, wait), entry{to: to, packet: data, promise: true})
}

// arrive puts down that a packet comes to a place in a while.
func (a *agenda) arrive(wait time.Duration, to *place, packet []byte) {
	a.put(a.now+max(0, wait), entry{to: to, packet: packet})
}

func (a *agenda) put(when time.Duration, e entry) {
	a.count++
	d := due{at: max(when, a.now), order: a.count}
	if n := len(a.free); n > 0 {
		d.slot = a.free[n-1]
		a.free = a.free[:n-1]
		a.slots[d.slot] = e
	} else {
		d.slot = uint32(len(a.slots))
		a.slots = append(a.slots, e)
	}
	a.due = append(a.due, d)
	at := len(a.due) - 1
	for at > 0 {
		parent := (at - 1) / branches
		if !d.before(&a.due[parent]) {
			break
		}
		a.due[at] = a.due[parent]
		at = parent
	}
	a.due[at] = d
}

// take removes the next entry, and moves the clock there.
func (a *agenda) take() entry {
	next := a.due[0]
	last := len(a.due) - 1
	moved := a.due[last]
	a.due = a.due[:last]
	at := 0
	for {
		first := branches*at + 1
		if first >= last {
			break
		}
		child := first
		for x := first + 1; x < min(first+branches, last); x++ {
			if a.due[x].before(&a.due[child]) {
				child = x
			}
		}
		if !a.due[child].before(&moved) {
			break
		}
		a.due[at] = a.due[child]
		at = child
	}
	if last > 0 {
		a.due[at] = moved
	}
	a.now = next.at
	e := a.slots[next.slot]
	a.slots[next.slot] = entry{}
	a.free = append(a.free, next.slot)
	return e
}

// run lets everything happen that is due until the end, or until stop says so.
func (a *agenda) run(end time.Duration, stop *bool) {
	for len(a.due) > 0 && a.due[0].at <= end && !*stop {
		next := a.take()
		next.happen(a.now)
	}
	if !*stop {
		a.now = end
	}
}
