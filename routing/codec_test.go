package routing

import (
	"slices"
	"testing"
	"time"
)

func TestCostAddsUp(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		rtt   time.Duration
		loss  uint32
		fixed time.Duration
		want  time.Duration
	}{
		{40 * ms, 0, 0, 20 * ms}, {40 * ms, 10_000, 0, 25737075 * time.Nanosecond}, {0, 0, 0, minimumCost}, {40 * ms, 0, 7 * ms, 7 * ms},
		{40 * ms, 20_000, 0, 30975631 * time.Nanosecond}, {40 * ms, 120_000, 0, 213289941 * time.Nanosecond},
		{0, 0, 2 * time.Hour, maxAdvertised}, {24 * time.Hour, 0, 0, maxAdvertised},
	} {
		got := Cost(c.rtt, c.loss, c.fixed)
		if e := (Edge{To: 1, Cost: got}); got != c.want || !e.plausible() {
			t.Errorf("Cost(%v, %d, %v) = %v, want %v", c.rtt, c.loss, c.fixed, got, c.want)
		}
	}
}

func TestBadAdvertisementsAreRefused(t *testing.T) {
	good := func() Advertisement {
		return Advertisement{Gateway: 1, Site: 2, Edges: []Edge{{To: 3, Cost: time.Millisecond}}, Dead: []Death{{4, 5}, {6, 7}}}
	}
	for name, spoil := range map[string]func(*Advertisement){
		"no gateway":         func(a *Advertisement) { a.Gateway = 0 },
		"no site":            func(a *Advertisement) { a.Site = 0 },
		"cost of nothing":    func(a *Advertisement) { a.Edges[0].Cost = 0 },
		"negative cost":      func(a *Advertisement) { a.Edges[0].Cost = -1 },
		"cost of a day":      func(a *Advertisement) { a.Edges[0].Cost = 24 * time.Hour },
		"negative RTT":       func(a *Advertisement) { a.Edges[0].RTT = -1 },
		"more than all lost": func(a *Advertisement) { a.Edges[0].LossPPM = partsPerMillion + 1 },
		"edge to nobody":     func(a *Advertisement) { a.Edges[0].To = 0 },
		"too many edges":     func(a *Advertisement) { a.Edges = slices.Repeat(a.Edges, MaxEdges+1) },
		"no wall clock":      func(a *Advertisement) { a.Incarnation = maxIncarnation },
		"dead itself":        func(a *Advertisement) { a.Dead = []Death{{a.Gateway, 1}} },
		"dead twice":         func(a *Advertisement) { a.Dead = []Death{{7, 1}, {7, 2}} },
		"too many dead":      func(a *Advertisement) { a.Dead = slices.Repeat([]Death{{7, 1}}, MaxDead+1) },
	} {
		a := good()
		if _, err := DecodeAdvertisement(a.Append(nil)); err != nil {
			t.Fatal(err)
		}
		spoil(&a)
		if _, err := DecodeAdvertisement(a.Append(nil)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	a := good()
	body := a.Append(nil)
	for n := range body {
		if _, err := DecodeAdvertisement(body[:n]); err == nil {
			t.Fatalf("%d of %d bytes: taken", n, len(body))
		}
	}
	if _, err := DecodeAdvertisement(append(body, 0)); err == nil {
		t.Error("a byte too many: taken")
	}
	body[0]++
	if _, err := DecodeAdvertisement(body); err == nil {
		t.Error("another version: taken")
	}
}
