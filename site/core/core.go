package core

import (
	"time"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

// maxRounds bounds how often one step kicks the ring. One round moves at most a
// ring window; the bound keeps a step of a busy ring of one near a millisecond.
const maxRounds = 16

// A Core is one node's ring and Replica. It is not safe for concurrent use.
type Core struct {
	Ring    *ring.Machine  // read its status; step it through the Core only
	Replica *merge.Replica // likewise

	ringFx  ring.Effects
	mergeFx merge.Effects
	log     logKey
	made    int  // outputs in the Effects of the step under way
	rings   int  // rings in them
	kicked  bool // the Replica wants to send
	clock   clock
}

// logKey tells this site's logs apart.
type logKey struct {
	instance membership.InstanceID
	view     membership.ViewID
}

// New returns the Core of a node that has not started.
func New(ringConfig ring.Config, mergeConfig merge.Config) *Core {
	c := &Core{Replica: merge.New(mergeConfig)}
	c.Ring = ring.New(ringConfig, source{c})
	return c
}

// A source is the Replica as what the ring takes frames from. It goes by its own time.
type source struct{ c *Core }

func (s source) Backlog() int { return s.c.Replica.Backlog() }

func (s source) Next(_ time.Duration, room int) (ring.Frame, bool) {
	return s.c.Replica.Next(s.c.clock.awake, room)
}

// Start begins the node's life. It is called once, before any other step.
func (c *Core) Start(now time.Duration, fx *Effects) {
	c.clock.start(now)
	c.begin(now, fx)
	c.Ring.Start(c.clock.ring, &c.ringFx)
	c.settle(fx)
}

// Receive takes a packet that came from the LAN. Nobody changes it afterwards.
func (c *Core) Receive(now time.Duration, packet []byte, fx *Effects) {
	c.begin(now, fx)
	c.Ring.Receive(c.clock.ring, packet, &c.ringFx)
	c.settle(fx)
}

// Refused tells that a node's host says that nobody listens there, in answer to a knock.
func (c *Core) Refused(now time.Duration, node membership.NodeID, fx *Effects) {
	c.begin(now, fx)
	c.Ring.Refused(c.clock.ring, node, &c.ringFx)
	c.settle(fx)
}

// Leave begins the node's orderly end in the ring: it stays until every member holds what
// it has sent, and then says that it goes. Left tells when that has happened.
func (c *Core) Leave(now time.Duration, fx *Effects) {
	c.begin(now, fx)
	c.Ring.Leave(c.clock.ring, &c.ringFx)
	c.settle(fx)
}

// Left says that the node has left the ring. Nothing comes of it any more.
func (c *Core) Left() bool { return c.Ring.Left() }

// Wake does what is due at now.
func (c *Core) Wake(now time.Duration, fx *Effects) {
	c.begin(now, fx)
	if at, ok := c.Replica.Deadline(); ok && at <= c.clock.awake {
		c.Replica.Wake(c.clock.awake, &c.mergeFx)
		c.take(fx)
	}
	if at, ok := c.Ring.Deadline(); ok && at <= c.clock.ring {
		c.Ring.Wake(c.clock.ring, &c.ringFx)
	}
	c.settle(fx)
}

// Deadline returns when Wake is due next.
func (c *Core) Deadline() time.Duration {
	if c.kicked {
		return c.clock.shell
	}
	due := c.clock.shell + beat
	if at, ok := c.Ring.Deadline(); ok {
		due = min(due, c.clock.fromRing(at))
	}
	if at, ok := c.Replica.Deadline(); ok {
		due = min(due, c.clock.fromAwake(at))
	}
	return due
}

// Connect introduces a client of this node.
func (c *Core) Connect(now time.Duration, client membership.ClientID, name string, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Connect(c.clock.awake, client, name, &c.mergeFx)
	c.settle(fx)
}

// Submit takes a request of a client, after those it made before.
func (c *Core) Submit(now time.Duration, client membership.ClientID, request merge.Request, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Submit(c.clock.awake, client, request, &c.mergeFx)
	c.settle(fx)
}

// Disconnect tells that a client is gone.
func (c *Core) Disconnect(now time.Duration, client membership.ClientID, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Disconnect(c.clock.awake, client, &c.mergeFx)
	c.settle(fx)
}

// Import takes records that came from another site's log.
func (c *Core) Import(now time.Duration, batch *merge.Batch, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Import(c.clock.awake, batch, &c.mergeFx)
	c.settle(fx)
}

// PromiseIn takes a promise datagram.
func (c *Core) PromiseIn(now time.Duration, data []byte, fx *Effects) {
	c.begin(now, fx)
	c.Replica.PromiseIn(c.clock.awake, data, &c.mergeFx)
	c.settle(fx)
}

// DatagramIn takes an unreliable message that an instance of another site, or another one of
// this, has sent.
func (c *Core) DatagramIn(now time.Duration, from merge.SiteInstance, data []byte, fx *Effects) {
	c.begin(now, fx)
	c.Replica.DatagramIn(c.clock.awake, from, data, &c.mergeFx)
	c.settle(fx)
}

// ControlIn takes a control message of another instance's gateway.
func (c *Core) ControlIn(now time.Duration, from merge.SiteInstance, data []byte, fx *Effects) {
	c.begin(now, fx)
	c.Replica.ControlIn(c.clock.awake, from, data, &c.mergeFx)
	c.settle(fx)
}

// Reach tells which other instances link state shows, all of them each time.
func (c *Core) Reach(now time.Duration, instances []merge.Reach, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Reach(c.clock.awake, instances, &c.mergeFx)
	c.settle(fx)
}

// begin notes when a step happens and what its Effects have already.
func (c *Core) begin(now time.Duration, fx *Effects) {
	c.made, c.rings = len(fx.Merge.Outputs), len(fx.Rings)
	due := now // to know it takes longer than to know what time it is, so only who comes late is asked
	if now-c.clock.shell > late {
		due = c.Deadline()
	}
	if slept := c.clock.step(now, due); slept > 0 {
		c.Replica.Slept(slept)
	}
}

// Outputs returns how many outputs the step under way has made so far. It is for
// merge.Config.Trace, which thus learns before which output something happened.
func (c *Core) Outputs() int { return c.made + len(c.mergeFx.Outputs) }

// RingsInstalled returns, likewise, how many rings the step under way has installed.
func (c *Core) RingsInstalled() int { return c.rings }

// settle lets the machines talk until neither wants anything of the other (R4:
// or maxRounds have passed).
func (c *Core) settle(fx *Effects) {
	c.take(fx)
	c.drain(fx)
	for round := 0; c.kicked && round < maxRounds; round++ {
		c.kicked = false
		c.Ring.Kick(c.clock.ring, &c.ringFx)
		c.drain(fx)
	}
}

// drain hands out the ring's packets and gives its events to the Replica (R1).
func (c *Core) drain(fx *Effects) {
	fx.Send = append(fx.Send, c.ringFx.Send...)
	fx.Knock = append(fx.Knock, c.ringFx.Knock...)
	for i := range c.ringFx.Events {
		event := &c.ringFx.Events[i]
		if event.Kind == ring.Installed {
			fx.Rings = append(fx.Rings, Ring{event.View, len(fx.Merge.Outputs)})
			c.rings = len(fx.Rings)
		}
		c.Replica.Ring(c.clock.awake, event, &c.mergeFx)
		c.take(fx)
	}
	c.ringFx.Reset()
}

// take moves what the Replica wants done to fx, behind what is there (R2, R3).
func (c *Core) take(fx *Effects) {
	c.kicked = c.kicked || c.mergeFx.Kick
	if state := c.mergeFx.State; state != nil {
		if log := (logKey{state.Instance, state.View}); log != c.log {
			fx.endLog()
			if log.instance != c.log.instance {
				fx.forgetControls()
			}
			c.log = log
		}
	}
	fx.add(&c.mergeFx)
	c.mergeFx.Reset()
	c.made = len(fx.Merge.Outputs)
}
