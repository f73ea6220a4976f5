package merge

import (
	"fmt"
	"slices"
	"strings"

	"ringway/membership"
)

// viewRules are about the change of a view, and about who comes into one and leaves it.
var viewRules = []rule{
	{"N8: who closed this view continues above what it saw", noMinT, func(d *desk) string {
		d.m.nodes = map[membership.NodeID]attached{}
		delete(d.m.clients, d.client("b").id)
		back := arrival{node: deskNode, attach: attach{boot: 1, closed: d.view.ID, minT: 70}}
		d.step(func() {
			d.m.admitNode(&back)
			d.m.admitClient(&back, attachedClient{session: 1<<32 | 'b', name: "b"}, map[*group]*meeting{})
		})
		if d.sends("b", localSend{kind: Send, service: membership.Agreed, federated: true, t: 60}) == accepted {
			return "a message lies below what its node has seen of this view"
		}
		return d.want(d.sends("b", localSend{kind: Send, service: membership.Agreed, federated: true, t: 71}))
	}},
	{"N8: of nodes that come back together, a client whose join had not got through is a part of its own", 0, func(d *desk) string {
		d.m.reset(membership.SiteView{ID: membership.ViewID{Epoch: 9, Proposer: 1}, Members: d.view.Members[:1]})
		back := arrival{node: deskNode, attach: attach{boot: 1}}
		meetings := map[*group]*meeting{}
		d.step(func() {
			d.m.admitNode(&back)
			for _, name := range []string{"p", "q", "r"} {
				x := attachedClient{session: 1<<32 | uint64(name[0]), name: name, groups: []string{"h"}}
				if name == "r" {
					x.apart = map[string]bool{"h": true}
				}
				d.m.admitClient(&back, x, meetings)
			}
		})
		var parts []int
		for _, p := range meetings[d.m.groups["h"]].parties {
			parts = append(parts, len(p.members))
		}
		if !slices.Equal(parts, []int{2, 1}) {
			return fmt.Sprintf("they come as parts of %d", parts)
		}
		return ""
	}},
	{"N8: nobody goes back to an older view", backInTime, func(d *desk) string {
		d.m.nodes = map[membership.NodeID]attached{}
		d.step(func() {
			d.m.attach(deskNode, &attach{instance: 1, boot: 1, closed: membership.ViewID{Epoch: 9}})
		})
		if len(d.m.nodes)+len(d.m.arriving) > 0 {
			return "a node whose clients saw a later view is let in"
		}
		return ""
	}},
	{"N8: a wish for a newer view does not rise with what is proposed", risingWish, func(d *desk) string {
		d.step(func() { d.m.bump(&bump{1, 4}) })
		d.propose(8, x, y)
		if s := d.m.state(1); s.Wanted != 5 || s.Epoch != 8 {
			return fmt.Sprintf("a view of epoch %d at least is wanted while one of epoch %d is under way, want 5", s.Wanted, s.Epoch)
		}
		for epoch, want := range map[uint64]uint64{4: 5, 5: 0, 6: 0} {
			d := d.twin()
			d.step(func() { d.m.bump(&bump{1, 4}) })
			d.m.reset(membership.SiteView{ID: membership.ViewID{Epoch: epoch, Proposer: 1}, Members: d.view.Members})
			if s := d.m.state(1); s.Wanted != want {
				return fmt.Sprintf("in a view of epoch %d one of %d is wanted, want %d", epoch, s.Wanted, want)
			}
		}
		return ""
	}},
	{"X2: nothing is delivered by H while a view changes", noFreeze, func(d *desk) string {
		d.comes(d.record(l, membership.Agreed, 50, "m"))
		d.tick(100, 0, 100, -1)
		d.propose(4, x, y)
		d.tick(100, d.seq, 100, -1)
		return d.expect(d.told, nil)
	}},
	{"X3: what a third party brings is acted on in the order of its stream", outOfTurn, func(d *desk) string {
		first, second := d.record(l, membership.FIFO, 40, "first"), d.record(l, membership.FIFO, 50, "second")
		c := d.propose(4, x, y)
		c.fill(y, nil, second, first)
		return d.expect(d.told, []string{"first", "second"})
	}},
	{"X3: a Fill leaves out what its receiver has said to have, and only that", spareMore, func(d *desk) string {
		for _, t := range []int64{50, 60} {
			if v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: t}); v != accepted {
				return "not accepted: " + string(v)
			}
		}
		d.comes(d.record(l, membership.Agreed, 55, "m"))
		c := d.propose(4, x, y)
		c.spares(4, []uint64{1, 0, 0, 1, 0}, c.view.ID) // of four members: of another view
		c.spares(5, []uint64{9, 9, 9, 9, 9}, d.view.ID) // of another change
		c.spares(5, []uint64{1, 0, 0, 1, 0}, c.view.ID)
		c.spares(5, []uint64{2, 0, 0, 1, 0}, c.view.ID) // the first counts
		if got := c.brings(y); got != 1 {
			return fmt.Sprintf("y is brought %d records, and has the first of x and of l", got)
		}
		return ""
	}},
	{"X4: F counts safe messages that others may have delivered", noSafeF, func(d *desk) string {
		d.comes(d.record(l, membership.Safe, 50, "safe"))
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 40, f: 30, moved: -1, known: []promiseRow{heardLittle(l, -1), heardLittle(n, -1), heardLittle(z, -1)}})
		c.install(y)
		return d.expect(d.messages(), []string{"safe"})
	}},
	{"X5: who lacks what somebody may have delivered ends alone", noExclusion, func(d *desk) string {
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 50, moved: -1})
		c.install(y)
		return d.expect(d.told[:1], []string{"end with x"})
	}},
	{"X6: the signal comes before a safe message that is not known stable", noSplit, func(d *desk) string {
		d.comes(d.record(l, membership.Safe, 50, "safe"))
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		c.install(y)
		return d.expect(d.order("end with xy", "safe"), []string{"end with xy", "safe"})
	}},
	{"X6: and if somebody may not get it who was lost while frozen, groups have theirs, although no site leaves", readyLoss, func(d *desk) string {
		d.m.joinRemote(d.m.groups["g"], y, membership.Member{Client: membership.ClientID{Node: 77, Session: 5<<32 | 1}, Name: "lost"})
		d.comes(d.record(l, membership.Safe, 50, "safe"))
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y, z, l, n)
		for p := y; p <= n; p++ {
			c.fill(p, nil)
		}
		for p := y; p <= n; p++ {
			c.sync(p, stand{b: everything, f: 30, moved: -1})
		}
		c.says(&control{kind: controlReady, from: d.view.Members[y].Instance, lost: []lostNode{{77, 5}}})
		c.install(z, l, n)
		return d.expect(d.told[:min(3, len(d.told))], []string{"signal", "end with xyzln", "safe"})
	}},
	{"X6: what lost sources sent above K and W is dropped", keepAll, func(d *desk) string {
		d.comes(d.record(l, membership.Agreed, 50, "below"))
		d.comes(d.record(y, membership.Agreed, 75, "ours"))
		d.tick(60, 0, 60, -1)
		d.comes(d.record(l, membership.Agreed, 70, "above"))
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		c.install(y)
		return d.expect(d.messages(), []string{"below", "ours"})
	}},
	{"X6: a FIFO message behind a dropped one is dropped", keepAll, func(d *desk) string {
		d.tick(60, 0, 60, -1)
		d.comes(d.record(l, membership.Agreed, 70, "above"))
		d.comes(d.record(l, membership.FIFO, 71, "behind"))
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		c.install(y)
		return d.expect(d.messages(), nil)
	}},
	{"N6: who closes alone goes by what the ring is known to hold", beyondSafe, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 50, "m"))
		d.tick(100, 0, 100, -1)
		d.step(func() { d.m.closeAlone(d.at(1), nil) })
		return d.expect(d.messages(), nil)
	}},
	{"N6: and delivers by that", 0, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 50, "m"))
		d.tick(100, 0, 100, -1)
		d.step(func() { d.m.closeAlone(d.at(2), nil) })
		return d.expect(d.messages(), []string{"m"})
	}},
	{"N6: or by the cut that it may have announced", aloneNoCut, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 70, "of y"))
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		d.step(func() { d.m.closeAlone(d.at(d.seq), nil) })
		return d.expect(d.messages(), []string{"of y"})
	}},
	{"N8: what a node saw of this view elsewhere does not come again", seenAgain, func(d *desk) string {
		d.m.skipT, d.m.skipD = 60, membership.SetOf(z)
		d.comes(d.record(y, membership.Agreed, 60, "seen"))
		d.comes(d.record(y, membership.Agreed, 61, "new"))
		d.tick(100, 0, 100, -1)
		d.tick(100, d.seq, 100, -1)
		return d.expect(d.messages(), []string{"new"})
	}},
	{"X7: a cut that was computed stays", noClose, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 70, "of y"))
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1}) // y may act on this one
		d.propose(5, x).install()
		return d.expect(d.messages(), []string{"of y"})
	}},
	{"N8: who saw something of this view waits until the instance has delivered as much", noCatchUp, func(d *desk) string {
		d.m.nodes = map[membership.NodeID]attached{}
		d.step(func() {
			d.m.attach(deskNode, &attach{instance: 1, boot: 1, closed: d.view.ID, minT: 70})
		})
		if len(d.m.nodes) > 0 {
			return "a node is let in before what its clients have seen"
		}
		d.tick(100, 0, 100, -1)
		if d.tick(100, d.seq, 100, -1); len(d.m.nodes) == 0 {
			return "it is not let in afterwards"
		}
		return ""
	}},
	{"X2: only a later proposal starts anew", anyProposal, func(d *desk) string {
		d.propose(5, x, y)
		if d.propose(4, x, z); d.m.flush.view.ID.Epoch != 5 {
			return "an older proposal takes the place of a newer one"
		}
		return ""
	}},
	{"X3: promises of another view are no evidence", anyEvidence, func(d *desk) string {
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y, z)
		c.fill(y, nil)
		c.fillFrom(flushKey{view: membership.ViewID{Epoch: 9}}, z, []promiseRow{heardLittle(z, 90), heardLittle(l, 90), heardLittle(n, 90)})
		c.sync(y, stand{b: 90, f: 80, moved: -1, known: []promiseRow{heardLittle(z, 90), heardLittle(l, 90), heardLittle(n, 90)}})
		c.sync(z, stand{b: everything, f: -1, moved: -1})
		c.install(y, z)
		return d.expect(d.told[:1], []string{"end with x"}) // between 60 and 80 y may have delivered what is not here
	}},
	{"X4: a promise counts when the records before it are there", torn, func(d *desk) string {
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y)
		known := []promiseRow{heardLittle(z, 90), heardOf(l, 1, 90, 90, 90, 90, 90), heardLittle(n, 90)}
		c.fill(y, known)
		c.sync(y, stand{b: 90, f: 80, moved: -1, known: known})
		c.install(y)
		return d.expect(d.told[:1], []string{"end with x"})
	}},
	{"X5: C are those with the same key", anyCompany, func(d *desk) string {
		d.tick(60, 0, 60, -1)
		d.comes(d.record(z, membership.Agreed, 70, "of z"))
		c := d.propose(4, x, y, z)
		c.fill(y, nil)
		c.fillFrom(flushKey{view: d.view.ID, cut: membership.ViewID{Epoch: 3, Proposer: 5}}, z, nil) // it has ended the view already, and brings nothing
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		c.sync(z, stand{b: everything, f: -1, moved: -1})
		c.install(y, z)
		return d.expect(d.messages(), nil) // y may not have it
	}},
	{"X6: nobody installs before every member of the ring has the cut and the Readys", earlyInstall, func(d *desk) string {
		d.comes(d.record(l, membership.Safe, 50, "safe"))
		d.tick(60, 0, 60, -1)
		held := d.seq
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		c.ready(y)
		d.tick(60, held, -1, -1)
		if c.installed() { // a ring that breaks here goes on without the proposal, and drops what clients here were promised
			return "a view is installed that the others of the ring may never hear of"
		}
		if d.tick(60, d.seq, -1, -1); !c.installed() {
			return "it is not installed afterwards"
		}
		return ""
	}},
	{"X6: nobody installs before all are ready", fewReady, func(d *desk) string {
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		if d.tick(60, d.seq, -1, -1); c.installed() {
			return "a view is installed that another has not agreed to"
		}
		return ""
	}},
	{"X3: what others bring from another view is no fault of theirs", 0, func(d *desk) string {
		c := d.propose(4, x, y)
		c.fillFrom(flushKey{view: membership.ViewID{Epoch: 9}}, y, nil, d.record(y, membership.Agreed, 50, "of a view that this site never saw"))
		if d.m.badFrames > 0 || len(d.m.pend) > 0 {
			return fmt.Sprintf("%d bad frames, %d records", d.m.badFrames, len(d.m.pend))
		}
		return ""
	}},
	{"X6: who goes on together shows one thing, whatever each knows of those who are lost", noBereave, func(d *desk) string {
		end := func(d *desk, knows bool) GroupView {
			if !knows { // that it has left: the one by an answer, the other would by a record above K
				d.m.joinRemote(d.m.groups["g"], l, membership.Member{Client: membership.ClientID{Node: 200, Session: 1}, Name: "lost"})
			}
			d.tick(60, 0, 60, -1)
			join := d.record(y, membership.Agreed, 75, "")
			join.kind = kindJoin
			d.comes(join)
			return d.ends(60, 30).views[0]
		}
		return sameName(end(d, true), end(d.twin(), false))
	}},
	{"X6: and after what they all see of the tail it goes on alike for all", oneSided, func(d *desk) string {
		end := func(d *desk, knows bool) []string {
			if !knows {
				d.m.joinRemote(d.m.groups["g"], l, membership.Member{Client: membership.ClientID{Node: 200, Session: 1}, Name: "lost"})
			}
			d.tick(60, 0, 60, -1)
			join := d.record(y, membership.Agreed, 75, "")
			join.kind = kindJoin
			d.comes(join)
			told := d.ends(60, 30).told
			at := slices.IndexFunc(told, func(s string) bool { return strings.HasPrefix(s, "view of") })
			return told[max(0, at):]
		}
		return d.expect(end(d, true), end(d.twin(), false))
	}},
	{"X6: what is seen of the tail by some only has a name of its own", sameTail, func(d *desk) string {
		end := func(d *desk, b, f int64) GroupView {
			d.m.joinRemote(d.m.groups["g"], y, membership.Member{Client: membership.ClientID{Node: 101, Session: 1}, Name: "other"})
			d.tick(60, 0, 60, -1)
			if v := d.sends("b", localSend{kind: Join, federated: true, t: 75}); v != accepted {
				d.t.Errorf("not accepted: %s", v)
			}
			return d.ends(b, f).views[0]
		}
		return sameName(end(d, 60, 30), end(d.twin(), 90, 80)) // together, and alone
	}},
	{"X6: parts of a site name what only it sees by themselves", oneName, func(d *desk) string {
		end := func(d *desk, part uint64, joins bool) GroupView {
			d.cfg.SiteScoped = func(g string) bool { return g == "ours" }
			for _, group := range []string{"ours", "g"} {
				d.m.joinNow(d.client("b"), d.m.group(group))
			}
			d.m.joinNow(d.client("a"), d.m.group("ours"))
			if v := d.sends("b", localSend{federated: true, t: 50}); v != accepted { // it disconnects
				d.t.Errorf("not accepted: %s", v)
			}
			d.step(func() { d.m.part(part<<32, []membership.NodeID{9}) })
			if joins { // in the one part only
				d.sends("c", localSend{kind: Join, groups: []string{"ours"}})
			}
			d.tick(100, 0, 100, -1)
			d.tick(100, d.seq, 100, -1)
			return d.views[slices.IndexFunc(d.views, func(v GroupView) bool { return v.Group == "ours" && v.Cause == CauseDisconnect })]
		}
		return sameName(end(d, 1, true), end(d.twin(), 2, false))
	}},
}

// sameName compares the members of two group views, if they have one name.
func sameName(a, b GroupView) string {
	if a.ID == b.ID && !slices.Equal(a.Members, b.Members) {
		return fmt.Sprintf("one view has the members %v and %v", a.Members, b.Members)
	}
	return ""
}
