package overlay

import (
	"errors"
	"slices"
	"sort"
	"sync"

	"ringway/membership"
)

// errStale tells the reader of a stream that the log has been reset or that another
// stream has taken its place.
var errStale = errors.New("another stream has taken over")

// A store holds the part of a log that this gateway has. Consumers (the Handler's
// importer, the children's branches) each keep a cursor and take entries from it
// by number; nothing is queued for any of them.
//
// Invariants:
//
//  1. Numbers of entries ascend.
//  2. For each instance i covered, everything for i from floors[i] on that is below
//     next is here. An own log covers all instances.
//  3. Takers get what is under a seal (type block), block by block.
//  4. bytes is the sum of the entries' sizes; it exceeds the limit only by the
//     newest entry or by what a holder has not taken.
//
// Safe for concurrent use; its lock is the last in the order of doc.go.
type store struct {
	id  membership.LogID
	own bool

	sealing bool // the event loop's: the own log has a sealer

	mu      sync.Mutex
	entries []stored // from head on; ascending
	head    int
	bytes   int
	limit   int
	next    uint64 // one above the highest number received; 0: nothing yet
	total   uint64 // bytes ever appended
	dropped uint64 // entries dropped to keep the limit
	term    uint64 // which upstream stream may append; of an own log, which drafts count

	blocks  []block // ascending
	trimmed uint64  // own log: everything below is held by all its destinations
	// Of an own log: everything below sealedTo is under a seal or gone; begin is where it
	// began, and tip (base) has for each destination the number behind its last entry that
	// is sealed or gone (gone).
	sealedTo, begin uint64
	tip, base       map[membership.InstanceID]uint64
	waiting         bool          // a taker has everything that is sealed
	wanted          chan struct{} // capacity one: there is something to seal, and a taker
	ended           chan struct{} // closed with the log

	floorAll uint64 // own log: below it nothing is here that has not been trimmed
	floors   map[membership.InstanceID]uint64
	maxFloor uint64 // above all floors

	// holders are takers that must not be dropped from under: the importer, and
	// children that insisted. Each one's place, in bytes of total, holds back appends
	// and drops.
	holders map[any]uint64

	closed  bool
	grown   chan struct{} // closed when entries come, or everything changes
	drained chan struct{} // closed when a holder moves, or everything changes
}

// A stored is an entry and the place of its end in the log's bytes.
type stored struct {
	LogEntry
	end  uint64
	leaf leaf // once it is under a seal
}

// entryOverhead is what an entry costs beside its data.
const entryOverhead = 128

func (e *stored) size() int { return len(e.Data) + entryOverhead }

func newStore(id membership.LogID, own bool, limit int) *store {
	return &store{
		id: id, own: own, limit: limit, floors: map[membership.InstanceID]uint64{}, holders: map[any]uint64{},
		grown: make(chan struct{}), drained: make(chan struct{}), wanted: make(chan struct{}, 1), ended: make(chan struct{}),
		tip: map[membership.InstanceID]uint64{}, base: map[membership.InstanceID]uint64{},
	}
}

// signal wakes those who wait on *c. The lock is held.
func signal(c *chan struct{}) {
	close(*c)
	*c = make(chan struct{})
}

// close ends the log: consumers get what is there no longer.
func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.entries, s.head, s.bytes, s.blocks = nil, 0, 0, nil
		close(s.ended)
		signal(&s.grown)
		signal(&s.drained)
	}
}

// appendOwn adds entries of the own log and returns how many were dropped for it.
// Entries at or below the last one are ignored.
func (s *store) appendOwn(entries []LogEntry) (dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(entries) == 0 {
		return 0
	}
	if s.next == 0 && entries[0].N > 0 {
		s.floorAll, s.begin = entries[0].N, entries[0].N
		s.maxFloor = max(s.maxFloor, s.floorAll)
	}
	for i := range entries {
		if entries[i].N >= s.next {
			s.push(&entries[i], leaf{})
		}
	}
	s.poke()
	return s.shrink()
}

