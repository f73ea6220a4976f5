package overlay

import (
	"slices"
	"sync"
	"time"

	"ringway/membership"
	"ringway/routing"
)

// A signalled is a lock and a wake-up: the base of the queues below. Puts never
// wait. Each queue has one taker, which waits on wake.
type signalled struct {
	mu   sync.Mutex
	wake chan struct{}
}

func newSignalled() signalled { return signalled{wake: make(chan struct{}, 1)} }

func (s *signalled) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// A stateQueue has what one peer has still to be told about link state. Newer
// advertisements replace older ones, so there is at most one a gateway.
type stateQueue struct {
	signalled
	adverts map[membership.NodeID]*routing.Signed
	digest  []routing.Summary // to be sent first; nil: none
}

func newStateQueue() *stateQueue {
	return &stateQueue{signalled: newSignalled(), adverts: map[membership.NodeID]*routing.Signed{}}
}

func (q *stateQueue) put(s *routing.Signed) {
	q.mu.Lock()
	q.adverts[s.Gateway] = s
	q.mu.Unlock()
	q.signal()
}

func (q *stateQueue) putDigest(d []routing.Summary) {
	q.mu.Lock()
	q.digest = d
	q.mu.Unlock()
	q.signal()
}

func (q *stateQueue) take() (digest []routing.Summary, adverts []*routing.Signed) {
	q.mu.Lock()
	defer q.mu.Unlock()
	digest, q.digest = q.digest, nil
	for _, s := range q.adverts {
		adverts = append(adverts, s)
	}
	clear(q.adverts)
	return digest, adverts
}

// A gramQueue has datagrams that wait for one lane: the newest hello, the newest
// answer, a few promises of each origin, and notes.
type gramQueue struct {
	signalled
	hello, answer []byte
	promises      promiseSet
	notes         fair[queuedNote]
}

func newGramQueue() *gramQueue { return &gramQueue{signalled: newSignalled()} }

// helloWaits says whether the last hello has not been taken yet.
func (q *gramQueue) helloWaits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hello != nil
}

func (q *gramQueue) putHello(b []byte) {
	q.mu.Lock()
	q.hello = b
	q.mu.Unlock()
	q.signal()
}

func (q *gramQueue) putAnswer(b []byte) {
	q.mu.Lock()
	q.answer = b
	q.mu.Unlock()
	q.signal()
}

// putPromise reports how many older promises made room for b.
func (q *gramQueue) putPromise(origin membership.NodeID, b []byte) (superseded int) {
	q.mu.Lock()
	superseded = q.promises.put(origin, membership.SiteInstance{}, b)
	q.mu.Unlock()
	q.signal()
	return superseded
}

// takeHellos appends to buf the hello and the answer that wait.
func (q *gramQueue) takeHellos(buf [][]byte) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.answer != nil {
		buf = append(buf, q.answer)
	}
	if q.hello != nil {
		buf = append(buf, q.hello)
	}
	q.answer, q.hello = nil, nil
	return buf
}

// takePromises appends to buf the promises that wait.
func (q *gramQueue) takePromises(buf [][]byte) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.promises.take(buf)
}

// takeNewest appends to buf the newest promise of each origin, and forgets the others.
func (q *gramQueue) takeNewest(buf [][]byte) (_ [][]byte, superseded int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.promises.takeNewest(buf)
}

// A queuedNote is an encoded note that waits since some time.
type queuedNote struct {
	data  []byte
	since time.Duration
}

// putNote reports how many older notes made room for b.
func (q *gramQueue) putNote(origin membership.NodeID, b []byte, now time.Duration) (dropped int) {
	q.mu.Lock()
	dropped = q.notes.put(origin, queuedNote{b, now})
	q.mu.Unlock()
	q.signal()
	return dropped
}

// nextNote takes one of the notes that wait; nil: there is none. It drops those that have
// waited for too long.
func (q *gramQueue) nextNote(now time.Duration) (b []byte, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		n, ok := q.notes.next()
		if !ok || now-n.since <= noteAge {
			return n.data, dropped
		}
		dropped++
	}
}

