package session

import (
	"encoding/binary"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
	"ringway/topology"
)

// queue appends one encoded message, shared with other sessions, to what is written
// next. from is what it encodes, nil for views and answers. What is being written counts,
// but a message that is alone behind it is let in whatever its size. Views and signals
// count by their bytes only: one change of the network makes as many as the session is
// in groups, and that is not its fault.
//
// A session whose policy is drop-oldest loses unreliable messages rather than its
// connection. One that may hold senders back does so before its queue is full, and its
// bound is that of bytes. Who goes over a bound all the same is disconnected: the node
// itself never waits for a client.
func (s *Session) queue(message []byte, from *merge.Message) {
	rules := s.server.rules.Load()
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	first := len(s.out) == 0
	full := s.full(message, rules)
	if full && s.admission.policy == topology.DropOldest {
		dropped := s.makeRoom(rules)
		if full = s.full(message, rules); full && isUnreliable(message) {
			full, message = false, nil
			dropped++
		}
		s.server.stats.dropped.Add(dropped)
	}
	queued, bytes := s.queued, s.bytes
	if !full && message != nil {
		s.out = append(s.out, message)
		s.queued += counts(message)
		s.bytes += len(message)
		if from != nil {
			s.hold(from, rules)
		}
	}
	s.mu.Unlock()
	switch {
	case full:
		s.server.stats.tooSlow.Add(1)
		s.server.cfg.Log.Warn("client disconnected: it reads too slowly", "client", s.private, "queued_messages", queued, "queued_bytes", bytes)
		s.end("the client reads too slowly")
	case first:
		s.wake()
	}
}

// full says whether the message is too much, with the lock held.
func (s *Session) full(message []byte, rules *rules) bool {
	limits := &rules.Limits
	if s.queued >= limits.QueueMessages && counts(message) == 1 && s.admission.policy != topology.Block {
		return true
	}
	return s.bytes+len(message) > limits.QueueBytes && len(s.out) > 0
}

// makeRoom drops the oldest unreliable messages, down to three quarters of the bounds so
// that it has something to do only now and then.
func (s *Session) makeRoom(rules *rules) (dropped uint64) {
	limits := &rules.Limits
	kept := s.out[:0]
	for _, m := range s.out {
		if isUnreliable(m) && (s.queued > limits.QueueMessages*3/4 || s.bytes > limits.QueueBytes*3/4) {
			s.queued--
			s.bytes -= len(m)
			dropped++
			continue
		}
		kept = append(kept, m)
	}
	clear(s.out[len(kept):])
	s.out = kept
	return dropped
}

// counts is how much an encoded message takes of Limits.QueueMessages.
func counts(message []byte) int {
	const aboutMembership = spread.Membership | spread.TypeByLeave
	if binary.LittleEndian.Uint32(message)&aboutMembership != 0 {
		return 0
	}
	return 1
}

func isUnreliable(message []byte) bool {
	return binary.LittleEndian.Uint32(message)&(spread.TypeUnreliable|spread.TypeReject) == spread.TypeUnreliable
}

// A holding is what a session that cannot keep up holds back: whoever sends to it.
type holding struct {
	senders map[membership.ClientID]struct{}
	stuck   *time.Timer // ends the session unless something is written
}

// hold tells the sender of a message that was just queued to wait, if that must be. The
// lock is held, so that the backend hears of holding and letting go in their order.
func (s *Session) hold(from *merge.Message, rules *rules) {
	if s.admission.policy != topology.Block || rules.BlockTime == 0 || s.queued < rules.blockAt.messages && s.bytes < rules.blockAt.bytes {
		return
	}
	if s.holding == nil {
		s.holding = &holding{senders: map[membership.ClientID]struct{}{}}
		s.holding.stuck = time.AfterFunc(rules.BlockTime, func() {
			s.server.stats.tooSlow.Add(1)
			s.server.cfg.Log.Warn("client disconnected: it holds senders back and reads nothing", "client", s.private, "for", rules.BlockTime)
			s.end("the client held senders back and read nothing")
		})
	}
	if _, told := s.holding.senders[from.Sender]; told {
		return
	}
	s.holding.senders[from.Sender] = struct{}{}
	s.server.stats.held.Add(1)
	s.server.backend.Hold(s.id.ID, merge.Member{Client: from.Sender, Name: from.SenderName})
}

// written tells that part of the queue has gone out: held senders may go on when there
// is little left.
func (s *Session) written(messages, size int) {
	rules := s.server.rules.Load()
	s.mu.Lock()
	s.queued -= messages
	s.bytes -= size
	low := s.queued <= rules.resumeAt.messages && s.bytes <= rules.resumeAt.bytes
	if s.holding != nil && !low {
		s.holding.stuck.Reset(rules.BlockTime)
	}
	s.mu.Unlock()
	if low {
		s.letGo()
	}
}

// letGo lets the senders go on that this session held back.
func (s *Session) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding != nil {
		s.holding.stuck.Stop()
		s.holding = nil
		s.server.backend.LetGo(s.id.ID)
	}
}
