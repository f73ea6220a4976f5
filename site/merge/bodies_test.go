package merge

import (
	"testing"
	"time"

	"ringway/membership"
)

// besideABody plays three sites whose links carry 20 Mbit/s, and sends one large body from the
// first to the second, if it has a size. It returns how long the slowest of the small messages
// took that the third sent to the second meanwhile, to a group that has nothing to do with it.
func besideABody(t *testing.T, size int, bulk bool, off mutant) (slowest, body time.Duration) {
	opt := plainOptions(3, 2)
	opt.loss = 0
	opt.rate = func(a, b int) int { return 2_500_000 }
	opt.bulk = bulk
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	big, reader := w.sites[0].nodes[1].connect("big"), w.sites[1].nodes[1].connect("reader")
	small, other := w.sites[2].nodes[1].connect("small"), w.sites[1].nodes[0].connect("other")
	reader.join("bodies")
	other.join("small")
	w.runUntil(10*time.Second, "joins", w.quiet)
	w.run(w.now + 4*time.Second)
	var large *message
	if size > 0 {
		large = big.sendLarge(membership.Agreed, size, "bodies")
	}
	var sent []*message
	for end := w.now + 6*time.Second; w.now < end; w.run(w.now + 50*time.Millisecond) {
		sent = append(sent, small.send(membership.Agreed, "small"))
	}
	w.runUntil(10*time.Second, "nothing under way", w.quiet)
	report(t, 1, w)
	for _, m := range sent {
		slowest = max(slowest, other.when[m.id]-m.sent)
	}
	if large != nil {
		body = reader.when[large.id] - large.sent
	}
	return slowest, body
}

// TestASmallMessageBesideALargeBody: what is sent beside a large body waits for a few of its
// pieces at most, also where the body and it come to one site (B1). Without that it waits for
// the whole body, as it is then in its site's stream.
//
//	go test ./site/merge -run TestASmallMessageBesideALargeBody -v
func TestASmallMessageBesideALargeBody(t *testing.T) {
	const rate = 2_500_000
	none, _ := besideABody(t, 0, true, 0)
	t.Logf("no body: the slowest small message took %v", none)
	for _, size := range []int{2 << 20, 8 << 20} {
		link, pieces := time.Duration(size)*time.Second/rate, 4*time.Duration(pieceBytes)*time.Second/rate
		took, body := besideABody(t, size, true, 0)
		t.Logf("a body of %d MiB, %v on the link, took %v; the slowest small message %v", size>>20, link, body, took)
		if took > none+pieces {
			t.Errorf("a small message waits for the body")
		}
		if body > link+link/4+500*time.Millisecond {
			t.Errorf("the body takes far longer than it is on the link")
		}
		if took, _ := besideABody(t, size, false, 0); took < link/2 {
			t.Errorf("a body in the stream held nobody up: %v", took)
		}
	}
}
