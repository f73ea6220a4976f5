package netem

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueIsASortedList compares the queue with a list that is sorted stably.
func TestQueueIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type packet struct {
			due  time.Duration
			text byte
		}
		q := newQueue(100, 1<<20)
		var list []packet
		for i := range rapid.IntRange(1, 400).Draw(t, "steps") {
			switch rapid.IntRange(0, 20).Draw(t, "step") {
			default:
				p := packet{time.Duration(rapid.IntRange(0, 50).Draw(t, "due")), byte(i)}
				slot, ok := q.take()
				if !ok {
					t.Fatal("no slot")
				}
				q.buffer(slot)[0] = p.text
				q.push(slot, 1+i%100, p.due)
				list = append(list, p)
				slices.SortStableFunc(list, func(a, b packet) int { return int(a.due - b.due) })
			case 0, 1, 2, 3, 4, 5, 6, 7:
				due, ok := q.first()
				if ok != (len(list) > 0) {
					t.Fatalf("first says %v with %d packets", ok, len(list))
				}
				if !ok {
					continue
				}
				e := q.pop()
				if e.due != due || e.due != list[0].due || q.buffer(e.slot)[0] != list[0].text {
					t.Fatalf("got %d due %v (first: %v), want %d due %v", q.buffer(e.slot)[0], e.due, due, list[0].text, list[0].due)
				}
				q.give(e.slot)
				list = list[1:]
			case 8:
				if n := q.clear(); n != len(list) {
					t.Fatalf("cleared %d packets, want %d", n, len(list))
				}
				list = nil
			}
			if len(q.heap) != len(list) {
				t.Fatalf("%d packets, want %d", len(q.heap), len(list))
			}
		}
		q.clear()
		if q.bytes != 0 || len(q.free) != len(q.chunks)*chunkSlots {
			t.Fatalf("%d bytes and %d of %d slots free in an empty queue", q.bytes, len(q.free), len(q.chunks)*chunkSlots)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	q := newQueue(1000, 200*1000)
	slots := map[uint32]bool{}
	for {
		slot, ok := q.take()
		if !ok {
			break
		}
		if slots[slot] {
			t.Fatalf("slot %d twice", slot)
		}
		slots[slot] = true
	}
	if want := 3 * chunkSlots; len(slots) != want {
		t.Errorf("%d slots, want %d", len(slots), want)
	}
}

func TestHistogram(t *testing.T) {
	for i := range histogramBuckets - 1 {
		end := bucketEnd(i)
		if bucketOf(end-1) != i || bucketOf(end) != i+1 {
			t.Fatalf("bucket %d ends at %v, but that is in bucket %d and what is before in %d", i, end, bucketOf(end), bucketOf(end-1))
		}
	}
	var h Histogram
	for i := range 1000 {
		h.Add(time.Duration(i+1) * time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{0: ms, 0.5: 500 * ms, 0.99: 990 * ms, 1: 1000 * ms} {
		if got := h.Quantile(share); got < want || got > want*9/8 {
			t.Errorf("quantile %v is %v, want %v", share, got, want)
		}
	}
	data, err := h.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := back.UnmarshalJSON(data); err != nil || back != h {
		t.Errorf("read back from JSON: %v, error %v; want %v", &back, err, &h)
	}
	if err := back.UnmarshalJSON([]byte(`{"buckets":[[100000,1]]}`)); err == nil {
		t.Error("a bucket that is not there is accepted")
	}
	var empty Histogram
	if got := empty.Quantile(0.5); got != 0 {
		t.Errorf("median of nothing: %v", got)
	}
	empty.Merge(h)
	if empty != h {
		t.Errorf("merged into nothing: %v, want %v", &empty, &h)
	}
	h.Add(time.Hour)
	if h.Max() != time.Hour || h.Quantile(1) != time.Hour {
		t.Errorf("after an hour: max %v, quantile %v", h.Max(), h.Quantile(1))
	}
}
