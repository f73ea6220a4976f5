package demo

import (
	"math"
	"slices"
	"time"
)

// A latency is the distribution between a site that published and one that received.
type latency struct {
	from, to int // sites
	samples  []time.Duration
}

// quantile returns the value below which the share lies.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(share*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// latencies returns the distribution of each pair of sites, over the first messages of
// each publisher: limits has how many. The n-th message that a member received of a
// publisher is the n-th that it sent, or the comparison fails.
func latencies(histories []history, publishers []*publisher, limits []int, sites int) []latency {
	pairs := make([]latency, sites*sites)
	for i := range pairs {
		pairs[i].from, pairs[i].to = i/sites, i%sites
	}
	byName, sent := map[string]int{}, make([][]sending, len(publishers))
	for i, p := range publishers {
		byName[p.name], sent[i] = i, p.sendings()
	}
	for _, h := range histories {
		if h.born > 0 {
			continue // it came later
		}
		next := make([]int, len(publishers))
		for _, d := range h.deliveries {
			i, ok := byName[d.sender]
			if !ok {
				continue
			}
			if n := next[i]; n < limits[i] {
				pair := &pairs[publishers[i].site*sites+h.site]
				pair.samples = append(pair.samples, d.at-sent[i][n].at)
			}
			next[i]++
		}
	}
	for i := range pairs {
		slices.Sort(pairs[i].samples)
	}
	return pairs
}
