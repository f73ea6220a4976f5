package overlay

import (
	"ringway/membership"
)

// Control messages that wait at a link that is silent or down, or were written to it and
// may not have arrived, go another way as soon as there is one: whoever sent them would
// otherwise ask again only after its repetition time. Some then come twice, and some out
// of turn; where they go, those are left out (controlWindow). The reasons are in
// docs/decisions/, "Controls are repeated by whoever needs the answer".

// strand keeps what was under way over a lane that has ended until the next routes.
func (c *core) strand(lane *lane) {
	frames := lane.control.leave(nil)
	if len(frames) > 0 {
		c.throttle.Change(c.now()) // also if the link's end changes no route
	}
	for _, frame := range frames {
		if len(c.stranded) >= maxControlQueue || c.strandedBytes+len(frame) > maxControlQueueBytes {
			c.count.controlsDropped.Add(1)
			continue
		}
		c.stranded = append(c.stranded, frame)
		c.strandedBytes += len(frame)
	}
}

// rerouteControls sends what is stranded, and what is under way over links that are
// silent, by the new routes.
func (c *core) rerouteControls() {
	stranded := c.stranded
	c.stranded, c.strandedBytes = nil, 0
	for _, l := range c.order {
		if lane := l.first(); lane != nil && l.meter.silent(c.now(), c.cfg.Topology.Timing.Hello) {
			stranded = append(stranded, lane.control.leave(c.notOver(l))...)
		}
	}
	for _, frame := range stranded {
		m, err := decodeControl(frame[frameHeaderBytes:])
		if err != nil {
			continue // it was encoded here
		}
		m.Hops = min(m.Hops+1, maxHops) // the hop that it had begun
		c.count.controlsRerouted.Add(1)
		c.route(m)
	}
}

// notOver returns the instances that are reached otherwise than over that link.
func (c *core) notOver(l *link) map[membership.SiteInstance]bool {
	to := map[membership.SiteInstance]bool{}
	for _, of := range c.routes.Instances() {
		if nearest, ok := c.routes.Nearest(of); ok {
			next, _ := c.routes.NextHop(nearest)
			to[of] = next != l.peer.ID
		}
	}
	return to
}

// A controlWindow lets the control messages of one gateway pass in the order in which it
// sent them, each at most once. What is late was on its way when routes changed: it counts
// as lost.
type controlWindow struct{ incarnation, newest uint64 }

// controlWindows are those of one gateway.
type controlWindows struct{ control, bulk controlWindow }

func (w *controlWindows) of(m *controlMessage) *controlWindow {
	if m.Bulk {
		return &w.bulk
	}
	return &w.control
}

// pass says whether a message comes in its turn, and remembers it.
func (w *controlWindow) pass(incarnation, number uint64) bool {
	if incarnation < w.incarnation || incarnation == w.incarnation && number <= w.newest {
		return false
	}
	*w = controlWindow{incarnation, number}
	return true
}
