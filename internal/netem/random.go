package netem

import (
	"math"
	"math/rand/v2"
)

// A stream draws random values of 32 bits, each correlated to the one before it as tc
// netem does it: by a weighted mean of a fresh value and the last one. Its values have
// the right mean and bunch around it: the share of those below a small threshold is
// smaller than without correlation.
type stream struct {
	rho   uint64 // weight of the last value, of 1<<32
	last  uint32
	begun bool
}

// correlate sets the correlation; what was drawn stays.
func (s *stream) correlate(cor float64) { s.rho = uint64(scale(cor)) }

func (s *stream) next(random *rand.Rand) uint32 {
	fresh := random.Uint32()
	if s.rho == 0 {
		return fresh
	}
	if !s.begun {
		s.begun, s.last = true, random.Uint32()
	}
	rho := s.rho + 1
	// Both products together stay below 1<<64: the weights sum up to 1<<32.
	s.last = uint32((uint64(fresh)*(1<<32-rho) + uint64(s.last)*rho) >> 32)
	return s.last
}

// hits says whether something happens that happens in a share of all cases.
func (s *stream) hits(share float64, random *rand.Rand) bool {
	return share > 0 && s.next(random) <= scale(share)
}

// scale maps 0 to 1 onto all values of 32 bits.
func scale(share float64) uint32 { return uint32(math.Round(share * math.MaxUint32)) }
