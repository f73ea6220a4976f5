package netem

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// packets is how many the statistics are over.
const packets = 100_000

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 11)) }

func mustParse(t testing.TB, settings string) Profile {
	t.Helper()
	p, err := Parse(settings)
	if err != nil {
		t.Fatalf("%q: %v", settings, err)
	}
	return p
}

// fates sends packets of a size, one each gap, and returns what becomes of them and the
// delays of those that leave.
func fates(t testing.TB, settings string, gap time.Duration, size int) (all []Fate, delays []float64) {
	t.Helper()
	m := NewModel(mustParse(t, settings), seeded(1))
	for i := range packets {
		now := time.Duration(i) * gap
		f := m.Admit(now, size)
		all = append(all, f)
		for _, at := range f.At[:f.Copies] {
			delays = append(delays, float64(at-now)/float64(ms))
		}
	}
	return all, delays
}

func moments(values []float64) (mean, deviation, lag1 float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for i, v := range values {
		deviation += (v - mean) * (v - mean) / float64(len(values))
		if i > 0 {
			lag1 += (v - mean) * (values[i-1] - mean) / float64(len(values))
		}
	}
	return mean, math.Sqrt(deviation), lag1 / deviation
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.5f, want %.5f ± %.5f", what, got, want, tolerance)
	}
}

func TestDelayIsExact(t *testing.T) {
	all, _ := fates(t, "delay=40ms", 137*time.Microsecond, 100)
	for i, f := range all {
		if want := time.Duration(i)*137*time.Microsecond + 40*ms; f.Copies != 1 || f.At[0] != want {
			t.Fatalf("packet %d: %+v, want it to leave at %v", i, f, want)
		}
	}
}

// TestJitter looks at each distribution where packets come too seldom to run into each
// other, and at its correlation: the share rho in the formula of tc netem is the
// correlation of neighbours, and narrows uniform jitter by sqrt((1-rho)/(1+rho)).
func TestJitter(t *testing.T) {
	sqrt := math.Sqrt
	for _, c := range []struct {
		settings              string
		mean, deviation, lag1 float64
		low, high             float64
	}{
		{"delay=40ms jitter=2ms", 40, 2 / sqrt(3), 0, 38, 42},
		{"delay=40ms jitter=2ms/25%", 40, 2 / sqrt(3) * sqrt(0.75/1.25), 0.25, 38, 42},
		{"delay=40ms jitter=2ms/80%", 40, 2 / sqrt(3) * sqrt(0.2/1.8), 0.8, 38, 42},
		{"delay=40ms jitter=2ms distribution=normal", 40, 2, 0, 32, 48},
		// Of the tables of tc: the tail is cut off at four times the jitter.
		{"delay=40ms jitter=2ms distribution=pareto", 40 - 2*0.0335, 2 * 0.82, 0, 40 - 2*2/3.0, 48},
		{"delay=40ms jitter=2ms distribution=paretonormal", 40 - 2*0.0253, 2 * 0.834, 0, 36, 48},
	} {
		_, delays := fates(t, c.settings, 100*ms, 100)
		mean, deviation, lag1 := moments(delays)
		near(t, c.settings+": mean", mean, c.mean, 0.03)
		near(t, c.settings+": deviation", deviation, c.deviation, 0.03)
		near(t, c.settings+": correlation", lag1, c.lag1, 0.02)
		for _, d := range delays {
			if d < c.low-1e-6 || d > c.high+1e-6 {
				t.Fatalf("%s: delay %v ms is outside of %v to %v", c.settings, d, c.low, c.high)
			}
		}
	}
}

func TestJitterLongerThanTheDelayEndsAtNow(t *testing.T) {
	_, delays := fates(t, "delay=1ms jitter=5ms", 100*ms, 100)
	for _, d := range delays {
		if d < 0 || d > 6 {
			t.Fatalf("delay %v ms", d)
		}
	}
}

