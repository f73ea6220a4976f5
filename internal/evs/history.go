package evs

import "math"

// A history is the traces of a run, indexed by client and by message.
type history struct {
	opts     Options
	nodes    []*node
	clients  []*client // in order of appearance
	messages []*message
	byClient map[string]*client
	byID     map[Message]*message
	ofView   map[ViewID][]*message // federated ones, by the view that accepted them
	downs    map[string][]*Event   // by client: where it was ordered out
	keyed    bool                  // the traces show what the machines did
	accepts  bool                  // the traces show what was accepted
	casts    bool                  // and what left its node without that
	attaches bool                  // the traces show when clients take part
}

// A node is one life of a node.
type node struct {
	*Trace
	alive    bool     // it was there at the end
	crashed  bool     // its trace ends without a word, and goes no further elsewhere
	attaches bool     // the traces say when clients take part
	lineages bool     // its trace says which lineages it took up
	views    []*Event // that it installed
	lone     []*Event // signals of views that it closed alone
}

// now is an event's time on the common clock.
func (n *node) now(e *Event) int64 { return n.Start + e.At }

// A client is a session and what it saw, in its order.
type client struct {
	name    string
	node    *node
	private string // its private group
	items   []item
	moves   map[string][]move  // its joins and leaves by group, and what ended its attach periods
	stays   map[ViewID][]stay  // the views that it took part in
	period  int                // while replaying: how many attach periods ended before
	signals map[string]*Event  // while replaying: groups with a signal since their last view
	got     map[*message]int   // index of its first delivery in items
	views   map[groupView]bool // that it got; nil until somebody asks
	gone    bool               // it left before the end
	ended   *Event             // how
	free    bool               // its session has independent scopes
	back    int64              // when its node last came back from a way of its own; -1: never away
}

// staysFrom says that the client was there from some time on to the end. While its
// node goes another way than most of its ring it is not: what it misses meanwhile is
// a matter of configurations (P7), not of loss. Without a common clock, once away is
// away for good.
func (c *client) staysFrom(when int64) bool { return c.node.alive && !c.gone && c.back < when }

// An item is one event that a client saw; those of its node are among them, and the
// acceptance of its own messages there.
type item struct {
	*Event
	message       *message // of submit, send and dlv
	when          int64    // on the common clock, with OneClock
	ring          string   // that its node is in
	inst          string   // that its node is of
	part                   // of dlv
	period        int      // how many attach periods of the client had ended
	configuration int      // how many the client's node had begun
}

// A message is a message and who got it.
type message struct {
	Message
	index      int
	sender     *client // nil if it was never submitted
	groups     []string
	service    string
	discard    bool
	free       bool // its sender's session has independent scopes
	near       bool // a node accepted it as a local one
	submit     *Event
	when       int64            // of submit, on the common clock
	accepted   *Event           // first send that counts, at whatever node; nil in traces from outside
	taken      int64            // when, on the common clock; if it was cast, that
	cast       bool             // it left its node for that node's site only
	lone       bool             // only nodes that then closed alone or crashed accepted it
	asides     map[*node]*Event // each one's send; their records may have other numbers
	torn       []*node          // who accepted it behind a gap of their ring
	kept       bool             // a node accepted it that took it along and was there at the end
	deliveries []delivery
}

// A delivery is the place of a message at a client.
type delivery struct {
	to *client
	at int // in to.items
}

// wantedBy says whether the client gets the message if it is addressed.
func (m *message) wantedBy(c *client) bool { return !m.discard || m.sender != c }

// stopped says whether a life ended in order, or with the run.
func (t *Trace) stopped() bool {
	n := len(t.Events)
	return n > 0 && t.Events[n-1].Kind == Stop
}

func newHistory(traces []Trace, opts Options) *history {
	h := &history{opts: opts, byClient: map[string]*client{}, byID: map[Message]*message{}, ofView: map[ViewID][]*message{}, downs: map[string][]*Event{}}
	newest := map[string]int64{}
	over := false // whoever is there yet has said so
	for i := range traces {
		newest[traces[i].Node] = max(newest[traces[i].Node], traces[i].Start)
		over = over || traces[i].stopped()
	}
	for i := range traces {
		t := &traces[i]
		last := len(t.Events) - 1
		ended := t.stopped()
		h.nodes = append(h.nodes, &node{Trace: t, crashed: !ended && (over || t.Start < newest[t.Node]), alive: ended && t.Start == newest[t.Node] && (opts.QuietFrom == 0 || t.Start+t.Events[last].At >= opts.QuietFrom)})
	}
	for _, n := range h.nodes {
		for i := range n.Events {
			h.declare(n, &n.Events[i])
		}
	}
	for _, n := range h.nodes {
		n.attaches = h.attaches // a life may end before its clients take part
		h.acceptances(n)
	}
	for _, n := range h.nodes {
		h.replay(n)
	}
	for _, m := range h.messages {
		if send := m.federated(); send != nil {
			h.ofView[send.View] = append(h.ofView[send.View], m)
		}
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
		m.sender, m.submit, m.when = h.client(n, e.Msg.Client), e, n.now(e)
		m.groups, m.service, m.discard, m.free = e.Groups, e.Service, e.Discard, e.Free
		m.sender.free = m.sender.free || e.Free
	case Send:
		h.keyed, h.accepts = true, true
		h.message(e.Msg)
	case Down:
		if e.T != 0 {
			h.downs[e.Client] = append(h.downs[e.Client], e)
		}
	case Cast:
		m := h.message(e.Msg)
		h.casts, m.cast, m.taken = true, true, n.now(e)
	case Import, Promise:
		h.keyed = true
	case Attach:
		h.attaches = true
	case Lineage:
		n.lineages = true
	case Sig:
		if len(e.TS) == 0 {
			n.lone = append(n.lone, e)
		}
	case View:
		n.views = append(n.views, e)
	case Join, Leave, Dlv, GView, GSig, Ask:
		h.client(n, e.Client)
	}
}

