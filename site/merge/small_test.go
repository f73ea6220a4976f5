package merge

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

// TestTwoClientsInOneGroup tries every sequence of three steps that each of two
// clients at two sites can take in a group, with steps close together and far apart.
// Every pair of sequences has a group of its own in one federation.
func TestTwoClientsInOneGroup(t *testing.T) {
	const steps = 27 // three times join, leave or send
	for seed := uint64(1); seed <= max(1, 3/raceShare); seed++ {
		opt := plainOptions(2, 2)
		w := newWorld(seed, opt, nil)
		w.runUntil(20*time.Second, "sites meet", w.federated)
		var pairs [][2]*simClient
		for a := range steps {
			for b := range steps {
				pairs = append(pairs, w.smallCase(fmt.Sprintf("g%d-%d", a, b), a, b))
			}
		}
		w.run(w.now + 2*time.Second)
		w.runUntil(20*time.Second, "nothing under way", w.quiet)
		for i, p := range pairs {
			w.judgeSmall(fmt.Sprintf("g%d-%d", i/steps, i%steps), p)
		}
		w.check.final()
		report(t, seed, w)
	}
}

// smallCase plans the steps of two clients.
func (w *world) smallCase(group string, a, b int) [2]*simClient {
	pauses := []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 70 * time.Millisecond}
	var pair [2]*simClient
	for i, code := range []int{a, b} {
		c := w.sites[i].nodes[w.rng.IntN(2)].connect(fmt.Sprintf("%d%c", len(w.check.clients), 'a'+i))
		pair[i] = c
		at := w.upTo(100 * time.Millisecond)
		for range 3 {
			step := code % 3
			code /= 3
			w.after(at, func() {
				switch step {
				case 0:
					c.join(group)
				case 1:
					c.leave(group)
				default:
					c.send(membership.Agreed, group)
				}
			})
			at += pauses[w.rng.IntN(len(pauses))]
		}
	}
	return pair
}

// judgeSmall looks whether both see who is in, and get what is sent now.
func (w *world) judgeSmall(group string, pair [2]*simClient) {
	want := ""
	for _, c := range pair {
		if c.in[group] {
			if want != "" {
				want += " "
			}
			want += c.name
		}
	}
	if a, b := pair[0].name, pair[1].name; want == a+" "+b && b < a {
		want = b + " " + a
	}
	m := pair[0].send(membership.Agreed, group)
	w.run(w.now + 150*time.Millisecond)
	for _, c := range pair {
		if c.memberOf[group] != c.in[group] {
			w.fail("%s of %s: member %v, wants %v", c.name, group, c.memberOf[group], c.in[group])
		}
		if c.in[group] && w.check.views[group+" "+c.view[group]] != want {
			w.fail("%s sees %q in %s, should see %q", c.name, w.check.views[group+" "+c.view[group]], group, want)
		}
		if c.got[m.id] != c.in[group] {
			w.fail("message to %s at %s: got %v, in %v", group, c.name, c.got[m.id], c.in[group])
		}
	}
}

// TestLocalTrafficDoesNotFeelTheWAN cuts all links. Messages within a site go on as
// before; what goes farther waits and arrives when the links are back.
func TestLocalTrafficDoesNotFeelTheWAN(t *testing.T) {
	w := newWorld(1, plainOptions(3, 2), nil)
	w.runUntil(20*time.Second, "sites meet", w.federated)
	var locals, wide []*simClient
	for i, s := range w.sites {
		for j, n := range s.nodes {
			l := n.connect(fmt.Sprintf("l%d%d", i, j))
			l.join(fmt.Sprint("local", i))
			f := n.connect(fmt.Sprintf("f%d%d", i, j))
			f.join("wide")
			locals, wide = append(locals, l), append(wide, f)
		}
	}
	w.runUntil(20*time.Second, "joins", w.quiet)
	w.run(w.now + time.Second)
	for _, p := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		w.cut[p] = true
	}
	var waiting []*message
	for k := range 300 {
		if k%10 == 0 {
			waiting = append(waiting, wide[k/10%len(wide)].send(membership.Agreed, "wide"))
		}
		c := locals[k%len(locals)]
		m := c.send([]membership.Service{membership.Reliable, membership.FIFO, membership.Agreed, membership.Safe}[k/7%4], fmt.Sprint("local", c.node.site.index))
		w.run(w.now + 3*time.Millisecond)
		for _, other := range locals {
			if other.node.site == c.node.site && !other.got[m.id] {
				t.Fatalf("%v message %d had not reached %s of its own site after 3 ms", m.service, m.id, other.name)
			}
		}
	}
	w.runUntil(20*time.Second, "each site goes on by itself", w.quiet)
	for _, m := range waiting {
		for _, c := range wide {
			if own := c.node.site == m.sender.node.site; c.got[m.id] != own {
				t.Fatalf("message %d to all at %s: got %v, while every link is cut it should be %v", m.id, c.name, c.got[m.id], own)
			}
		}
	}
	clear(w.cut)
	w.runUntil(20*time.Second, "sites meet again", w.federated)
	w.runUntil(20*time.Second, "nothing under way", w.quiet)
	w.run(w.now + time.Second)
	w.check.final()
	report(t, 1, w)
}

