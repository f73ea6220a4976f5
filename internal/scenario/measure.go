//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"ringway/client"
	"ringway/internal/netlab"
)

// A Figure is one thing that was measured.
type Figure struct {
	What    string          // for example "kill -9: view"
	Load    string          // idle, busy or sites
	Goal    time.Duration   // for the median; 0: none
	Bound   time.Duration   // for each sample; 0: none
	Samples []time.Duration // in the order of the rounds
}

// Median returns the middle sample; zero if there are none.
func (f *Figure) Median() time.Duration { return f.quantile(0.5) }

// P90 returns the sample that nine of ten do not exceed.
func (f *Figure) P90() time.Duration { return f.quantile(0.9) }

// Min returns the smallest sample.
func (f *Figure) Min() time.Duration { return f.quantile(0) }

// Max returns the largest sample.
func (f *Figure) Max() time.Duration { return f.quantile(1) }

func (f *Figure) quantile(q float64) time.Duration {
	if len(f.Samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.Samples))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// The goals of a site of three nodes with everything by default, from the roadmap.
const (
	goalCrash   = 500 * time.Millisecond
	goalHeal    = 1500 * time.Millisecond
	goalRestart = time.Second
)

// What is measured, in the order of the table.
const (
	whatKill         = "kill -9: view without its client"
	whatKillStall    = "kill -9: longest stall of delivery"
	whatRestart      = "restart: its client back in the view"
	whatAtOnce       = "restart at once: its client back in the view"
	whatCut          = "partition 2|1: view of the two"
	whatCutOne       = "partition 2|1: view of the one"
	whatCutStall     = "partition 2|1: longest stall of the two"
	whatHeal         = "heal: one view at all"
	measureGroup     = "g"
	measureName      = "c"
	sendEvery        = time.Millisecond // each client of a busy ring
	roundTime        = time.Minute      // bounds one step of a round
	stallWatch       = 300 * time.Millisecond
	busySize         = 100 // bytes of a message
	dialEvery        = 2 * time.Millisecond
	measurementNodes = 3
)

// Measure runs so many rounds of each fault on a site of three nodes, with busy clients
// or idle ones. Progress goes to say, which may be nil.
func Measure(ctx context.Context, binary string, rounds int, busy bool, say func(string, ...any)) ([]Figure, error) {
	m := &measurement{busy: busy, say: say, figures: map[string]*Figure{}}
	site, err := NewSite(Config{Nodes: measurementNodes, Binary: binary})
	if err != nil {
		return nil, err
	}
	m.site = site
	err = m.run(ctx, rounds)
	for _, s := range m.sessions {
		s.Close()
	}
	m.senders.Wait()
	err = errors.Join(err, site.Faults())
	if err != nil {
		for _, n := range site.Nodes {
			err = fmt.Errorf("%w\n-- end of the log of %s --\n%s", err, n.Name, n.Log())
		}
	}
	return m.result(), errors.Join(err, site.Close())
}

// A measurement is under way.
type measurement struct {
	site     *Site
	busy     bool
	say      func(string, ...any)
	sessions []*Session // of each node
	senders  sync.WaitGroup
	figures  map[string]*Figure
}

func (m *measurement) add(what string, goal, sample time.Duration) {
	load := "idle"
	if m.busy {
		load = "busy"
	}
	m.note(Figure{What: what, Load: load, Goal: goal}, sample)
}

// note adds a sample to a figure, which may be new.
func (m *measurement) note(what Figure, sample time.Duration) {
	f := m.figures[what.What]
	if f == nil {
		f = &what
		m.figures[what.What] = f
	}
	f.Samples = append(f.Samples, sample)
	m.tell("%s %-48s %7.1f ms", f.Load, f.What, float64(sample)/float64(time.Millisecond))
}

func (m *measurement) tell(format string, args ...any) {
	if m.say != nil {
		m.say(format, args...)
	}
}

func (m *measurement) result() []Figure {
	var all []Figure
	for _, what := range []string{whatKill, whatKillStall, whatRestart, whatAtOnce, whatCut, whatCutOne, whatCutStall, whatHeal, whatJoin, whatJoins, whatReforms, whatReturns, whatMostView, whatMostAgain, whatMostAll, whatOneView, whatOneAgain, whatOneAll, whatMerged} {
		if f := m.figures[what]; f != nil {
			all = append(all, *f)
		}
	}
	return all
}

func (m *measurement) run(ctx context.Context, rounds int) error {
	start := time.Now()
	m.sessions = make([]*Session, 0, measurementNodes)
	for _, n := range m.site.Nodes {
		s, err := m.attach(ctx, n)
		if err != nil {
			return err
		}
		m.sessions = append(m.sessions, s)
	}
	if err := m.settled(ctx, start); err != nil {
		return err
	}
	for i := range rounds {
		victim := i % len(m.site.Nodes)
		for _, round := range []func(context.Context, int) error{m.crash, m.atOnce, m.partition} {
			if err := m.rest(ctx); err != nil {
				return err
			}
			bounded, cancel := context.WithTimeout(ctx, roundTime)
			err := round(bounded, victim)
			cancel()
			if err != nil {
				return fmt.Errorf("round %d, victim %s: %w", i+1, m.site.Nodes[victim].Name, err)
			}
		}
	}
	return nil
}

