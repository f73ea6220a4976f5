package overlay

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quic-go/quic-go"

	"ringway/internal/pki"
	"ringway/internal/window"
	"ringway/membership"
)

// Notes carry Datagrams hop by hop to the nearest gateway of each instance that they are
// for, as control messages go, but as datagrams: nobody waits for one, and none is sent
// again. Like promises they are signed by their origin wherever others pass them on.

// takeNotes takes one round of notes; with in.mu. If there are more, it asks for another.
func (in *inbox) takeNotes() []note {
	list, more := in.notes.round()
	if more {
		in.signal()
	}
	return list
}

// sendNote sends a note of the own instance on its way.
func (c *core) sendNote(n *note) {
	if c.state.Instance == 0 {
		c.count.notesDropped.Add(1)
		return
	}
	c.noted++
	n.Hops, n.Origin, n.Instance, n.Incarnation, n.Number = maxHops, c.self.ID, c.state.Instance, c.incarnation, c.noted
	n.To = slices.Compact(slices.SortedFunc(slices.Values(n.To), compareInstances))
	c.count.notesSent.Add(1)
	c.passNote(n)
}

// A fork is a part of a note's instances: those that one neighbour leads to.
type fork struct {
	next   membership.NodeID
	direct bool // it is a gateway of all of them
	to     []membership.SiteInstance
}

// passNote gives a note to the neighbours on the ways to its instances.
func (c *core) passNote(n *note) {
	for _, f := range c.forks(n.To) {
		lane := c.links[f.next].first()
		if lane == nil {
			c.count.notesDropped.Add(1)
			continue
		}
		part := *n
		part.Hops--
		if n.Origin == c.self.ID && !f.direct {
			if !n.Signed {
				n.Signed, n.Stamp = true, c.sign(pki.Datagram, n.text())
			}
			part.Signed, part.Stamp = true, n.Stamp
		} else if n.Origin == c.self.ID {
			part.Signed = false
		}
		for to := range slices.Chunk(f.to, maxNoteTo) {
			part.To = to
			lane.note(&part)
		}
	}
}

// forks shares instances out among the neighbours that lead there.
func (c *core) forks(to []membership.SiteInstance) (forks []fork) {
	for _, x := range to {
		nearest, ok := c.routes.Nearest(x)
		next, found := c.routes.NextHop(nearest)
		if !ok || !found {
			if x != c.instance() {
				c.count.notesDropped.Add(1)
			}
			continue
		}
		i := slices.IndexFunc(forks, func(f fork) bool { return f.next == next })
		if i < 0 {
			i = len(forks)
			forks = append(forks, fork{next: next, direct: true})
		}
		forks[i].to = append(forks[i].to, x)
		forks[i].direct = forks[i].direct && nearest == next
	}
	return forks
}

// note queues a note for the peer.
func (l *lane) note(n *note) {
	l.g.count.notesDropped.Add(uint64(l.grams.putNote(n.Origin, n.append(make([]byte, 0, maxNoteBytes)), l.g.now())))
}

// writeNotes hands notes to QUIC, a round at most. It reports whether more wait.
func (l *lane) writeNotes(s *share) (more bool, err error) {
	if !l.grams.notesWait() {
		return false, nil
	}
	stats := l.conn.ConnectionStats()
	now := l.g.now()
	s.look(now, stats.BytesSent, l.pressure.full() || l.pressure.fills(stats.LatestRTT))
	for range noteRound {
		if !s.open() {
			return true, nil
		}
		b, old := l.grams.nextNote(now)
		l.g.count.notesDropped.Add(uint64(old))
		if b == nil {
			return false, nil
		}
		err := l.conn.SendDatagram(b)
		if _, tooLarge := errors.AsType[*quic.DatagramTooLargeError](err); tooLarge {
			l.g.count.notesDropped.Add(1)
			continue
		}
		if err != nil {
			return false, err
		}
		s.take(len(b))
	}
	l.grams.signal() // what waits besides notes has its turn
	return false, nil
}

