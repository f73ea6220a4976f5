package site

import (
	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/session"
)

// sessionQueueBytes bounds what one session has queued for the ring, and
// nodeQueueBytes what all have together. Above either, a session is not read until
// its queue has shrunk; one request is always let in, whatever its size.
const (
	sessionQueueBytes = 1 << 20
	nodeQueueBytes    = 256 << 20
)

// A backend is the node as its sessions see it. Its methods run on the sessions'
// goroutines and leave their work in the inbox.
type backend struct{ node *node }

// Connect implements session.Backend.
func (b *backend) Connect(s *session.Session) {
	id := s.Identity()
	b.node.in.call(func() { b.node.loop.connect(id.ID, id.Name) })
}

// Submit implements session.Backend. It returns when the loop has taken the requests,
// the session's queue has room for more and no reader holds it back.
func (b *backend) Submit(s *session.Session, requests []merge.Request) bool {
	id := s.Identity().ID
	open := make(chan struct{})
	l := b.node.loop
	ready := func() bool {
		_, total := l.core.Replica.QueuedTotal()
		return total < nodeQueueBytes && l.core.Replica.QueuedBytes(id) < sessionQueueBytes && !l.flow.isHeld(id)
	}
	if !b.node.in.call(func() {
		l.submit(id, requests)
		l.gate.hold(ready, open)
	}) {
		return false
	}
	select {
	case <-open:
		return true
	case <-b.node.done:
		return false
	case <-s.Gone(): // it may be held for long, and its departure must not be
		if !b.node.in.call(func() { l.gate.drop(open) }) {
			return false
		}
	}
	select {
	case <-open:
		return true
	case <-b.node.done:
		return false
	}
}

// Disconnect implements session.Backend.
func (b *backend) Disconnect(s *session.Session) {
	id := s.Identity().ID
	b.node.in.call(func() { b.node.loop.disconnect(id) })
}

// Hold implements session.Backend.
func (b *backend) Hold(reader membership.ClientID, sender merge.Member) {
	b.node.in.call(func() { b.node.loop.hold(reader, sender) })
}

// LetGo implements session.Backend.
func (b *backend) LetGo(reader membership.ClientID) {
	b.node.in.call(func() { b.node.loop.flow.letGo(reader) })
}