// rest lets the ring come to rest, for a random time: what the protocol does at
// intervals must not be in step with the measurement.
func (m *measurement) rest(ctx context.Context) error {
	return sleep(ctx, time.Second+rand.N(time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// attach connects a client as soon as the node takes one, joins, and lets it send.
func (m *measurement) attach(ctx context.Context, n *Node) (*Session, error) {
	for {
		s, err := n.Dial(ctx, measureName)
		if err == nil {
			if err := s.Join(ctx, measureGroup); err != nil {
				s.Close()
				return nil, err
			}
			if m.busy {
				m.senders.Go(func() { m.send(s) })
			}
			return s, nil
		}
		if err := sleep(ctx, dialEvery); err != nil {
			return nil, fmt.Errorf("no session at %s: %w", n.Name, err)
		}
	}
}

func (m *measurement) send(s *Session) {
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	for range tick.C {
		if s.Send(context.Background(), client.Agreed, busySize, 0, measureGroup) != nil {
			return // the session has ended
		}
	}
}

// others returns all but the victim, and names those of all.
func (m *measurement) others(victim int) (sessions []*Session, names []string, all []string) {
	for i, s := range m.sessions {
		all = append(all, s.Name)
		if i != victim {
			sessions, names = append(sessions, s), append(names, s.Name)
		}
	}
	return sessions, names, all
}

// together waits until all the sessions have a view with these members, and returns
// how long after since the last of them got it.
func together(ctx context.Context, sessions []*Session, since time.Time, members []string) (time.Duration, error) {
	return togetherIn(ctx, measureGroup, sessions, since, members)
}

// togetherIn is the same for any group.
func togetherIn(ctx context.Context, group string, sessions []*Session, since time.Time, members []string) (time.Duration, error) {
	var last time.Duration
	for _, s := range sessions {
		at, err := s.AwaitView(ctx, group, since, members)
		if err != nil {
			return 0, err
		}
		last = max(last, at.Sub(since))
	}
	return last, nil
}

func (m *measurement) settled(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	_, _, all := m.others(-1)
	if _, err := together(ctx, m.sessions, since, all); err != nil {
		return err
	}
	return m.site.Ready(ctx)
}

// crash kills a node, and later starts it again.
func (m *measurement) crash(ctx context.Context, victim int) error {
	survivors, names, all := m.others(victim)
	n := m.site.Nodes[victim]
	killed := time.Now()
	if err := n.Kill(); err != nil {
		return err
	}
	view, err := together(ctx, survivors, killed, names)
	if err != nil {
		return err
	}
	m.add(whatKill, goalCrash, view)
	m.sessions[victim].Close()
	if err := m.rest(ctx); err != nil {
		return err
	}
	if m.busy {
		m.add(whatKillStall, goalCrash, stall(survivors, killed, view))
	}
	return m.start(ctx, victim, whatRestart, all, n.Start)
}

// start starts the victim's process and measures until its client is back.
func (m *measurement) start(ctx context.Context, victim int, what string, all []string, start func() error) error {
	before := time.Now()
	if err := start(); err != nil {
		return err
	}
	s, err := m.attach(ctx, m.site.Nodes[victim])
	if err != nil {
		return err
	}
	m.sessions[victim] = s
	back, err := together(ctx, []*Session{s}, before, all)
	if err != nil {
		return err
	}
	m.add(what, goalRestart, back)
	return m.settled(ctx, before)
}

// atOnce starts a killed node again before anybody can have noticed.
func (m *measurement) atOnce(ctx context.Context, victim int) error {
	_, _, all := m.others(victim)
	n := m.site.Nodes[victim]
	if err := n.Kill(); err != nil {
		return err
	}
	go m.sessions[victim].Close()
	return m.start(ctx, victim, whatAtOnce, all, n.Start)
}

// partition cuts a node off, and later heals the network.
func (m *measurement) partition(ctx context.Context, victim int) error {
	survivors, names, all := m.others(victim)
	alone := m.sessions[victim]
	var rest []string
	for i, n := range m.site.Nodes {
		if i != victim {
			rest = append(rest, n.Name)
		}
	}
	cut := time.Now()
	if err := m.site.Switch.Filter(netlab.Partition([]string{m.site.Nodes[victim].Name}, rest)...); err != nil {
		return err
	}
	view, err := together(ctx, survivors, cut, names)
	if err != nil {
		return err
	}
	m.add(whatCut, goalCrash, view)
	one, err := together(ctx, []*Session{alone}, cut, []string{alone.Name})
	if err != nil {
		return err
	}
	m.add(whatCutOne, goalCrash, one)
	if err := m.rest(ctx); err != nil {
		return err
	}
	if m.busy {
		m.add(whatCutStall, goalCrash, stall(survivors, cut, view))
	}
	healed := time.Now()
	if err := m.site.Switch.Heal(); err != nil {
		return err
	}
	merged, err := together(ctx, m.sessions, healed, all)
	if err != nil {
		return err
	}
	m.add(whatHeal, goalHeal, merged)
	return m.settled(ctx, cut)
}

// stall returns the longest time that one of the sessions got no message, around a
// fault and the view that followed it.
func stall(sessions []*Session, fault time.Time, view time.Duration) time.Duration {
	var longest time.Duration
	from, to := fault.Add(-stallWatch), fault.Add(view+stallWatch)
	for _, s := range sessions {
		last := from
		for _, r := range s.Log() {
			if r.Message == (MessageID{}) || r.At.Before(from) {
				continue
			}
			if r.At.After(to) {
				break
			}
			longest = max(longest, r.At.Sub(last))
			last = r.At
		}
	}
	return longest
}