// A noteQueue has notes that have come over a lane and have yet to be looked at.
type noteQueue struct {
	signalled
	notes fair[*note]
}

func newNoteQueue() *noteQueue { return &noteQueue{signalled: newSignalled()} }

func (q *noteQueue) put(n *note) (dropped int) {
	q.mu.Lock()
	dropped = q.notes.put(n.Origin, n)
	q.mu.Unlock()
	q.signal()
	return dropped
}

func (q *noteQueue) next() (*note, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.notes.next()
}

// readNotes hands on what the peer's notes are. They are looked at here, beside the event
// loop and what else comes over the lane, since each may have a signature.
func (l *lane) readNotes() error {
	for {
		select {
		case <-l.done():
			return nil
		case <-l.notes.wake:
		}
		for {
			round, err := l.lookAtNotes()
			if err != nil {
				return err
			}
			if round == nil {
				break
			}
			l.g.post(func(c *core) {
				for _, n := range round {
					c.noteCame(n)
				}
			})
		}
	}
}

// lookAtNotes returns a round of those that have come and may count; nil: there are none.
func (l *lane) lookAtNotes() (round []*note, err error) {
	for range noteRound {
		n, ok := l.notes.next()
		if !ok {
			return round, nil
		}
		if err := l.g.checkNote(l, n); err != nil {
			return nil, err
		}
		if !n.Signed || l.g.believe(l, n.Origin, pki.Datagram, n.text(), &n.Stamp) {
			round = append(round, n)
		} else if round == nil {
			round = []*note{} // go on
		}
	}
	return round, nil
}

// checkNote says whether a neighbour may pass a note on.
func (g *Gateway) checkNote(from *lane, n *note) error {
	switch origin := g.gateways[n.Origin]; {
	case n.Origin == g.self.ID:
		n.Signed = false // went round while routes changed: noteCame drops it
	case origin == nil || n.Instance == 0:
		return breach(fmt.Errorf("note of gateway %v, which the topology does not have, or of no instance", n.Origin))
	case !n.Signed && from.peer.ID != n.Origin:
		return breach(fmt.Errorf("note of %s, which did not sign it", origin.Name))
	}
	for _, to := range n.To {
		if !knownSite(g.cfg.Topology, to.Site) || to.Instance == 0 {
			return breach(fmt.Errorf("note to site %v, which the topology does not have, or to no instance", to.Site))
		}
	}
	return nil
}

// noteCame takes a note that counts: it is delivered once, and passed on.
func (c *core) noteCame(n *note) {
	if n.Origin == c.self.ID {
		return
	}
	if i := slices.Index(n.To, c.instance()); i >= 0 {
		n.To = slices.Delete(n.To, i, i+1)
		c.deliverNote(n)
	}
	switch {
	case len(n.To) == 0:
	case n.Hops == 0 || !n.Signed: // routes have changed
		c.count.notesDropped.Add(1)
	default:
		c.count.notesRelayed.Add(1)
		c.passNote(n)
	}
}

func (c *core) deliverNote(n *note) {
	w := c.notes[n.Origin]
	if w == nil {
		w = &noteWindow{}
		c.notes[n.Origin] = w
	}
	if !w.first(n.Incarnation, n.Number) {
		c.count.notesDuplicate.Add(1)
		return
	}
	c.count.notesReceived.Add(1)
	from := membership.SiteInstance{Site: c.gateways[n.Origin].Site.ID, Instance: n.Instance}
	c.count.notesDropped.Add(uint64(c.out.putNote(n.Origin, Datagram{From: from, Data: n.Data})))
}

// A noteWindow tells which of an origin's latest notes have come. It begins anew with
// each incarnation.
type noteWindow struct {
	incarnation uint64
	window.Window
}

// first says whether a note comes for the first time, and remembers it.
func (w *noteWindow) first(incarnation, number uint64) bool {
	switch {
	case incarnation < w.incarnation:
		return false
	case incarnation > w.incarnation:
		*w = noteWindow{incarnation: incarnation}
	}
	return w.Accept(number)
}
