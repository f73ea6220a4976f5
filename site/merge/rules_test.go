package merge

import (
	"fmt"
	"slices"
	"testing"

	"ringway/membership"
)

// rules are scripts for a machine, each for one rule. A script returns what went wrong,
// nothing while the rule is on. Those without a mutant look at the rule only. docs/rules.md
// has the table of all rules.
var rules = []struct {
	name   string
	off    mutant
	script func(d *desk) string
}{
	{"S1: H counts when every member of the ring holds its Tick", orderedTick, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 50, "m"))
		d.tick(100, 0, 100, -1)
		return d.expect(d.told, nil) + d.then(func() { d.tick(100, d.seq, 100, -1) }, "m")
	}},
	{"S3: W is what the ring can prove", wOrdered, func(d *desk) string {
		d.tick(100, 0, 100, -1)
		if s := d.m.snaps[0]; s.w != -1 {
			return fmt.Sprintf("a promise of this Tick says W = %d, which no Tick at or below L has shown", s.w)
		}
		return ""
	}},
	{"C3: H waits for every member of the view", silentSource, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 50, "m"))
		d.step(func() {
			d.m.tick(&tick{tag: d.m.tag, reading: 100, leads: make([]int64, 5), promises: []heard{{src: y, p: 100, idx: 1}}})
		})
		d.step(func() { d.m.tick(&tick{tag: d.m.tag, reading: 100, line: d.at(d.seq - 1), leads: make([]int64, 5)}) })
		return d.expect(d.told, nil)
	}},
	{"D2: a safe message waits for the own stable line", selfStable, func(d *desk) string {
		d.comes(d.record(y, membership.Safe, 50, "safe"))
		d.tick(100, 0, 100, 100)
		d.tick(100, d.seq, 100, 100) // H = 100, which the ring knows from here on
		return d.expect(d.told, nil) + d.then(func() { d.tick(100, d.seq, 100, 100) }, "safe")
	}},
	{"D3: a signal comes before a safe message that somebody lost may not get", noNodeLost, func(d *desk) string {
		lost := d.record(y, membership.Agreed, 20, "m")
		d.m.joinRemote(d.m.groups["g"], y, membership.Member{Client: membership.ClientID{Node: 77, Session: 5<<32 | 1}, Name: "lost"})
		lost.kind, lost.node, lost.boot = kindNodeLost, 77, 5
		d.comes(lost)
		d.comes(d.record(z, membership.Safe, 50, "safe"))
		for range 3 {
			d.tick(100, d.seq, 100, 100)
		}
		return d.expect(d.told, []string{"signal", "safe"})
	}},
	{"6.3: a local message waits for what its sender sent to others, also if nobody here gets that", noHold, func(d *desk) string {
		d.m.groups["far"] = &group{Group: membership.Group{Name: "far"}, onT: -1, offT: -1}
		d.m.groups["far"].Interest = membership.SetOf(y)
		d.m.groups["near"] = &group{Group: membership.Group{Name: "near"}, onT: -1, offT: -1}
		d.m.groups["near"].Interest = membership.SetOf(x)
		if v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50, groups: []string{"far"}}); v != accepted {
			return "the first is not accepted: " + string(v)
		}
		if d.sends("a", localSend{kind: Send, service: membership.Agreed, groups: []string{"near"}}) == accepted {
			return "a local message overtakes"
		}
		return ""
	}},
	{"J4: what is sent after a site left lies above its leave", noOff, func(d *desk) string {
		off := d.record(y, membership.Agreed, 20, "")
		off.kind, off.mark, off.client, off.seq, off.name = kindInterestOff, 60, membership.ClientID{}, 0, ""
		d.comes(off)
		if d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50}) == accepted {
			return "a message without the site in D lies below the leave of its member"
		}
		return d.want(d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 61}))
	}},
	{"J4: a site whose next member is under way does not leave", offEarly, func(d *desk) string {
		for _, f := range []localSend{{kind: Leave, t: 10}, {kind: Join, t: 20}, {kind: Leave, t: 30}} {
			f.federated, f.service = true, membership.Agreed
			name := map[bool]string{true: "a", false: "b"}[f.t == 10]
			if v := d.sends(name, f); v != accepted {
				return "not accepted: " + string(v)
			}
		}
		d.tick(15, 0, 15, -1)
		d.tick(15, d.seq, 15, -1)
		if slices.ContainsFunc(d.m.held, func(r *record) bool { return r != nil && r.kind == kindInterestOff }) {
			return "the site gives up its interest before a join of its own"
		}
		return ""
	}},
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
	{"P2b: a local message goes to no other site", 0, func(d *desk) string {
		if d.sends("a", localSend{kind: Send, service: membership.Agreed}) == accepted {
			return "a message that others should get stays here"
		}
		return ""
	}},
	{"P2c: a deadline does not lie far ahead", 0, func(d *desk) string {
		if d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: maxAhead + 1}) == accepted {
			return "a wild deadline is accepted"
		}
		return d.want(d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: maxAhead}))
	}},
	{"I3: a record that breaks its source's promise is a fault of the source", 0, func(d *desk) string {
		d.m.cfg.hooks.broken = func(string) {}
		d.tick(100, 0, 100, -1)
		faults := 0
		d.step(func() {
			d.m.inbound(d.raw(d.record(y, membership.Agreed, 100, "late")))
			faults = len(d.fx.Faults)
		})
		if faults != 1 {
			return fmt.Sprintf("%d faults", faults)
		}
		return ""
	}},
	{"N6: who closes alone goes by what the ring is known to hold", 0, func(d *desk) string {
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
	{"N6: or by the cut that it may have announced", 0, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 70, "of y"))
		d.tick(60, 0, 60, -1)
		c := d.propose(4, x, y)
		c.fill(y, nil)
		c.sync(y, stand{b: 60, f: 30, moved: -1})
		d.step(func() { d.m.closeAlone(d.at(d.seq), nil) })
		return d.expect(d.messages(), []string{"of y"})
	}},
	{"N8: what a node saw of this view elsewhere does not come again", 0, func(d *desk) string {
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
}

func TestRules(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if wrong := r.script(newDesk(t, 0)); wrong != "" {
				t.Errorf("with the rule: %s", wrong)
			}
			if r.off == 0 {
				return
			}
			wrong := r.script(newDesk(t, r.off))
			if wrong == "" {
				t.Errorf("nothing notices that the rule is off")
			}
			t.Logf("without it: %s", wrong)
		})
	}
}

