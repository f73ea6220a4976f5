package evs

import (
	"math"
	"slices"
)

// A history is the traces of a run, indexed by client and by message.
type history struct {
	opts     Options
	nodes    []*node
	clients  []*client // in order of appearance
	messages []*message
	byClient map[string]*client
	byID     map[Message]*message
}

// A node is one life of a node.
type node struct {
	*Trace
	alive bool     // it was there at the end
	views []*Event // that it installed
}

// A client is a session and what it saw, in its order.
type client struct {
	name    string
	node    *node
	private string // its private group
	items   []item
	moves   map[string][]*Event // its joins and leaves by group, and attaches
	got     map[*message]int    // index of its first delivery in items
	gone    bool                // it left before the end
	back    int64               // when its node last came back from a way of its own; -1: never away
}

// staysFrom says that the client was there from some time on to the end. While its
// node goes another way than most of its ring it is not: what it misses meanwhile is
// a matter of configurations (P7), not of loss. Without a common clock, once away is
// away for good.
func (c *client) staysFrom(when int64) bool { return c.node.alive && !c.gone && c.back < when }

// An item is one event that a client saw; those of its node are among them.
type item struct {
	*Event
	message *message // of submit and dlv
	when    int64    // on the common clock, with OneClock
}

// A message is a message and who got it.
type message struct {
	Message
	index      int
	sender     *client // nil if it was never submitted
	groups     []string
	service    string
	discard    bool
	submit     *Event
	when       int64  // of submit, on the common clock
	accepted   *Event // first send, at whatever node; nil in traces from outside
	deliveries []delivery
}

// A delivery is the place of a message at a client.
type delivery struct {
	to *client
	at int // in to.items
}

// wantedBy says whether the client gets the message if it is addressed.
func (m *message) wantedBy(c *client) bool { return !m.discard || m.sender != c }

func newHistory(traces []Trace, opts Options) *history {
	h := &history{opts: opts, byClient: map[string]*client{}, byID: map[Message]*message{}}
	for i := range traces {
		t := &traces[i]
		last := len(t.Events) - 1
		h.nodes = append(h.nodes, &node{Trace: t, alive: last >= 0 && t.Events[last].Kind == Stop})
	}
	for _, n := range h.nodes {
		for i := range n.Events {
			h.declare(n, &n.Events[i])
		}
	}
	for _, n := range h.nodes {
		h.replay(n)
	}
	return h
}

// declare makes the clients and messages that an event names.
func (h *history) declare(n *node, e *Event) {
	switch e.Kind {
	case Connect:
		h.client(n, e.Client).private = e.Group
	case Submit:
		m := h.message(e.Msg)
		m.sender, m.submit, m.when = h.client(n, e.Msg.Client), e, n.Start+e.At
		m.groups, m.service, m.discard = e.Groups, e.Service, e.Discard
	case Send:
		m := h.message(e.Msg)
		if m.accepted == nil {
			m.accepted = e
		}
		if m.submit == nil {
			m.groups, m.service = e.Groups, e.Service
		}
	case Join, Leave, Dlv, GView, GSig, Ask:
		h.client(n, e.Client)
	}
}

func (h *history) client(n *node, name string) *client {
	c := h.byClient[name]
	if c == nil {
		c = &client{name: name, node: n, got: map[*message]int{}, moves: map[string][]*Event{}, back: -1}
		h.byClient[name] = c
		h.clients = append(h.clients, c)
	}
	return c
}

func (h *history) message(id Message) *message {
	m := h.byID[id]
	if m == nil {
		m = &message{Message: id, index: len(h.messages)}
		h.byID[id] = m
		h.messages = append(h.messages, m)
	}
	return m
}

