package sim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"

	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
)

// A client is a session at a node.
type client struct {
	life  *life
	id    membership.ClientID
	name  string // private name
	free  bool   // its session has independent scopes
	seq   uint64 // of its last message
	ended bool
}

// openSession begins a session at the node.
func (l *life) openSession(name string, free bool) *client {
	l.counter++
	c := &client{life: l, id: membership.ClientID{Node: l.id, Session: l.boot<<32 | l.counter}, name: name, free: free}
	if free {
		l.f.stats.Covered["sessions with independent scopes"]++
	}
	l.step(func(now time.Duration, fx *core.Effects) {
		l.sessions[c.id] = c
		l.recorder.Connect(l.f.now-l.start, c.id, c.name)
		l.core.Connect(now, c.id, c.name, fx)
	})
	return c
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
	q.Independent = c.free
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
