package merge

import (
	"testing"

	"ringway/membership"
)

// The places of the members in these tests: x, y and z go on, l and n are lost.
const (
	x = iota
	y
	z
	l
	n
)

// heardOf is a promise of a lost source: P for each member, in the order x y z l n. All
// records have one index in all streams: that of the next one.
func heardOf(src uint8, idx uint64, p ...int64) promiseRow {
	row := promiseRow{src: src}
	for _, t := range p {
		row.to = append(row.to, promiseEntry{p: t, idx: idx})
	}
	return row
}

// taken says how much the source of a promise had taken in of another when it gave it.
func (row promiseRow) taken(of int, next uint64) promiseRow {
	row.to = append([]promiseEntry(nil), row.to...)
	row.to[of].next = next
	return row
}

func on(mutant) bool { return false }

// TestJudge is the rule of the cut on small cases.
func TestJudge(t *testing.T) {
	set := membership.SetOf
	early, late := heardOf(l, 5, 80, 100, 100, 50, 50), heardOf(l, 9, 90, 120, 120, 60, 60)
	for _, test := range []struct {
		name string
		all  []stand
		ts   membership.Set
		k, r int64
		idx  map[int]uint64 // of W
		off  mutant
	}{
		{name: "nobody is lost", all: []stand{{place: x, b: everything, f: 7}, {place: y, b: everything, f: 9}}, ts: set(x) | set(y), k: everything, r: everything},
		{name: "all can complete what any may have delivered",
			all: []stand{{place: x, b: 100, f: 90, known: []promiseRow{early}}, {place: y, b: 110, f: 100, known: []promiseRow{early}}},
			ts:  set(x) | set(y), k: 100, r: everything, idx: map[int]uint64{l: 5}},
		{name: "one near the lost source lacks nothing that the far one can have delivered",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early}}, {place: y, b: 110, f: 100, known: []promiseRow{late}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 5}},
		{name: "the far one may have delivered what the near one lacks",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early}}, {place: y, b: 120, f: 110, known: []promiseRow{late}}},
			ts:  set(y), k: 120, r: everything, idx: map[int]uint64{l: 9}},
		{name: "the same without the rule", off: noCover,
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early}}, {place: y, b: 120, f: 110, known: []promiseRow{late}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 5}},
		{name: "what one that ends alone has delivered counts too",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{late}}, {place: y, b: 120, f: 110, known: []promiseRow{late}}, {place: z, b: 70, f: 60, known: []promiseRow{early}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 9}},
		{name: "who knows no promise but has all goes along",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{late}}, {place: y, b: 120, f: 110, known: []promiseRow{heardOf(l, 0, -1, -1, -1, -1, -1)}}},
			ts:  set(x) | set(y), k: 80, r: 120, idx: map[int]uint64{l: 9}},
		{name: "not if clients there have seen a group change that they would not",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early}}, {place: y, b: 110, f: 100, moved: 85, known: []promiseRow{late}}},
			ts:  set(y), k: 110, r: everything, idx: map[int]uint64{l: 9}},
		{name: "the same without the rule", off: noMoved,
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early}}, {place: y, b: 110, f: 100, moved: 85, known: []promiseRow{late}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 5}},
		{name: "a change below K is seen by all",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early}}, {place: y, b: 110, f: 100, moved: 80, known: []promiseRow{late}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 5}},
		{name: "another lost site may have told of what is lacking",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early, heardOf(n, 5, 80, 100, 100, 50, 50).taken(l, 6)}}, {place: y, b: 110, f: 100, known: []promiseRow{late, heardOf(n, 9, 90, 120, 120, 60, 60)}}},
			ts:  set(y), k: 110, r: everything, idx: map[int]uint64{l: 9, n: 9}},
		{name: "the same without the rule", off: noRelay,
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early, heardOf(n, 5, 80, 100, 100, 50, 50).taken(l, 6)}}, {place: y, b: 110, f: 100, known: []promiseRow{late, heardOf(n, 9, 90, 120, 120, 60, 60)}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 5, n: 5}},
		{name: "not if it had taken in nothing of that yet",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{early, heardOf(n, 5, 80, 100, 100, 50, 50).taken(l, 5)}}, {place: y, b: 110, f: 100, known: []promiseRow{late, heardOf(n, 9, 90, 120, 120, 60, 60)}}},
			ts:  set(x) | set(y), k: 80, r: everything, idx: map[int]uint64{l: 5, n: 5}},
		{name: "or if what it could take in lies above all that was delivered, and what is kept",
			all: []stand{{place: x, b: 80, f: 75, known: []promiseRow{heardOf(l, 5, 80, 100, 100, 50, 105), heardOf(n, 5, 80, 100, 100, 50, 50).taken(l, 6)}}, {place: y, b: 110, f: 100, known: []promiseRow{late, heardOf(n, 9, 90, 120, 120, 60, 60)}}},
			ts:  set(x) | set(y), k: 80, r: 105, idx: map[int]uint64{l: 5, n: 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := judge(test.all, func(m mutant) bool { return test.off == m })
			if o.ts != test.ts || o.k != test.k || o.r != test.r {
				t.Errorf("TS %b, K %d, R %d; want %b, %d, %d", o.ts, o.k, o.r, test.ts, test.k, test.r)
			}
			for src, want := range test.idx {
				if w := o.row(src); w == nil || w.at(x).idx != want {
					t.Errorf("W of %d is %v, want index %d", src, w, want)
				}
			}
			if len(o.kept) != len(test.idx) {
				t.Errorf("%d promises are kept, want %d", len(o.kept), len(test.idx))
			}
		})
	}
}

// TestJudgeTakesAnything gives it what only a broken peer would send.
func TestJudgeTakesAnything(t *testing.T) {
	o := judge([]stand{
		{place: 63, b: -5, f: 10, known: []promiseRow{{src: 63}, {src: 63, to: make([]promiseEntry, 1)}}},
		{place: 63, b: 20, f: 1 << 62},
		{place: 0, b: 1 << 62, f: 3, known: []promiseRow{heardOf(0, 1, 1)}},
	}, on)
	if o.ts == 0 {
		t.Error("nobody goes on")
	}
	if judge(nil, on).ts != 0 {
		t.Error("somebody of nobody goes on")
	}
}