func (q *gramQueue) notesWait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.notes.empty()
}

// A promiseSet has the newest maxPromiseBacklog promises of each origin, in the
// order in which they came. The zero value is empty.
type promiseSet struct {
	items []queuedPromise
}

type queuedPromise struct {
	origin membership.NodeID
	of     membership.SiteInstance // of the origin; in an outbox
	data   []byte
}

func (p *promiseSet) put(origin membership.NodeID, of membership.SiteInstance, data []byte) (superseded int) {
	first, count := -1, 0
	for i := range p.items {
		if p.items[i].origin == origin {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if count >= maxPromiseBacklog {
		p.items = append(p.items[:first], p.items[first+1:]...)
		superseded = 1
	}
	p.items = append(p.items, queuedPromise{origin, of, data})
	return superseded
}

func (p *promiseSet) take(buf [][]byte) [][]byte {
	for i := range p.items {
		buf = append(buf, p.items[i].data)
	}
	clear(p.items)
	p.items = p.items[:0]
	return buf
}

// takeNewest appends to buf the newest of each origin, and empties the set.
func (p *promiseSet) takeNewest(buf [][]byte) (_ [][]byte, superseded int) {
	for i := range p.items {
		origin := p.items[i].origin
		if !slices.ContainsFunc(p.items[i+1:], func(later queuedPromise) bool { return later.origin == origin }) {
			buf = append(buf, p.items[i].data)
		} else {
			superseded++
		}
	}
	clear(p.items)
	p.items = p.items[:0]
	return buf, superseded
}

// An outbox has what waits for the Handler, so that a slow Handler does not hold
// up the event loop.
type outbox struct {
	signalled
	reach    []Reach // the newest; nil: no news
	controls []controlMessage
	bytes    int
	promises promiseSet
	notes    fair[Datagram]
}

func newOutbox() *outbox { return &outbox{signalled: newSignalled()} }

func (o *outbox) putReach(r []Reach) {
	o.mu.Lock()
	o.reach = r
	o.mu.Unlock()
	o.signal()
}

// putControl adds a message; false: the outbox is full.
func (o *outbox) putControl(c controlMessage) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.controls) >= maxControlQueue || o.bytes+len(c.Data) > maxControlQueueBytes {
		return false
	}
	o.controls = append(o.controls, c)
	o.bytes += len(c.Data)
	o.signal()
	return true
}

func (o *outbox) putPromise(origin membership.NodeID, of membership.SiteInstance, data []byte) (superseded int) {
	o.mu.Lock()
	superseded = o.promises.put(origin, of, data)
	o.mu.Unlock()
	o.signal()
	return superseded
}

func (o *outbox) putNote(origin membership.NodeID, d Datagram) (dropped int) {
	o.mu.Lock()
	dropped = o.notes.put(origin, d)
	o.mu.Unlock()
	o.signal()
	return dropped
}

// takeNotes takes one round of notes. If there are more, it asks for another.
func (o *outbox) takeNotes() []Datagram {
	o.mu.Lock()
	defer o.mu.Unlock()
	list, more := o.notes.round()
	if more {
		o.signal()
	}
	return list
}

// deliver calls h until done is closed.
func (o *outbox) deliver(h Handler, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-o.wake:
		}
		o.mu.Lock()
		reach, controls, promises := o.reach, o.controls, slices.Clone(o.promises.items)
		clear(o.promises.items)
		o.promises.items = o.promises.items[:0]
		o.reach, o.controls, o.bytes = nil, nil, 0
		o.mu.Unlock()
		if reach != nil {
			h.Reach(reach)
		}
		for _, c := range controls {
			h.Control(c.From, c.Data)
		}
		for _, p := range promises {
			h.Promise(p.of, p.data)
		}
		if list := o.takeNotes(); len(list) > 0 {
			h.Datagrams(list)
		}
	}
}
