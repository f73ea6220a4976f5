package sim

import (
	"container/heap"
	"time"
)

// An agenda is the virtual clock and what is still to happen. What is due at the
// same time happens in the order in which it was put down, so a run depends on
// nothing but its seed.
type agenda struct {
	now     time.Duration // since the run began
	count   uint64
	entries entries
}

type entry struct {
	at    time.Duration
	order uint64
	do    func()
}

type entries []entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e entries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)   { *e = append(*e, x.(entry)) }
func (e *entries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = entry{}
	*e = (*e)[:last]
	return x
}

// after puts down what is to happen in a while.
func (a *agenda) after(wait time.Duration, do func()) { a.at(a.now+max(0, wait), do) }

// at puts down what is to happen at a time, or now if that has passed.
func (a *agenda) at(when time.Duration, do func()) {
	a.count++
	heap.Push(&a.entries, entry{max(when, a.now), a.count, do})
}

// run lets everything happen that is due until the end.
func (a *agenda) run(end time.Duration) {
	for len(a.entries) > 0 && a.entries[0].at <= end {
		next := heap.Pop(&a.entries).(entry)
		a.now = next.at
		next.do()
	}
	a.now = end
}
