package site

import (
	"time"

	"ringway/internal/spread"
	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/merge"
)

// flowName is the private name of the client as which a node tells others whom to hold
// back. No client can have it: their names have no such byte.
const flowName = "!"

// Times of holding back.
const (
	flowTick = time.Second
	// flowLease is how long a sender is held without hearing again from the reader's
	// node, which says it anew at every tick.
	flowLease = 5 * flowTick
)

// flowVersion is the first byte of a signal.
const flowVersion = 1

// A flow holds senders back for readers that have enough (policy block of a session). It
// belongs to the loop.
//
// A sender of this node is simply not read until the reader, or all readers that hold
// it, let it go. One of another node is told through a message to its private group,
// which that node's loop takes for itself: so it goes wherever messages go, through the
// ring and between sites, and costs nothing until somebody is slow. It is a lease: if
// the reader's node is lost, the sender goes on by itself.
type flow struct {
	l    *loop
	self membership.ClientID

	connected bool
	stopped   bool
	timer     *time.Timer
	holding   map[membership.ClientID]map[membership.ClientID]string        // by reader of this node: senders and their private groups
	held      map[membership.ClientID]map[membership.ClientID]time.Duration // by sender of this node: readers and their leases' ends
}

func newFlow(l *loop, node membership.NodeID, boot uint64) *flow {
	return &flow{
		l:       l,
		self:    membership.ClientID{Node: node, Session: boot << 32}, // sessions count from 1
		holding: map[membership.ClientID]map[membership.ClientID]string{},
		held:    map[membership.ClientID]map[membership.ClientID]time.Duration{},
	}
}

// isHeld says whether a sender of this node has to wait.
func (f *flow) isHeld(sender membership.ClientID) bool { return len(f.held[sender]) > 0 }

// hold holds a sender back for a reader of this node.
func (f *flow) hold(reader membership.ClientID, sender merge.Member, private string) {
	if f.stopped {
		return
	}
	senders := f.holding[reader]
	if senders == nil {
		senders = map[membership.ClientID]string{}
		f.holding[reader] = senders
	}
	senders[sender.Client] = private
	f.tell(reader, map[membership.ClientID]string{sender.Client: private}, true)
	f.arm()
}

// letGo ends all that a reader of this node holds.
func (f *flow) letGo(reader membership.ClientID) {
	senders := f.holding[reader]
	delete(f.holding, reader)
	f.tell(reader, senders, false)
}

// tell lets the nodes of senders know.
func (f *flow) tell(reader membership.ClientID, senders map[membership.ClientID]string, hold bool) {
	var far []string
	for sender, private := range senders {
		if sender.Node == f.self.Node {
			f.set(reader, sender, hold)
			continue
		}
		if far = append(far, private); len(far) == membership.MaxGroups {
			f.send(reader, far, hold)
			far = nil
		}
	}
	if len(far) > 0 {
		f.send(reader, far, hold)
	}
}

func (f *flow) send(reader membership.ClientID, to []string, hold bool) {
	if f.stopped {
		return
	}
	if !f.connected {
		f.connected = true
		f.l.connect(f.self, flowName)
	}
	data := append(make([]byte, 0, 2+membership.ClientIDBytes), flowVersion, 0)
	if hold {
		data[1] = 1
	}
	f.l.submit(f.self, []merge.Request{{
		Kind: merge.Send, Service: membership.FIFO, Hint: spread.Hint(0), Groups: to, Data: reader.Append(data),
	}})
}

// take takes a signal of another node for senders of this one. A client cannot have sent
// it, for it cannot have the name.
func (f *flow) take(m *merge.Message, senders []membership.ClientID) {
	r := wire.NewReader(m.Data)
	version, hold := r.Uint8(), r.Uint8()
	reader := membership.ReadClientID(&r)
	if r.Err() != nil || version != flowVersion || f.stopped {
		return
	}
	for _, sender := range senders {
		f.set(reader, sender, hold == 1)
	}
	f.arm()
}

// set notes that a reader holds a sender of this node, or does not any more.
func (f *flow) set(reader, sender membership.ClientID, hold bool) {
	readers := f.held[sender]
	if !hold {
		if delete(readers, reader); len(readers) == 0 {
			delete(f.held, sender)
		}
		return
	}
	if readers == nil {
		readers = map[membership.ClientID]time.Duration{}
		f.held[sender] = readers
	}
	readers[reader] = f.l.now() + flowLease
}

// arm starts the tick, if it does not run.
func (f *flow) arm() {
	if f.timer == nil && !f.stopped && len(f.holding)+len(f.held) > 0 {
		f.timer = time.AfterFunc(flowTick, func() { f.l.in.call(f.tick) })
	}
}

// tick renews what this node's readers hold, and frees whom nobody holds any more.
func (f *flow) tick() {
	f.timer = nil
	for reader, senders := range f.holding {
		f.tell(reader, senders, true)
	}
	now := f.l.now()
	for sender, readers := range f.held {
		for reader, until := range readers {
			if until <= now {
				f.set(reader, sender, false)
			}
		}
	}
	f.arm()
}

// gone forgets a sender of this node that has ended, and has no reader hold it any more.
func (f *flow) gone(sender membership.ClientID) {
	delete(f.held, sender)
	for _, senders := range f.holding {
		delete(senders, sender)
	}
}

// stop lets everybody go: the node stops.
func (f *flow) stop() {
	f.stopped = true
	clear(f.held)
	clear(f.holding)
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if f.connected {
		f.connected = false
		f.l.disconnect(f.self)
	}
}
