package overlay

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"ringway/membership"
)

// errTampered is in every breach by which a relay is found to have altered, invented,
// reordered or withheld entries of somebody's log.
var errTampered = errors.New("log was tampered with")

func tampered(format string, args ...any) error {
	return breach(fmt.Errorf("%w: %w", errTampered, fmt.Errorf(format, args...)))
}

// An incoming is a block that came from upstream and has been found good.
type incoming struct {
	entries []LogEntry
	leaves  []leaf // of entries
	skips   []skip
	seal    *seal
}

// A proof collects the block that a subscription's stream is bringing, and holds it
// against its seal. Nothing of it is used or passed on before.
type proof struct {
	log      membership.LogID
	verifier *verifier
	hasher   *hasher
	wants    []want   // From: everything below is here, or known not to exist
	texts    [][]byte // for each of wants, the text whose hash the seal must have
	block    incoming
	items    int
	bytes    int
	last     uint64 // number of the latest item
	newest   uint64 // one above the latest entry of all blocks
}

func newProof(log membership.LogID, v *verifier, wants []want) *proof {
	return &proof{log: log, verifier: v, hasher: newHasher(), wants: append([]want(nil), wants...), texts: make([][]byte, len(wants))}
}

// take takes the next item off the stream. After a seal that is good it returns the
// block.
func (p *proof) take(it *item) (*incoming, error) {
	switch it.kind {
	case frameEntry:
		return nil, p.entry(&it.entry)
	case frameSkip:
		return nil, p.skip(&skip{it.entry.N, it.entry.Dests, it.leaf})
	default:
		return p.seal(it.seal)
	}
}

func (p *proof) entry(e *LogEntry) error {
	if !covers(p.wants, e.N, e.Dests) || e.N < p.newest {
		return tampered("entry %d of %v was not asked for", e.N, p.log)
	}
	if p.bytes >= maxBlockBytes {
		return tampered("block of %v with more than %d bytes before its last entry", p.log, maxBlockBytes)
	}
	l := p.hasher.leaf(e)
	if err := p.item(e.N, e.Dests, &l); err != nil {
		return err
	}
	p.bytes += len(e.Data)
	p.newest = e.N + 1
	p.block.entries = append(p.block.entries, *e)
	p.block.leaves = append(p.block.leaves, l)
	return nil
}

// skip takes an entry that is here already; one that is not would be withheld.
func (p *proof) skip(s *skip) error {
	if covers(p.wants, s.N, s.Dests) {
		return tampered("entry %d of %v was withheld", s.N, p.log)
	}
	p.block.skips = append(p.block.skips, *s)
	return p.item(s.N, s.Dests, &s.leaf)
}

func (p *proof) item(n uint64, dests []membership.InstanceID, l *leaf) error {
	if p.items > 0 && n <= p.last {
		return tampered("entry %d of %v after %d", n, p.log, p.last)
	}
	if p.last = n; p.items == maxBlockEntries {
		return tampered("block of %v with more than %d entries", p.log, maxBlockEntries)
	}
	p.items++
	for i := range p.wants {
		e := LogEntry{N: n, Dests: dests}
		p.texts[i] = appendLeaves(p.texts[i], &e, l, p.wants[i].Instance)
	}
	return nil
}

// seal holds the block against its seal.
func (p *proof) seal(s *seal) (*incoming, error) {
	if p.items == 0 || len(p.block.entries) == 0 || p.last >= s.High || p.first() < s.Low {
		return nil, tampered("seal of [%d, %d) of %v over entries that are not its own", s.Low, s.High, p.log)
	}
	if err := p.verifier.checkSeal(p.log, s); err != nil {
		return nil, err
	}
	for i := range p.wants {
		if err := p.about(s, &p.wants[i], p.texts[i]); err != nil {
			return nil, err
		}
		p.texts[i] = p.texts[i][:0]
	}
	block := p.block
	block.seal = s
	p.block, p.items, p.bytes = incoming{}, 0, 0
	return &block, nil
}

// first returns the number of the block's first item.
func (p *proof) first() uint64 {
	first := p.block.entries[0].N
	if len(p.block.skips) > 0 {
		first = min(first, p.block.skips[0].N)
	}
	return first
}

// about holds what came for one destination against what the seal says of it, and moves
// the destination's place on.
func (p *proof) about(s *seal, w *want, text []byte) error {
	said := s.about(w.Instance)
	switch {
	case said == nil && len(text) > 0:
		return tampered("entries of %v for %v that its seal does not have", p.log, w.Instance)
	case said == nil:
		if s.Low <= w.From {
			w.From = max(w.From, s.High)
		}
		return nil
	case said.After > max(w.From, s.Floor):
		return tampered("entries of %v for %v were withheld: there are some below %d, and what came ends at %d", p.log, w.Instance, said.After, w.From)
	case said.Digest != sha256.Sum256(text):
		return tampered("entries of %v for %v are not what its seal says", p.log, w.Instance)
	}
	w.From = max(w.From, s.High)
	return nil
}
