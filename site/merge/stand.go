package merge

import (
	"cmp"
	"slices"

	"ringway/membership"
)

// A stand is where a member of C stands when the view ends: what its Sync says (X4).
type stand struct {
	place int          // in the old view
	b     int64        // up to here it can complete what lost sources sent it
	f     int64        // what somebody there may have seen lies at or below
	moved int64        // and changes of groups that its clients have seen, at or below; ≤ f
	known []promiseRow // of each lost source, ascending: the newest promise below which nothing is missing
}

// An outcome is how a view ends for the members of C, worked out from their stands. All
// of them come to the same, and so does everybody else in the proposal.
//
// A record that a member of TS may lack, or that not all of TS keep, is *open*. The rule
// is that nothing that C has delivered, or that TS will deliver, depends on an open one.
// A lost source's promise tells two things: which records the source had accepted before
// it, by index, and that later ones have, towards each member, a T above P. With the
// lowest promise W of each source that TS know completely, what was accepted before is in
// hand everywhere it was sent to. Later records of σ, when they lie above K, are open.
// If for every other member Z
//
//	max(K, P of W(σ) for Z) ≥ F of Z, or F* if Z is lost too
//
// then no open record of σ was delivered anywhere in C, and what lost sites may have made
// of one lies above F*. For two lost sources there is another way to know that: the
// records of σ that σ' had taken in before W(σ') are all below W(σ). Then the promises W
// are a consistent cut through what lost sources did.
//
// A member that can complete everything up to F* by itself need not know such promises
// (a *full* one): nothing open there lies at or below F*.
type outcome struct {
	ts   membership.Set // places in the old view
	f    int64          // F*
	k    int64          // the lowest B of TS: all up to here is delivered
	r    int64          // and up to here what lies below the promises in kept
	kept []promiseRow   // W, of each lost source
}

// nothingKnown stands for a promise that nobody has heard: before it nothing was accepted.
var nothingKnown = promiseEntry{p: -1}

// judge is X5. Any K gives a sound outcome, if it lies at or above all changes of groups
// that somebody has seen: clients that come along together have seen the same views. It
// takes the one that leaves the fewest members alone, and of those the one whose regular
// part is longest.
func judge(all []stand, off func(mutant) bool) (best outcome) {
	f, moved := int64(-1), int64(-1)
	for i := range all {
		f, moved = max(f, all[i].f), max(moved, all[i].moved)
	}
	if off(noMoved) {
		moved = -1
	}
	for i := range all {
		v := outcomeAt(all, f, max(moved, all[i].b), off)
		if n, most := v.ts.Len(), best.ts.Len(); n > most || n == most && v.k > best.k {
			best = v
		}
	}
	return best
}

// outcomeAt is the outcome whose K is at least k.
func outcomeAt(all []stand, f, k int64, off func(mutant) bool) outcome {
	v := outcome{f: f, k: everything, r: everything}
	for i := range all {
		s := &all[i]
		known := s.b >= k && s.covers(all, f, k, off)
		if full := s.b >= k && s.b >= f; !known && !full && !off(noExclusion) {
			continue
		} else if known {
			v.keep(s)
		} else {
			v.r = min(v.r, s.b)
		}
		v.ts |= membership.SetOf(s.place)
		v.k = min(v.k, s.b)
	}
	if off(noExclusion) {
		v.k = max(v.k, f)
	}
	for i := range v.kept {
		for j := range v.kept {
			if from, by := &v.kept[i], &v.kept[j]; i != j && !consistent(from, by) && !off(noRelay) {
				v.r = min(v.r, max(v.k, from.at(int(by.src)).p))
			}
		}
	}
	return v
}

// covers says whether what s may lack of lost sources concerns nobody, for a K of at
// least k.
func (s *stand) covers(all []stand, f, k int64, off func(mutant) bool) bool {
	for i := range s.known {
		row := &s.known[i]
		for j := range all {
			if max(k, row.at(all[j].place).p) < all[j].f && !off(noCover) {
				return false
			}
		}
		for j := range s.known {
			if by := &s.known[j]; i != j && max(k, row.at(int(by.src)).p) < f && !consistent(row, by) && !off(noRelay) {
				return false
			}
		}
	}
	return true
}

// consistent says whether all that by's source had taken in from the source of a promise,
// before by, was accepted before that promise.
func consistent(of, by *promiseRow) bool {
	return by.at(int(of.src)).next <= of.at(int(by.src)).idx
}

// keep lowers W to what s knows.
func (v *outcome) keep(s *stand) {
	for i := range s.known {
		row := &s.known[i]
		if w := v.row(int(row.src)); w == nil {
			v.kept = append(v.kept, *row)
		} else if row.compare(w) < 0 {
			*w = *row
		}
	}
}

// row is W of a source, nil if there is none.
func (v *outcome) row(src int) *promiseRow {
	if i := slices.IndexFunc(v.kept, func(row promiseRow) bool { return int(row.src) == src }); i >= 0 {
		return &v.kept[i]
	}
	return nil
}

// at is what a promise says to a member.
func (row *promiseRow) at(place int) promiseEntry {
	if place >= len(row.to) {
		return nothingKnown
	}
	return row.to[place]
}

// compare orders promises of one source by age: each tells at least as much as those
// before it, to everybody.
func (row *promiseRow) compare(o *promiseRow) int {
	for i := range max(len(row.to), len(o.to)) {
		a, b := row.at(i), o.at(i)
		if by := cmp.Or(cmp.Compare(a.p, b.p), cmp.Compare(a.idx, b.idx), cmp.Compare(a.next, b.next)); by != 0 {
			return by
		}
	}
	return 0
}