// TestLargeMessages sends bodies that cross the ring before their requests, local and
// federated, in between small ones.
func TestLargeMessages(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		largeMessages(t, bulk)
	}
}

func largeMessages(t *testing.T, bulk bool) {
	opt := plainOptions(2, 2)
	opt.bulk = bulk
	w := newWorld(1, opt, nil)
	w.runUntil(20*time.Second, "sites meet", w.federated)
	a, b, c := w.sites[0].nodes[0].connect("a"), w.sites[0].nodes[1].connect("b"), w.sites[1].nodes[0].connect("c")
	b.join("near")
	for _, x := range []*simClient{a, c} {
		x.join("wide")
	}
	w.runUntil(20*time.Second, "joins", w.quiet)
	var sent []*message
	for k := range 12 {
		group := []string{"near", "wide"}[k%2]
		service := []membership.Service{membership.FIFO, membership.Agreed, membership.Safe}[k%3]
		sent = append(sent, a.sendLarge(service, []int{10, inlineMax + 1, 300_000}[k/2%3], group))
	}
	w.runUntil(20*time.Second, "nothing under way", w.quiet)
	w.run(w.now + time.Second)
	for _, m := range sent {
		if to := map[string]*simClient{"near": b, "wide": c}[m.groups[0]]; !to.got[m.id] {
			w.fail("message %d to %s did not arrive", m.id, m.groups[0])
		}
	}
	if n := w.sites[0].nodes[0].replica.proposer.bodies; n != 0 {
		w.fail("%d bodies are still counted as under way", n)
	}
	w.check.final()
	report(t, 1, w)
}

// TestPrivateMessages reach their client in any site, and nobody else.
func TestPrivateMessages(t *testing.T) {
	w := newWorld(1, plainOptions(2, 2), nil)
	w.runUntil(20*time.Second, "sites meet", w.federated)
	a, b := w.sites[0].nodes[0].connect("a"), w.sites[1].nodes[1].connect("b")
	to := a.send(membership.Agreed, "#b#n1-1")
	nobody := a.send(membership.Agreed, "#nobody#n1-1", "#a#nowhere", "##", "#")
	self := a.send(membership.Safe, "#a#n0-0", "#a#n0-0")
	w.run(w.now + time.Second)
	for _, x := range []struct {
		c    *simClient
		m    *message
		want bool
	}{{b, to, true}, {a, to, false}, {a, nobody, false}, {b, nobody, false}, {a, self, true}, {b, self, false}} {
		if x.c.got[x.m.id] != x.want {
			t.Errorf("message to %v at %s: got %v", x.m.groups, x.c.name, x.c.got[x.m.id])
		}
	}
	if n := w.sites[1].nodes[1].replica.Status().Dropped; n == 0 {
		t.Error("a private message to nobody is not counted")
	}
	report(t, 1, w)
}

// TestARestoredMachineGoesOnAlike gives the same frames to a machine and to its copy
// that went through a snapshot.
func TestARestoredMachineGoesOnAlike(t *testing.T) {
	w := newWorld(5, plainOptions(2, 2), nil)
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.populate(3)
	w.traffic(200 * time.Millisecond)
	n := w.sites[0].nodes[1]
	cfg, names := n.replica.cfg, interner{}
	cfg.Trace, cfg.hooks = nil, nil
	before := n.replica.m.snapshot()
	copied, err := restoreMachine(&cfg, &names, before)
	if err != nil {
		t.Fatal(err)
	}
	if string(copied.snapshot()) != string(before) {
		t.Fatal("the snapshot of a restored machine differs from the one it was restored from")
	}
	twin := &Replica{cfg: cfg, proposer: newProposer(), m: copied, fx: &Effects{}, closedMinT: -1}
	twin.descent = n.replica.descent
	twin.views.peers = newPeers()
	copied.fx = twin.fx
	twin.gatewayReset()
	n.twin = twin
	w.traffic(300 * time.Millisecond)
	n.twin = nil
	if string(copied.snapshot()) != string(n.replica.m.snapshot()) {
		t.Fatal("machine and copy went apart")
	}
	report(t, 5, w)
}