// replay gives every client of a node the events that concern it.
func (h *history) replay(n *node) {
	var here []*client
	var ring *Event
	for i := range n.Events {
		e := &n.Events[i]
		it := item{Event: e, when: n.Start + e.At}
		switch e.Kind {
		case Submit:
			it.message = h.byID[e.Msg]
			h.see(h.byClient[e.Msg.Client], &here, it)
		case Dlv:
			it.message = h.message(e.Msg)
			c := h.byClient[e.Client]
			h.see(c, &here, it)
			at := len(c.items) - 1
			it.message.deliveries = append(it.message.deliveries, delivery{c, at})
			if _, again := c.got[it.message]; !again {
				c.got[it.message] = at
			}
		case Connect, Join, Leave, GView, GSig, Ask:
			c := h.byClient[e.Client]
			h.see(c, &here, it)
			if e.Kind == Join || e.Kind == Leave {
				c.moves[e.Group] = append(c.moves[e.Group], e)
			}
		case Gone:
			if c := h.byClient[e.Client]; c != nil {
				c.gone = true
				h.see(c, &here, it)
			}
		case View, Sig, Attach, Ring, Lineage:
			apart := parted(ring, e)
			if e.Kind == Ring {
				ring = e
			} else if e.Kind == View {
				n.views = append(n.views, e)
			}
			for _, c := range here {
				if e.Kind == Attach || e.Role == "founder" {
					c.outOfAll(e)
				}
				c.items = append(c.items, it)
				if apart && h.opts.OneClock {
					c.back = it.when
				} else if apart {
					c.back = math.MaxInt64
				}
			}
		}
	}
}

// parted says that a node which was in ring before did not come to where e is
// with the larger part of it, or in a new role.
func parted(before, e *Event) bool {
	switch {
	case e.Kind == Attach:
		return true
	case e.Kind == Lineage:
		return e.Role != "heir"
	case e.Kind != Ring || before == nil:
		return false
	}
	return 2*len(e.Together) < len(before.Members)
}

// see appends an item to a client, who from then on sees its node's events too.
func (h *history) see(c *client, here *[]*client, it item) {
	if len(c.items) == 0 {
		*here = append(*here, c)
	}
	c.items = append(c.items, it)
}

// A key is a place in the federated order of one view.
type key struct {
	t   int64
	src string
	n   uint64
}

// keyOf returns the key that an event carries; its source is the instance that
// took the event's cause in, unless it says another.
func keyOf(e *Event) key {
	if e.Src == "" {
		return key{e.T, e.Inst, e.N}
	}
	return key{e.T, e.Src, e.N}
}

func (k key) less(l key) bool {
	switch {
	case k.t != l.t:
		return k.t < l.t
	case k.src != l.src:
		return k.src < l.src
	}
	return k.n < l.n
}

// federated returns the accepting event of a message that went between sites, if
// the traces show it.
func (m *message) federated() *Event {
	if m.accepted == nil || m.accepted.Mode != "fed" {
		return nil
	}
	return m.accepted
}

// instanceIn returns the instance in which the client took part in a view, or "".
func (c *client) instanceIn(v ViewID) string {
	for _, e := range c.node.views {
		if e.View == v {
			return e.Inst
		}
	}
	return ""
}

// addressed says whether a keyed federated message reaches the client by the
// client's own joins and leaves (PREDICATES section 1).
func (h *history) addressed(c *client, m *message) bool {
	send := m.federated()
	if send == nil || !m.wantedBy(c) {
		return false
	}
	inst := c.instanceIn(send.View)
	if inst == "" || !slices.Contains(send.D, inst) {
		return false
	}
	return slices.ContainsFunc(m.groups, func(g string) bool {
		if g == c.private {
			// A session has no key; one that began later had another's name.
			return h.opts.OneClock && m.submit != nil && c.items[0].when < m.when
		}
		return c.memberAt(g, send.View, keyOf(send))
	})
}

// outOfAll notes that an attach period begins: what the client joined before does
// not count in it.
func (c *client) outOfAll(e *Event) {
	for g := range c.moves {
		c.moves[g] = append(c.moves[g], e)
	}
}

// memberAt says whether the client's last own join or leave of g below the key is
// a join, within one attach period.
func (c *client) memberAt(g string, v ViewID, k key) bool {
	member := false
	for _, e := range c.moves[g] {
		if e.Kind != Join && e.Kind != Leave {
			member = false
			continue
		}
		if v.Less(e.View) || e.View == v && !keyOf(e).less(k) {
			return member
		}
		member = e.Kind == Join
	}
	return member
}