// TestJitterKeepsTheOrder is the choice of this package: jitter reorders only if asked.
func TestJitterKeepsTheOrder(t *testing.T) {
	for settings, want := range map[string]bool{
		"delay=40ms jitter=5ms":               false,
		"delay=40ms jitter=5ms reorder=allow": true,
		"delay=40ms jitter=5ms rate=100mbit":  false,
	} {
		all, _ := fates(t, settings, ms, 100)
		behind := 0
		for i := range all[1:] {
			if all[i+1].At[0] < all[i].At[0] {
				behind++
			}
		}
		if want != (behind > packets/10) || !want && behind > 0 {
			t.Errorf("%s: %d packets overtake", settings, behind)
		}
	}
}

// shareOfCorrelated is the share of values that a correlated stream has up to a
// threshold, computed in another way than stream does: by iterating its distribution.
func shareOfCorrelated(share, rho float64) float64 {
	const cells = 4000
	density := make([]float64, cells)
	for i := range density {
		density[i] = 1.0 / cells
	}
	for range 12 {
		next := make([]float64, cells)
		for i, weight := range density {
			// From here, the next value is uniform in [rho*x, rho*x+1-rho].
			low := rho * (float64(i) + 0.5)
			high := low + (1-rho)*cells
			first, last := int(low), min(cells-1, int(high))
			for j := first; j <= last; j++ {
				overlap := min(high, float64(j+1)) - max(low, float64(j))
				next[j] += weight * overlap / (high - low)
			}
		}
		density = next
	}
	sum := 0.0
	for i := range int(share * cells) {
		sum += density[i]
	}
	return sum
}

func TestLoss(t *testing.T) {
	for _, c := range []struct {
		settings string
		share    float64
	}{
		{"loss=0.1%", 0.001}, {"loss=5%", 0.05}, {"loss=50%", 0.5}, {"loss=100%", 1},
		{"loss=20%/25%", shareOfCorrelated(0.2, 0.25)},
		{"loss=20%/60%", shareOfCorrelated(0.2, 0.6)},
		{"loss-model=gemodel:5%", 0.05}, // Bernoulli
		{"loss-model=gemodel:1%:10%", 1.0 / 11},
		{"loss-model=gemodel:1%:10%:70%:0.1%", 0.7/11 + 0.001*10/11},
		{"delay=10ms", 0},
	} {
		all, _ := fates(t, c.settings, ms, 100)
		lost := 0
		for _, f := range all {
			lost += f.Lost
		}
		// Four deviations; losses in bursts are fewer independent events.
		tolerance := 4 * math.Sqrt(c.share*(1-c.share)/packets)
		if p := mustParse(t, c.settings); p.Burst != (GilbertElliott{}) || p.LossCor > 0 {
			tolerance *= 5
		}
		near(t, c.settings, float64(lost)/packets, c.share, tolerance)
		if g := mustParse(t, c.settings).Burst; g != (GilbertElliott{}) {
			near(t, c.settings+": Share", g.Share(), c.share, 1e-9)
		}
	}
}

// TestBursts: a bad link turns good with probability r at each packet, so bursts are
// 1/r packets long in the mean, and begin after 1/p good ones.
func TestBursts(t *testing.T) {
	all, _ := fates(t, "loss-model=gemodel:1%:20%", ms, 100)
	bursts, lost := 0, 0
	for i, f := range all {
		lost += f.Lost
		if f.Lost > 0 && (i == 0 || all[i-1].Lost == 0) {
			bursts++
		}
	}
	near(t, "length of a burst", float64(lost)/float64(bursts), 5, 0.5)
	near(t, "packets between bursts", float64(packets-lost)/float64(bursts), 100, 10)
}

func TestDuplicate(t *testing.T) {
	all, _ := fates(t, "delay=10ms duplicate=3%", ms, 100)
	twice := 0
	for i, f := range all {
		if f.Duplicated != (f.Copies == 2) {
			t.Fatalf("packet %d: %+v", i, f)
		}
		if f.Duplicated {
			twice++
		}
	}
	near(t, "duplicated", float64(twice)/packets, 0.03, 4*math.Sqrt(0.03*0.97/packets))

	// Each of the two is lost for itself.
	all, _ = fates(t, "delay=10ms duplicate=100% loss=30%", ms, 100)
	var left [3]int
	for _, f := range all {
		left[f.Copies]++
	}
	for copies, share := range []float64{0.09, 0.42, 0.49} {
		near(t, "share of packets that leave in such a number", float64(left[copies])/packets, share, 0.01)
	}
}

