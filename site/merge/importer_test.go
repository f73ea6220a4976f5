package merge

import (
	"testing"
	"time"

	"ringway/membership"
)

// TestLeftoversOfAStream: what the overlay was about to hand over when a gateway got another
// machine does not follow what that one wants. Its source is not blamed for it, and what comes
// of the stream that was then asked for is taken in at once (TestTornRings 440).
func TestLeftoversOfAStream(t *testing.T) {
	w := newWorld(1, plainOptions(2, 1), nil)
	w.runUntil(20*time.Second, "sites meet", w.federated)
	gw, far := w.sites[0].nodes[0], w.sites[1].nodes[0]
	c, d := gw.connect("c"), far.connect("d")
	c.join("g")
	w.runUntil(20*time.Second, "the join", func() bool { return w.quiet() && c.view["g"] != "" })
	w.run(w.now + time.Second)

	w.stuck = map[[2]int]bool{{1, 0}: true}
	var sent []*message
	for range 4 {
		sent = append(sent, d.send(membership.Agreed, "g"))
	}
	id := membership.LogID{Site: w.sites[1].id, Instance: far.instance(), View: far.replica.m.view.ID}
	log := func() *simLog { return w.sites[1].logs[id] }
	first, _ := gw.replica.ImportPosition(id)
	w.runUntil(time.Second, "the records leave", func() bool { return log() != nil && log().base+uint64(len(log().records)) == first+4 })
	hand := func(which ...uint64) {
		var batch [][]byte
		for _, i := range which {
			batch = append(batch, log().records[first-log().base+i].Data)
		}
		gw.replica.Import(w.now, id, batch, &gw.fx)
		gw.carry() // which fails the world for each fault
	}
	start := w.now
	hand(0, 2)
	w.runUntil(time.Second, "the first is in", func() bool {
		at, _ := gw.replica.ImportPosition(id)
		return at == first+1 && gw.replica.ImportBacklog() == 0
	})
	hand(3)
	hand(1, 2, 3)
	w.runUntil(time.Second, "all are here", func() bool { return c.got[sent[3].id] })
	if w.now-start >= importStuck {
		w.fail("what was left over held the stream up for %v", w.now-start)
	}
	w.check.final()
	report(t, 1, w)
}
