package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ringway/client"
	"ringway/membership"
)

// A Result has what was measured. Its JSON is the schema of `ringway bench --json`.
type Result struct {
	Type     string   `json:"type"` // "bench"
	Connect  []string `json:"connect"`
	Size     int      `json:"size"`
	Senders  int      `json:"senders"`
	Groups   int      `json:"groups"`
	Service  string   `json:"service"`
	Window   int      `json:"window"`       // messages under way at most, all senders
	Rate     float64  `json:"rate"`         // asked for; 0: as fast as it goes
	Seconds  float64  `json:"seconds"`      // measured
	Messages uint64   `json:"messages"`     // received in that time
	PerS     float64  `json:"msgs_per_s"`   //
	MBPerS   float64  `json:"mb_per_s"`     // of data, in millions of bytes
	Latency  Latency  `json:"latency_us"`   // from sending to receiving
	Lost     uint64   `json:"lost"`         // of all, warm-up included
	Disorder uint64   `json:"out_of_order"` // against their sender's order
}

// Latency is a distribution in microseconds.
type Latency struct {
	P50  int64   `json:"p50"`
	P90  int64   `json:"p90"`
	P99  int64   `json:"p99"`
	P999 int64   `json:"p999"`
	Max  int64   `json:"max"`
	Mean float64 `json:"mean"`
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	return Latency{
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), Max: h.Max(), Mean: h.Mean(),
	}
}

func (r *run) result() *Result {
	var sent uint64
	for _, s := range r.senders {
		sent += s.sent
	}
	in, h := r.receive, r.receive.latency
	seconds := r.cfg.Duration.Seconds()
	return &Result{
		Type: "bench", Connect: r.cfg.Connect, Size: r.cfg.Size, Senders: r.cfg.Senders, Groups: r.cfg.Groups,
		Service: r.cfg.Service.String(), Window: r.cfg.perSender() * r.cfg.Senders, Rate: r.cfg.Rate,
		Seconds: seconds, Messages: in.messages,
		PerS:     float64(in.messages) / seconds,
		MBPerS:   float64(in.messages) * float64(r.cfg.Size) / 1e6 / seconds,
		Latency:  latencyOf(h),
		Lost:     sent - min(sent, in.total),
		Disorder: in.disordered,
	}
}

// Err says whether the service kept its promises.
func (r *Result) Err() error {
	service, err := membership.ParseService(r.Service)
	switch {
	case err != nil:
		return err
	case guaranteed(service) && r.Lost > 0:
		return fmt.Errorf("%d messages of service %s did not arrive", r.Lost, r.Service)
	case service >= client.FIFO && r.Disorder > 0:
		return fmt.Errorf("%d messages of service %s came out of their sender's order", r.Disorder, r.Service)
	case r.Messages == 0:
		return fmt.Errorf("no message arrived in %.1f s", r.Seconds)
	}
	return nil
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	us := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	rate := "as fast as it goes"
	if r.Rate > 0 {
		rate = fmt.Sprintf("%.0f messages/s asked for", r.Rate)
	}
	_, err := fmt.Fprintf(w, `%d bytes, service %s, senders %d, groups %d, %s, at most %d under way
received at  %s
throughput   %.0f messages/s, %.1f MB/s (%d messages in %.1f s)
latency      p50 %v, p90 %v, p99 %v, p99.9 %v, max %v
lost         %d, out of order %d
`,
		r.Size, r.Service, r.Senders, r.Groups, rate, r.Window,
		strings.TrimSpace(r.Connect[len(r.Connect)-1]),
		r.PerS, r.MBPerS, r.Messages, r.Seconds,
		us(r.Latency.P50), us(r.Latency.P90), us(r.Latency.P99), us(r.Latency.P999), us(r.Latency.Max),
		r.Lost, r.Disorder)
	return err
}
