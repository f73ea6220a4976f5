package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
)

// A client is a session at a node that joins, leaves and sends at random.
type client struct {
	life  *life
	id    membership.ClientID
	name  string // private name
	seq   uint64 // of its last message
	wants []string
	ended bool
}

// population gives a node its clients.
func (f *federation) population(l *life) {
	for range f.talk.count(f.profile.Clients[0], f.profile.Clients[1]) {
		f.after(f.talk.between(0, 300*time.Millisecond), func() { f.connect(l) })
	}
}

// connect begins a session.
func (f *federation) connect(l *life) {
	if !l.alive() || !f.talking {
		return
	}
	l.counter++
	c := &client{life: l, id: membership.ClientID{Node: l.id, Session: l.boot<<32 | l.counter}, name: fmt.Sprintf("c%d", l.counter)}
	l.step(func(now time.Duration, fx *core.Effects) {
		l.sessions[c.id] = c
		l.order = append(l.order, c)
		l.recorder.Connect(l.f.now-l.start, c.id, c.name)
		l.core.Connect(now, c.id, c.name, fx)
	})
	for range f.talk.count(1, 3) {
		c.toggle(f.groups[f.talk.IntN(len(f.groups))])
	}
	f.after(f.talk.about(f.profile.Every), c.act)
}

// act does one thing at random and comes back later.
func (c *client) act() {
	f := c.life.f
	if c.ended || !c.life.alive() || !f.talking {
		return
	}
	switch r := f.talk.IntN(1000); {
	case r < 40:
		c.toggle(f.groups[f.talk.IntN(len(f.groups))])
	case r < 45:
		c.disconnect()
		return
	default:
		c.send(c.service(), c.groups(), c.size())
	}
	f.after(f.talk.about(f.profile.Every), c.act)
}

// toggle joins a group, or leaves it.
func (c *client) toggle(group string) {
	kind := merge.Join
	if i := slices.Index(c.wants, group); i >= 0 {
		kind = merge.Leave
		c.wants = slices.Delete(c.wants, i, i+1)
	} else {
		c.wants = append(c.wants, group)
	}
	c.life.step(func(now time.Duration, fx *core.Effects) {
		c.submit(now, merge.Request{Kind: kind, Groups: []string{group}}, fx)
	})
}

// disconnect ends the session; another one takes its place.
func (c *client) disconnect() {
	c.ended = true
	l := c.life
	l.step(func(now time.Duration, fx *core.Effects) {
		l.recorder.Gone(l.f.now-l.start, c.id)
		l.core.Disconnect(now, c.id, fx)
	})
	l.f.after(l.f.talk.about(300*time.Millisecond), func() { l.f.connect(l) })
}

// service picks one; agreed and safe are what most of the rules are about.
func (c *client) service() membership.Service {
	weights := []membership.Service{membership.Unreliable, membership.Reliable, membership.FIFO, membership.FIFO, membership.Causal,
		membership.Agreed, membership.Agreed, membership.Agreed, membership.Safe, membership.Safe}
	return weights[c.life.f.talk.IntN(len(weights))]
}

// groups picks where to send: mostly one group, sometimes several, sometimes a
// client's private group, also of a client that is not there.
func (c *client) groups() []string {
	f := c.life.f
	if f.talk.percent(4) {
		s := f.sites[f.talk.IntN(len(f.sites))]
		at := s.places[f.talk.IntN(len(s.places))]
		return []string{fmt.Sprintf("#c%d#%s", f.talk.count(1, 3), at.name)}
	}
	groups := []string{f.groups[f.talk.IntN(len(f.groups))]}
	for f.talk.percent(15) && len(groups) < len(f.groups) {
		if g := f.groups[f.talk.IntN(len(f.groups))]; !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// size picks how long a message is: mostly a fraction of a packet, sometimes
// several packets, rarely more than a record may carry.
func (c *client) size() int {
	f := c.life.f
	switch r := f.talk.IntN(400); {
	case r < 360:
		return f.talk.count(0, 300)
	case r < 390:
		return f.talk.count(300, 5000)
	case r < 399:
		return f.talk.count(5000, 60000)
	default:
		return f.talk.count(60000, 200000)
	}
}

// send sends one message.
func (c *client) send(service membership.Service, groups []string, size int) {
	f := c.life.f
	c.seq++
	seq := c.seq
	f.stats.Submitted++
	f.stats.ByService[service]++
	discard := f.talk.percent(3)
	data := payload(c.id, seq, size)
	c.life.step(func(now time.Duration, fx *core.Effects) {
		c.submit(now, merge.Request{Kind: merge.Send, Service: service, SelfDiscard: discard, Hint: [4]byte{1, 2, 3, byte(seq)}, Groups: groups, Data: data}, fx)
	})
}

// submit hands a request to the node.
func (c *client) submit(now time.Duration, q merge.Request, fx *core.Effects) {
	l := c.life
	l.recorder.Submit(l.f.now-l.start, c.id, &q)
	l.core.Submit(now, c.id, q, fx)
}

// headBytes is what every payload begins with: sender, number, hash of the rest.
const headBytes = membership.ClientIDBytes + 8 + 8

// payload makes a message that says which it is and shows any damage.
func payload(id membership.ClientID, seq uint64, size int) []byte {
	data := binary.LittleEndian.AppendUint64(id.Append(make([]byte, 0, headBytes+size)), seq)
	data = append(data, make([]byte, 8+size)...)
	body := data[headBytes:]
	for i := range body {
		body[i] = byte(uint64(i)*31 + seq*7 + id.Session)
	}
	binary.LittleEndian.PutUint64(data[headBytes-8:], sum(body))
	return data
}

// readPayload returns the number of a message and whether it is whole.
func readPayload(from membership.ClientID, data []byte) (uint64, bool) {
	if len(data) < headBytes {
		return 0, false
	}
	want := binary.LittleEndian.AppendUint64(from.Append(nil), 0)[:membership.ClientIDBytes]
	seq := binary.LittleEndian.Uint64(data[membership.ClientIDBytes:])
	return seq, slices.Equal(want, data[:membership.ClientIDBytes]) && binary.LittleEndian.Uint64(data[headBytes-8:]) == sum(data[headBytes:])
}

func sum(data []byte) uint64 {
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64()
}
