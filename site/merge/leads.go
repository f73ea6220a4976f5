package merge

import (
	"slices"
	"time"
)

// A lateness estimates the 80 % quantile of how late something comes, over the
// latest lateWindow samples (C5). The zero value has no samples.
type lateness struct {
	samples  [lateWindow]int64 // in the order in which they came, the eldest one overwritten
	sorted   [lateWindow]int64 // the same ones: each promise adds one, and to sort them all each time costs a tenth of a gateway's time
	n        int               // samples taken
	quantile int64
	fresh    int // samples since the quantile was taken
}

// latePercent is the share of promises that a lead waits for (docs/decisions/0009).
const latePercent = 80

// add takes a sample.
func (l *lateness) add(late int64) {
	had := l.sorted[:min(l.n, lateWindow)]
	to, _ := slices.BinarySearch(had, late)
	if l.n < lateWindow {
		had = l.sorted[:l.n+1]
		copy(had[to+1:], had[to:])
	} else if from, _ := slices.BinarySearch(had, l.samples[l.n%lateWindow]); from < to {
		to--
		copy(had[from:to], had[from+1:])
	} else {
		copy(had[to+1:from+1], had[to:])
	}
	had[to] = late
	l.samples[l.n%lateWindow] = late
	l.n++
	l.fresh++
	if l.n <= 8 || l.fresh >= 16 {
		l.fresh = 0
		l.quantile = had[(len(had)*latePercent-1)/100]
	}
}

// startLead is a lead before anybody has reported: what link state says, and room for
// the rings.
func startLead(delay time.Duration) int64 {
	return int64(delay + delay/5 + 3*time.Millisecond)
}

// nextLead moves a lead towards its target: down at once, up by leadRise.
func nextLead(present, target int64, elapsed time.Duration) int64 {
	target = min(max(0, target), maxLead)
	if present == 0 {
		return target
	}
	return min(target, present+max(1, int64(elapsed)/leadRise))
}
