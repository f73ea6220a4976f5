package overlay

import "time"

// How notes make room for everything else on a lane. QUIC sends what it is given as
// datagrams in the order in which it gets them, before any stream. So notes are kept here
// until it can send them soon: a promise or hello has at most so many before it. And on a
// full link they take no more than promises may (ration.go).
const (
	// maxAhead is how many bytes of notes QUIC may have that it has not sent.
	maxAhead = 10_000
	// noteShare is one over the share of what a full link sends that notes may have.
	noteShare = 8
	// noteLeast is what they may always have, in bytes a second: a way whose round trips
	// vary much looks full for ever.
	noteLeast = 32_000
	// shareLook is how often it is looked whether there is room for those that wait.
	shareLook = time.Millisecond
)

// A share tells how many notes a lane may hand to QUIC. It is pure and not safe for
// concurrent use.
type share struct {
	looked time.Duration
	sent   uint64 // by the lane, when it was looked
	ahead  int    // bytes of notes that QUIC may not have sent: at most, as they go first
	room   int    // bytes of notes that a full link has room for
}

// look takes what the lane has sent in all, and whether the link is full.
func (s *share) look(now time.Duration, sent uint64, full bool) {
	done, least := int(min(sent-s.sent, 1<<30)), int(min(now-s.looked, time.Second)*noteLeast/time.Second)
	s.looked, s.sent = now, sent
	s.ahead = max(0, s.ahead-done)
	if full {
		s.room = min(s.room+max(done/noteShare, least), maxAhead)
	} else {
		s.room = maxAhead
	}
}

// open says whether another note may go.
func (s *share) open() bool { return s.ahead < maxAhead && s.room > 0 }

// take notes that one of so many bytes goes.
func (s *share) take(bytes int) {
	s.ahead += bytes
	s.room -= bytes
}
