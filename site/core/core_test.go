package core

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

// one returns the Core of a site of one node, and the time at which its clients
// take part.
func one(t *testing.T) (*Core, time.Duration) {
	t.Helper()
	self, site := membership.NodeIDOf("only"), membership.SiteIDOf("here")
	c := New(ring.Config{Self: self, Members: []membership.NodeID{self}, Incarnation: 1e18, MaxPacket: 1400,
		Windows: ring.DefaultWindows(), Timing: ring.DefaultTiming(1)},
		merge.Config{Self: self, Site: site, Boot: 7, Sites: []membership.SiteID{site},
			Nodes: map[membership.NodeID]membership.SiteID{self: site}, StartUnix: 1_700_000_000})
	var fx Effects
	c.Start(0, &fx)
	now := advance(t, c, 0, &fx, func() bool { return c.Replica.Status().Attached })
	if len(fx.Rings) != 1 || fx.Rings[0].View.Members[0] != self {
		t.Fatalf("rings %+v, want one with this node", fx.Rings)
	}
	if fx.Merge.State == nil || fx.Merge.State.Instance == 0 {
		t.Fatalf("state %+v, want an instance", fx.Merge.State)
	}
	return c, now
}

// advance wakes the Core at its deadlines until done, and returns the time.
func advance(t *testing.T, c *Core, now time.Duration, fx *Effects, done func() bool) time.Duration {
	t.Helper()
	for range 100_000 {
		if done() {
			return now
		}
		now = max(now, c.Deadline())
		c.Wake(now, fx)
	}
	t.Fatalf("not done at %v", now)
	return now
}

func client(n uint64) membership.ClientID {
	return membership.ClientID{Node: membership.NodeIDOf("only"), Session: 7<<32 | n}
}

func sending(text string) merge.Request {
	return merge.Request{Kind: merge.Send, Service: membership.Agreed, Groups: []string{"g"}, Data: []byte(text)}
}

// TestOneNodeServesItself: what a client asks for goes through the ring and comes
// back, in order.
func TestOneNodeServesItself(t *testing.T) {
	c, now := one(t)
	var fx Effects
	c.Connect(now, client(1), "ann", &fx)
	c.Submit(now, client(1), merge.Request{Kind: merge.Join, Groups: []string{"g"}}, &fx)
	for i := range 3 {
		c.Submit(now, client(1), sending(fmt.Sprint(i)), &fx)
	}
	now = advance(t, c, now, &fx, func() bool { return len(fx.Merge.Outputs) >= 4 })
	if out := fx.Merge.Outputs[0]; out.Kind != merge.OutView || out.View.Group != "g" || len(out.View.Members) != 1 {
		t.Errorf("first output %+v, want the view with the joiner", out)
	}
	for i, out := range fx.Merge.Outputs[1:] {
		if out.Kind != merge.OutMessage || string(out.Message.Data) != fmt.Sprint(i) || out.To[0] != client(1) {
			t.Errorf("output %d is %+v", i+1, out)
		}
	}
	if c.Outputs() != len(fx.Merge.Outputs) {
		t.Errorf("Outputs() = %d, there are %d", c.Outputs(), len(fx.Merge.Outputs))
	}
	fx.Reset()
	c.Disconnect(now, client(1), &fx)
	advance(t, c, now, &fx, func() bool {
		return len(fx.Merge.Outputs) > 0 && fx.Merge.Outputs[len(fx.Merge.Outputs)-1].Kind == merge.OutClosed
	})
}

// TestStepEnds: a ring of one could go on for as long as there is work; a step does
// not (R4), and the rest follows.
func TestStepEnds(t *testing.T) {
	c, now := one(t)
	var fx Effects
	c.Connect(now, client(1), "ann", &fx)
	c.Submit(now, client(1), merge.Request{Kind: merge.Join, Groups: []string{"g"}}, &fx)
	const messages = 20_000
	for i := range messages {
		// Straight to the Replica: no step, so that all of it waits for one.
		c.Replica.Submit(now, client(1), sending(fmt.Sprint(i)), &c.mergeFx)
	}
	fx.Reset()
	c.Wake(now, &fx)
	if n := len(fx.Merge.Outputs); n >= messages {
		t.Errorf("one step delivered all %d", n)
	}
	seen := 0
	count := func() bool {
		for _, out := range fx.Merge.Outputs {
			if out.Kind == merge.OutMessage {
				if string(out.Message.Data) != fmt.Sprint(seen) {
					t.Fatalf("message %q in place of %d", out.Message.Data, seen)
				}
				seen++
			}
		}
		fx.Reset()
		return seen >= messages
	}
	advance(t, c, now, &fx, count)
}

// TestGarbage: bytes from anywhere change nothing and stop nothing.
func TestGarbage(t *testing.T) {
	c, now := one(t)
	var fx Effects
	for _, data := range [][]byte{nil, {0}, {82, 1}, make([]byte, 64), make([]byte, 1400)} {
		c.Receive(now, data, &fx)
		c.PromiseIn(now, data, &fx)
		c.ControlIn(now, merge.SiteInstance{Instance: 5, Site: membership.SiteIDOf("there")}, data, &fx)
		c.Import(now, &merge.Batch{Log: membership.LogID{Site: membership.SiteIDOf("there"), Instance: 5}, Records: [][]byte{data}}, &fx)
	}
	c.Reach(now, []merge.Reach{{SiteInstance: merge.SiteInstance{Instance: 5, Site: 99}}}, &fx)
	c.Submit(now, client(9), sending("from nobody"), &fx)
	c.Disconnect(now, client(9), &fx)
	fx.Reset()
	c.Connect(now, client(1), "ann", &fx)
	c.Submit(now, client(1), merge.Request{Kind: merge.Join, Groups: []string{"g"}}, &fx)
	advance(t, c, now, &fx, func() bool { return len(fx.Merge.Outputs) > 0 })
}
