//go:build linux

package scenario

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"ringway/client"
)

// Bounds of a stream.
const (
	maxStreamRate = 20_000 // messages a second: what two cores carry beside all nodes
	streamTick    = 2 * time.Millisecond
	streamBytes   = 100
	endEvery      = 500 * time.Millisecond // at its end
)

// A stream is a client that sends numbered messages at a rate, and one at each node that
// looks whether the numbers come one after the other. Unlike the chatter it is many a
// second, and nobody keeps a record.
type stream struct {
	from  *Member
	group string
	rate  int
	say   func(string, ...any)
	stop  context.CancelFunc
	begun time.Time // of the play
	ears  []*ear
	busy  sync.WaitGroup

	mu     sync.Mutex
	sent   uint64
	sender string // private name
	slow   bool   // it ends: a message now and then
	err    error
}

// An ear listens to a stream at a node, in one session after another.
type ear struct {
	stream *stream
	at     *Member

	mu       sync.Mutex
	next     uint64 // number that is awaited; 0: any
	got      uint64
	last     time.Time
	fresh    bool   // nothing has come in this session
	worst    pause  // since it began to listen
	recent   pause  // since watch
	viewed   string // its last view, and what had come before
	sessions int
	faults   []error
}

func checkStream(s *Script, args []string) error {
	if n, err := strconv.Atoi(args[1]); err != nil || n < 1 || n > maxStreamRate {
		return fmt.Errorf("%s: want messages a second, up to %d", args[1], maxStreamRate)
	}
	if _, ok := s.topology.Node(args[0]); !ok {
		return fmt.Errorf("%s: no such node in %s", args[0], s.topology.Path)
	}
	return nil
}

// stream starts one, and waits until every node hears it.
func (p *play) stream(ctx context.Context, args []string) error {
	rate, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.Background())
	s := &stream{from: p.federation.member(args[0]), group: fmt.Sprintf("stream%d", len(p.streams)+1), rate: rate, say: p.say, stop: stop, begun: p.begun}
	p.streams = append(p.streams, s)
	for _, m := range p.federation.Nodes {
		e := &ear{stream: s, at: m}
		s.ears = append(s.ears, e)
		s.busy.Go(func() { e.listen(life) })
	}
	for _, e := range s.ears {
		if err := poll(ctx, "a listener at "+e.at.node, e.in); err != nil {
			return err
		}
	}
	s.busy.Go(func() {
		err := s.send(life)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err = err
	})
	return poll(ctx, s.String()+" at every node", func() error {
		for _, e := range s.ears {
			if e.at.process().State == "running" && e.heard() == 0 {
				return fmt.Errorf("nothing has come to %s", e.at)
			}
		}
		return nil
	})
}

func (s *stream) String() string { return fmt.Sprintf("the stream of %d/s from %s", s.rate, s.from) }

// send sends until it is told to stop. What a slow node holds back is not made up for.
func (s *stream) send(ctx context.Context) error {
	conn, err := client.Dial(ctx, s.from.clients, s.from.options("stream"))
	if err != nil {
		return err
	}
	defer conn.Close()
	s.mu.Lock()
	s.sender = conn.Name()
	s.mu.Unlock()
	if err := conn.Join(ctx, s.group); err != nil { // who listens then sees it go and come
		return err
	}
	s.busy.Go(func() {
		for {
			if _, err := conn.Receive(ctx); err != nil {
				return
			}
		}
	})
	tick := time.NewTicker(streamTick)
	defer tick.Stop()
	var due int
	credit, before := 0.0, time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			credit = min(credit+max(0, now.Sub(before).Seconds())*float64(s.rate), float64(s.rate)/10)
			before, due = now, max(0, int(credit))
			credit -= float64(due)
		}
		batch := make([]client.Message, 0, due)
		s.mu.Lock()
		if s.slow && due > 0 {
			due, credit = 1, -float64(s.rate)*endEvery.Seconds()
		}
		for range due {
			s.sent++
			data := make([]byte, streamBytes)
			binary.LittleEndian.PutUint64(data, s.sent)
			batch = append(batch, client.Message{Service: client.Agreed, Groups: []string{s.group}, Data: data})
		}
		s.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		if err := conn.SendBatch(ctx, batch); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s ended: %w", s, err)
		}
	}
}

