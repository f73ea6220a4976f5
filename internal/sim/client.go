package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
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

// connect begins a session, which joins groups and goes on to act.
func (f *federation) connect(l *life) {
	if !l.alive() || !f.talking {
		return
	}
	c := l.openSession(fmt.Sprintf("c%d", l.counter+1))
	for range f.talk.count(1, 3) {
		c.toggle(f.groups[f.talk.IntN(len(f.groups))])
	}
	f.after(f.talk.about(f.profile.Every), c.act)
}

// openSession begins a session at the node.
func (l *life) openSession(name string) *client {
	l.counter++
	c := &client{life: l, id: membership.ClientID{Node: l.id, Session: l.boot<<32 | l.counter}, name: name}
	l.step(func(now time.Duration, fx *core.Effects) {
		l.sessions[c.id] = c
		l.recorder.Connect(l.f.now-l.start, c.id, c.name)
		l.core.Connect(now, c.id, c.name, fx)
	})
	return c
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
	c.end()
	l := c.life
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
	c.submitMessage(service, c.life.f.talk.percent(3), groups, size)
}

// submitMessage sends a message with that many bytes behind its head. With less than
// none there is no room for a head, and it is known by its hint.
func (c *client) submitMessage(service membership.Service, discard bool, groups []string, size int) {
	f := c.life.f
	c.seq++
	f.stats.Submitted++
	f.stats.ByService[service]++
	q := merge.Request{Kind: merge.Send, Service: service, SelfDiscard: discard, Hint: hint(c.seq), Groups: groups, Data: payload(c.id, c.seq, size)}
	c.life.step(func(now time.Duration, fx *core.Effects) { c.submit(now, q, fx) })
}

// submit hands a request to the node.
func (c *client) submit(now time.Duration, q merge.Request, fx *core.Effects) {
	l := c.life
	l.recorder.Submit(l.f.now-l.start, c.id, &q)
	l.core.Submit(now, c.id, q, fx)
}

// hint is what every message carries besides its payload: its number again.
func hint(seq uint64) [4]byte {
	return [4]byte{byte(seq), byte(seq >> 8), byte(seq >> 16), byte(seq >> 24)}
}

// headBytes is what every payload with room for it begins with: sender, number,
// checksum of the rest.
const headBytes = membership.ClientIDBytes + 8 + 8

// payload makes a message that says which it is and shows any damage.
func payload(id membership.ClientID, seq uint64, size int) []byte {
	if size < 0 {
		return bytes.Repeat([]byte{byte(seq)}, headBytes+size)
	}
	data := binary.LittleEndian.AppendUint64(id.Append(make([]byte, 0, headBytes+size)), seq)
	data = data[:headBytes+size]
	body := data[headBytes:]
	for n := range body[:min(len(body), 256)] {
		body[n] = byte(uint64(n)*31 + seq*7 + id.Session)
	}
	for n := 256; n < len(body); n *= 2 {
		copy(body[n:], body[:n])
	}
	binary.LittleEndian.PutUint64(data[headBytes-8:], sum(body))
	return data
}

// readPayload returns the number of a message and whether it is whole.
func readPayload(m *merge.Message) (uint64, bool) {
	data := m.Data
	if len(data) < headBytes {
		seq := uint64(binary.LittleEndian.Uint32(m.Hint[:]))
		return seq, bytes.Equal(data, bytes.Repeat([]byte{byte(seq)}, len(data)))
	}
	var from [headBytes]byte
	want := m.Sender.Append(from[:0])
	seq := binary.LittleEndian.Uint64(data[membership.ClientIDBytes:])
	whole := bytes.Equal(want, data[:membership.ClientIDBytes]) && binary.LittleEndian.Uint64(data[headBytes-8:]) == sum(data[headBytes:])
	return seq, whole && m.Hint == hint(seq)
}

// castagnoli has an instruction of its own.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(data []byte) uint64 { return uint64(crc32.Checksum(data, castagnoli)) }
