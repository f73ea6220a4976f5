package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// longFills returns two sites that are apart, of which each, or those named, has a Fill of so many pieces for
// the other, the names of its groups.
func longFills(opt options, pieces int, off mutant, from ...int) *world {
	opt.unchecked = true
	w := newWorld(1, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.parts("ab")
	w.runUntil(time.Minute, "two views", func() bool { return w.inView(0, 0) && w.inView(1, 1) })
	groups := pieces * fillPieceBytes / 48 // the bytes of each in a directory
	if len(from) == 0 {
		from = []int{0, 1}
	}
	for _, i := range from {
		n := w.sites[i].nodes[0]
		for i := range groups {
			id := membership.ClientID{Node: n.id, Session: n.boot<<32 | uint64(1+i%manyClients)}
			if i < manyClients {
				n.replica.Connect(w.now, id, fmt.Sprint("c", i), &n.fx)
			}
			n.replica.Submit(w.now, id, Request{Kind: Join, Groups: []string{fmt.Sprintf("a-group-with-a-name-%d", i)}}, &n.fx)
			n.carry()
		}
	}
	w.runUntil(20*time.Minute, "all have joined", func() bool {
		for _, i := range from {
			if len(w.sites[i].nodes[0].replica.m.groups) < groups {
				return false
			}
		}
		return w.quiet()
	})
	return w
}

// A healing is how two sites come together again.
type healing struct {
	took   time.Duration // at most a minute
	pieces int           // of Fills that go out for it
	queue  time.Duration // the most that waits in front of a link
}

// healed heals the way between two sites; of the pieces that the first one sends, some are lost.
func (w *world) healed(t *testing.T, lost ...int) (h healing) {
	n := 0
	w.dropControl = func(from, to int, kind controlKind) bool {
		if kind == controlFill {
			h.pieces++
			h.queue = max(h.queue, w.link(from, to).busy-w.now)
			if from == 0 {
				n++
				return slices.Contains(lost, n)
			}
		}
		return false
	}
	from := w.now
	w.heal()
	for w.now < from+time.Minute && !w.federated() {
		w.run(w.now + 20*time.Millisecond)
	}
	if len(w.faults) > 0 {
		t.Errorf("%v", w.faults)
	}
	h.took = w.now - from
	return h
}

// TestPiecesOutOfOrder: a piece of a Fill that overtakes another one is kept, and the
// one that is missing is asked for; here on a way that loses one of a hundred.
func TestPiecesOutOfOrder(t *testing.T) {
	play := func(off mutant) healing {
		opt := plainOptions(2, 1)
		opt.loss, opt.jitter = 0.02, 20*time.Millisecond
		return longFills(opt, 40, off).healed(t)
	}
	kept, dropped := play(0), play(inOrderOnly)
	t.Logf("together after %v, %d pieces; %v and %d if early ones are dropped", kept.took, kept.pieces, dropped.took, dropped.pieces)
	if kept.took > 5*time.Second || kept.pieces > 150 {
		t.Errorf("together after %v, %d pieces", kept.took, kept.pieces)
	}
	if dropped.took < 2*kept.took {
		t.Errorf("%v, and %v if early pieces are dropped: this test proves nothing", kept.took, dropped.took)
	}
}

// TestLongFillsOverThinLinks: nothing is lost, and hardly anything is sent twice. It takes little
// longer than the pieces alone, and two seconds until sites are proposed to each other. A site that has
// all it needs waits for one that has not, as long as that gets on.
func TestLongFillsOverThinLinks(t *testing.T) {
	play := func(pieces, rate int, off mutant) healing {
		opt := plainOptions(2, 1)
		opt.loss, opt.jitter, opt.rate = 0, 0, func(_, _ int) int { return rate }
		return longFills(opt, pieces, off).healed(t)
	}
	for _, test := range []struct {
		pieces, rate int // bytes/s
		took         time.Duration
	}{{3, 50_000, 6 * time.Second}, {8, 50_000, 12 * time.Second}, {8, 125_000, 7 * time.Second}, {30, 50_000, 45 * time.Second}, {30, 125_000, 18 * time.Second}} {
		h := play(test.pieces, test.rate, 0)
		t.Logf("%d pieces each way, %d bytes/s: together after %v, %d sent, %v in front of a link", test.pieces, test.rate, h.took, h.pieces, h.queue)
		if h.took > test.took || h.pieces > 2*test.pieces+4 || h.queue > 6*time.Second {
			t.Errorf("%d pieces each way, %d bytes/s: together after %v, %d sent, %v in front of a link", test.pieces, test.rate, h.took, h.pieces, h.queue)
		}
	}
	for _, off := range []mutant{impatient, selfish} {
		if h := play(30, 50_000, off); h.took < 50*time.Second {
			t.Errorf("mutant %d: together after %v: this test proves nothing", off, h.took)
		}
	}
}

// TestFillsGoOnElsewhere: the gateway that leads a site begins its Fill; what the receiver has, another
// one is told, which is nearer to the receiver. That one goes on at once.
func TestFillsGoOnElsewhere(t *testing.T) {
	play := func(rate int, off mutant) healing {
		opt := plainOptions(2, 2)
		opt.loss, opt.jitter, opt.byTheLast, opt.rate = 0, 0, true, func(_, _ int) int { return rate }
		return longFills(opt, 30, off).healed(t)
	}
	h, slow := play(0, 0), play(0, ghosts)
	t.Logf("together after %v, %d pieces; %v if it waits for pieces that nobody sent", h.took, h.pieces, slow.took)
	if h.took > 4*time.Second || h.pieces > 70 {
		t.Errorf("together after %v, %d pieces sent", h.took, h.pieces)
	}
	if slow.took < h.took+time.Second {
		t.Errorf("%v, and %v if it waits for pieces that nobody sent: this test proves nothing", h.took, slow.took)
	}
	if h := play(125_000, 0); h.took > 18*time.Second || h.pieces > 75 {
		t.Errorf("on a link of 1 Mbit/s: together after %v, %d pieces sent", h.took, h.pieces)
	}
}

// TestOneFillOverAThinLink: a site has all that it needs and waits for the other one, to which its own Fill
// takes long. That the other one gets on is told to the gateway that does not lead.
func TestOneFillOverAThinLink(t *testing.T) {
	play := func(off mutant) healing {
		opt := plainOptions(2, 2)
		opt.loss, opt.jitter, opt.byTheLast, opt.rate = 0, 0, true, func(_, _ int) int { return 125_000 }
		return longFills(opt, 30, off, 0).healed(t)
	}
	if h := play(0); h.took > 18*time.Second || h.pieces > 45 {
		t.Errorf("together after %v, %d pieces sent", h.took, h.pieces)
	}
	if h := play(untold); h.took < 30*time.Second {
		t.Errorf("mutant: together after %v: this test proves nothing", h.took)
	}
}

// TestALostPieceOnAThinLink: the copy of a piece waits behind what is in front of the link. The change of
// the view is not given up for that.
func TestALostPieceOnAThinLink(t *testing.T) {
	play := func(off mutant) (h healing, views uint64) {
		opt := plainOptions(2, 1)
		opt.loss, opt.jitter, opt.rate = 0, 0, func(_, _ int) int { return 125_000 }
		w := longFills(opt, 30, off)
		before := w.sites[0].nodes[0].replica.epoch
		h = w.healed(t, 10)
		return h, w.sites[0].nodes[0].replica.epoch - before
	}
	h, views := play(0)
	slow, more := play(hurried)
	t.Logf("together after %v by %d changes of the view, and after %v by %d if it stands still no longer than without a Fill", h.took, views, slow.took, more)
	if views != 1 || h.took > 20*time.Second {
		t.Errorf("together after %v by %d changes of the view", h.took, views)
	}
	if more == 1 {
		t.Error("by one change, too, if it stands still no longer than without a Fill: this test proves nothing")
	}
}

// TestManyLostPieces: each piece that is missing in front of others is asked for when the one before it has
// come, not when its answer is overdue.
func TestManyLostPieces(t *testing.T) {
	opt := plainOptions(2, 1)
	opt.loss, opt.jitter = 0, 0
	var lost []int
	for n := 20; n < 36; n++ {
		lost = append(lost, n)
	}
	if h := longFills(opt, 60, 0).healed(t, lost...); h.took > 6*time.Second {
		t.Errorf("together after %v, %d pieces sent", h.took, h.pieces)
	}
}

// amidFill returns the gateway of the first site with a Fill of so many pieces on its way, and a
// function that plays an answer of the other site and lists the pieces that go out for it.
func amidFill(pieces int) (w *world, answer func(have, gap uint32) []uint32) {
	opt := plainOptions(2, 1)
	opt.loss, opt.jitter = 0, 0
	w = longFills(opt, pieces, 0)
	w.dropControl = func(_, _ int, kind controlKind) bool { return kind == controlFill || kind == controlHave }
	w.heal()
	r := w.sites[0].nodes[0].replica
	w.runUntil(time.Minute, "a Fill", func() bool { return len(r.exchange.peers) > 1 && r.exchange.peers[1-r.m.flush.self].fill.sent > 0 })
	return w, func(have, gap uint32) (sent []uint32) {
		f := r.m.flush
		c := control{kind: controlHave, view: f.view, from: f.view.Members[1-f.self].Instance, to: r.m.instance, have: have, gap: gap}
		var fx Effects
		r.ControlIn(w.now, SiteInstance{Instance: c.from, Site: w.sites[1].id}, c.append(nil), &fx)
		for _, out := range fx.Controls {
			var c control
			if c.read(out.Data) == nil && c.kind == controlFill {
				sent = append(sent, c.piece)
			}
		}
		return sent
	}
}

// TestWhoHasLessAgain: a site whose gateway has said to have all, and that then lost some of it with
// that gateway, gets it again.
func TestWhoHasLessAgain(t *testing.T) {
	w, answer := amidFill(8)
	for have := range uint32(20) {
		answer(have, 0)
	}
	w.now += time.Second
	if sent := answer(2, 0); len(sent) != 1 || sent[0] != 2 {
		t.Errorf("pieces %v go to who lacks the third one", sent)
	}
	if sent := answer(3, 0); len(sent) < 1 || sent[0] != 3 {
		t.Errorf("pieces %v go to who has got it", sent)
	}
}

// TestAGapThatIsNone: a piece is asked for that the receiver's gateway lacks in front of others,
// and its machine needs another one. The way is not filled with the former, and the latter comes.
func TestAGapThatIsNone(t *testing.T) {
	w, answer := amidFill(8)
	count := map[uint32]int{}
	answer(3, 0)
	for range 50 {
		w.now += 100 * time.Millisecond
		for _, piece := range answer(3, 5) {
			count[piece]++
		}
	}
	if count[3] == 0 || count[4] == 0 || count[3]+count[4] > 45 {
		t.Errorf("in five seconds: %v", count)
	}
}

// TestAHaveThatLies: what a peer says to have of a Fill, and to lack, need not be true.
func TestAHaveThatLies(t *testing.T) {
	w, answer := amidFill(8)
	sent := 0
	for range 5 {
		for _, lie := range [][2]uint32{{1, 3}, {1, 1 << 31}, {2, 3}, {1, 4}, {2, 3}, {1, 4}, {3, 2}, {1 << 31, 1<<31 + 1}, {1<<32 - 1, 1<<32 - 1}, {0, 7}} {
			w.now += time.Millisecond
			sent += len(answer(lie[0], lie[1]))
		}
	}
	if sent == 0 || sent > 12 {
		t.Errorf("%d pieces go out for lies", sent)
	}
}
