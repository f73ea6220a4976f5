package session

import (
	"slices"
	"strings"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
)

// Deliver queues outputs at the sessions that get them. It never blocks. It is for
// one goroutine at a time.
func (s *Server) Deliver(outputs []merge.Output) {
	for i := range outputs {
		o := &outputs[i]
		switch o.Kind {
		case merge.OutMessage:
			s.toAll(o.To, s.encoder.message(&o.Message), &o.Message)
		case merge.OutView:
			s.view(o)
		case merge.OutTransition:
			s.toAll(o.To, s.encoder.transition(o.Group, o.ViewID), nil)
		case merge.OutLeft:
			s.toAll(o.To, s.encoder.left(o.Group), nil)
		}
	}
}

// toAll queues one encoded message at many sessions. What nobody sent tells of
// membership, and is only for those that asked for it.
func (s *Server) toAll(ids []membership.ClientID, encoded []byte, from *merge.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if session := s.byID[id]; session != nil && (session.id.Membership || from != nil) {
			session.queue(encoded, from)
		}
	}
}

// view queues a group view, if anybody here wants it. Its encodings differ between
// receivers of different sets in one number only, so there is one for each set.
func (s *Server) view(o *merge.Output) {
	var v *preparedView
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range o.To {
		session := s.byID[id]
		if session == nil || !session.id.Membership {
			continue
		}
		if v == nil {
			v = s.encoder.prepare(o.View)
		}
		session.queue(v.forMember(session.private), nil)
	}
}

// Status returns what the server does at present.
func (s *Server) Status() Status {
	s.mu.Lock()
	sessions := make([]*Session, 0, len(s.byID))
	for _, session := range s.byID {
		sessions = append(sessions, session)
	}
	s.mu.Unlock()
	status := Status{
		Accepted: s.stats.accepted.Load(), Refused: s.stats.refused.Load(), Ended: s.stats.ended.Load(),
		TooSlow: s.stats.tooSlow.Load(), BadRequests: s.stats.badHeader.Load(),
		Received: s.stats.received.Load(), Sent: s.stats.sent.Load(), AcceptFailed: s.stats.acceptFailed.Load(),
		CrowdedOut: s.stats.crowdedOut.Load(), Withdrawn: s.stats.withdrawn.Load(), Rejected: s.stats.rejected.Load(),
		Throttled: s.stats.throttled.Load(), Dropped: s.stats.dropped.Load(), Held: s.stats.held.Load(),
		Lost: s.stats.lost.Load(),
	}
	for _, session := range sessions {
		session.mu.Lock()
		queued, bytes := session.queued, session.bytes
		session.mu.Unlock()
		status.Sessions = append(status.Sessions, Client{
			ID: session.id.ID, Name: session.private, Address: session.address(), Since: session.since,
			QueuedMessages: queued, QueuedBytes: bytes, Received: session.received.Load(), Sent: session.sent.Load(),
		})
	}
	slices.SortFunc(status.Sessions, func(a, b Client) int { return strings.Compare(a.Name, b.Name) })
	return status
}

// privateOf returns the private group of a member.
func (e *encoder) privateOf(m merge.Member) string {
	return spread.PrivateGroup(m.Name, e.nodeName(m.Client.Node))
}
