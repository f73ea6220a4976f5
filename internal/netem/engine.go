//go:build linux

package netem

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
)

// Limits of an engine.
const (
	maxLinks   = 1000
	maxWorkers = 64
	maxSite    = 64 // bytes of a site's name
)

// ErrClosed is what an engine says that was closed.
var ErrClosed = errors.New("the link emulator is closed")

// An End is where a link enters a site.
type End struct {
	Site      string `json:"site"`
	Space     string `json:"space,omitempty"` // file of the network namespace; empty: the engine's own
	Interface string `json:"interface"`       // its name there
}

// A Link is a wire between two sites. There is at most one between any two.
type Link struct {
	A       End     `json:"a"`
	B       End     `json:"b"`
	MTU     int     `json:"mtu,omitempty"` // 0: DefaultMTU
	Profile Profile `json:"profile"`       // of both directions
}

// Options of an engine. The zero value is right for a laboratory.
type Options struct {
	Workers int    // threads that share the links; 0: one
	Seed    uint64 // the same seed has the same packets lost, counted from a link's first
}

// An Engine makes links and moves their packets. Its methods may be called concurrently;
// what they change is in force when they return.
type Engine struct {
	options Options
	workers []*worker

	mu     sync.Mutex
	links  []*link
	lanes  int // ever made
	closed bool
}

type link struct {
	ends  [2]string
	lanes [2]*lane // from the first end, and from the second
	by    [2]*worker
	ports [2]*device
}

// New starts an engine without links.
func New(o Options) (*Engine, error) {
	if o.Workers < 0 || o.Workers > maxWorkers {
		return nil, fmt.Errorf("link emulator: %d workers: want 1 to %d", o.Workers, maxWorkers)
	}
	e := &Engine{options: o}
	for range max(1, o.Workers) {
		w, err := newWorker()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("link emulator: %w", err), e.Close())
		}
		e.workers = append(e.workers, w)
	}
	return e, nil
}

// Connect makes a link: an interface at both ends, up and without addresses.
func (e *Engine) Connect(spec Link) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, b := spec.A.Site, spec.B.Site
	if err := e.connect(spec); err != nil {
		return fmt.Errorf("link %s to %s: %w", quoted(a), quoted(b), err)
	}
	return nil
}

func (e *Engine) connect(spec Link) error {
	a, b := spec.A.Site, spec.B.Site
	if spec.MTU == 0 {
		spec.MTU = DefaultMTU
	}
	switch {
	case e.closed:
		return ErrClosed
	case a == "" || b == "" || len(a) > maxSite || len(b) > maxSite:
		return fmt.Errorf("name both sites, with at most %d bytes", maxSite)
	case a == b:
		return fmt.Errorf("both ends are the same site: name two")
	case e.find(a, b) != nil:
		return fmt.Errorf("there is one already: disconnect it first, or set its profile")
	case len(e.links) >= maxLinks:
		return fmt.Errorf("there are %d links already, the most that an engine has", maxLinks)
	case spec.MTU < minMTU || spec.MTU > maxMTU:
		return fmt.Errorf("MTU %d is out of range: from %d to %d", spec.MTU, minMTU, maxMTU)
	}
	if err := spec.Profile.Validate(); err != nil {
		return err
	}
	l := &link{ends: [2]string{a, b}}
	for i, end := range []End{spec.A, spec.B} {
		port, err := openDevice(end, spec.MTU)
		if err != nil {
			l.close()
			return err
		}
		l.ports[i] = port
	}
	for i := range l.lanes {
		l.lanes[i] = e.newLane(l, i, spec)
		l.by[i] = e.workers[e.lanes%len(e.workers)]
		e.lanes++
		l.by[i].do(func() { l.by[i].add(l.lanes[i]) })
	}
	e.links = append(e.links, l)
	return nil
}

func (e *Engine) newLane(l *link, i int, spec Link) *lane {
	from, to := l.ends[i], l.ends[1-i]
	name := fnv.New64a()
	name.Write([]byte(from + "\x00" + to))
	random := rand.New(rand.NewPCG(e.options.Seed, name.Sum64()))
	return &lane{
		from: from, to: to, in: l.ports[i], out: l.ports[1-i],
		model: NewModel(spec.Profile, random), queue: newQueue(spec.MTU, maxWaiting),
	}
}

// Disconnect removes a link and its interfaces.
func (e *Engine) Disconnect(a, b string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.need(a, b)
	if err != nil {
		return err
	}
	e.links = slices.DeleteFunc(e.links, func(o *link) bool { return o == l })
	l.close()
	return nil
}

