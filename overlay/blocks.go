package overlay

import (
	"maps"
	"slices"
	"sort"

	"ringway/membership"
)

// A block is a run of a store's entries under one seal. Only what is under a seal is
// given to takers: an own log's newest entries wait for theirs (type sealer), a relayed
// log comes in whole blocks.
type block struct {
	seal *seal
	// from is where its entries in the store begin: higher than seal.Low if another
	// gateway of the origin, which cuts its blocks elsewhere, has sealed the first of
	// them before.
	from  uint64
	skips []skip // those of its entries that are not in the store; ascending
}

// An item is a part of a log as takers get it and streams carry it: blocks, one after
// the other, each of entries and skips in the order of their numbers, then its seal.
type item struct {
	kind  frameKind // frameEntry, frameSkip or frameSeal
	entry LogEntry  // without Data in a skip
	leaf  leaf      // of a skip
	seal  *seal
}

// addBlock appends what came from upstream and has been found good. An entry that is
// here already only helps to check the others. The lock is held.
func (s *store) addBlock(b *incoming) {
	kept := block{seal: b.seal, from: max(s.next, b.seal.Low), skips: b.skips}
	for i := range b.entries {
		e := &b.entries[i]
		if e.N < s.next {
			kept.skips = insertSkip(kept.skips, skip{e.N, e.Dests, b.leaves[i]})
			continue
		}
		s.push(e, b.leaves[i])
	}
	fresh := len(s.entries) > s.head && s.entries[len(s.entries)-1].N >= kept.from
	s.next = max(s.next, b.seal.High)
	if fresh {
		s.blocks = append(s.blocks, kept)
	}
}

// push appends one entry. The lock is held.
func (s *store) push(e *LogEntry, l leaf) {
	stored := stored{LogEntry: *e, leaf: l}
	s.total += uint64(stored.size())
	stored.end = s.total
	s.next = e.N + 1
	s.bytes += stored.size()
	s.entries = append(s.entries, stored)
}

func insertSkip(skips []skip, add skip) []skip {
	i := sort.Search(len(skips), func(i int) bool { return skips[i].N >= add.N })
	return slices.Insert(skips, i, add)
}

// popBlock keeps the blocks in step with an entry that is about to go. The lock is held.
func (s *store) popBlock(e *stored) {
	if s.own {
		for _, d := range e.Dests {
			s.base[d] = e.N + 1
			if e.N >= s.sealedTo {
				s.tip[d] = e.N + 1
			}
		}
		s.sealedTo = max(s.sealedTo, e.N+1)
	}
	if len(s.blocks) == 0 || e.N < s.blocks[0].from {
		return
	}
	if len(e.Dests) > 0 {
		b := &s.blocks[0]
		b.skips = insertSkip(b.skips, skip{e.N, e.Dests, e.leaf})
	}
	for len(s.blocks) > 0 && (s.head+1 >= len(s.entries) || s.entries[s.head+1].N >= s.blocks[0].seal.High) {
		s.blocks[0] = block{}
		s.blocks = s.blocks[1:]
	}
}

// blocksPerTake bounds the blocks that one take looks at under the lock.
const blocksPerTake = 32

// takeBlocks appends to buf the blocks from cursor on, as far as wants covers them, up
// to about limit items and maxBytes of entries. The lock is held.
func (s *store) takeBlocks(buf []item, wants []want, cursor uint64, limit, maxBytes int) ([]item, uint64, bool) {
	first := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].seal.High > cursor })
	i := first
	for ; i < len(s.blocks) && i < first+blocksPerTake && len(buf) < limit && maxBytes > 0; i++ {
		b := &s.blocks[i]
		var bytes int
		buf, bytes = s.cut(buf, b, wants, cursor)
		maxBytes -= bytes
		cursor = max(cursor, b.seal.High)
	}
	return buf, cursor, i < len(s.blocks)
}

// cut appends one block's items: entries that wants covers from cursor on, skips for
// other entries of the instances wanted, and the seal; nothing if no entry is left.
func (s *store) cut(buf []item, b *block, wants []want, cursor uint64) (_ []item, bytes int) {
	begin, skips := len(buf), b.skips
	emit := func(below uint64) {
		for len(skips) > 0 && skips[0].N < below {
			if wanted(wants, skips[0].Dests) {
				buf = append(buf, item{kind: frameSkip, entry: LogEntry{N: skips[0].N, Dests: skips[0].Dests}, leaf: skips[0].leaf})
			}
			skips = skips[1:]
		}
	}
	entries := 0
	for i := s.find(b.from); i < len(s.entries) && s.entries[i].N < b.seal.High; i++ {
		e := &s.entries[i]
		if !wanted(wants, e.Dests) {
			continue
		}
		emit(e.N)
		if e.N >= cursor && covers(wants, e.N, e.Dests) {
			buf = append(buf, item{kind: frameEntry, entry: e.LogEntry})
			bytes += e.size()
			entries++
		} else {
			buf = append(buf, item{kind: frameSkip, entry: LogEntry{N: e.N, Dests: e.Dests}, leaf: e.leaf})
		}
	}
	if entries == 0 {
		return buf[:begin], 0
	}
	emit(b.seal.High)
	return append(buf, item{kind: frameSeal, seal: b.seal}), bytes
}

