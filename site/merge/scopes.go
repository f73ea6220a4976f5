package merge

import (
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
)

// A local message waits for what its sender sent to other sites before (6.3). That makes
// every later message of whoever saw it come behind both. A session with independent
// scopes gives that up, and keeps:
//
//   - The order of what it sends to one group, which may have been a group of several
//     sites a moment ago, or gets messages that go to others as well.
//   - Its joins and leaves: what it sends to a group comes behind its join of that group,
//     and its leave behind what it sent.
//   - N8: into a view that its node had closed it comes back above what it saw there.
//   - The order of its local messages, and of a local message before a federated one:
//     the latter's T lies above the clock, so above the V at which the former came.
//
// What it gives up cannot make a cycle (Z6): of local messages it is only asked that they
// stand somewhere between federated ones, in one site.

// A sentAway is a federated request of a client that may not be delivered yet. T never
// falls from one to the next of a client.
type sentAway struct {
	t      int64 // delivered when V is there
	groups []string
}

// noteAway notes that an accepted request of a client to groups is delivered when V has
// reached its last[c]. A fifo message has no place at its own T: it comes at once, or
// behind what it waits for (D4), which last[c] is the end of.
func (m *machine) noteAway(c *ownClient, groups []string) {
	m.sweepAway(c)
	if c.last > m.v {
		c.away = append(c.away, sentAway{c.last, groups})
	}
}

// sweepAway forgets what is delivered.
func (m *machine) sweepAway(c *ownClient) {
	n := 0
	for n < len(c.away) && c.away[n].t <= m.v {
		n++
	}
	if c.away = slices.Delete(c.away, 0, n); len(c.away) == 0 {
		c.away = nil
	}
}

// heldUntil returns the V that a local message of a client has to wait for (P2b).
func (m *machine) heldUntil(id membership.ClientID, groups []string, free bool) int64 {
	back := m.nodes[id.Node].min
	c := m.clients[id]
	switch {
	case c == nil:
		return back
	case !free || m.off(deafToScopes):
		return c.last
	case m.off(freeOnReturn):
		back = -1
	}
	if m.off(freeInGroup) {
		return back
	}
	for i := len(c.away) - 1; i >= 0 && c.away[i].t > m.v; i-- {
		if meet(c.away[i].groups, groups) {
			return max(back, c.away[i].t)
		}
	}
	return back
}

// meet says whether two lists of groups have one in common. They are short as a rule.
func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(g string) bool { return slices.Contains(b, g) })
}

// heldUntil is the machine's, as far as this node knows of what is proposed and not
// answered yet. What it overlooks the machine rejects.
func (r *Replica) heldUntil(c *client, groups []string) int64 {
	held := r.m.heldUntil(c.id, groups, true)
	if c.lastT <= max(held, r.m.v) {
		return held
	}
	for i := range c.queue[:c.sent] {
		if it := &c.queue[i]; it.away && meet(it.Groups, groups) {
			return c.lastT
		}
	}
	return held
}

// awayBytes is the least that a sentAway takes in a snapshot.
const awayBytes = 8 + 1

func (m *machine) appendAway(b []byte, c *ownClient) []byte {
	m.sweepAway(c) // what is swept when says nothing, so that equal states are equal bytes
	b = wire.AppendUint32(b, uint32(len(c.away)))
	for _, s := range c.away {
		b = appendGroups(wire.AppendInt64(b, s.t), s.groups)
	}
	return b
}

func (m *machine) readAway(r *wire.Reader) []sentAway {
	var away []sentAway
	for range r.Count(maxListed, awayBytes) {
		away = append(away, sentAway{r.Int64(), readGroups(r, m.names)})
	}
	return away
}
