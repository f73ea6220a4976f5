package netem

import "time"

// A queue holds packets until they are due. Those due at the same time leave in the
// order in which they came. It belongs to one goroutine.
//
// Packets lie in slots of one size, which are carved out of chunks and used again: there
// is nothing for the garbage collector to do, however many come and go.
type queue struct {
	slotBytes int
	maxSlots  int
	chunks    [][]byte
	scrap     []byte
	free      []uint32
	heap      []entry
	bytes     int
	counter   uint64
}

type entry struct {
	due  time.Duration
	turn uint64 // among those due at the same time
	slot uint32
	size uint32
}

func (e entry) before(o entry) bool { return e.due < o.due || e.due == o.due && e.turn < o.turn }

// chunkSlots is how many slots are made at a time.
const chunkSlots = 64

// newQueue makes a queue for packets of up to so many bytes, and of at most so many
// bytes in all.
func newQueue(slotBytes, maxBytes int) *queue {
	return &queue{slotBytes: slotBytes, maxSlots: max(chunkSlots, maxBytes/slotBytes)}
}

// take returns a slot to fill, or false if all are in use.
func (q *queue) take() (uint32, bool) {
	if len(q.free) == 0 && !q.grow() {
		return 0, false
	}
	slot := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	return slot, true
}

func (q *queue) grow() bool {
	first := len(q.chunks) * chunkSlots
	if first+chunkSlots > q.maxSlots {
		return false
	}
	q.chunks = append(q.chunks, make([]byte, chunkSlots*q.slotBytes))
	for i := range chunkSlots {
		q.free = append(q.free, uint32(first+chunkSlots-1-i))
	}
	return true
}

// give returns a slot that take returned.
func (q *queue) give(slot uint32) { q.free = append(q.free, slot) }

// buffer returns the bytes of a slot.
func (q *queue) buffer(slot uint32) []byte {
	begin := int(slot%chunkSlots) * q.slotBytes
	return q.chunks[slot/chunkSlots][begin : begin+q.slotBytes : begin+q.slotBytes]
}

// spare returns a place for a packet that will not be kept.
func (q *queue) spare() []byte {
	if q.scrap == nil {
		q.scrap = make([]byte, q.slotBytes)
	}
	return q.scrap
}

// push enters the packet in a slot.
func (q *queue) push(slot uint32, size int, due time.Duration) {
	q.counter++
	e := entry{due: due, turn: q.counter, slot: slot, size: uint32(size)}
	q.bytes += size
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// first returns when the first packet is due.
func (q *queue) first() (due time.Duration, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].due, true
}

// pop removes the first packet and returns it. Its slot is in use until given.
func (q *queue) pop() entry {
	top := q.heap[0]
	n := len(q.heap) - 1
	e := q.heap[n]
	q.heap = q.heap[:n]
	q.bytes -= int(top.size)
	if n == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && q.heap[down+1].before(q.heap[down]) {
			down++
		}
		if !q.heap[down].before(e) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	q.heap[i] = e
	return top
}

// clear empties the queue and returns how many packets were in it.
func (q *queue) clear() int {
	n := len(q.heap)
	for _, e := range q.heap {
		q.give(e.slot)
	}
	q.heap, q.bytes = q.heap[:0], 0
	return n
}