func TestReorder(t *testing.T) {
	// One packet each ms and 10 ms of delay: who jumps overtakes ten others.
	all, _ := fates(t, "delay=10ms reorder=25%", ms, 100)
	jumped := 0
	for i, f := range all {
		now := time.Duration(i) * ms
		want := now + 10*ms
		if f.Jumped > 0 {
			jumped++
			want = now
		}
		if f.At[0] != want {
			t.Fatalf("packet %d at %v: %+v", i, now, f)
		}
	}
	near(t, "jumped", float64(jumped)/packets, 0.25, 4*math.Sqrt(0.25*0.75/packets))

	all, _ = fates(t, "delay=10ms reorder=100% gap=5", ms, 100)
	for i, f := range all {
		if (f.Jumped > 0) != (i%5 == 4) {
			t.Fatalf("packet %d of a gap of 5: %+v", i, f)
		}
	}

	all, _ = fates(t, "delay=10ms reorder=25%/50%", ms, 100)
	jumped, pairs := 0, 0
	for i, f := range all {
		jumped += f.Jumped
		if i > 0 && f.Jumped > 0 && all[i-1].Jumped > 0 {
			pairs++
		}
	}
	want := shareOfCorrelated(0.25, 0.5)
	near(t, "jumped with correlation", float64(jumped)/packets, want, 0.01)
	if float64(pairs)/float64(jumped) < 1.5*want {
		t.Errorf("%d of %d that jump follow another: not correlated", pairs, jumped)
	}
}

func TestRate(t *testing.T) {
	// 986 bytes and their Ethernet header take 1 ms at 8 Mbit/s.
	for _, c := range []struct {
		limit string
		queue int // packets that wait, besides the one on the wire
	}{{"", 100}, {"limit=20ms", 20}, {"limit=10000b", 9}} {
		m := NewModel(mustParse(t, "delay=10ms rate=8mbit "+c.limit), seeded(1))
		carried := 0
		for i := range 500 {
			f := m.Admit(0, 986)
			if f.Full+f.Copies != 1 {
				t.Fatalf("packet %d: %+v", i, f)
			}
			if f.Copies == 1 {
				carried++
				if want := time.Duration(carried)*ms + 10*ms; f.At[0] != want {
					t.Fatalf("%q: packet %d leaves at %v, want %v", c.limit, i, f.At[0], want)
				}
			}
		}
		if want := c.queue + 1; carried != want {
			t.Errorf("%q: %d packets of a burst carried, want %d", c.limit, carried, want)
		}
		if f := m.Admit(time.Second, 986); f.Copies != 1 || f.At[0] != time.Second+11*ms {
			t.Errorf("%q: when the queue is empty again: %+v", c.limit, f)
		}
	}
	// Offered three times its rate, a link carries its rate.
	all, _ := fates(t, "rate=8mbit", ms/3, 986)
	carried := 0
	for _, f := range all {
		carried += f.Copies
	}
	near(t, "carried", float64(carried)/packets, 1.0/3, 0.002)
}

func TestChangesDoNotReorder(t *testing.T) {
	m := NewModel(Profile{Delay: 80 * ms}, seeded(1))
	slow := m.Admit(0, 100).At[0]
	m.Set(Profile{Delay: 20 * ms})
	if next := m.Admit(ms, 100).At[0]; next < slow {
		t.Errorf("leaves at %v, before the one that leaves at %v", next, slow)
	}
	if later := m.Admit(100*ms, 100).At[0]; later != 120*ms {
		t.Errorf("leaves at %v, want 120ms", later)
	}
	m.Set(Profile{Delay: 80 * ms})
	m.Admit(200*ms, 100)
	m.Clear()
	m.Set(Profile{Delay: 20 * ms})
	if after := m.Admit(201*ms, 100).At[0]; after != 221*ms {
		t.Errorf("after a cut leaves at %v, want 221ms: there is nothing to overtake", after)
	}
}

