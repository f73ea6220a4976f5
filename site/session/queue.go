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
// connection. One that may hold senders back does so before its queue is full; its bound
// is that of bytes, and grows with the senders that it holds. Who goes over a bound all
// the same is disconnected: the node itself never waits for a client.
func (s *Session) queue(message []byte, from *merge.Message) {
	rules := s.server.rules.Load()
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	first := len(s.out) == 0
	if from != nil {
		s.hold(from, len(message), rules)
	}
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
	if s.queued >= limits.QueueMessages && counts(message) == 1 && !s.holds(rules) {
		return true
	}
	return s.bytes+len(message) > limits.QueueBytes+s.overrun() && len(s.out) > 0
}

// A queue that holds senders back takes in more than its bound: what each of them had on
// its way when it was told is not its fault, and would be the reader's end.
const (
	// overrunEach is what one sender may have on its way: its queue at its node (1 MiB),
	// and what its site may have under way to another (8 MiB).
	overrunEach = 9 << 20
	// maxOverrun bounds it for all senders together: as much as a queue by default.
	maxOverrun = defaultQueueBytes
)

// overrun is by how many bytes the queue may go over its bound at present, with the lock
// held.
func (s *Session) overrun() int {
	if s.holding == nil {
		return 0
	}
	return min(len(s.holding.senders)*overrunEach, maxOverrun)
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

// holds says whether the session may hold senders back by the rules of now.
func (s *Session) holds(rules *rules) bool {
	return s.admission.policy == topology.Block && rules.BlockTime > 0
}

// hold tells the sender of a message that is about to be queued to wait, if that must be.
// The lock is held, so that the backend hears of holding and letting go in their order.
func (s *Session) hold(from *merge.Message, size int, rules *rules) {
	if !s.holds(rules) || s.queued+1 < rules.blockAt.messages && s.bytes+size < rules.blockAt.bytes {
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
	low := s.queued <= rules.resumeAt.messages && s.bytes <= rules.resumeAt.bytes || !s.holds(rules)
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
