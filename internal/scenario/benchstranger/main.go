//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"time"

	"ringway/client"
	"ringway/internal/bench"
	"ringway/internal/scenario"
)

func main() { scenario.Main("bench-stranger", run) }

// options are the command's flags.
type options struct {
	pairs, flood, meddle int
	duration             time.Duration
	binary               string
}

func run(ctx context.Context) (err error) {
	var o options
	flag.IntVar(&o.pairs, "pairs", 5, "measurements with and without the stranger")
	flag.IntVar(&o.flood, "flood", 50_000, "invented joins and tokens a second")
	flag.IntVar(&o.meddle, "meddle", 2_000, "packets a second that were heard, again or changed")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "of each measurement")
	flag.StringVar(&o.binary, "ringway", "", "the ringway to measure (required)")
	flag.Parse()
	if o.binary == "" || o.pairs < 1 || flag.NArg() > 0 {
		return errors.New("want --ringway PROGRAM, at least one pair, and no arguments")
	}
	site, err := scenario.NewSite(scenario.Config{Nodes: 3, Binary: o.binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Close()) }()
	if err := site.Ready(ctx); err != nil {
		return err
	}
	stranger, err := site.NewStranger()
	if err != nil {
		return err
	}
	defer stranger.Close()
	return measure(ctx, site, stranger, &o)
}

// measure prints each pair and the median of their ratios.
func measure(ctx context.Context, site *scenario.Site, stranger *scenario.Stranger, o *options) error {
	var ratios []float64
	for i := range o.pairs {
		var rates [2]float64 // in peace, and with the stranger
		var sent int
		for _, hostile := range [][]int{{0, 1}, {1, 0}}[i%2] { // who is first alternates
			var err error
			if rates[hostile], err = once(ctx, site, o.duration, func(ctx context.Context) error {
				if hostile == 0 {
					return nil
				}
				var err error
				sent, err = disturb(ctx, stranger, o)
				return err
			}); err != nil {
				return err
			}
		}
		ratios = append(ratios, rates[1]/rates[0])
		fmt.Printf("pair %d: %.0f messages/s in peace, %.0f beside a stranger that sent %d packets: %.3f\n", i+1, rates[0], rates[1], sent, rates[1]/rates[0])
	}
	slices.Sort(ratios)
	fmt.Printf("median: throughput with a stranger / without %.3f\n", (ratios[(len(ratios)-1)/2]+ratios[len(ratios)/2])/2)
	for _, n := range site.Nodes {
		status, err := n.Status(ctx)
		if err != nil {
			return err
		}
		c := status.Counters
		fmt.Printf("%s: views %d, forged %d, replayed %d, in the clear %d\n", n.Name, c["ring_installed"], c["seal_forged"], c["seal_replayed"], c["seal_unsealed"])
	}
	return nil
}

// disturb lets the stranger do its worst until the context ends.
func disturb(ctx context.Context, stranger *scenario.Stranger, o *options) (sent int, err error) {
	var flooded, meddled int
	var faults [2]error
	var both sync.WaitGroup
	both.Go(func() { flooded, faults[0] = stranger.Flood(ctx, o.flood) })
	both.Go(func() { meddled, faults[1] = stranger.Meddle(ctx, o.meddle) })
	both.Wait()
	return flooded + meddled, errors.Join(faults[:]...)
}

// once measures the messages per second from a client of the first node to one of the
// last, while the other function runs.
func once(ctx context.Context, site *scenario.Site, duration time.Duration, beside func(context.Context) error) (float64, error) {
	disturbed, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- beside(disturbed) }()
	result, err := bench.Run(ctx, bench.Config{
		Connect: []string{site.Nodes[0].Address(), site.Nodes[2].Address()},
		Size:    1000, Senders: 1, Groups: 1, Service: client.Agreed, Duration: duration, WarmUp: time.Second, Window: bench.DefaultWindow,
	})
	stop()
	if err := errors.Join(err, <-done); err != nil {
		return 0, err
	}
	return result.PerS, result.Err()
}