// wanted says whether one of the destinations is among those that wants has, from
// whichever number on.
func wanted(wants []want, dests []membership.InstanceID) bool {
	for _, d := range dests {
		for i := range wants {
			if wants[i].Instance == d {
				return true
			}
		}
	}
	return false
}

// covers says whether wants has one of the destinations from a number on that is not
// above n.
func covers(wants []want, n uint64, dests []membership.InstanceID) bool {
	for _, d := range dests {
		for i := range wants {
			if wants[i].Instance == d && wants[i].From <= n {
				return true
			}
		}
	}
	return false
}

// A draft is what the next block of an own log will be, but for hashes and signature.
type draft struct {
	entries []LogEntry
	seal    *seal // with Dests that have only Dest and After
	term    uint64
}

// draft returns the next block to be sealed; nil: there is nothing to seal.
func (s *store) draft() *draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(s.sealedTo)
	if s.closed || i == len(s.entries) {
		return nil // whoever waits waits on
	}
	s.waiting = false // takers are woken by the seal, and say so again
	d := &draft{seal: &seal{Low: s.entries[i].N, Floor: s.trimmed}, term: s.term}
	dests := map[membership.InstanceID]struct{}{}
	for bytes := 0; i < len(s.entries) && len(d.entries) < maxBlockEntries && bytes < maxBlockBytes; i++ {
		e := &s.entries[i]
		added := 0
		for _, dest := range e.Dests {
			if _, has := dests[dest]; !has {
				added++
			}
		}
		if len(dests)+added > membership.MaxSites { // more than a seal takes: the next block's
			break
		}
		for _, dest := range e.Dests {
			dests[dest] = struct{}{}
		}
		d.entries = append(d.entries, e.LogEntry)
		d.seal.High = e.N + 1
		bytes += len(e.Data)
	}
	for _, dest := range slices.Sorted(maps.Keys(dests)) {
		d.seal.Dests = append(d.seal.Dests, sealed{Dest: dest, After: max(s.begin, s.tip[dest])})
	}
	return d
}

// fullDraft says whether the next block would not get larger by waiting.
func (s *store) fullDraft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for i, n := s.find(s.sealedTo), 0; i < len(s.entries); i++ {
		n++
		if bytes += len(s.entries[i].Data); n == maxBlockEntries || bytes >= maxBlockBytes {
			return true
		}
	}
	return false
}

// seal lets takers have a block. Its entries may have been trimmed since.
func (s *store) seal(d *draft, leaves []leaf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || d.term != s.term {
		return
	}
	b := block{seal: d.seal, from: d.seal.Low}
	here := 0
	for i := range d.entries {
		e := &d.entries[i]
		for _, dest := range e.Dests {
			s.tip[dest] = e.N + 1
		}
		if at := s.find(e.N); at < len(s.entries) && s.entries[at].N == e.N {
			s.entries[at].leaf = leaves[i]
			here++
		} else if len(e.Dests) > 0 {
			b.skips = append(b.skips, skip{e.N, e.Dests, leaves[i]})
		}
	}
	s.sealedTo = d.seal.High
	if here > 0 && len(d.seal.Dests) > 0 {
		s.blocks = append(s.blocks, b)
	}
	signal(&s.grown)
}

// unseal takes all seals off an own log, so that it is sealed anew.
func (s *store) unseal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsealLocked()
	s.poke()
}

func (s *store) unsealLocked() {
	s.term++
	s.blocks, s.sealedTo = nil, 0
	s.tip = maps.Clone(s.base)
}

// outsealed says whether a taker begins below what was trimmed since an own log was
// sealed. It lacks nothing, but the seals do not say so.
func (s *store) outsealed(wants []want, cursor uint64) bool {
	if !s.own || len(s.blocks) == 0 {
		return false
	}
	for _, w := range wants {
		gone := s.base[w.Instance]
		if gone > max(w.From, cursor) && gone > s.blocks[0].seal.Floor && gone <= s.trimmed {
			return true
		}
	}
	return false
}

// poke wakes the sealer if a taker waits for it. The lock is held.
func (s *store) poke() {
	if s.waiting {
		select {
		case s.wanted <- struct{}{}:
		default:
		}
	}
}
