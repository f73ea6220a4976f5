package merge

import "testing"

// TestPromisesAreSpreadOverLateRecords: with records that are a thousand behind the
// promises, something of them counts long before all have come: what still waits at any
// time is spread.
func TestPromisesAreSpreadOverLateRecords(t *testing.T) {
	const behind = 1000
	var waiting []heard
	for idx := uint64(1); idx <= 5*behind; idx++ {
		if waiting = append(waiting, heard{idx: idx, p: int64(idx)}); len(waiting) > maxWaiting {
			waiting = thinned(waiting)
		}
		for len(waiting) > 0 && waiting[0].idx+behind <= idx {
			waiting = waiting[1:]
		}
		if len(waiting) > maxWaiting || waiting[len(waiting)-1].idx != idx {
			t.Fatalf("after %d: %v waits", idx, waiting)
		}
		if idx < 2*behind {
			continue
		}
		for i := range waiting[1:] {
			if gap := waiting[i+1].idx - waiting[i].idx; gap > behind/2 {
				t.Fatalf("after %d there are %d records between two promises that wait", idx, gap)
			}
		}
	}
}
