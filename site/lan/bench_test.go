//go:build unix

package lan

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// Of the traffic that BenchmarkMulticast makes: as much under way as the ring allows.
const (
	benchBatch  = 40
	benchWindow = 160
)

// BenchmarkMulticast sends to three receivers on this host, with a window as the
// ring has, so that nothing is lost: ns/op is the time for a packet at the rate that
// all receivers keep up with, cpu-ns/packet what sender and receivers together spend.
func BenchmarkMulticast(b *testing.B) {
	for _, multicast := range []bool{true, false} {
		for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
			for _, size := range []int{1472, 8972} {
				b.Run(fmt.Sprintf("multicast=%v/%s/%d", multicast, mode, size), func(b *testing.B) {
					benchmarkSend(b, site(b, 4, multicast, mode), size)
				})
			}
		}
	}
}

func benchmarkSend(b *testing.B, ports []*Port, size int) {
	receivers := ports[1:]
	progress := make(chan struct{}, 1)
	counts := make([]atomic.Int64, len(receivers))
	for i, p := range receivers {
		runUntilCleanup(b, p, func(batch Batch) {
			counts[i].Add(int64(len(batch.Packets)))
			select {
			case progress <- struct{}{}:
			default:
			}
		})
	}
	slowest := func() int64 {
		least := counts[0].Load()
		for i := range counts {
			least = min(least, counts[i].Load())
		}
		return least
	}
	batch := make([]ring.Packet, benchBatch)
	for i := range batch {
		batch[i].Data = make([]byte, size)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	before, sent := cpu(b), int64(0)
	for sent < int64(b.N) {
		if err := ports[0].Send(batch); err != nil {
			b.Fatal(err)
		}
		sent += benchBatch
		for deadline := time.Now().Add(patience); sent-slowest() > benchWindow-benchBatch; {
			select {
			case <-progress:
			case <-time.After(time.Second):
				if time.Now().After(deadline) {
					b.Fatalf("of %d packets the slowest receiver has %d", sent, slowest())
				}
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-before)/float64(sent), "cpu-ns/packet")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "packets/s")
}

// BenchmarkToken sends a small packet round three nodes, as an idle ring does.
func BenchmarkToken(b *testing.B) {
	for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
		b.Run(string(mode), func(b *testing.B) {
			ports := site(b, 3, true, mode)
			back := make(chan struct{}, 1)
			for i, p := range ports {
				to := membership.NodeID((i+1)%len(ports) + 1)
				runUntilCleanup(b, p, func(batch Batch) {
					if i == 0 {
						back <- struct{}{}
						return
					}
					_ = p.Send([]ring.Packet{{To: to, Data: batch.Packets[0]}})
				})
			}
			token := []ring.Packet{{To: 2, Data: make([]byte, 200)}}
			var rounds []time.Duration
			for b.Loop() {
				start := time.Now()
				if err := ports[0].Send(token); err != nil {
					b.Fatal(err)
				}
				<-back
				rounds = append(rounds, time.Since(start))
			}
			slices.Sort(rounds)
			b.ReportMetric(float64(rounds[len(rounds)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(rounds[len(rounds)*99/100].Microseconds()), "p99-µs")
		})
	}
}

func runUntilCleanup(b *testing.B, p *Port, deliver func(Batch)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, deliver) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
}

// cpu returns what this process has spent so far, in nanoseconds.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
