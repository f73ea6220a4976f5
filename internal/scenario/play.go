//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ringway/client"
)

// patience bounds every wait. A scenario that holds does not use it up.
const patience = time.Minute

// A Stage is where scripts are played.
type Stage struct {
	Binary string                           // ringway, from Build
	Keep   string                           // folder for logs and traces of plays that fail; empty: nowhere
	Always bool                             // keep those of all plays
	Say    func(format string, args ...any) // what happens
}

// A play is a script that is being played.
type play struct {
	script     *Script
	federation *Federation
	chatter    *Chatter
	crowds     map[string][]*client.Conn
	say        func(string, ...any)
	begun      time.Time
	watched    time.Time // since when stalls are measured
	streams    []*stream
	stalls     []time.Duration // of streams, as they were measured
}

// Play starts the nodes and clients of a script, does what it says, waits until all is
// well and judges what everybody saw. It returns what did not hold.
func (s *Stage) Play(ctx context.Context, script *Script) (err error) {
	begun := time.Now()
	p := &play{script: script, crowds: map[string][]*client.Conn{}, say: s.Say, begun: begun, watched: begun}
	if p.federation, err = NewFederation(script.topology.Path, s.Binary, script.disks, script.untraced); err != nil {
		return err
	}
	err = p.perform(ctx)
	for node := range p.crowds {
		p.disperse(node)
	}
	if p.chatter != nil {
		p.chatter.Close()
	}
	for _, s := range p.streams {
		s.close()
	}
	if err != nil {
		p.explain()
	}
	if s.Keep != "" && (err != nil || s.Always) {
		err = errors.Join(err, p.federation.Keep(filepath.Join(s.Keep, script.Name)))
	}
	return errors.Join(err, p.federation.Close())
}

// perform does everything, and stops where something does not become as it should.
func (p *play) perform(ctx context.Context) error {
	f := p.federation
	if err := f.Lab.Do("run"); err != nil {
		return err
	}
	if err := p.within(ctx, "all nodes are ready", f.Ready); err != nil {
		return err
	}
	p.chatter = NewChatter(f.Nodes, p.script.every)
	if err := p.within(ctx, "all clients are in one view", p.chatter.Settled); err != nil {
		return err
	}
	for _, s := range p.script.steps {
		err := p.within(ctx, s.text, func(ctx context.Context) error { return s.word.do(p, ctx, s.args) })
		if err != nil {
			return fmt.Errorf("%s:%d: %w", p.script.path, s.line, err)
		}
	}
	return p.finish(ctx)
}

// within bounds a step and says how long it took.
func (p *play) within(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	if err := f(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	p.say("%7.0f ms  %s", float64(time.Since(begun).Microseconds())/1e3, what)
	return nil
}

// finish waits until everything that was sent has arrived, ends the nodes in order, and
// has all judges look.
func (p *play) finish(ctx context.Context) error {
	f := p.federation
	if err := p.within(ctx, "all is well at last", p.chatter.Finish); err != nil {
		return err
	}
	for _, s := range p.streams {
		if err := p.within(ctx, "the end of "+s.String(), s.finish); err != nil {
			return err
		}
		p.say("%s", s.summary())
	}
	if n := len(p.stalls); n > 1 {
		slices.Sort(p.stalls)
		p.say("%d stalls of streams: median %v, longest %v", n, p.stalls[n/2].Round(time.Millisecond), p.stalls[n-1].Round(time.Millisecond))
	}
	p.chatter.Close()
	faults := []error{p.chatter.Faults(), f.Faults()}
	sessions, events := p.chatter.Sessions(), 0
	for _, verdict := range Judge(sessions) {
		faults = append(faults, errors.New(verdict))
	}
	for _, s := range sessions {
		events += len(s.Log())
	}
	p.say("%d sessions with %d events in %v", len(sessions), events, time.Since(p.begun).Round(time.Millisecond))
	faults = append(faults, p.within(ctx, "the nodes leave in order", func(context.Context) error {
		return f.Lab.Do("stop", f.Names("")...)
	}))
	if p.script.untraced {
		return errors.Join(faults...)
	}
	return errors.Join(append(faults, p.within(ctx, "trace check", f.CheckTraces))...)
}

// explain says what helps to see why it failed.
func (p *play) explain() {
	p.say("%s", p.federation.Logs())
	for _, m := range p.federation.Nodes {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		status, err := m.Status(ctx)
		cancel()
		if err != nil {
			p.say("-- %s: %v", m, err)
			continue
		}
		p.say("-- %s: %+v %+v", m, status.Ring, status.View)
	}
	if p.chatter != nil {
		for _, s := range p.chatter.Sessions() {
			p.say("-- %s, session %d\n%s", s.Name, s.Tag, s.history(p.begun))
		}
	}
}

// maxViews bounds how many views of a session a failing scenario prints.
const maxViews = 40

// history lists the last views that a session had, and signals.
func (s *Session) history(since time.Time) string {
	var lines []string
	for _, r := range s.Log() {
		at := r.At.Sub(since).Round(10 * time.Microsecond)
		switch {
		case r.Signal != "":
			lines = append(lines, fmt.Sprintf("%12v signal of %s", at, r.Signal))
		case r.View != nil:
			lines = append(lines, fmt.Sprintf("%12v view %s of %s by %s: %v, along %v", at, r.View.ID, r.View.Group, r.View.Cause, r.View.Members, r.View.MovedTogether))
		}
	}
	return strings.Join(lines[max(0, len(lines)-maxViews):], "\n")
}