// listen connects, hears until the session ends, and connects again.
func (e *ear) listen(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := client.Dial(ctx, e.at.clients, e.at.options("ear"))
		if err == nil {
			if err = conn.Join(ctx, e.stream.group); err == nil {
				e.begin()
				e.hear(ctx, conn)
			}
			conn.Close()
		}
		if sleep(ctx, redialEvery) != nil {
			return
		}
	}
}

// begin begins a session: where the stream is then is not known.
func (e *ear) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next, e.last, e.fresh = 0, time.Now(), true
	e.sessions++
}

func (e *ear) hear(ctx context.Context, conn *client.Conn) {
	for {
		event, err := conn.Receive(ctx)
		if err != nil {
			return
		}
		switch event := event.(type) {
		case *client.Message:
			if len(event.Data) == streamBytes {
				e.note(binary.LittleEndian.Uint64(event.Data))
			}
		case *client.View:
			e.view(event)
		}
	}
}

// maxEarFaults bounds what is kept of faults.
const maxEarFaults = 5

// note takes a number, which must be the one awaited.
func (e *ear) note(n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if p := (pause{e.last, now.Sub(e.last)}); !e.fresh {
		e.worst, e.recent = e.worst.longer(p), e.recent.longer(p)
	}
	if e.next != 0 && n != e.next && len(e.faults) < maxEarFaults {
		e.faults = append(e.faults, fmt.Errorf("%s heard message %d where %d was due; %s", e.at, n, e.next, e.viewed))
	}
	e.next, e.last, e.fresh = n+1, now, false
	e.got++
}

// view takes a view: what is sent while the sender is in none of ours may be missing, also
// if the view in between was never ours, as after a hang.
func (e *ear) view(v *client.View) {
	e.stream.mu.Lock()
	sender := e.stream.sender
	e.stream.mu.Unlock()
	in := slices.Contains(v.Members, sender) && (v.Cause != client.ByNetwork || slices.Contains(v.MovedTogether, sender))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.viewed = fmt.Sprintf("its last view %s by %s, %d members, the sender came along: %v, was before message %d", v.ID, v.Cause, len(v.Members), in, e.next)
	if sender != "" && !in {
		e.next = 0
	}
}

func (e *ear) heard() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got
}

// in says whether the ear is in its group.
func (e *ear) in() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sessions == 0 && e.at.process().State == "running" {
		return errors.New("it is in no group yet")
	}
	return nil
}

// finish slows the stream down: everybody must hear all that was sent till now. Who had
// just got a view that the sender was new in needs another message to know.
func (s *stream) finish(ctx context.Context) error {
	s.mu.Lock()
	s.slow = true
	last, err := s.sent, s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var faults []error
	for _, e := range s.ears {
		faults = append(faults, poll(ctx, fmt.Sprintf("message %d of %s at %s", last, s, e.at), func() error {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.next <= last {
				return fmt.Errorf("it waits for message %d", e.next)
			}
			return nil
		}))
		e.mu.Lock()
		faults = append(faults, e.faults...)
		e.mu.Unlock()
	}
	return errors.Join(faults...)
}

// summary says how it went: who got how many, and the longest stall.
func (s *stream) summary() string {
	s.mu.Lock()
	text := fmt.Sprintf("%s: %d sent", s, s.sent)
	s.mu.Unlock()
	for _, e := range s.ears {
		e.mu.Lock()
		text += fmt.Sprintf("\n   at %s: %d heard in %d sessions, longest stall %v, from %v on", e.at, e.got, e.sessions,
			e.worst.long.Round(100*time.Microsecond), e.worst.at.Sub(s.begun).Round(time.Millisecond))
		e.mu.Unlock()
	}
	return text
}

// watch begins to measure stalls anew.
func (s *stream) watch() {
	for _, e := range s.ears {
		e.mu.Lock()
		e.recent = pause{}
		e.mu.Unlock()
	}
}

// stall returns the longest time since watch in which a session at one of these nodes
// heard nothing, and where.
func (s *stream) stall(part []string) (at *Member, worst pause) {
	for _, e := range s.ears {
		e.mu.Lock()
		if slices.Contains(part, e.at.node) && (at == nil || e.recent.long > worst.long) {
			at, worst = e.at, e.recent
		}
		e.mu.Unlock()
	}
	return at, worst
}

func (s *stream) close() {
	s.stop()
	s.busy.Wait()
}
