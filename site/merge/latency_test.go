package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// TestLatency measures in virtual time how much later than the one-way delay of the
// farthest destination messages come. The design expects a ratio of 1.15 to 1.6.
func TestLatency(t *testing.T) {
	for _, ms := range []int{20, 80}[:3-min(2, raceShare)] {
		for _, pace := range []time.Duration{time.Millisecond, 100 * time.Millisecond} {
			delay := time.Duration(ms) * time.Millisecond
			for _, service := range []membership.Service{membership.FIFO, membership.Agreed, membership.Safe} {
				t.Run(fmt.Sprintf("%dms/every %v/%v", ms, pace, service), func(t *testing.T) {
					ratios := latencies(t, delay, pace, service)
					p50, p99 := ratios[len(ratios)/2], ratios[len(ratios)*99/100]
					t.Logf("p50 %.3f p99 %.3f max %.3f of %d", p50, p99, ratios[len(ratios)-1], len(ratios))
					limit := map[membership.Service]float64{membership.FIFO: 1.2, membership.Agreed: 1.4, membership.Safe: 2.6}[service]
					if p50 > limit {
						t.Errorf("p50 is %.3f of the delay, more than %.2f", p50, limit)
					}
				})
			}
		}
	}
}

// oneGroup is a world with a client in each site, all in group g.
func oneGroup(opt options) (w *world, clients []*simClient) {
	w = newWorld(1, opt, nil)
	w.runUntil(10*time.Second, "sites meet", w.federated)
	for _, s := range w.sites {
		c := s.nodes[len(s.nodes)-1].connect(fmt.Sprintf("c%d", s.index))
		c.join("g")
		clients = append(clients, c)
	}
	w.runUntil(10*time.Second, "joins", func() bool { return w.quiet() && w.now > 3*time.Second })
	return w, clients
}

func latencies(t *testing.T, delay, pace time.Duration, service membership.Service) []float64 {
	opt := options{sites: 3, nodes: 3, gateways: 1, hop: 200 * time.Microsecond, jitter: delay / 100, loss: 0.01,
		delay: func(a, b int) time.Duration { return delay }}
	w, clients := oneGroup(opt)
	for k := range 200 {
		clients[k%3].send(service, "g")
		w.run(w.now + pace)
	}
	w.run(w.now + time.Second)
	var ratios []float64
	for _, c := range clients {
		for id, at := range c.when {
			if m := w.check.messages[id]; m.sender != c {
				ratios = append(ratios, float64(at-m.sent)/float64(delay))
			}
		}
	}
	report(t, 1, w)
	if len(ratios) != 400 {
		t.Fatalf("%d arrivals, not 400", len(ratios))
	}
	slices.Sort(ratios)
	return ratios
}