// append adds a block from the upstream stream of that term. It waits while a holder is
// too far behind; done lets it go.
func (s *store) append(term uint64, b *incoming, done <-chan struct{}) error {
	s.mu.Lock()
	for !s.closed && s.term == term && s.total-s.held() > maxImportLag {
		wait := s.drained
		s.mu.Unlock()
		select {
		case <-wait:
		case <-done:
			return errStale
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.closed || s.term != term {
		return errStale
	}
	s.addBlock(b)
	s.shrink()
	signal(&s.grown)
	return nil
}

// shrink drops what is too much. The lock is held.
func (s *store) shrink() (dropped int) {
	held := s.held()
	for s.bytes > s.limit && len(s.entries)-s.head > 1 {
		e := &s.entries[s.head]
		if e.end > held {
			break
		}
		for _, d := range e.Dests {
			if _, covered := s.floors[d]; covered || s.own {
				s.floors[d] = e.N + 1
			}
		}
		s.maxFloor = max(s.maxFloor, e.N+1)
		s.pop()
		dropped++
	}
	s.dropped += uint64(dropped)
	s.compact()
	return dropped
}

// pop removes the oldest entry. The lock is held.
func (s *store) pop() {
	s.popBlock(&s.entries[s.head])
	s.bytes -= s.entries[s.head].size()
	s.entries[s.head] = stored{}
	s.head++
}

// compact gives back the room of popped entries. The lock is held.
func (s *store) compact() {
	if s.head > 64 && s.head > len(s.entries)/2 {
		n := copy(s.entries, s.entries[s.head:])
		clear(s.entries[n:])
		s.entries, s.head = s.entries[:n], 0
	}
}

// trim forgets entries below that number: all their destinations have them.
func (s *store) trim(below uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed = max(s.trimmed, below)
	for s.head < len(s.entries) && s.entries[s.head].N < below {
		s.pop()
	}
	if s.head == len(s.entries) {
		s.entries, s.head = s.entries[:0], 0
	}
	s.compact()
	if s.floorAll <= below {
		s.floorAll = 0
	}
	for of, floor := range s.floors {
		if floor <= below {
			delete(s.floors, of)
		}
	}
}

// find returns the index of the first entry at or above n. The lock is held.
func (s *store) find(n uint64) int {
	live := s.entries[s.head:]
	return s.head + sort.Search(len(live), func(i int) bool { return live[i].N >= n })
}

// holds says whether everything that wants covers is here or still to come.
// cursor is what the consumer has already got for all of them.
func (s *store) holds(wants []want, cursor uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holdsLocked(wants, cursor)
}

func (s *store) holdsLocked(wants []want, cursor uint64) bool {
	if s.own && cursor >= s.maxFloor {
		return true
	}
	for _, w := range wants {
		floor, covered := s.floors[w.Instance]
		if s.own {
			floor, covered = max(floor, s.floorAll), true
		}
		if !covered || floor > max(w.From, cursor) {
			return false
		}
	}
	return true
}

// take appends to buf the blocks from cursor on, as far as wants covers them, up to
// about maxBytes and limit items, and returns the cursor behind them. With nothing to
// be had it returns a channel that is closed when there may be more. refusedDropped
// says that an entry that wants covers is no longer held, refusedGone that the log
// has ended.
func (s *store) take(buf []item, wants []want, cursor uint64, limit, maxBytes int) ([]item, uint64, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return buf, cursor, nil, refusedGone
	}
	if !s.holdsLocked(wants, cursor) {
		return buf, cursor, s.grown, refusedDropped
	}
	if s.outsealed(wants, cursor) {
		s.unsealLocked()
	}
	buf, cursor, more := s.takeBlocks(buf, wants, cursor, limit, maxBytes)
	if len(buf) > 0 || more {
		return buf, cursor, nil, nil
	}
	if s.own {
		s.waiting = true
		if s.find(s.sealedTo) < len(s.entries) {
			s.poke()
		}
	}
	return buf, cursor, s.grown, nil
}

// held returns the place of the holder that is farthest behind. The lock is held.
func (s *store) held() uint64 {
	place := s.total
	for _, at := range s.holders {
		place = min(place, at)
	}
	return place
}

// hold makes who a holder that has taken everything below cursor. The holder tells
// by takenTo how it gets on, until release.
func (s *store) hold(who any, cursor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holders[who] = 0
	s.move(who, cursor)
}

// release lets the log go on without waiting for who.
func (s *store) release(who any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holders, who)
	signal(&s.drained)
}

// takenTo tells that who, if it is a holder, has taken everything below cursor.
func (s *store) takenTo(who any, cursor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.holders[who]; ok {
		s.move(who, cursor)
	}
}

func (s *store) move(who any, cursor uint64) {
	place := s.total
	if i := s.find(cursor); i < len(s.entries) {
		place = s.entries[i].end - uint64(s.entries[i].size())
	}
	s.holders[who] = place
	signal(&s.drained)
}

// reset empties a relayed log and lets it begin anew at wants.
func (s *store) reset(wants []want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries, s.head, s.bytes, s.next, s.blocks = nil, 0, 0, 0, nil
	for who := range s.holders {
		s.holders[who] = s.total
	}
	s.maxFloor = 0
	clear(s.floors)
	for _, w := range wants {
		s.floors[w.Instance] = w.From
	}
	s.term++
	signal(&s.grown)
	signal(&s.drained)
}

// newTerm shuts out the present upstream stream and returns the next one's term and
// where it has to go on for each of the instances.
func (s *store) newTerm(sites []want) (uint64, []want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term++
	signal(&s.drained)
	from := slices.Clone(sites)
	for i := range from {
		from[i].From = max(s.next, s.floors[from[i].Instance])
	}
	return s.term, from
}

// narrow makes the log cover no more instances than these.
func (s *store) narrow(sites []want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of := range s.floors {
		if !slices.ContainsFunc(sites, func(w want) bool { return w.Instance == of }) {
			delete(s.floors, of)
		}
	}
}

// setLimit changes the log's share of the memory.
func (s *store) setLimit(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
}

// storeStats is what Status tells of a store.
type storeStats struct {
	next, first, dropped uint64
	entries, bytes       int
	lag                  uint64 // bytes that the farthest holder is behind
}

func (s *store) stats() storeStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := storeStats{next: s.next, first: s.next, dropped: s.dropped, entries: len(s.entries) - s.head, bytes: s.bytes}
	if st.entries > 0 {
		st.first = s.entries[s.head].N
	}
	st.lag = s.total - s.held()
	return st
}
