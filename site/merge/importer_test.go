package merge

import (
	"testing"
	"time"

	"ringway/membership"
)

// A torrent is a log of four records that a gateway of another site gets by hand.
type torrent struct {
	w       *world
	gw      *simNode
	to      *simClient
	log     membership.LogID
	first   uint64
	records []Record
	sent    []*message
}

func newTorrent(off mutant) *torrent {
	w := newWorld(1, plainOptions(2, 2), &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	gw, far := w.sites[0].nodes[0], w.sites[1].nodes[0]
	f := &torrent{w: w, gw: gw, to: gw.connect("c")}
	from := far.connect("d")
	f.to.join("g")
	w.runUntil(20*time.Second, "the join", func() bool { return w.quiet() && f.to.view["g"] != "" })
	w.run(w.now + time.Second)

	w.stuck = map[[2]int]bool{{1, 0}: true}
	for range 4 {
		f.sent = append(f.sent, from.send(membership.Agreed, "g"))
	}
	f.log = membership.LogID{Site: w.sites[1].id, Instance: far.instance(), View: far.replica.m.view.ID}
	f.first = f.position()
	w.runUntil(time.Second, "the records leave", func() bool {
		log := w.sites[1].logs[f.log]
		if log == nil || log.base+uint64(len(log.records)) != f.first+4 {
			return false
		}
		f.records = log.records[f.first-log.base:]
		return true
	})
	return f
}

func (f *torrent) position() uint64 {
	at, _ := f.gw.replica.ImportPosition(f.log)
	return at
}

// hand gives the gateway some of the records, as all that the log has from one of them on.
func (f *torrent) hand(from uint64, which ...uint64) {
	b := Batch{Log: f.log, For: f.gw.instance(), From: f.first + from}
	for _, i := range which {
		b.Records = append(b.Records, f.records[i].Data)
	}
	f.gw.replica.Import(f.w.now, &b, &f.gw.fx)
	f.gw.carry() // which fails the world for each fault
}

// TestLeftoversOfAStream: what the overlay was about to hand over when a gateway got another
// machine does not follow what that one wants, or is for another instance. Its source is not
// blamed for it, and what comes of the stream that was then asked for is taken in at once
// (TestTornRings 440).
func TestLeftoversOfAStream(t *testing.T) {
	f := newTorrent(0)
	w, start := f.w, f.w.now
	f.hand(0, 0)
	w.runUntil(time.Second, "the first is in", func() bool { return f.position() == f.first+1 && f.gw.replica.ImportBacklog() == 0 })
	f.hand(2, 2)
	f.hand(3, 3)
	former := Batch{Log: f.log, For: f.gw.instance() + 1, From: f.first, Records: [][]byte{f.records[3].Data}}
	f.gw.replica.Import(w.now, &former, &f.gw.fx)
	f.gw.carry()
	if f.position() != f.first+1 {
		w.fail("what was left over is taken in")
	}
	f.hand(0, 0, 1, 2, 3)
	w.runUntil(time.Second, "all are here", func() bool { return f.to.got[f.sent[3].id] })
	if w.now-start >= importStuck {
		w.fail("what was left over held the stream up for %v", w.now-start)
	}
	report(t, 1, w)
}

// TestWhoLearnsPullsNothing: while a node has no state of its site it knows no place in any
// stream, and names none, so that the overlay does not pull everything from the start.
func TestWhoLearnsPullsNothing(t *testing.T) {
	f := newTorrent(0)
	learner := New(f.gw.replica.cfg)
	if at, known := learner.ImportPosition(f.log); known {
		t.Errorf("a node without state wants the log from %d on", at)
	}
	if _, known := f.gw.replica.ImportPosition(f.log); !known {
		t.Error("neither does one that has it know")
	}
}

// TestAGap: a log that leaves a record out is its source's doing. All nodes of the site say so,
// nothing behind the gap is delivered, and the site goes on without that source until it has
// been away for as long as one that was lost. Without the rule it stays in the view.
func TestAGap(t *testing.T) {
	for _, off := range []mutant{0, trustful} {
		f := newTorrent(off)
		w := f.w
		w.blames = true
		f.hand(0, 0, 2, 3)
		site := w.sites[0]
		w.runUntil(time.Second, "every node of the site blames the source", func() bool {
			for _, n := range site.nodes {
				if n.replica.Status().Faults != 1 {
					return false
				}
			}
			return true
		})
		if f.position() > f.first+1 || f.to.got[f.sent[1].id] || f.to.got[f.sent[2].id] {
			w.fail("something behind the gap is taken in: %d of %d", f.position(), f.first)
		}
		end := w.now + 2*time.Second
		for w.now < end && len(f.gw.replica.m.view.Members) > 1 {
			w.run(w.now + 10*time.Millisecond)
		}
		if alone := len(f.gw.replica.m.view.Members) == 1; alone != (off == 0) {
			w.fail("without the rule %v: the site goes on alone is %v", off != 0, alone)
		}
		if off == 0 {
			w.stuck = nil
			back := w.now + f.gw.replica.cfg.Timing.Rejoin
			w.runUntil(20*time.Second, "the sites meet again", w.federated)
			if w.now < back {
				w.fail("the source is back %v too early", back-w.now)
			}
		}
		report(t, 1, w)
	}
}

// TestNoGap: a record that the site has got another way by the time all of its nodes hear of
// the gap may have been trimmed at its source, which is not blamed.
func TestNoGap(t *testing.T) {
	for _, c := range []struct {
		what   string
		gap    breach
		off    mutant
		blamed bool
	}{
		{"it is not here", breach{breachGap, y, 0, 1}, 0, true},
		{"it has come", breach{breachGap, z, 0, 1}, 0, false},
		{"it has come, and nobody looks", breach{breachGap, z, 0, 1}, anyGap, true},
		{"there is none", breach{breachGap, y, 1, 1}, 0, false},
		{"it is about nobody", breach{breachGap, 9, 0, 1}, 0, false},
		{"it is about this site", breach{breachGap, x, 0, 1}, 0, false},
	} {
		r := newRiser(t, c.off)
		r.d.comes(r.d.record(z, membership.Agreed, 50, "m"))
		r.fx.Faults = nil
		r.d.frame(r.Replica, c.gap.append(nil, r.m.tag))
		if blamed := len(r.fx.Faults) > 0; blamed != c.blamed {
			t.Errorf("%s: blamed is %v", c.what, blamed)
		}
		r.fx.Faults = nil
		if r.d.frame(r.Replica, c.gap.append(nil, r.m.tag+1)); len(r.fx.Faults) > 0 {
			t.Errorf("%s: what was said in another view counts", c.what)
		}
	}
}

// TestAPromiseThatContradictsItself: no clock has to be trusted to see that a promise goes
// farther than any site's may.
func TestAPromiseThatContradictsItself(t *testing.T) {
	for _, c := range []struct {
		p, w int64
		fine bool
	}{{maxLead, 0, true}, {maxLead, 1, false}, {maxLead + 1, 0, false}, {1<<63 - 1, -1, false}} {
		r := newRiser(t, 0)
		p := promise{view: r.d.view.ID, src: r.d.view.Members[y].Instance, w: c.w, to: []promised{{}, {}, {p: c.p}, {}, {}}}
		r.PromiseIn(r.now, p.append(nil), &r.d.fx)
		if fine := len(r.witness.breaches) == 0; fine != c.fine {
			t.Errorf("P %d and W %d at a clock of 0 are fine: %v", c.p, c.w, fine)
		}
	}
}
