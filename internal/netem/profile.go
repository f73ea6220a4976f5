package netem

import (
	"fmt"
	"math"
	"time"
)

// Limits of what a profile may ask for.
const (
	maxDelay = 10 * time.Second // the moon and back is 2.6 s; packets on the way take memory
	maxRate  = 1e12             // bit/s; no wire is faster
	maxGap   = 1 << 20
	maxLimit = 1 << 30 // bytes: the queue of no router
	minShare = 1e-9    // chance is drawn in units of 1/2^32
)

// defaultLimit is how long the packets of a queue may take to leave it if nobody says:
// about the buffer of a WAN router.
const defaultLimit = 100 * time.Millisecond

// A Profile says what one direction of a link does to packets. The zero Profile does
// nothing: packets leave when they come. Profiles can be compared.
//
// Shares are fractions, 0 to 1. A correlation says how much of each random value is the
// one before it, as tc netem has it: see the package's text.
type Profile struct {
	Delay       time.Duration // one way
	Jitter      time.Duration // how far the delay strays, by the distribution
	JitterCor   float64
	JitterShape Distribution

	Loss    float64 // share of packets lost, each for itself
	LossCor float64
	Burst   GilbertElliott // lost in bursts; not together with Loss

	Duplicate    float64 // share of packets that come twice
	DuplicateCor float64

	Reorder    float64 // share of packets that do not wait for the delay
	ReorderCor float64
	Gap        int  // of so many packets at most one jumps the queue; 0 means 1
	Overtake   bool // jitter may reorder too

	Rate  uint64 // bit/s; zero: unlimited
	Limit Limit  // of the queue at that rate
}

// A Distribution is the shape of jitter. Those of tc netem, with the same quantiles.
type Distribution uint8

// The distributions. Jitter is the half width of Uniform and the standard deviation of
// Normal; Pareto has a long tail of late packets.
const (
	Uniform Distribution = iota
	Normal
	Pareto
	ParetoNormal
)

var distributionNames = [...]string{"uniform", "normal", "pareto", "paretonormal"}

// String writes the name that tc has for it.
func (d Distribution) String() string {
	if int(d) < len(distributionNames) {
		return distributionNames[d]
	}
	return fmt.Sprintf("Distribution(%d)", uint8(d))
}

// reach is the end of the tables of tc netem, in units of jitter.
const reach = 4

// quantile returns the value that a share u of all values is below, in units of jitter.
func (d Distribution) quantile(u float64) float64 {
	clip := func(x float64) float64 { return max(-reach, min(reach, x)) }
	normal := func() float64 { return clip(math.Sqrt2 * math.Erfinv(2*u-1)) }
	// Exponent 3, moved so that its mean is 0 and stretched.
	pareto := func() float64 { return clip((math.Pow(1-u, -1.0/3) - 1.5) * 4 / 3) }
	switch d {
	case Normal:
		return normal()
	case Pareto:
		return pareto()
	case ParetoNormal:
		return normal()/4 + pareto()*3/4
	default:
		return 2*u - 1
	}
}

// GilbertElliott loses packets in bursts. The link is good or bad; at each packet a good
// one turns bad with probability P, a bad one good with probability R. The zero value
// loses nothing.
type GilbertElliott struct {
	P, R     float64
	LossBad  float64 // 1-h in the literature and in tc
	LossGood float64 // 1-k
}

// Share returns the loss in the long run.
func (g GilbertElliott) Share() float64 {
	if g.P+g.R == 0 {
		return g.LossGood // it begins good and stays so
	}
	bad := g.P / (g.P + g.R)
	return bad*g.LossBad + (1-bad)*g.LossGood
}

// A Limit bounds what waits for its turn at a link's rate: by the time that it takes or
// by its bytes, of which one is zero. What comes to a full queue is lost. The zero Limit
// is 100 ms.
type Limit struct {
	Time  time.Duration
	Bytes int64
}

