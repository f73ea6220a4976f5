package netem

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets that are at most an eighth of their value
// wide, from a microsecond to more than a minute. The zero value is empty.
type Histogram struct {
	buckets [histogramBuckets]uint64
	count   uint64
	longest time.Duration
}

const (
	stepBits         = 3 // buckets per doubling: 1<<stepBits
	histogramBuckets = (27 - stepBits) << stepBits
)

// bucketOf counts microseconds; its inverse is bucketEnd.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d) / time.Microsecond)
	if us < 1<<stepBits {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - stepBits
	return min(histogramBuckets-1, (shift+1)<<stepBits+int(us>>shift)&(1<<stepBits-1))
}

// bucketEnd is the first duration past a bucket.
func bucketEnd(i int) time.Duration {
	i++
	if i < 1<<stepBits {
		return time.Duration(i) * time.Microsecond
	}
	shift := i>>stepBits - 1
	return time.Duration((1<<stepBits+i&(1<<stepBits-1))<<shift) * time.Microsecond
}

// Add counts a duration.
func (h *Histogram) Add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
	h.longest = max(h.longest, d)
}

// Merge adds what another histogram counted.
func (h *Histogram) Merge(o Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.longest = max(h.longest, o.longest)
}

// Count returns how many durations there were.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the longest.
func (h *Histogram) Max() time.Duration { return h.longest }

// Quantile returns what a share of the durations is not longer than, rounded up to the
// end of a bucket; 0 without any.
func (h *Histogram) Quantile(share float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(share * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen > rank {
			return min(bucketEnd(i), h.longest)
		}
	}
	return h.longest
}

// String writes the usual quantiles.
func (h *Histogram) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
	return fmt.Sprintf("p50 %v p90 %v p99 %v max %v of %d", round(h.Quantile(0.5)), round(h.Quantile(0.9)), round(h.Quantile(0.99)), round(h.longest), h.count)
}

type histogramJSON struct {
	Count   uint64        `json:"count"`
	MaxNs   time.Duration `json:"max_ns"`
	P50Ns   time.Duration `json:"p50_ns"`
	P99Ns   time.Duration `json:"p99_ns"`
	Buckets [][2]uint64   `json:"buckets,omitempty"` // index and count, without those of zero
}

// MarshalJSON writes counts, and quantiles for people.
func (h Histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{Count: h.count, MaxNs: h.longest, P50Ns: h.Quantile(0.5), P99Ns: h.Quantile(0.99)}
	for i, n := range h.buckets {
		if n > 0 {
			out.Buckets = append(out.Buckets, [2]uint64{uint64(i), n})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*h = Histogram{longest: in.MaxNs}
	for _, b := range in.Buckets {
		if b[0] >= histogramBuckets {
			return fmt.Errorf("histogram bucket %d: there are %d", b[0], histogramBuckets)
		}
		h.buckets[b[0]] += b[1]
		h.count += b[1]
	}
	return nil
}
