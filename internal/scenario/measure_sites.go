//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ringway/client"
)

// The bounds for a federation whose WAN is cut in two: for each time, not for the median.
const (
	boundApart  = time.Second // and two round trips
	boundMerged = 3 * time.Second
)

// What is measured.
const (
	whatMostView  = "WAN cut: view of the two sites"
	whatMostAgain = "WAN cut: the two deliver again"
	whatMostAll   = "WAN cut: the two have heard all of theirs"
	whatOneView   = "WAN cut: view of the one"
	whatOneAgain  = "WAN cut: the one delivers again"
	whatOneAll    = "WAN cut: the one has heard all of its own"
	whatMerged    = "WAN healed: one view at all"
)

const wanSendEvery = 20 * time.Millisecond // each client

// Phases of what clients send in a round.
const (
	phaseWhole  = iota // before the cut, in one view of all
	phaseCut           // since the cut, until both sides have their views
	phaseApart         // in the side's view
	phaseHealed        // since just before the links were healed
	phaseMerged        // in one view of all
)

// MeasureSites runs a federation of at least three sites, with a client at each node that
// sends all the time, cuts one site off and heals that: so many rounds. Each round has a lab
// of its own, and another site is cut off: a site that flaps has to wait longer each time,
// and that is not what is measured here.
//
// What must hold, or the error says so: messages that are sent during the cut arrive at all
// clients of their side before it ends; the rest arrives in the end; Judge and
// `ringway trace check` find nothing.
func MeasureSites(ctx context.Context, topology, binary string, rounds int, say func(string, ...any)) ([]Figure, error) {
	m := &measurement{say: say, figures: map[string]*Figure{}}
	for i := range rounds {
		if err := m.sitesRound(ctx, topology, binary, i); err != nil {
			return m.result(), fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return m.result(), nil
}

// A wanRound is a round of MeasureSites.
type wanRound struct {
	*measurement

	lab      *Federation
	sides    [2]side // the most, and the one site
	sessions []*Session
	phase    atomic.Uint32
	stopped  atomic.Bool // nobody sends any more
	bound    time.Duration
}

// A side of a cut.
type side struct {
	what     [3]string // the figures: its view, the first message in it, one of each client
	sites    []string
	sessions []*Session
	names    []string
}

func (m *measurement) sitesRound(ctx context.Context, topology, binary string, number int) (err error) {
	lab, err := NewFederation(topology, binary, nil, false)
	if err != nil {
		return err
	}
	r := &wanRound{measurement: m, lab: lab}
	var senders sync.WaitGroup
	defer func() {
		r.stopped.Store(true)
		for _, s := range r.sessions {
			s.Close()
		}
		senders.Wait()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, lab.Logs())
		}
		err = errors.Join(err, lab.Close())
	}()
	if err := r.begin(ctx, number); err != nil {
		return err
	}
	for _, s := range r.sessions {
		senders.Go(func() { r.send(s) })
	}
	if err := m.rest(ctx); err != nil {
		return err
	}
	before, err := r.lab.Rings(ctx)
	if err != nil {
		return err
	}
	if err := r.bounded(ctx, r.cut); err != nil {
		return err
	}
	if err := m.rest(ctx); err != nil {
		return err
	}
	if err := r.bounded(ctx, r.heal); err != nil {
		return err
	}
	after, err := r.lab.Rings(ctx)
	if err != nil {
		return err
	}
	if before != after {
		m.tell("sites rings formed anew %d times, though no LAN was cut: the machine was busy", after-before)
	}
	r.stopped.Store(true)
	senders.Wait()
	return r.bounded(ctx, r.finish)
}

func (m *measurement) bounded(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	return step(ctx)
}

// begin starts the nodes, with a client each, and waits until all are in one view.
func (r *wanRound) begin(ctx context.Context, number int) error {
	sites := r.lab.Lab.Topology().Sites
	if len(sites) < 3 {
		return fmt.Errorf("%d sites: want three, for a side of more than one", len(sites))
	}
	var trip time.Duration // there and back, over the longest link
	for _, l := range r.lab.Lab.Topology().Links {
		trip = max(trip, 2*l.WAN.Delay)
	}
	r.bound = boundApart + 2*trip
	begun := time.Now()
	if err := r.lab.Lab.Do("run"); err != nil {
		return err
	}
	if err := r.bounded(ctx, r.lab.Ready); err != nil {
		return err
	}
	r.sides = [2]side{{what: [3]string{whatMostView, whatMostAgain, whatMostAll}}, {what: [3]string{whatOneView, whatOneAgain, whatOneAll}}}
	var all []string
	for i, site := range sites {
		at := 0
		if i == (len(sites)-1+number)%len(sites) {
			at = 1
		}
		side := &r.sides[at]
		side.sites = append(side.sites, site.Name)
		for _, node := range r.lab.At(site.Name) {
			s, err := node.Dial(ctx, measureName)
			if err != nil {
				return err
			}
			r.sessions = append(r.sessions, s)
			side.sessions, side.names, all = append(side.sessions, s), append(side.names, s.Name), append(all, s.Name)
			if err := s.Join(ctx, GroupAll); err != nil {
				return err
			}
		}
	}
	return r.bounded(ctx, func(ctx context.Context) error {
		_, err := togetherIn(ctx, GroupAll, r.sessions, begun, all)
		return err
	})
}

