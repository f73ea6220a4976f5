package relay

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func seeded() *rand.Rand { return rand.New(rand.NewPCG(7, 11)) }

func TestDelayWithoutJitterIsExact(t *testing.T) {
	p := newPath(Profile{Delay: 40 * ms}, seeded())
	for i := range 1000 {
		now := time.Duration(i) * 137 * time.Microsecond
		if due, ok := p.admit(now, 100); !ok || due != now+40*ms {
			t.Fatalf("packet at %v: due %v (%v), want 40ms later", now, due, ok)
		}
	}
}

func TestJitterStaysInItsRangeAndDoesNotMoveTheMean(t *testing.T) {
	const delay, jitter = 40 * ms, 2 * ms
	p := newPath(Profile{Delay: delay, Jitter: jitter}, seeded())
	var sum, low, high time.Duration = 0, math.MaxInt64, 0
	const packets = 200_000
	for i := range packets {
		now := time.Duration(i) * 500 * time.Microsecond
		due, _ := p.admit(now, 100)
		sum, low, high = sum+due-now, min(low, due-now), max(high, due-now)
	}
	if low < delay-jitter || high > delay+jitter {
		t.Errorf("delays from %v to %v, want within 40ms ± 2ms", low, high)
	}
	if low > delay-jitter*8/10 || high < delay+jitter*8/10 {
		t.Errorf("delays from %v to %v hardly use ± 2ms", low, high)
	}
	if mean := sum / packets; mean < delay-jitter/20 || mean > delay+jitter/20 {
		t.Errorf("mean delay %v, want 40ms", mean)
	}
}

// TestOrder is rule 1, under any profile and any change of it.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		profile := rapid.Custom(func(t *rapid.T) Profile {
			return Profile{
				Delay:  time.Duration(rapid.Int64Range(0, int64(300*ms)).Draw(t, "delay")),
				Jitter: time.Duration(rapid.Int64Range(0, int64(100*ms)).Draw(t, "jitter")),
				Loss:   rapid.Float64Range(0, 0.5).Draw(t, "loss"),
				Rate:   rapid.SampledFrom([]uint64{0, 1e6, 1e9}).Draw(t, "rate"),
			}
		})
		p := newPath(profile.Draw(t, "profile"), seeded())
		var now, last time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			if rapid.IntRange(0, 20).Draw(t, "change") == 0 {
				p.profile = profile.Draw(t, "profile")
			}
			now += time.Duration(rapid.Int64Range(0, int64(30*ms)).Draw(t, "gap"))
			due, ok := p.admit(now, rapid.IntRange(1, 1500).Draw(t, "size"))
			if !ok {
				continue
			}
			if due < last || due < now {
				t.Fatalf("packet at %v is due at %v, the one before at %v", now, due, last)
			}
			last = due
		}
	})
}

func TestLossShare(t *testing.T) {
	for _, share := range []float64{0, 0.001, 0.05, 1} {
		p := newPath(Profile{Loss: share}, seeded())
		lost := 0
		const packets = 200_000
		for i := range packets {
			if _, ok := p.admit(time.Duration(i), 100); !ok {
				lost++
			}
		}
		// Four standard deviations of the binomial distribution.
		tolerance := 4 * math.Sqrt(packets*share*(1-share))
		if math.Abs(float64(lost)-packets*share) > tolerance {
			t.Errorf("loss %v: %d of %d lost", share, lost, packets)
		}
	}
}

func TestRateSpacesAndThenDrops(t *testing.T) {
	const size = 1000 - packetOverhead // 1 ms at 8 Mbit/s
	p := newPath(Profile{Delay: 10 * ms, Rate: 8e6}, seeded())
	carried := 0
	for i := range 500 {
		due, ok := p.admit(0, size)
		if !ok {
			continue
		}
		carried++
		if want := time.Duration(i+1)*ms + 10*ms; due != want {
			t.Fatalf("packet %d is due at %v, want %v", i, due, want)
		}
	}
	if want := int(maxWait/ms) + 1; carried != want {
		t.Errorf("%d packets of a burst carried, want %d", carried, want)
	}
	if due, ok := p.admit(time.Second, size); !ok || due != time.Second+11*ms {
		t.Errorf("after the queue has emptied: due %v (%v)", due, ok)
	}
}

func TestFasterProfileDoesNotOvertake(t *testing.T) {
	p := newPath(Profile{Delay: 80 * ms}, seeded())
	slow, _ := p.admit(0, 100)
	p.profile = Profile{Delay: 20 * ms}
	if next, _ := p.admit(ms, 100); next < slow {
		t.Errorf("due at %v, before the packet that is due at %v", next, slow)
	}
	if later, _ := p.admit(100*ms, 100); later != 120*ms {
		t.Errorf("due at %v, want 120ms", later)
	}
}