// Validate says what is wrong with the profile.
func (p Profile) Validate() error {
	for _, s := range []struct {
		key   string
		value float64
	}{
		{"jitter's correlation", p.JitterCor},
		{"loss", p.Loss}, {"loss's correlation", p.LossCor},
		{"p of loss-model", p.Burst.P}, {"r of loss-model", p.Burst.R},
		{"1-h of loss-model", p.Burst.LossBad}, {"1-k of loss-model", p.Burst.LossGood},
		{"duplicate", p.Duplicate}, {"duplicate's correlation", p.DuplicateCor},
		{"reorder", p.Reorder}, {"reorder's correlation", p.ReorderCor},
	} {
		if s.value != 0 && !(s.value >= minShare && s.value <= 1) {
			return fmt.Errorf("%s of %v is out of range: 0, or from %v to 1 (100%%)", s.key, s.value, minShare)
		}
	}
	switch {
	case p.Delay < 0 || p.Delay > maxDelay:
		return fmt.Errorf("delay %v is out of range: from 0s to %v", p.Delay, maxDelay)
	case p.Jitter < 0 || p.Jitter > maxDelay:
		return fmt.Errorf("jitter %v is out of range: from 0s to %v", p.Jitter, maxDelay)
	case int(p.JitterShape) >= len(distributionNames):
		return fmt.Errorf("distribution %d is not known: there are %d", p.JitterShape, len(distributionNames))
	case p.Rate > maxRate:
		return fmt.Errorf("rate %d bit/s is out of range: up to 1000gbit", p.Rate)
	case p.Gap < 0 || p.Gap > maxGap:
		return fmt.Errorf("gap %d is out of range: from 1 to %d", p.Gap, maxGap)
	case p.Limit.Time < 0 || p.Limit.Time > maxDelay:
		return fmt.Errorf("limit %v is out of range: from 1us to %v", p.Limit.Time, maxDelay)
	case p.Limit.Bytes < 0 || p.Limit.Bytes > maxLimit:
		return fmt.Errorf("limit of %d bytes is out of range: from 1b to 1024mb", p.Limit.Bytes)
	}
	return p.fits()
}

// fits says which settings need another or exclude each other.
func (p Profile) fits() error {
	switch {
	case p.Jitter == 0 && p.JitterCor > 0:
		return fmt.Errorf("jitter has a correlation but is 0: give it a length, as in jitter=2ms/25%%")
	case p.Jitter == 0 && p.JitterShape != Uniform:
		return fmt.Errorf("distribution=%v is the shape of jitter, which is 0: add jitter=2ms", p.JitterShape)
	case p.Jitter == 0 && p.Overtake:
		return fmt.Errorf("reorder=allow is about jitter, which is 0: add jitter=2ms")
	case p.Loss == 0 && p.LossCor > 0:
		return fmt.Errorf("loss has a correlation but is 0%%: give it a share, as in loss=1%%/25%%")
	case p.Loss > 0 && p.Burst != GilbertElliott{}:
		return fmt.Errorf("loss and loss-model exclude each other: leave one of them out")
	case p.Duplicate == 0 && p.DuplicateCor > 0:
		return fmt.Errorf("duplicate has a correlation but is 0%%: give it a share, as in duplicate=1%%/25%%")
	case p.Reorder == 0 && (p.ReorderCor > 0 || p.Gap > 0):
		return fmt.Errorf("reorder has a correlation or a gap but is 0%%: give it a share, as in reorder=25%%/50%%")
	case p.Reorder > 0 && p.Delay == 0:
		return fmt.Errorf("reorder needs a delay: packets overtake by not waiting for it; add delay=10ms")
	case p.Limit != Limit{} && p.Rate == 0:
		return fmt.Errorf("limit is of the queue at a rate, and there is no rate: add rate=200mbit")
	case p.Limit.Time > 0 && p.Limit.Bytes > 0:
		return fmt.Errorf("limit is both %v and %d bytes: choose one", p.Limit.Time, p.Limit.Bytes)
	}
	return nil
}
