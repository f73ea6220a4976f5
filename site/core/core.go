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
	made    int           // outputs in the Effects of the step under way
	rings   int           // rings in them
	kicked  bool          // the Replica wants to send
	now     time.Duration // of the latest step
}

// logKey tells this site's logs apart.
type logKey struct {
	instance membership.InstanceID
	view     membership.ViewID
}

// New returns the Core of a node that has not started.
func New(ringConfig ring.Config, mergeConfig merge.Config) *Core {
	replica := merge.New(mergeConfig)
	return &Core{Ring: ring.New(ringConfig, replica), Replica: replica}
}

// Start begins the node's life. It is called once, before any other step.
func (c *Core) Start(now time.Duration, fx *Effects) {
	c.begin(now, fx)
	c.Ring.Start(now, &c.ringFx)
	c.settle(now, fx)
}

// Receive takes a packet that came from the LAN. Nobody changes it afterwards.
func (c *Core) Receive(now time.Duration, packet []byte, fx *Effects) {
	c.begin(now, fx)
	c.Ring.Receive(now, packet, &c.ringFx)
	c.settle(now, fx)
}

// Leave begins the node's orderly end in the ring: it stays until every member holds what
// it has sent, and then says that it goes. Left tells when that has happened.
func (c *Core) Leave(now time.Duration, fx *Effects) {
	c.begin(now, fx)
	c.Ring.Leave(now, &c.ringFx)
	c.settle(now, fx)
}

// Left says that the node has left the ring. Nothing comes of it any more.
func (c *Core) Left() bool { return c.Ring.Left() }

// Wake does what is due at now.
func (c *Core) Wake(now time.Duration, fx *Effects) {
	c.begin(now, fx)
	if at, ok := c.Replica.Deadline(); ok && at <= now {
		c.Replica.Wake(now, &c.mergeFx)
		c.take(fx)
	}
	if at, ok := c.Ring.Deadline(); ok && at <= now {
		c.Ring.Wake(now, &c.ringFx)
	}
	c.settle(now, fx)
}

// Deadline returns when Wake is due next, if ever.
func (c *Core) Deadline() (time.Duration, bool) {
	if c.kicked {
		return c.now, true
	}
	at, ok := c.Ring.Deadline()
	if other, too := c.Replica.Deadline(); too && (!ok || other < at) {
		at, ok = other, true
	}
	return at, ok
}

// Connect introduces a client of this node.
func (c *Core) Connect(now time.Duration, client membership.ClientID, name string, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Connect(now, client, name, &c.mergeFx)
	c.settle(now, fx)
}

// Submit takes a request of a client, after those it made before.
func (c *Core) Submit(now time.Duration, client membership.ClientID, request merge.Request, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Submit(now, client, request, &c.mergeFx)
	c.settle(now, fx)
}

// Disconnect tells that a client is gone.
func (c *Core) Disconnect(now time.Duration, client membership.ClientID, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Disconnect(now, client, &c.mergeFx)
	c.settle(now, fx)
}

// Import takes records that came from another site's log, in their order.
func (c *Core) Import(now time.Duration, log membership.LogID, records [][]byte, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Import(now, log, records, &c.mergeFx)
	c.settle(now, fx)
}

// PromiseIn takes a promise datagram.
func (c *Core) PromiseIn(now time.Duration, data []byte, fx *Effects) {
	c.begin(now, fx)
	c.Replica.PromiseIn(now, data, &c.mergeFx)
	c.settle(now, fx)
}

// ControlIn takes a control message of another instance's gateway.
func (c *Core) ControlIn(now time.Duration, from merge.SiteInstance, data []byte, fx *Effects) {
	c.begin(now, fx)
	c.Replica.ControlIn(now, from, data, &c.mergeFx)
	c.settle(now, fx)
}

// Reach tells which other instances link state shows, all of them each time.
func (c *Core) Reach(now time.Duration, instances []merge.Reach, fx *Effects) {
	c.begin(now, fx)
	c.Replica.Reach(now, instances, &c.mergeFx)
	c.settle(now, fx)
}

// begin notes when a step happens and what its Effects have already.
func (c *Core) begin(now time.Duration, fx *Effects) {
	c.now, c.made, c.rings = now, len(fx.Merge.Outputs), len(fx.Rings)
}

// Outputs returns how many outputs the step under way has made so far. It is for
// merge.Config.Trace, which thus learns before which output something happened.
func (c *Core) Outputs() int { return c.made + len(c.mergeFx.Outputs) }

// RingsInstalled returns, likewise, how many rings the step under way has installed.
func (c *Core) RingsInstalled() int { return c.rings }

// settle lets the machines talk until neither wants anything of the other (R4:
// or maxRounds have passed).
func (c *Core) settle(now time.Duration, fx *Effects) {
	c.take(fx)
	c.drain(now, fx)
	for round := 0; c.kicked && round < maxRounds; round++ {
		c.kicked = false
		c.Ring.Kick(now, &c.ringFx)
		c.drain(now, fx)
	}
}

// drain hands out the ring's packets and gives its events to the Replica (R1).
func (c *Core) drain(now time.Duration, fx *Effects) {
	fx.Send = append(fx.Send, c.ringFx.Send...)
	for i := range c.ringFx.Events {
		event := &c.ringFx.Events[i]
		if event.Kind == ring.Installed {
			fx.Rings = append(fx.Rings, Ring{event.View, len(fx.Merge.Outputs)})
			c.rings = len(fx.Rings)
		}
		c.Replica.Ring(now, event, &c.mergeFx)
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
