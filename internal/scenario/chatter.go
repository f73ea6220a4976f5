//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ringway/client"
)

// The groups of the chatter. Everybody is in GroupAll from the beginning to the end;
// in GroupSome half of them are, and the other half come and go.
const (
	GroupAll  = "all"
	GroupSome = "some"
)

// How the chatter behaves.
const (
	ChatEvery   = 10 * time.Millisecond // each client sends, on average, by default
	redialEvery = 5 * time.Millisecond
	moodEvery   = 50 // a fickle client changes its mind about once in so many messages
)

// A Place is where clients connect: a node, which may be dead at present.
type Place interface {
	fmt.Stringer // its name
	Dial(ctx context.Context, client string) (*Session, error)
	Lives() int // so many processes have been started there
}

// A Chatter is two clients at each node that send all the time: messages of all services
// and sizes, to one group or to two. A client whose node goes away connects again as soon
// as the node takes it.
type Chatter struct {
	names []string // of the nodes
	every time.Duration
	seats []*seat
	stop  context.CancelFunc
	busy  sync.WaitGroup

	phase  atomic.Uint32 // of what is being sent
	silent atomic.Bool   // nobody sends
}

// A seat is a client's place at a node.
type seat struct {
	chatter *Chatter
	place   Place
	node    string
	name    string
	fickle  bool

	mu       sync.Mutex
	sessions []*Session // one after another; the last one is the present one
	sending  bool       // it may be in the middle of a message
}

// NewChatter connects clients to every node and lets them chat until Close. Each sends
// a message in so much time, on average.
func NewChatter[P Place](places []P, every time.Duration) *Chatter {
	ctx, stop := context.WithCancel(context.Background())
	c := &Chatter{every: every, stop: stop}
	for _, p := range places {
		c.names = append(c.names, p.String())
		for _, s := range []*seat{{name: "steady"}, {name: "fickle", fickle: true}} {
			s.chatter, s.place, s.node = c, p, p.String()
			c.seats = append(c.seats, s)
		}
	}
	for _, s := range c.seats {
		c.busy.Go(func() { s.sit(ctx) })
	}
	return c
}

// Close ends all sessions. What they recorded can still be judged.
func (c *Chatter) Close() {
	c.stop()
	for _, s := range c.Sessions() {
		s.Close()
	}
	c.busy.Wait()
	for _, s := range c.Sessions() { // one may have come just now
		s.Close()
	}
}

// Sessions returns all sessions there ever were.
func (c *Chatter) Sessions() []*Session {
	var all []*Session
	for _, s := range c.seats {
		s.mu.Lock()
		all = append(all, s.sessions...)
		s.mu.Unlock()
	}
	return all
}

// sit connects, chats until the session ends, and connects again.
func (s *seat) sit(ctx context.Context) {
	for ctx.Err() == nil {
		session, err := s.place.Dial(ctx, s.name)
		if err == nil {
			s.mu.Lock()
			s.sessions = append(s.sessions, session)
			s.mu.Unlock()
			s.chat(ctx, session)
			continue
		}
		if sleep(ctx, redialEvery) != nil {
			return
		}
	}
}

// chat joins and sends until the session or the context ends.
func (s *seat) chat(ctx context.Context, session *Session) {
	groups := []string{GroupAll, GroupSome}
	for _, g := range groups {
		if session.Join(ctx, g) != nil {
			return
		}
	}
	in := true
	for {
		if sleep(ctx, rand.N(2*s.chatter.every)) != nil || session.Err() != nil {
			return
		}
		s.setSending(true)
		if s.chatter.silent.Load() {
			s.setSending(false)
			continue
		}
		var err error
		if s.fickle && rand.N(moodEvery) == 0 {
			if in = !in; in {
				err = session.Join(ctx, GroupSome)
			} else {
				err = session.Leave(ctx, GroupSome)
			}
		} else {
			err = session.Send(ctx, randomService(), randomSize(), s.chatter.phase.Load(), randomGroups()...)
		}
		s.setSending(false)
		if err != nil {
			return
		}
	}
}

func (s *seat) setSending(sending bool) {
	s.mu.Lock()
	s.sending = sending
	s.mu.Unlock()
}

// present returns the present session, or nil.
func (s *seat) present() *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) == 0 || s.sessions[len(s.sessions)-1].Err() != nil {
		return nil
	}
	return s.sessions[len(s.sessions)-1]
}

func randomService() client.Service {
	services := []client.Service{client.Unreliable, client.Reliable, client.FIFO, client.Causal, client.Agreed, client.Safe}
	return services[rand.N(len(services))]
}

// randomSize is mostly small, and now and then more than a packet or many.
func randomSize() int {
	switch r := rand.N(100); {
	case r < 70:
		return rand.N(200)
	case r < 90:
		return rand.N(3000)
	case r < 98:
		return rand.N(20_000)
	}
	return rand.N(200_000)
}

func randomGroups() []string {
	return [][]string{{GroupAll}, {GroupAll}, {GroupSome}, {GroupAll, GroupSome}}[rand.N(4)]
}

// Views waits until the clients of the nodes of each part have a view of GroupAll with
// exactly the clients of that part. Who is at a node that no part names may be
// anywhere.
func (c *Chatter) Views(ctx context.Context, parts ...[]string) error {
	for _, part := range parts {
		if err := poll(ctx, fmt.Sprintf("a view of the clients at %v alone", part), func() error { return c.inOneView(part, true) }); err != nil {
			return err
		}
	}
	return nil
}

