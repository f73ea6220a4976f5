package session

import (
	"context"
	"time"

	"ringway/internal/lostpeer"
)

// WatchHosts ends the sessions whose hosts are lost, until the context ends or the server
// closes.
func (s *Server) WatchHosts(ctx context.Context) {
	tick := time.NewTicker(lostpeer.Interval)
	defer tick.Stop()
	var sessions []*Session
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		for _, session := range s.byID {
			sessions = append(sessions, session)
		}
		s.mu.Unlock()
		for _, session := range sessions {
			if session.isHostLost(time.Now()) {
				s.stats.lost.Add(1)
				s.cfg.Log.Warn("client disconnected: its host is lost", "client", session.private, "address", session.address(), "unanswered_for", lostpeer.Patience)
				session.end("the client's host does not answer any more")
			}
		}
		clear(sessions)
		sessions = sessions[:0]
	}
}

// looksAfter is how many looks follow the last message to a session: what it does not
// acknowledge has been sent again by then, and the Watch is not calm any more.
const looksAfter = 2

// A hostWatch is what WatchHosts knows of a session.
type hostWatch struct {
	lostpeer.Watch
	sent uint64 // messages at the last look
	due  int    // looks that follow though nothing more is sent
}

// isHostLost looks at the session, if something is or was on its way to it. Without that
// it is TCP's keep-alive's, and costs next to nothing here.
func (s *Session) isHostLost(now time.Time) bool {
	w := &s.host
	s.mu.Lock()
	writing := s.bytes > 0
	s.mu.Unlock()
	switch sent := s.sent.Load(); {
	case writing || sent != w.sent:
		w.sent, w.due = sent, looksAfter
	case w.due > 0:
		w.due--
	case w.Calm():
		return false
	}
	return w.Look(s.conn, now)
}