// acceptances notes where messages were accepted. What a node accepted in a
// configuration that it closed alone, or right before it crashed, counts only if nobody else
// accepted the message: the others may not have it.
func (h *history) acceptances(n *node) {
	aside := n.crashed
	for i := len(n.Events) - 1; i >= 0; i-- {
		e := &n.Events[i]
		switch {
		case e.Kind == Sig:
			aside = len(e.TS) == 0
		case e.Kind == Lineage && e.Role != "heir":
			aside = true // whether it was attached and has a signal, or not
		case e.Kind == Attach, e.Kind == View, e.Kind == Lineage && e.Role == "heir":
			aside = false // what lies before was carried on
		case e.Kind == Send:
			m := h.byID[e.Msg]
			m.kept = m.kept || n.alive && !aside
			m.near = m.near || e.Mode == "local"
			if e.Torn && e.Mode == "local" {
				m.torn = append(m.torn, n)
			}
			if aside {
				if m.asides == nil {
					m.asides = map[*node]*Event{}
				}
				m.asides[n] = e
			}
			if m.accepted == nil || m.lone && !aside || m.lone == aside && m.accepted.Node == e.Node && m.accepted.Boot == e.Boot {
				m.accepted, m.taken, m.lone = e, n.now(e), aside
			}
			if m.submit == nil {
				m.groups, m.service, m.free = e.Groups, e.Service, e.Free
			}
		}
	}
}

func (h *history) client(n *node, name string) *client {
	c := h.byClient[name]
	if c == nil {
		c = &client{name: name, node: n, got: map[*message]int{}, moves: map[string][]move{}, stays: map[ViewID][]stay{}, signals: map[string]*Event{}, back: -1}
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
	at := stage{attached: !n.attaches}
	for i := range n.Events {
		e := &n.Events[i]
		at.pass(e)
		it := item{Event: e, when: n.now(e), inst: at.inst, configuration: at.configuration}
		if ring != nil {
			it.ring = ring.Ring
		}
		switch e.Kind {
		case Submit, Send:
			c := h.byClient[e.Msg.Client]
			if c != nil && c.node == n {
				it.message = h.byID[e.Msg]
				h.see(c, &here, it, &at)
			}
		case Dlv:
			h.delivered(h.byClient[e.Client], &here, it, &at)
		case Connect, Join, Leave, GView, GSig, Ask:
			c := h.byClient[e.Client]
			h.see(c, &here, it, &at)
			c.signalled(e)
			if e.Kind == Join || e.Kind == Leave {
				c.moves[e.Group] = append(c.moves[e.Group], move{e, c.period, at.alone()})
			}
		case Gone:
			if c := h.byClient[e.Client]; c != nil {
				c.gone, c.ended = true, e
				h.see(c, &here, it, &at)
			}
		case View, Sig, Attach, Ring, Lineage:
			apart := n.parted(ring, e)
			if e.Kind == Ring {
				ring = e
			}
			for _, c := range here {
				c.moved(it, apart, h.opts.OneClock)
				c.stay(&at, e.Kind == Attach)
			}
		}
	}
}

// delivered replays a delivery.
func (h *history) delivered(c *client, here *[]*client, it item, at *stage) {
	it.message = h.message(it.Msg)
	it.part = at.part(c, it.message, it.Event)
	h.see(c, here, it, at)
	i := len(c.items) - 1
	it.message.deliveries = append(it.message.deliveries, delivery{c, i})
	if _, again := c.got[it.message]; !again {
		c.got[it.message] = i
	}
}

// moved replays a change of the node's configuration at a client.
func (c *client) moved(it item, apart, oneClock bool) {
	if it.Kind == Attach || it.Kind == Lineage && it.Role != "heir" {
		c.outOfAll(it.Event)
		clear(c.signals)
	}
	it.period = c.period
	c.items = append(c.items, it)
	switch {
	case apart && oneClock:
		c.back = it.when
	case apart:
		c.back = math.MaxInt64
	}
}

// parted says that a node which was in ring before came to where e is by a way of its
// own: by another lineage, or, if its trace says nothing of lineages, without the
// larger part of its ring.
func (n *node) parted(before, e *Event) bool {
	switch {
	case e.Kind == Attach:
		return true
	case e.Kind == Lineage:
		return e.Role != "heir"
	case e.Kind != Ring || before == nil || n.lineages:
		return false
	}
	return 2*len(e.Together) < len(before.Members)
}

// see appends an item to a client, who from then on sees its node's events too.
func (h *history) see(c *client, here *[]*client, it item, at *stage) {
	if len(c.items) == 0 {
		*here = append(*here, c)
		c.stay(at, false)
	}
	it.period = c.period
	c.items = append(c.items, it)
}