// All waits until all clients are in one view.
func (c *Chatter) All(ctx context.Context) error { return c.Views(ctx, c.names) }

// Together waits until the clients of these nodes are in one view of GroupAll, with or
// without others.
func (c *Chatter) Together(ctx context.Context, part []string) error {
	return poll(ctx, fmt.Sprintf("a view of the clients at %v, perhaps with others", part), func() error { return c.inOneView(part, false) })
}

// Faults says which clients lost their sessions although nobody killed their nodes.
func (c *Chatter) Faults() error {
	var faults []error
	for _, s := range c.seats {
		lives := s.place.Lives()
		s.mu.Lock()
		if len(s.sessions) > lives {
			faults = append(faults, fmt.Errorf("%s at %s needed %d sessions in %d lives of the node", s.name, s.node, len(s.sessions), lives))
		}
		s.mu.Unlock()
	}
	return errors.Join(faults...)
}

// inOneView says why the clients at the nodes are not in one view; alone: with nobody
// else.
func (c *Chatter) inOneView(part []string, alone bool) error {
	var sessions []*Session
	var names []string
	for _, s := range c.seats {
		if !slices.Contains(part, s.node) {
			continue
		}
		session := s.present()
		if session == nil {
			return fmt.Errorf("%s has no session at %s", s.name, s.node)
		}
		sessions, names = append(sessions, session), append(names, session.Name)
	}
	id := ""
	for _, s := range sessions {
		v := s.LastView(GroupAll)
		if v == nil || len(names) > len(v.Members) || alone && !sameSet(v.Members, names) {
			return fmt.Errorf("%s has view %v", s.Name, describeView(v))
		}
		if id != "" && id != v.ID.String() {
			return fmt.Errorf("%s has view %v, another one %s", s.Name, v.ID, id)
		}
		id = v.ID.String()
	}
	return nil
}

// settleTime is how long the chatter goes on in one view before it is asked whether
// everybody got everything.
const settleTime = 700 * time.Millisecond

// errMoved says that the view changed while it should have been stable.
var errMoved = errors.New("the view has changed")

// Settled waits until all clients are in one view and everything that they send for a
// while there has arrived at all of them. If the view changes meanwhile, since a busy
// machine can be slower than a ring's patience, it starts again.
func (c *Chatter) Settled(ctx context.Context) error {
	defer c.silent.Store(false)
	return c.Finish(ctx)
}

// Finish does what Settled does, and nobody sends any more afterwards.
func (c *Chatter) Finish(ctx context.Context) error {
	for {
		err := c.settle(ctx)
		if !errors.Is(err, errMoved) || ctx.Err() != nil {
			return err
		}
	}
}

func (c *Chatter) settle(ctx context.Context) error {
	c.silent.Store(false)
	if err := c.All(ctx); err != nil {
		return err
	}
	phase := c.phase.Add(1)
	present := c.presentSessions()
	before, err := oneView(present)
	if err != nil {
		return err
	}
	if err := sleep(ctx, settleTime); err != nil {
		return err
	}
	c.silent.Store(true)
	if err := poll(ctx, "the clients to fall silent", c.quiet); err != nil {
		return err
	}
	// What everybody sends last comes behind what it sent before, to whatever group.
	for _, s := range present {
		if err := s.Send(ctx, client.Agreed, 0, phase, GroupAll); err != nil {
			return fmt.Errorf("%w: %s cannot send: %w", errMoved, s.Name, err)
		}
	}
	c.phase.Add(1)
	for {
		lacks := arrived(present, phase)
		if lacks == nil {
			return nil
		}
		if after, err := oneView(c.presentSessions()); err != nil || after != before {
			return fmt.Errorf("%w: %w", errMoved, lacks)
		}
		if sleep(ctx, pollEvery) != nil {
			return fmt.Errorf("waited in vain for what was sent in one view: %w", lacks)
		}
	}
}

func (c *Chatter) presentSessions() []*Session {
	var all []*Session
	for _, s := range c.seats {
		if p := s.present(); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// quiet says whether no client is in the middle of a message.
func (c *Chatter) quiet() error {
	for _, s := range c.seats {
		s.mu.Lock()
		sending := s.sending
		s.mu.Unlock()
		if sending {
			return fmt.Errorf("%s at %s still sends", s.name, s.node)
		}
	}
	return nil
}

// oneView returns the id of the view of GroupAll that all sessions have.
func oneView(sessions []*Session) (string, error) {
	id := ""
	for _, s := range sessions {
		v := s.LastView(GroupAll)
		if v == nil || id != "" && v.ID.String() != id {
			return "", fmt.Errorf("%w: %s", errMoved, s.Name)
		}
		id = v.ID.String()
	}
	return id, nil
}

// arrived says which message of the phase to GroupAll somebody lacks. Unreliable ones
// may be lost.
func arrived(sessions []*Session, phase uint32) error {
	has := make([]map[MessageID]bool, len(sessions))
	for i, s := range sessions {
		has[i] = map[MessageID]bool{}
		for _, r := range s.Log() {
			if r.Message.Seq > 0 {
				has[i][r.Message] = true
			}
		}
	}
	for _, from := range sessions {
		for _, m := range from.Sent() {
			if m.Phase != phase || m.Service == client.Unreliable || !slices.Contains(m.Groups, GroupAll) {
				continue
			}
			for i, s := range sessions {
				if id := (MessageID{from.Tag, m.Seq}); !has[i][id] {
					return fmt.Errorf("%s lacks the %v message %d of %s", s.Name, m.Service, m.Seq, from.Name)
				}
			}
		}
	}
	return nil
}
