//go:build linux

package main

import (
	"context"
	"time"

	"ringway/client"
	"ringway/internal/lab"
)

// localService is that of the messages within a site.
const localService = client.Agreed

// A trouble is what befalls the links between sites during a measurement.
type trouble struct {
	name string
	make func(ctx context.Context, o *options, l *lab.Lab) error // until ctx ends
	end  func(l *lab.Lab) error
}

// How long the last site is cut off from the others, and how long it is not: long enough for
// both views.
const (
	cutFor  = 1500 * time.Millisecond
	wellFor = 2500 * time.Millisecond
)

var troubles = []trouble{
	{"cut and healed", flap, func(l *lab.Lab) error { return l.Do("heal") }},
	{"overloaded", choke, func(l *lab.Lab) error { return l.Do("set", "all", "rate=100mbit") }},
}

// flap cuts the last site off and heals that, again and again.
func flap(ctx context.Context, _ *options, l *lab.Lab) error {
	sites := l.Topology().Sites
	parts := sites[0].Name
	for _, s := range sites[1 : len(sites)-1] {
		parts += "," + s.Name
	}
	parts += "/" + sites[len(sites)-1].Name
	for {
		if err := l.Do("partition", parts); err != nil || !sleep(ctx, cutFor) {
			return err
		}
		if err := l.Do("heal"); err != nil || !sleep(ctx, wellFor) {
			return err
		}
	}
}

// choke gives all links less than what is sent over them.
func choke(ctx context.Context, o *options, l *lab.Lab) error {
	if err := l.Do("set", "all", "rate="+o.thin); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// sleep says whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
