package sim

import (
	"math/rand/v2"
	"time"
)

// A chance is a source of random numbers of its own. Each part of a run has one,
// so that a change in one part moves the others as little as possible.
type chance struct{ *rand.Rand }

func newChance(seed, part uint64) chance { return chance{rand.New(rand.NewPCG(seed, part))} }

// percent is true in that many of a hundred cases.
func (c chance) percent(p float64) bool { return p > 0 && c.Float64()*100 < p }

// between returns a time from low to high.
func (c chance) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(c.Int64N(int64(high-low)+1))
}

// about returns a time spread around mean as waiting times are.
func (c chance) about(mean time.Duration) time.Duration {
	return time.Duration(c.ExpFloat64() * float64(mean))
}

// count returns a number from low to high.
func (c chance) count(low, high int) int { return low + c.IntN(high-low+1) }
