package sim

import (
	"fmt"
	"slices"
	"time"

	"ringway/site/core"
	"ringway/site/merge"
)

// A slot is where a scheduled client sits: it has a session whenever its node lives,
// under the same private name, and joins the groups that it was in.
type slot struct {
	play    *play
	at      *place
	name    string
	present bool
	free    bool // its sessions have independent scopes
	wants   []string
	client  *client // the present session, if any
	opening bool
}

// client does what a step says of one client.
func (p *play) client(s *Step) {
	c := p.slot(s.Node, s.Client)
	switch s.Verb {
	case Connect:
		if !c.present {
			c.present, c.free, c.wants = true, s.Free, slices.Clone(s.Groups)
			c.open()
		}
	case Bye:
		c.present = false
		if c.live() {
			c.client.end()
		}
	case Join, Leave:
		for _, g := range s.Groups {
			if i := slices.Index(c.wants, g); (i >= 0) == (s.Verb == Leave) && c.live() {
				c.client.toggleTo(s.Verb, g)
			}
			c.want(s.Verb, g)
		}
	case Say:
		for i := range s.Count {
			p.f.after(time.Duration(i)*s.Every, func() { c.say(s) })
		}
	}
}

func (p *play) slot(node, index int) *slot {
	for len(p.slots[node]) <= index {
		p.slots[node] = append(p.slots[node], &slot{play: p, at: p.f.places[node], name: fmt.Sprintf("c%d", len(p.slots[node]))})
	}
	return p.slots[node][index]
}

// live says whether the slot has a session.
func (c *slot) live() bool { return c.client != nil && !c.client.ended && c.client.life.alive() }

func (c *slot) want(verb Verb, group string) {
	i := slices.Index(c.wants, group)
	if verb == Join && i < 0 {
		c.wants = append(c.wants, group)
	} else if verb == Leave && i >= 0 {
		c.wants = slices.Delete(c.wants, i, i+1)
	}
}

// reopen brings back the clients of a node that has just begun.
func (p *play) reopen(l *life) {
	for _, c := range p.slots[l.number] {
		c.opening = false
		c.open()
	}
}

// reconnect is how long a client takes to connect, and to try again while its name is
// not free yet.
const reconnect = 3 * time.Millisecond

// open begins a session soon.
func (c *slot) open() {
	if c.opening || !c.present || c.at.life == nil {
		return
	}
	c.opening = true
	l := c.at.life
	l.f.after(reconnect, func() {
		if !l.alive() {
			return
		}
		c.opening = false
		switch {
		case !c.present || c.live() || !l.f.talking:
		case l.names[c.name]:
			c.open()
		default:
			l.names[c.name] = true
			c.client = l.openSession(c.name, c.free)
			for _, g := range c.wants {
				c.client.toggleTo(Join, g)
			}
		}
	})
}

// say sends one message of a burst. A client whose node has more of its requests
// queued than a real one would read waits for another time.
func (c *slot) say(s *Step) {
	if !c.live() || !c.play.f.talking {
		return
	}
	if c.client.life.core.Replica.QueuedBytes(c.client.id) > maxQueued {
		c.play.f.stats.Blocked++
		return
	}
	c.client.submitMessage(s.Service, s.Discard, s.Groups, s.Size-headBytes)
}

// maxQueued is from how many queued bytes on a node does not read a session.
const maxQueued = 1 << 20

// toggleTo joins or leaves a group.
func (c *client) toggleTo(verb Verb, group string) {
	kind := merge.Join
	if verb == Leave {
		kind = merge.Leave
	}
	c.life.step(func(now time.Duration, fx *core.Effects) {
		c.submit(now, merge.Request{Kind: kind, Groups: []string{group}}, fx)
	})
}

// end ends the session.
func (c *client) end() {
	c.ended = true
	l := c.life
	l.step(func(now time.Duration, fx *core.Effects) {
		l.recorder.Gone(l.f.now-l.start, c.id)
		l.core.Disconnect(now, c.id, fx)
	})
}

// answers says whether a receiver answers a message: by what it is about and not by
// dice, so that a shorter schedule has the same answers.
func (p *play) answers(to *client, m *merge.Message, seq uint64) bool {
	h := p.schedule.Seed ^ seq*0x94d049bb133111eb ^ uint64(m.Sender.Node)<<32 ^ uint64(to.id.Node)
	for _, name := range []string{m.SenderName, to.name} {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * 0x100000001b3
		}
	}
	h ^= h >> 31
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return float64(h%100_000) < p.schedule.Answers*1000
}
