package merge

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

// besideABody plays three sites whose links carry 20 Mbit/s, and sends one large body from the
// first to the second, if it has a size. It returns how long the slowest of the small messages
// took that the third sent to the second meanwhile, to a group that has nothing to do with it.
func besideABody(t *testing.T, size int) (slowest time.Duration) {
	opt := plainOptions(3, 2)
	opt.loss = 0
	opt.rate = func(a, b int) int { return 2_500_000 }
	w := newWorld(1, opt, &hooks{})
	w.runUntil(10*time.Second, "sites meet", w.federated)
	big, reader := w.sites[0].nodes[1].connect("big"), w.sites[1].nodes[1].connect("reader")
	small, other := w.sites[2].nodes[1].connect("small"), w.sites[1].nodes[0].connect("other")
	reader.join("bodies")
	other.join("small")
	w.runUntil(10*time.Second, "joins", w.quiet)
	w.run(w.now + 4*time.Second)
	if size > 0 {
		data := make([]byte, size)
		copy(data, fmt.Sprintf("%d ", big.note(membership.Agreed, "bodies").id))
		big.submit(Request{Kind: Send, Service: membership.Agreed, Groups: []string{"bodies"}, Data: data})
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
	return slowest
}

// TestASmallMessageBesideALargeBody: between sites a body travels in its site's stream, and
// the order waits for it, also for messages of other sites to other groups (decision 0039). The
// test says how long, and notices if that becomes more than the body's time on the link.
//
//	go test ./site/merge -run TestASmallMessageBesideALargeBody -v
func TestASmallMessageBesideALargeBody(t *testing.T) {
	none := besideABody(t, 0)
	t.Logf("no body: the slowest small message took %v", none)
	for _, size := range []int{2 << 20, 8 << 20} {
		took, link := besideABody(t, size), time.Duration(size)*time.Second/2_500_000
		t.Logf("a body of %d MiB, %v on the link: %v", size>>20, link, took)
		if took > none+link+link/10 {
			t.Errorf("it took more than the body and no body together")
		}
		if took < link/2 {
			t.Errorf("bodies hold nobody up any more: change decision 0039 and docs/rules.md")
		}
	}
}
