package overlay

import (
	"context"
	"time"
)

// When lanes come and go.
const (
	// laneLook is how often a link is looked at.
	laneLook = time.Second
	// laneTrial is how long a new lane has to show that it helps: its congestion window
	// has to grow first.
	laneTrial = 4
	// laneBusy is the share of the time, in percent, that a writer has to be held up for
	// the link to be the bottleneck, in laneTrial looks one after the other.
	laneBusy = 60
	// laneGain is by how many percent the rate has to rise for new lanes to have helped.
	laneGain = 10
	// laneRest is how many looks pass before lanes that did not help are tried again;
	// it doubles up to laneRestMost.
	laneRest     = 30
	laneRestMost = 960
	// laneIdle is after how many looks below laneIdleRate bytes/s lanes are given up.
	laneIdle     = 60
	laneIdleRate = 64 << 10
)

// A laneMeter decides how many lanes a link should have for what this end sends. Lanes
// are doubled while the link holds up the writers and the last doubling helped. It is
// pure and not safe for concurrent use.
type laneMeter struct {
	want   int // 0: not looked yet
	before int // lanes before the trial; 0: no trial
	rate   uint64
	busy   int // looks in a row that were busy
	idle   int
	trial  int // looks left of it
	rest   int
	pause  int // after the next failure
}

// look takes what the last look's time showed: how many lanes there are, the bytes sent
// and for which share of it, in percent, the busiest writer was held up. It returns how
// many lanes there should be.
func (m *laneMeter) look(lanes int, sent uint64, heldUp int) int {
	m.want = max(m.want, 1)
	if m.rest > 0 {
		m.rest--
	}
	if heldUp >= laneBusy {
		m.busy++
	} else {
		m.busy = 0
	}
	if sent < laneIdleRate {
		m.idle++
	} else {
		m.idle = 0
	}
	switch {
	case m.idle >= laneIdle:
		*m = laneMeter{want: 1}
	case m.before > 0:
		m.judge(lanes, sent)
	case m.busy >= laneTrial && m.rest == 0 && m.want < maxLanes && lanes == m.want:
		m.before, m.rate, m.trial = m.want, sent, laneTrial
		m.want = min(2*m.want, maxLanes)
		m.busy = 0
	default:
		m.rate = sent
	}
	return m.want
}

// judge ends a trial when its time is up.
func (m *laneMeter) judge(lanes int, sent uint64) {
	if lanes < m.want { // they are still being made
		return
	}
	if m.trial--; m.trial > 0 {
		return
	}
	if sent*100 >= m.rate*(100+laneGain) {
		m.before, m.pause = 0, 0
		return
	}
	m.want, m.before = m.before, 0
	m.pause = min(max(2*m.pause, laneRest), laneRestMost)
	m.rest = m.pause
}

// lookAtLanes measures the links, and lets the end that dials make or drop lanes.
func (c *core) lookAtLanes(now time.Duration) {
	if now < c.lanesAt {
		return
	}
	elapsed := now - c.lanesAt + laneLook
	c.lanesAt = now + laneLook
	held := c.heldUp()
	for _, l := range c.order {
		if l.first() == nil {
			l.lanesFor = laneMeter{}
			continue
		}
		sent := uint64(0)
		for _, lane := range l.lanes {
			if lane != nil {
				sent += lane.conn.ConnectionStats().BytesSent
			}
		}
		rate := (sent - min(l.sentBefore, sent)) * uint64(laneLook) / uint64(elapsed)
		l.sentBefore = sent
		l.wants = l.lanesFor.look(int(l.laneCount()), rate, int(100*held[l]/elapsed))
		if l.dials {
			c.setLanes(l, min(max(l.wants, l.peerWants), c.maxLanes()))
		}
	}
}

// heldUp returns for each link how long the branch that was held up most has been
// writing since the last look.
func (c *core) heldUp() map[*link]time.Duration {
	held := map[*link]time.Duration{}
	for b := range c.branches {
		l := c.links[b.lane.peer.ID]
		held[l] = max(held[l], time.Duration(b.writing.Swap(0)))
	}
	for _, l := range c.order {
		if n := l.laneCount(); n > 0 {
			held[l] = max(held[l], time.Duration(c.bulks[l.peer.ID].writing.Swap(0))/time.Duration(n))
		}
	}
	return held
}

func (c *core) maxLanes() int {
	if c.cfg.Lanes > 0 {
		return min(c.cfg.Lanes, maxLanes)
	}
	return maxLanes
}

// setLanes starts or ends the diallers of the lanes above the first.
func (c *core) setLanes(l *link, want int) {
	for i := 1; i < maxLanes; i++ {
		switch running := l.diallers[i] != nil; {
		case i < want && !running:
			ctx, cancel := context.WithCancel(c.ctx)
			l.diallers[i] = cancel
			c.wg.Go(func() { c.keepDialling(ctx, l.peer, uint8(i)) })
		case i >= want && running:
			l.diallers[i]()
			l.diallers[i] = nil
			if lane := l.lanes[i]; lane != nil {
				lane.close(codeReplaced, "lane is no longer needed")
			}
		}
	}
}

// closeLanes closes the lanes above the first, whose link is down.
func (c *core) closeLanes(l *link) {
	c.setLanes(l, 1)
	for i, lane := range l.lanes {
		if i > 0 && lane != nil {
			lane.close(codeReplaced, "the link's first lane has ended")
		}
	}
	l.lanesFor, l.wants, l.peerWants, l.sentBefore = laneMeter{}, 0, 0, 0
}
