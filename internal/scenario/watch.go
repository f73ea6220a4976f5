//go:build linux

package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A mark is how much each session at some nodes had sent and got at a moment.
type mark struct {
	sessions  []*Session
	sent, log []int
}

// mark notes where the present sessions at these nodes are. It says who has none.
func (c *Chatter) mark(nodes []string) (*mark, error) {
	m := &mark{}
	for _, s := range c.seats {
		if !slices.Contains(nodes, s.node) {
			continue
		}
		session := s.present()
		if session == nil {
			return nil, fmt.Errorf("%s has no session at %s", s.name, s.node)
		}
		m.sessions = append(m.sessions, session)
		m.sent, m.log = append(m.sent, len(session.Sent())), append(m.log, len(session.Log()))
	}
	return m, nil
}

// Deliver waits until each client at the nodes of a part has sent a message that came to
// all clients of that part; what was sent before does not count.
func (c *Chatter) Deliver(ctx context.Context, part []string) error {
	var m *mark
	return poll(ctx, fmt.Sprintf("messages from everybody to everybody at %v", part), func() (err error) {
		for m != nil && slices.ContainsFunc(m.sessions, func(s *Session) bool { return s.Err() != nil }) {
			m = nil
		}
		if m == nil {
			if m, err = c.mark(part); err != nil {
				return err
			}
		}
		return m.delivered()
	})
}

// delivered says from whom nothing has come to somebody since the mark.
func (m *mark) delivered() error {
	got := make([]map[MessageID]bool, len(m.sessions))
	for i, s := range m.sessions {
		got[i] = map[MessageID]bool{}
		for _, r := range s.Log()[m.log[i]:] {
			if r.Message.Seq > 0 {
				got[i][r.Message] = true
			}
		}
	}
	for i, from := range m.sessions {
		sent := from.Sent()[m.sent[i]:]
		if !slices.ContainsFunc(sent, func(x Sent) bool { return everywhere(got, MessageID{from.Tag, x.Seq}) }) {
			return fmt.Errorf("none of the last %d messages of %s came to all", len(sent), from.Name)
		}
	}
	return nil
}

func everywhere(got []map[MessageID]bool, id MessageID) bool {
	return !slices.ContainsFunc(got, func(has map[MessageID]bool) bool { return !has[id] })
}

// A pause is a time in which a client got no message.
type pause struct {
	at   time.Time // its beginning
	long time.Duration
}

// longer returns the longer one.
func (p pause) longer(q pause) pause {
	if q.long > p.long {
		return q
	}
	return p
}

// longest returns the longest pause of a session from a moment to another.
func (s *Session) longest(from, to time.Time) pause {
	p := pause{at: from}
	last := from
	consider := func(at time.Time) {
		if long := at.Sub(last); long > p.long {
			p = pause{last, long}
		}
		last = at
	}
	for _, r := range s.Log() {
		if r.Message.Seq > 0 && r.At.After(from) && r.At.Before(to) {
			consider(r.At)
		}
	}
	consider(to)
	return p
}

// Stall returns, of the clients at the nodes that have had one session since a moment,
// the longest time without a message; and whose it was.
func (c *Chatter) Stall(part []string, since time.Time) (who string, worst pause) {
	now := time.Now()
	for _, s := range c.seats {
		session := s.present()
		if !slices.Contains(part, s.node) || session == nil || session.began.After(since) {
			continue
		}
		if p := session.longest(since, now); p.long > worst.long {
			who, worst = session.Name, p
		}
	}
	return who, worst
}

// watch begins to measure stalls.
func (p *play) watch(context.Context, []string) error {
	p.watched = time.Now()
	for _, s := range p.streams {
		s.watch()
	}
	return nil
}

// stall prints how long the clients of each part got nothing since watch. It judges
// nothing: the machine has a say in it.
func (p *play) stall(_ context.Context, args []string) error {
	parts, err := p.script.parts(args)
	if err != nil {
		return err
	}
	for _, part := range parts {
		who, worst := p.chatter.Stall(part, p.watched)
		for _, s := range p.streams {
			at, worst := s.stall(part)
			if worst.at.IsZero() {
				p.say("%s: nothing came", s)
				continue
			}
			p.stalls = append(p.stalls, worst.long)
			p.say("%s: the longest time without a message was %v, at %s, from %v on", s,
				worst.long.Round(100*time.Microsecond), at, worst.at.Sub(p.begun).Round(time.Millisecond))
		}
		p.say("clients at %s: the longest time without a message was %v, of %s, from %v on", strings.Join(part, " "),
			worst.long.Round(100*time.Microsecond), who, worst.at.Sub(p.begun).Round(time.Millisecond))
	}
	return nil
}

// deliver waits until all clients of each part hear one another.
func (p *play) deliver(ctx context.Context, args []string) error {
	parts, err := p.script.parts(args)
	for _, part := range parts {
		if err == nil {
			err = p.chatter.Deliver(ctx, part)
		}
	}
	return err
}