func (r *wanRound) send(s *Session) {
	tick := time.NewTicker(wanSendEvery)
	defer tick.Stop()
	for range tick.C {
		if r.stopped.Load() || s.Send(context.Background(), client.Agreed, busySize, r.phase.Load(), GroupAll) != nil {
			return
		}
	}
}

// cut cuts the one site off, measures until both sides deliver, and waits until what was sent
// meanwhile has arrived on its side.
func (r *wanRound) cut(ctx context.Context) error {
	r.phase.Store(phaseCut)
	cut := time.Now()
	if err := r.lab.Lab.Do("partition", strings.Join(r.sides[0].sites, ",")+"/"+strings.Join(r.sides[1].sites, ",")); err != nil {
		return err
	}
	for i := range r.sides {
		took, err := r.sides[i].resumed(ctx, cut)
		if err != nil {
			return err
		}
		for n, bound := range []time.Duration{0, r.bound, 0} {
			r.note(Figure{What: r.sides[i].what[n], Load: "sites", Bound: bound}, took[n])
		}
	}
	r.phase.Store(phaseApart)
	if err := r.rest(ctx); err != nil {
		return err
	}
	// Everything up to here must arrive while the links are still cut.
	r.phase.Store(phaseHealed)
	for i := range r.sides {
		side := &r.sides[i]
		if err := poll(ctx, "what was sent during the cut", func() error { return side.arrived(phaseCut, phaseApart) }); err != nil {
			return err
		}
	}
	return nil
}

// heal heals the links, measures until all are in one view, and lets them go on there.
func (r *wanRound) heal(ctx context.Context) error {
	all := slices.Concat(r.sides[0].names, r.sides[1].names)
	healed := time.Now()
	if err := r.lab.Lab.Do("heal"); err != nil {
		return err
	}
	took, err := togetherIn(ctx, GroupAll, r.sessions, healed, all)
	if err != nil {
		return err
	}
	r.note(Figure{What: whatMerged, Load: "sites", Bound: boundMerged}, took)
	r.phase.Store(phaseMerged)
	return r.rest(ctx)
}

// finish waits until everything has arrived, ends the nodes, and has the judges look.
func (r *wanRound) finish(ctx context.Context) error {
	err := poll(ctx, "everything that was sent", func() error {
		// What was sent just before the cut need not have come to the other side.
		return errors.Join(r.sides[0].arrived(phaseWhole, phaseHealed), r.sides[1].arrived(phaseWhole, phaseHealed), arrived(r.sessions, phaseMerged))
	})
	if err != nil {
		return err
	}
	for _, s := range r.sessions {
		s.Close()
	}
	faults := []error{r.lab.Faults()}
	for _, verdict := range Judge(r.sessions) {
		faults = append(faults, errors.New(verdict))
	}
	if err := r.lab.Lab.Do("stop", r.lab.Names("")...); err != nil {
		return errors.Join(append(faults, err)...)
	}
	return errors.Join(append(faults, r.lab.CheckTraces(ctx))...)
}

// arrived says which message of these phases some client of the side lacks.
func (s *side) arrived(phases ...uint32) error {
	for _, phase := range phases {
		if err := arrived(s.sessions, phase); err != nil {
			return err
		}
	}
	return nil
}

// resumed waits until each client of the side has had, in a view of just the side, a message
// of each of them that was sent since then. It returns how long it took until the last client
// had the view, the first such message, and one of everybody.
func (s *side) resumed(ctx context.Context, since time.Time) (last [3]time.Duration, err error) {
	for _, session := range s.sessions {
		err := poll(ctx, fmt.Sprintf("%s to hear all of %v in their view", session.Name, s.sites), func() error {
			at, err := s.heard(session, since)
			if err == nil {
				for i := range last {
					last[i] = max(last[i], at[i].Sub(since))
				}
			}
			return err
		})
		if err != nil {
			return last, err
		}
	}
	return last, nil
}

// heard returns when a client had a view of just the side, in it the first message that a
// client of the side had sent since then, and one of each of them.
func (s *side) heard(session *Session, since time.Time) (at [3]time.Time, err error) {
	sent := map[uint32][]Sent{}
	for _, from := range s.sessions {
		sent[from.Tag] = from.Sent()
	}
	var heard map[uint32]bool // nil: not in such a view
	for _, record := range session.Log() {
		switch {
		case record.At.Before(since):
		case record.View != nil && record.View.Group == GroupAll:
			heard = nil
			if sameSet(record.View.Members, s.names) {
				heard, at[0] = map[uint32]bool{}, record.At
			}
		case heard != nil && record.Message.Seq > 0:
			from := sent[record.Message.Tag]
			if n := record.Message.Seq; n > uint64(len(from)) || !from[n-1].At.After(since) {
				continue
			}
			if heard[record.Message.Tag] = true; len(heard) == 1 && at[1].Before(at[0]) {
				at[1] = record.At
			}
			if len(heard) == len(s.sessions) {
				at[2] = record.At
				return at, nil
			}
		}
	}
	return at, fmt.Errorf("%d of %d, in view %s", len(heard), len(s.sessions), describeView(session.LastView(GroupAll)))
}
