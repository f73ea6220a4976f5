package merge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// A rule is a script for a machine. The script returns what went wrong, nothing while the rule
// is on. Those without a mutant look at the rule only. docs/rules.md has the table of all rules.
type rule struct {
	name   string
	off    mutant
	script func(d *desk) string
}

// orderRules are about what is accepted and in which order it is delivered.
var orderRules = []rule{
	{"P2a: a client's requests are accepted in turn, each once", anyTurn, func(d *desk) string {
		f := localSend{kind: Send, service: membership.Agreed, federated: true, t: 50}
		if v := d.sends("a", f); v != accepted {
			return "the first is not accepted: " + string(v)
		}
		f.t = 60
		if d.says("a", f) == accepted {
			return "one request is accepted twice"
		}
		return ""
	}},
	{"P2c: what a client sends lies above what it sent before", noLast, func(d *desk) string {
		for i, t := range []int64{50, 40, 51} {
			v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: t})
			if (v == accepted) != (i != 1) {
				return fmt.Sprintf("T = %d: %s", t, v)
			}
		}
		return ""
	}},
	{"P2: the machine never changes T: two parts of a ring that broke may both have a message", stampAtMachine, func(d *desk) string {
		other := d.twin()
		other.tick(20, 0, 20, -1) // which only this part has
		for _, part := range []*desk{d, other} {
			if v := part.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50, data: []byte("m")}); v != accepted {
				return "not accepted: " + string(v)
			}
		}
		if t, u := d.m.pend[0].t, other.m.pend[0].t; t != 50 || u != 50 {
			return fmt.Sprintf("one message has the deadlines %d and %d", t, u)
		}
		other.tick(60, 0, 60, -1)
		if other.sends("b", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50}) == accepted {
			return "a deadline that is over is accepted"
		}
		return ""
	}},
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
	{"C4: H waits for those as well who have no group with this site: they may send to its groups", sigmaShared, func(d *desk) string {
		d.m.groups["g"].Interest = membership.SetOf(x) | membership.SetOf(y)
		from := func(src int, t int64, data string) {
			r := d.record(src, membership.Agreed, t, data)
			r.dests, r.idx = membership.SetOf(x)|membership.SetOf(y), r.idx[:1+min(1, src-y)] // not at its source
			d.comes(r)
		}
		from(z, 10, "hello") // no silent source
		from(y, 50, "answer")
		for range 2 {
			d.step(func() {
				d.m.tick(&tick{tag: d.m.tag, reading: 100, line: d.at(d.seq - 1), leads: make([]int64, 5), promises: []heard{
					{src: y, p: 100, idx: 1}, {src: z, p: 20, idx: 1}, {src: l, p: 100}, {src: n, p: 100}}})
			})
		}
		from(z, 40, "question")
		d.tick(100, d.seq, 100, -1)
		d.tick(100, d.seq, 100, -1)
		return d.expect(d.told, []string{"hello", "question", "answer"})
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
	{"D3: also who was lost twice, and is ordered out for the first time", lostOnce, func(d *desk) string {
		client := membership.ClientID{Node: 77, Session: 5<<32 | 1}
		down := func(kind recordKind, t int64) {
			r := d.record(y, membership.Agreed, t, "")
			r.kind, r.node, r.boot = kind, 77, 5
			d.comes(r)
		}
		d.m.joinRemote(d.m.groups["g"], y, membership.Member{Client: client, Name: "lost"})
		down(kindNodeLost, 20)
		down(kindNodeDown, 30)
		join := d.record(y, membership.Agreed, 40, "")
		join.kind, join.client, join.name = kindJoin, client, "back"
		d.comes(join)
		down(kindNodeLost, 60) // its end follows
		d.comes(d.record(z, membership.Safe, 50, "safe"))
		for range 3 {
			d.tick(55, d.seq, 55, 55)
		}
		if early := d.expect(d.told, []string{"signal", "view of 1", "view of 2", "signal", "safe"}); early != "" {
			return early
		}
		d.told = nil
		down(kindNodeDown, 70)
		for range 3 {
			d.tick(100, d.seq, 100, 100)
		}
		if len(d.m.lost) > 0 {
			return "the node is lost still, after its second end"
		}
		return d.expect(d.told, []string{"view of 1"})
	}},
	{"D3: who was lost in one instance of its site is not lost in another", 0, func(d *desk) string {
		moved := membership.Member{Client: membership.ClientID{Node: 77, Session: 5<<32 | 1}, Name: "moved"}
		for _, place := range []int{y, z} { // parts of one site, both of which list it
			d.m.joinRemote(d.m.groups["g"], place, moved)
		}
		lost := d.record(y, membership.Agreed, 20, "")
		lost.kind, lost.node, lost.boot = kindNodeLost, 77, 5
		d.comes(lost)
		if d.m.stays(y, moved) || !d.m.stays(z, moved) {
			return fmt.Sprintf("it stays where it was lost: %v, and where it is: %v", d.m.stays(y, moved), d.m.stays(z, moved))
		}
		return ""
	}},
	{"D4: a fifo message waits for the join that its sender asked for before", noFIFOWait, func(d *desk) string {
		if v := d.sends("b", localSend{kind: Join, federated: true, t: 50}); v != accepted {
			return "the join is not accepted: " + string(v)
		}
		if v := d.sends("b", localSend{kind: Send, service: membership.FIFO, federated: true, t: 60, data: []byte("m")}); v != accepted {
			return "the message is not accepted: " + string(v)
		}
		if early := d.expect(d.told, nil); early != "" {
			return early
		}
		d.tick(100, 0, 100, -1)
		d.tick(100, d.seq, 100, -1)
		return d.expect(d.told, []string{"view of 2", "m"})
	}},
	{"D4: and not for one that got its place behind it, as it had to wait", noFIFOWait, func(d *desk) string {
		d.m.joinNow(d.client("b"), d.m.groups["g"])
		for i, service := range []membership.Service{membership.Agreed, membership.FIFO, membership.Agreed} {
			if v := d.sends("b", localSend{kind: Send, service: service, federated: true, t: int64(50 + i), data: []byte{byte('1' + i)}}); v != accepted {
				return "not accepted: " + string(v)
			}
		}
		h := d.m.group("h")
		h.Interest = d.view.All()
		d.step(func() { d.m.joinAt(d.client("b"), h, 0, false, 90) })
		d.tick(70, 0, 70, -1)
		d.tick(70, d.seq, 70, -1)
		return d.expect(d.told, []string{"1", "2", "3"})
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
	{"6.3: unless its session has independent scopes", deafToScopes, func(d *desk) string {
		if wrong := d.independent(); wrong != "" {
			return wrong
		}
		near := localSend{kind: Send, service: membership.Agreed, free: true, groups: []string{"near"}, data: []byte("m")}
		if v := d.sends("a", near); v != accepted {
			return "a local message is held: " + string(v)
		}
		near.free = false
		if d.sends("a", near) == accepted {
			return "one overtakes that is not of such a session"
		}
		return d.expect(d.told, []string{"m"})
	}},
	{"6.3: and then it waits for what its sender sent to the same group", freeInGroup, func(d *desk) string {
		if wrong := d.independent("near"); wrong != "" {
			return wrong
		}
		both := localSend{kind: Send, service: membership.Agreed, free: true, groups: []string{"other", "near"}, data: []byte("m")}
		learner := d.twin()
		m, err := restoreMachine(&learner.cfg, learner.m.names, d.m.snapshot())
		if err != nil {
			return err.Error()
		}
		learner.m, m.fx = m, &learner.fx
		if d.sends("a", both) == accepted || learner.sends("a", both) == accepted {
			return "a local message overtakes one to its own group"
		}
		d.tick(50, 0, 50, -1)
		d.tick(50, d.seq, 50, -1)
		return d.want(d.sends("a", both)) + d.expect(d.told, []string{"first", "m"})
	}},
	{"6.3: or for its sender's join of that group", freeInGroup, func(d *desk) string {
		d.quiet("near")
		if v := d.sends("b", localSend{kind: Join, federated: true, free: true, t: 50, groups: []string{"near"}}); v != accepted {
			return "the join is not accepted: " + string(v)
		}
		if d.sends("b", localSend{kind: Send, service: membership.Agreed, free: true, groups: []string{"near"}}) == accepted {
			return "a message to the group overtakes the join, and does not come back to its sender"
		}
		return ""
	}},
	{"6.3: a fifo message waits too, and what its sender sends to its group behind it", freeInGroup, func(d *desk) string {
		if wrong := d.independent(); wrong != "" {
			return wrong
		}
		fifo := localSend{kind: Send, service: membership.FIFO, federated: true, free: true, t: 60, groups: []string{"near", "far"}}
		if v := d.sends("a", fifo); v != accepted {
			return "not accepted: " + string(v)
		}
		near := localSend{kind: Send, service: membership.FIFO, free: true, groups: []string{"near"}}
		if d.sends("a", near) == accepted {
			return "a local message overtakes one that waits"
		}
		d.tick(50, 0, 50, -1)
		d.tick(50, d.seq, 50, -1) // that is when the first one comes, and with it the second
		return d.want(d.sends("a", near))
	}},
	{"6.3: a leave waits as it always does", 0, func(d *desk) string {
		if wrong := d.independent(); wrong != "" {
			return wrong
		}
		d.m.joinNow(d.client("a"), d.m.groups["near"])
		if d.sends("a", localSend{kind: Leave, free: true, groups: []string{"near"}}) == accepted {
			return "a leave overtakes"
		}
		return ""
	}},
	{"6.3, N8: who comes back into a view that its node had closed goes on above what it saw of it", freeOnReturn, func(d *desk) string {
		d.m.nodes[deskNode] = attached{boot: 1, min: 50}
		d.quiet("near")
		near := localSend{kind: Send, service: membership.Agreed, free: true, groups: []string{"near"}}
		if d.sends("a", near) == accepted {
			return "a local message lies below what its sender saw"
		}
		d.tick(50, 0, 50, -1)
		d.tick(50, d.seq, 50, -1)
		return d.want(d.sends("a", near))
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
	{"P2b: a local message goes to no other site", noScope, func(d *desk) string {
		if d.sends("a", localSend{kind: Send, service: membership.Agreed}) == accepted {
			return "a message that others should get stays here"
		}
		return ""
	}},
	{"6.1: a message from another site is not for a group that never leaves ours", leakyScope, func(d *desk) string {
		d.cfg.SiteScoped = func(g string) bool { return g == "ours" }
		d.m.joinNow(d.client("b"), d.m.group("ours"))
		m := d.record(y, membership.Agreed, 50, "m")
		m.groups = []string{"g", "ours"}
		d.comes(m)
		d.tick(100, 0, 100, -1)
		d.step(func() { d.m.tick(&tick{tag: d.m.tag, reading: 100, line: d.at(d.seq - 1), leads: make([]int64, 5)}) })
		for _, o := range d.outputs {
			if o.Kind == OutMessage && slices.Contains(o.To, d.client("b").id) {
				return "a member of a group of that name at this site gets it"
			}
		}
		return d.expect(d.told, []string{"m"})
	}},
	{"P2c: a deadline does not lie far ahead", farAhead, func(d *desk) string {
		if d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: maxAhead + 1}) == accepted {
			return "a wild deadline is accepted"
		}
		return d.want(d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: maxAhead}))
	}},
	{"I3: a record that breaks its source's promise is a fault of the source", noFault, func(d *desk) string {
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
	{"C1: a wild reading costs little", noStep, func(d *desk) string {
		d.tick(int64(time.Hour), 0, 0, -1)
		return d.want(d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: maxAhead})) // as much as others take, whose clocks are at zero
	}},
	{"C2: what is far ahead of all others waits until the clock is there", anyAhead, func(d *desk) string {
		wild := d.record(y, membership.Agreed, maxAhead+maxLead+1, "wild")
		if d.comes(wild); d.m.inNext[y] > 0 {
			return "it is taken in at once"
		}
		d.tick(1, 0, 0, -1)
		if d.comes(wild); d.m.inNext[y] != 1 {
			return "it is not taken in later"
		}
		return ""
	}},
	{"C3: H is not above the own clock", noOwnClock, func(d *desk) string {
		d.comes(d.record(y, membership.Agreed, 50, "m"))
		d.tick(40, 0, 100, -1)
		d.tick(40, d.seq, 100, -1)
		if v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 45}); v != accepted {
			return "an own message below that is not accepted: " + string(v)
		}
		return d.expect(d.told, nil)
	}},
	{"I1: a record is taken in once", anyIdx, func(d *desk) string {
		m := d.record(y, membership.Agreed, 50, "m")
		d.comes(m)
		d.comes(m)
		d.tick(100, 0, 100, -1)
		d.tick(100, d.seq, 100, -1)
		return d.expect(d.told, []string{"m"})
	}},
	{"D1: everything up to V is delivered", vAtT, func(d *desk) string {
		d.m.groups["near"] = &group{Group: membership.Group{Name: "near"}, onT: -1, offT: -1}
		d.m.groups["near"].Interest = membership.SetOf(x)
		first := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50})
		if second := d.sends("b", localSend{kind: Send, service: membership.Safe, federated: true, t: 50}); first != accepted || second != accepted {
			return "not accepted: " + string(first+second)
		}
		d.tick(100, 0, 100, -1)
		d.tick(100, d.seq, 100, -1) // the first is delivered, and the second, of the same T, waits
		if d.sends("b", localSend{kind: Send, service: membership.Agreed, groups: []string{"near"}}) == accepted {
			return "a local message overtakes the sender's own, which is not stable yet"
		}
		return ""
	}},
	{"5.6: own records are held until they are stable everywhere", dropOwn, func(d *desk) string {
		if v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50}); v != accepted {
			return "not accepted: " + string(v)
		}
		d.tick(100, 0, 100, 40)
		d.tick(100, d.seq, 100, 40)
		return d.brought(1) // nobody is known to hold it
	}},
	{"5.6: so are those of others, for who may lack them", dropOthers, func(d *desk) string {
		d.comes(d.record(l, membership.Agreed, 50, "m"))
		d.tick(100, 0, 100, 40)
		d.tick(100, d.seq, 100, 40)
		return d.brought(1)
	}},
	{"5.6: and no longer", 0, func(d *desk) string {
		if v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50}); v != accepted {
			return "not accepted: " + string(v)
		}
		d.comes(d.record(l, membership.Agreed, 50, "m"))
		d.tick(100, 0, 100, 50)
		d.tick(100, d.seq, 100, 50)
		return d.brought(0)
	}},
	{"J2: a first join lies above what its own site sent before", noOwnMaxT, func(d *desk) string {
		d.m.groups["h"] = &group{Group: membership.Group{Name: "h"}, onT: -1, offT: -1}
		d.m.groups["h"].Interest = membership.SetOf(y)
		sent := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, t: 50, groups: []string{"h"}, data: []byte("m")})
		if join := d.sends("b", localSend{kind: Join, groups: []string{"h"}}); sent != accepted || join != accepted {
			return "not accepted: " + string(sent+join)
		}
		d.answers("h")
		for _, r := range d.m.pend {
			if r.kind == kindJoin && r.t <= 50 {
				return "y counts on a member that never gets the message"
			}
		}
		return ""
	}},
	{"J2: what a client asks for behind a join that waits gets its place behind it", overtake, func(d *desk) string {
		h := []string{"h"}
		if v := d.sends("b", localSend{kind: Join, groups: h}); v != accepted {
			return "the join is not accepted: " + string(v)
		}
		next := func(d *desk, f localSend) bool { return d.sends("b", f) == accepted }
		message := localSend{kind: Send, service: membership.Agreed, federated: true, t: 50, groups: h, data: []byte("m")}
		learner := d.twin()
		m, err := restoreMachine(&learner.cfg, learner.m.names, d.m.snapshot())
		if err != nil {
			return err.Error()
		}
		learner.m, m.fx = m, &learner.fx
		for _, x := range []*desk{d, learner} {
			if next(x, message) || next(x, localSend{kind: Join, groups: []string{"i"}}) || next(x, localSend{kind: Leave}) {
				return "something overtakes the join"
			}
		}
		if !next(learner, localSend{kind: Leave, groups: h}) {
			return "its own leave waits for the join"
		}
		d.answers("h")
		if message.t = d.client("b").last + 1; !next(d, message) {
			return "behind the join it is refused as well"
		}
		d.tick(message.t, 0, message.t, -1)
		d.tick(message.t, d.seq, message.t, -1)
		return d.expect(d.told, []string{"view of 1", "m"})
	}},
	{"J2: an answer outdates what its site sent before", noStale, func(d *desk) string {
		there := membership.Member{Client: membership.ClientID{Node: 101, Session: 7}, Name: "there"}
		left := d.record(y, membership.Agreed, 50, "")
		left.kind, left.client, left.name, left.groups = kindLeave, there.Client, there.Name, []string{"h"}
		d.comes(left) // it joins again, which is not for us, and then we prepare
		if v := d.sends("a", localSend{kind: Join, groups: []string{"h"}}); v != accepted {
			return "not accepted: " + string(v)
		}
		d.answers("h", there)
		d.tick(100, 0, 100, -1)
		d.tick(100, d.seq, 100, -1)
		return d.expect(d.told, []string{"view of 2"})
	}},
}

// quiet makes a group in which only this site has interest.
func (d *desk) quiet(name string) {
	d.m.joinNow(d.client("c"), d.m.group(name))
}

// independent lets client a send to another site, with a T of 50, and to the other groups
// named, as a session with independent scopes does. What it sends to "near" is local.
func (d *desk) independent(also ...string) string {
	d.quiet("near")
	d.m.group("far").Interest = membership.SetOf(y)
	v := d.sends("a", localSend{kind: Send, service: membership.Agreed, federated: true, free: true, t: 50,
		groups: append([]string{"far"}, also...), data: []byte("first")})
	if v != accepted {
		return "the first is not accepted: " + string(v)
	}
	return ""
}

func TestRules(t *testing.T) {
	for _, r := range slices.Concat(orderRules, viewRules, datagramRules, bodyRules) {
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
