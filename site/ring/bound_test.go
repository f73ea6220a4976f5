package ring

import "testing"

// What is bound to a ring ends with it: cut, ready or waiting. The rest goes on, from
// its beginning, in its order.
func TestWhatIsBoundToARingEndsWithIt(t *testing.T) {
	frame := func(name byte, bound bool) Frame {
		return Frame{Stream: uint64(name), Bound: bound, Data: make([]byte, name)}
	}
	o := outbox{
		cuts:    []cut{{frame: frame(40, true), offset: 10}, {frame: frame(30, false), offset: 20}},
		ready:   []Frame{frame(5, false), frame(6, true)},
		waiting: []Frame{frame(7, true), frame(8, false)},
	}
	o.bytes = 40 - 10 + 30 - 20 + 5 + 6 + 7 + 8
	o.restart()
	if len(o.cuts) != 0 || len(o.ready) != 1 || o.ready[0].Stream != 5 {
		t.Errorf("cut %d, ready %v", len(o.cuts), o.ready)
	}
	if len(o.waiting) != 2 || o.waiting[0].Stream != 30 || o.waiting[1].Stream != 8 || o.bytes != 5+30+8 {
		t.Errorf("waiting %v, %d bytes", o.waiting, o.bytes)
	}
}