// anyProfile draws valid profiles.
func anyProfile() *rapid.Generator[Profile] {
	return rapid.Custom(func(t *rapid.T) Profile {
		share := func(name string) float64 {
			return rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(minShare, 1), rapid.SampledFrom([]float64{0.001, 0.25, 1})).Draw(t, name)
		}
		length := func(name string, most time.Duration) time.Duration {
			return time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, int64(most))).Draw(t, name))
		}
		p := Profile{
			Delay: length("delay", maxDelay), Jitter: length("jitter", 100*ms), Loss: share("loss"),
			Duplicate: share("duplicate"), Reorder: share("reorder"),
			Rate: rapid.SampledFrom([]uint64{0, 1, 64_000, 200_000_000, 123_456_789, maxRate}).Draw(t, "rate"),
		}
		if p.Jitter > 0 {
			p.JitterCor = share("jitter's correlation")
			p.JitterShape = Distribution(rapid.IntRange(0, len(distributionNames)-1).Draw(t, "distribution"))
			p.Overtake = rapid.Bool().Draw(t, "overtake")
		}
		if p.Loss > 0 {
			p.LossCor = share("loss's correlation")
		} else {
			p.Burst = GilbertElliott{share("p"), share("r"), share("1-h"), share("1-k")}
		}
		if p.Duplicate > 0 {
			p.DuplicateCor = share("duplicate's correlation")
		}
		if p.Delay == 0 {
			p.Reorder = 0
		}
		if p.Reorder > 0 {
			p.ReorderCor = share("reorder's correlation")
			p.Gap = rapid.IntRange(0, 100).Draw(t, "gap")
		}
		if p.Rate > 0 {
			switch rapid.IntRange(0, 2).Draw(t, "limit") {
			case 1:
				p.Limit.Time = 1*time.Microsecond + length("limit", time.Second)
			case 2:
				p.Limit.Bytes = rapid.Int64Range(1, maxLimit).Draw(t, "limit bytes")
			}
		}
		return p
	})
}

// TestModelKeepsItsPromises holds the rules of Model under any profile and changes.
func TestModelKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		m, twin := NewModel(Profile{}, seeded(seed)), NewModel(Profile{}, seeded(seed))
		var now, last time.Duration
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			if rapid.IntRange(0, 20).Draw(t, "change") == 0 {
				p := anyProfile().Draw(t, "profile")
				if err := p.Validate(); err != nil {
					t.Fatalf("%v: %v", p, err)
				}
				m.Set(p)
				twin.Set(p)
			}
			now += time.Duration(rapid.Int64Range(0, int64(30*ms)).Draw(t, "gap"))
			size := rapid.IntRange(1, 65535).Draw(t, "size")
			f := m.Admit(now, size)
			if f != twin.Admit(now, size) {
				t.Fatal("the same input had another fate")
			}
			want := 1
			if f.Duplicated {
				want = 2
			}
			if f.Copies+f.Lost+f.Full != want {
				t.Fatalf("%+v: of %d", f, want)
			}
			p := m.Profile()
			for _, at := range f.At[:f.Copies] {
				if at < now {
					t.Fatalf("leaves at %v, came at %v", at, now)
				}
				if p.Reorder > 0 || p.Overtake {
					continue
				}
				if at < last {
					t.Fatalf("leaves at %v, one before it at %v, with %v", at, last, p)
				}
			}
			for _, at := range f.At[:f.Copies] {
				last = max(last, at)
			}
		}
	})
}

func BenchmarkModel(b *testing.B) {
	for _, settings := range []string{"delay=80ms", "delay=80ms jitter=2ms/25% loss=0.5% rate=200mbit", "delay=80ms jitter=2ms distribution=normal loss-model=gemodel:1%:10% duplicate=1% reorder=1%"} {
		b.Run(settings, func(b *testing.B) {
			m := NewModel(mustParse(b, settings), seeded(1))
			for i := range b.N {
				m.Admit(time.Duration(i)*60*time.Microsecond, 1400)
			}
		})
	}
}