func (l *link) close() {
	for i, by := range l.by {
		if by != nil {
			by.do(func() { by.remove(l.lanes[i]) })
		}
	}
	for _, port := range l.ports {
		if port != nil {
			port.close()
		}
	}
}

// Set gives both directions of a link a profile.
func (e *Engine) Set(a, b string, p Profile) error { return e.set(a, b, true, p) }

// SetOneWay gives the direction from a site to another a profile.
func (e *Engine) SetOneWay(from, to string, p Profile) error { return e.set(from, to, false, p) }

func (e *Engine) set(a, b string, both bool, p Profile) error {
	return e.update(a, b, both, func(Profile) (Profile, error) { return p, p.Validate() })
}

// Change changes what settings name in the profiles of both directions, each for
// itself.
func (e *Engine) Change(a, b, settings string) error { return e.change(a, b, true, settings) }

// ChangeOneWay is Change for the direction from a site to another.
func (e *Engine) ChangeOneWay(from, to, settings string) error {
	return e.change(from, to, false, settings)
}

func (e *Engine) change(a, b string, both bool, settings string) error {
	return e.update(a, b, both, func(p Profile) (Profile, error) { return p.With(settings) })
}

// update changes nothing unless it can change all.
func (e *Engine) update(a, b string, both bool, f func(Profile) (Profile, error)) error {
	return e.each(a, b, both, func(l *lane) (func(), error) {
		p, err := f(l.model.Profile())
		return func() { l.model.Set(p) }, err
	})
}

// SetDown cuts a link or joins it again, both ways. Its interfaces stay up. What is on
// its way is lost, and nothing arrives after SetDown has returned.
func (e *Engine) SetDown(a, b string, down bool) error { return e.setDown(a, b, true, down) }

// SetDownOneWay cuts or joins the direction from a site to another.
func (e *Engine) SetDownOneWay(from, to string, down bool) error {
	return e.setDown(from, to, false, down)
}

func (e *Engine) setDown(a, b string, both, down bool) error {
	return e.each(a, b, both, func(l *lane) (func(), error) {
		return func() { l.setDown(down) }, nil
	})
}

// each prepares a change of each direction and then makes them. The preparation reads
// only what the lane's thread changes by such changes.
func (e *Engine) each(a, b string, both bool, prepare func(*lane) (func(), error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.need(a, b)
	if err != nil {
		return err
	}
	var changes [2]func()
	for i, lane := range l.lanes {
		if !both && lane.from != a {
			continue
		}
		if changes[i], err = prepare(lane); err != nil {
			return fmt.Errorf("link %s to %s: %w", quoted(lane.from), quoted(lane.to), err)
		}
	}
	for i, change := range changes {
		if change != nil {
			l.by[i].do(change)
		}
	}
	return nil
}

// A Direction is one of the two directions of a link.
type Direction struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Profile  Profile  `json:"profile"`
	Down     bool     `json:"down"`
	Fault    string   `json:"fault,omitempty"` // why it carries nothing any more
	Counters Counters `json:"counters"`
}

// Status returns both directions of all links, in the order in which they were made.
func (e *Engine) Status() []Direction {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Direction
	for _, l := range e.links {
		for i, by := range l.by {
			var d Direction
			by.do(func() { d = l.lanes[i].status() })
			d.Counters.Unread = l.ports[i].unread()
			all = append(all, d)
		}
	}
	return all
}

func (l *lane) status() Direction {
	d := Direction{From: l.from, To: l.to, Profile: l.model.Profile(), Down: l.down, Counters: l.counters}
	d.Counters.Waiting = Tally{uint64(len(l.queue.heap)), uint64(l.queue.bytes)}
	if l.fault != nil {
		d.Fault = fmt.Sprintf("read from interface %s: %v: was it removed? Disconnect the link and connect it again", l.in.name, l.fault)
	}
	return d
}

// Close removes all links and ends the engine. It may be called twice.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	for _, l := range e.links {
		l.close()
	}
	e.links = nil
	for _, w := range e.workers {
		w.close()
	}
	return nil
}

func (e *Engine) find(a, b string) *link {
	for _, l := range e.links {
		if l.ends == [2]string{a, b} || l.ends == [2]string{b, a} {
			return l
		}
	}
	return nil
}

func (e *Engine) need(a, b string) (*link, error) {
	if e.closed {
		return nil, ErrClosed
	}
	l := e.find(a, b)
	if l == nil {
		return nil, fmt.Errorf("there is no link between %s and %s: connect them first", quoted(a), quoted(b))
	}
	return l, nil
}
