//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The goals for joins and for a node with many sessions.
const (
	goalJoin    = time.Millisecond
	goalJoins   = time.Second // for pipelinedJoins
	goalReforms = time.Second
)

// How large "large" is: each of a node's sessions is in its share of the groups; at the
// node that dies, fewer sessions are in all of them, so that every group changes.
const (
	pipelinedJoins = 20_000
	singleJoins    = 200
	largeSessions  = 1_000
	largeGroups    = 10_000
	largeVictims   = 20
	settleTimeout  = 2 * time.Minute
)

// What is measured.
const (
	whatJoin    = "join: its own view"
	whatJoins   = "20000 joins of one session: the last view"
	whatReforms = "kill -9, 1000 sessions, 10000 groups: last view"
	whatReturns = "restart, 1000 sessions, 10000 groups: ready"
)

// MeasureSize measures joins on three idle nodes, and how long it takes a node with
// 1,000 sessions in 10,000 groups to re-form its ring when another node dies whose
// clients were in all of these groups.
func MeasureSize(ctx context.Context, binary string, rounds int, say func(string, ...any)) ([]Figure, error) {
	site, err := NewSite(Config{Nodes: measurementNodes, Binary: binary})
	if err != nil {
		return nil, err
	}
	m := &measurement{site: site, say: say, figures: map[string]*Figure{}}
	err = m.size(ctx, rounds)
	for _, s := range m.sessions {
		s.Close()
	}
	err = errors.Join(err, site.Faults())
	return m.result(), errors.Join(err, site.Close())
}

func (m *measurement) size(ctx context.Context, rounds int) error {
	ready, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := m.site.Ready(ready); err != nil {
		return err
	}
	if err := m.joins(ctx); err != nil {
		return err
	}
	for i := range rounds {
		if err := m.pipelined(ctx); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	large, err := m.crowd(ctx, m.site.Nodes[0], "m", largeSessions)
	if err != nil {
		return err
	}
	for i := range rounds {
		if err := m.reform(ctx, large); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// joins measures joins one at a time, at each node in turn.
func (m *measurement) joins(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for i := range singleJoins {
		s, err := m.site.Nodes[i%measurementNodes].Dial(ctx, "j")
		if err != nil {
			return err
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil { // the session's own arrival is over
			return err
		}
		before := time.Now()
		if err := s.Join(ctx, measureGroup); err != nil {
			return err
		}
		at, err := s.AwaitView(ctx, measureGroup, before, []string{s.Name})
		if err != nil {
			return err
		}
		m.add(whatJoin, goalJoin, at.Sub(before))
		s.Close()
		// The name is in use until its departure has gone round.
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func groupName(i int) string { return fmt.Sprintf("group-%d", i) }

// pipelined measures many joins of one session without waiting for each.
func (m *measurement) pipelined(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	s, err := m.site.Nodes[0].Dial(ctx, "p")
	if err != nil {
		return err
	}
	defer s.Close()
	before := time.Now()
	for i := range pipelinedJoins {
		if err := s.Join(ctx, groupName(i)); err != nil {
			return err
		}
	}
	at, err := s.AwaitView(ctx, groupName(pipelinedJoins-1), before, []string{s.Name})
	if err != nil {
		return err
	}
	m.add(whatJoins, goalJoins, at.Sub(before))
	s.Close()
	return m.groups(ctx, 0)
}

// groups waits until every node knows so many groups.
func (m *measurement) groups(ctx context.Context, want int) error {
	for _, n := range m.site.Nodes {
		err := poll(ctx, fmt.Sprintf("%s to know %d groups", n.Name, want), func() error {
			status, err := n.Status(ctx)
			if err == nil && status.Groups != want {
				err = fmt.Errorf("it knows %d", status.Groups)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// crowd connects so many sessions to a node, which share the groups.
func (m *measurement) crowd(ctx context.Context, n *Node, name string, sessions int) ([]*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var crowd []*Session
	for i := range sessions {
		s, err := n.Dial(ctx, fmt.Sprintf("%s%d", name, i))
		if err != nil {
			return nil, err
		}
		m.sessions, crowd = append(m.sessions, s), append(crowd, s)
		for g := i; g < largeGroups; g += sessions {
			if err := s.Join(ctx, groupName(g)); err != nil {
				return nil, err
			}
		}
	}
	for i, s := range crowd {
		last := groupName(i + (largeGroups/sessions-1)*sessions)
		if err := poll(ctx, "the joins of "+s.Name, func() error {
			if s.LastView(last) == nil {
				return errors.New("no view of the last group yet")
			}
			return s.Err()
		}); err != nil {
			return nil, err
		}
	}
	return crowd, m.groups(ctx, largeGroups)
}

// reform kills the last node, which has clients in all groups, and starts it again.
func (m *measurement) reform(ctx context.Context, large []*Session) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	victim := m.site.Nodes[measurementNodes-1]
	victims, err := m.crowd(ctx, victim, "v", largeVictims)
	if err != nil {
		return err
	}
	if err := m.rest(ctx); err != nil {
		return err
	}
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return err
	}
	var last time.Duration
	for _, s := range large {
		at, err := s.awaitViews(ctx, killed, largeGroups/largeSessions)
		if err != nil {
			return err
		}
		last = max(last, at.Sub(killed))
	}
	m.add(whatReforms, goalReforms, last)
	for _, s := range victims {
		s.Close()
	}
	m.sessions = m.sessions[:largeSessions]
	before := time.Now()
	if err := victim.Start(); err != nil {
		return err
	}
	if err := m.groups(ctx, largeGroups); err != nil {
		return err
	}
	m.add(whatReturns, 0, time.Since(before))
	return m.site.Ready(ctx)
}

// awaitViews waits until so many views have come since then and returns when the last
// of them came.
func (s *Session) awaitViews(ctx context.Context, since time.Time, views int) (at time.Time, err error) {
	err = poll(ctx, fmt.Sprintf("%d views at %s", views, s.Name), func() error {
		n := 0
		for _, r := range s.Log() {
			if r.View == nil || !r.At.After(since) {
				continue
			}
			if n++; n == views {
				at = r.At
				return nil
			}
		}
		return fmt.Errorf("%d have come", n)
	})
	return at, err
}