// TestTailBelowPromises: above K, TS keep what a lost source sent before the promise that
// all of them know completely, and nothing that depends on more.
func TestTailBelowPromises(t *testing.T) {
	for _, far := range []int64{90, 65} { // what a lost site may have made of what is lacking lies above
		d := newDesk(t, 0)
		d.tick(60, 0, 60, -1)
		for _, r := range []*record{d.record(l, membership.Agreed, 70, "below W"), d.record(l, membership.FIFO, 99, "fifo below W"), d.record(l, membership.Agreed, 80, "above W")} {
			d.comes(r)
		}
		c := d.propose(4, x, y, z)
		complete := heardOf(l, 2, 60, 66, 66, 0, far)
		complete.to[n].idx = 0
		rows := []promiseRow{complete, heardOf(n, 0, 60, 66, 66, far, 0).taken(l, 1)}
		c.fill(y, rows)
		c.fill(z, rows)
		c.sync(y, stand{b: 66, f: 65, moved: -1, known: rows})
		c.sync(z, stand{b: 66, f: 64, moved: -1, known: rows})
		c.install(y, z)
		want := []string{"below W", "fifo below W"}
		if far < 70 {
			want = nil
		}
		if wrong := d.expect(d.messages(), want); wrong != "" {
			t.Errorf("with %d: %s of %v", far, wrong, d.told)
		}
		if !slices.Contains(d.told, "end with xyz") {
			t.Errorf("with %d: it does not go along: %v", far, d.told)
		}
	}
}

func (d *desk) expect(got, want []string) string {
	if slices.Equal(got, want) {
		return ""
	}
	return fmt.Sprintf("got %q, not %q", got, want)
}

// then expects that something lets clients get one thing more.
func (d *desk) then(f func(), want string) string {
	d.told = nil
	f()
	return d.expect(d.told, []string{want})
}

func (d *desk) want(v verdict) string { return string(v) }

// messages are what clients got, without signals and views.
func (d *desk) messages() []string {
	return slices.DeleteFunc(slices.Clone(d.told), func(s string) bool { return s == "signal" || len(s) > 5 && (s[:4] == "end " || s[:5] == "view ") })
}

// order is in which order some things came.
func (d *desk) order(of ...string) []string {
	return slices.DeleteFunc(slices.Clone(d.told), func(s string) bool { return !slices.Contains(of, s) })
}
