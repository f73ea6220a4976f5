package merge

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ringway/membership"
)

// A checker sees what clients see and what machines say, and judges it.
type checker struct {
	w        *world
	clients  map[membership.ClientID]*simClient
	messages []*message
	views    map[string]string // group and view id → members
	between  map[string]string // group, view, next view → messages
	stamps   map[recordKey]int64
	accepted map[recordKey]position
	imported map[importKey]position
	latency  []time.Duration
	farViews map[farCast]membership.ViewID // of unreliable messages between sites
}

type position struct {
	ring *simRing
	seq  int
}

// A simClient is an application.
type simClient struct {
	id       membership.ClientID
	name     string
	node     *simNode
	dead     bool
	gone     bool
	period   int             // how often its node has gone on without its instance
	tense    map[string]bool // groups with a signal since the latest view
	log      []string        // ordered: messages and views, for the total order
	told     []string        // views and signals, see tale
	got      map[int]bool    // messages
	when     map[int]time.Duration
	seen     map[int]bool // the past: sent or got, ordered only
	latest   map[membership.ClientID]int
	in       map[string]bool // groups asked for
	view     map[string]string
	since    map[string][]string // ordered messages to the group since the view
	memberOf map[string]bool     // as views say
	sent     []*message          // those of FIFO service and stronger that are not accepted yet
}

type message struct {
	id        int
	sender    *simClient
	service   membership.Service
	groups    []string
	sent      time.Duration
	past      map[int]bool
	src       recordKey // of a federated one
	federated bool
	period    int // of its sender, when it was accepted
}

func newChecker(w *world) *checker {
	return &checker{w: w, clients: map[membership.ClientID]*simClient{}, views: map[string]string{}, between: map[string]string{},
		stamps: map[recordKey]int64{}, accepted: map[recordKey]position{}, imported: map[importKey]position{}}
}

func (n *simNode) connect(name string) *simClient {
	n.sessions++
	c := &simClient{id: membership.ClientID{Node: n.id, Session: n.boot<<32 | n.sessions}, name: name, node: n, got: map[int]bool{}, when: map[int]time.Duration{}, seen: map[int]bool{},
		latest: map[membership.ClientID]int{}, in: map[string]bool{}, view: map[string]string{}, since: map[string][]string{}, memberOf: map[string]bool{}, tense: map[string]bool{}}
	n.clients = append(n.clients, c)
	n.w.check.clients[c.id] = c
	n.replica.Connect(n.w.now, c.id, name, &n.fx)
	n.carry()
	return c
}

func (c *simClient) submit(q Request) {
	c.node.replica.Submit(c.node.w.now, c.id, q, &c.node.fx)
	c.node.carry()
}

func (c *simClient) join(g string) {
	c.in[g] = true
	c.submit(Request{Kind: Join, Groups: []string{g}})
}

func (c *simClient) leave(g string) {
	delete(c.in, g)
	c.submit(Request{Kind: Leave, Groups: []string{g}})
}

func (c *simClient) disconnect() {
	c.gone = true
	c.node.replica.Disconnect(c.node.w.now, c.id, &c.node.fx)
	c.node.carry()
}

func (c *simClient) send(service membership.Service, groups ...string) *message {
	m := c.note(service, groups...)
	c.submit(Request{Kind: Send, Service: service, Groups: groups, Data: fmt.Appendf(nil, "%d", m.id)})
	return m
}

// sendLarge sends a body that crosses ring and WAN before its request.
func (c *simClient) sendLarge(service membership.Service, size int, groups ...string) *message {
	m := c.note(service, groups...)
	c.submit(Request{Kind: Send, Service: service, Groups: groups, Data: largeBody(m.id, size)})
	return m
}

// largeBody is a body that shows whether it is whole.
func largeBody(id, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(id + i*7 + i>>8)
	}
	copy(data, fmt.Sprintf("%d ", id))
	return data
}

// note makes a message known to the checker. Its data has to begin with its number.
func (c *simClient) note(service membership.Service, groups ...string) *message {
	k := c.node.w.check
	m := &message{id: len(k.messages), sender: c, service: service, groups: groups, sent: c.node.w.now, past: map[int]bool{}}
	k.messages = append(k.messages, m)
	if service >= membership.FIFO {
		c.sent = append(c.sent, m)
	}
	if service.Ordered() {
		for id := range c.seen {
			m.past[id] = true
		}
		c.seen[m.id] = true
	}
	return m
}

func viewName(id GroupViewID) string { return fmt.Sprintf("%x.%d.%d", id.Origin, id.Time, id.Index) }

func (k *checker) output(n *simNode, o *Output) {
	for _, to := range o.To {
		c := k.clients[to]
		if c == nil || c.dead || c.node != n {
			k.w.fail("output for a client that is not here: %v %v of %v, known: %v", to, o.Kind, o.Group, c != nil)
			return
		}
		c.told = append(c.told, tale(o)...)
		switch o.Kind {
		case OutMessage:
			k.message(c, &o.Message)
		case OutView:
			k.view(c, o.View)
		case OutTransition:
			c.tense[o.Group] = true
		case OutLeft:
			delete(c.tense, o.Group)
			delete(c.memberOf, o.Group)
			delete(c.view, o.Group)
			delete(c.since, o.Group)
		case OutClosed:
			c.dead = true
		}
	}
}

// tale is a line on what a client gets, but for messages.
func tale(o *Output) []string {
	list := func(members []Member) string {
		var names []string
		for _, x := range members {
			names = append(names, x.Name)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	switch o.Kind {
	case OutView:
		line := fmt.Sprintf("%s: %s", o.Group, map[Cause]string{CauseJoin: "join", CauseLeave: "leave", CauseDisconnect: "disconnect", CauseNetwork: "network"}[o.View.Cause])
		if o.View.Cause != CauseNetwork {
			line += " of " + o.View.Changed.Name
		}
		line += ", " + list(o.View.Members)
		for _, s := range o.View.Sets {
			line += " [" + list(s) + "]"
		}
		return []string{line}
	case OutTransition:
		return []string{o.Group + ": signal"}
	case OutLeft:
		return []string{o.Group + ": left"}
	}
	return nil
}

func (k *checker) message(c *simClient, o *Message) {
	id := 0
	fmt.Sscan(string(o.Data[:min(20, len(o.Data))]), &id)
	if len(o.Data) > inlineMax && !bytes.Equal(o.Data, largeBody(id, len(o.Data))) {
		k.w.fail("the body of message %d is not what was sent", id)
	}
	m := k.messages[id]
	if m.sender.id != o.Sender || o.SenderName != m.sender.name || !slices.Equal(o.Groups, m.groups) || o.Service != m.service {
		k.w.fail("message %d came changed", id)
	}
	if c.got[id] {
		k.w.fail("duplicate: message %d at %s", id, c.name)
	}
	c.got[id], c.when[id] = true, k.w.now
	if m.service >= membership.FIFO {
		if last, ok := c.latest[o.Sender]; ok && last > id && !k.apart(m, k.messages[last]) {
			k.w.fail("fifo: %s got %d of %s after %d", c.name, id, m.sender.name, last)
		}
		c.latest[o.Sender] = id
	}
	if !slices.ContainsFunc(m.groups, func(g string) bool { return strings.HasPrefix(g, "#") || c.memberOf[g] && m.meant(c, g) }) {
		k.w.fail("message %d of %s to %v at %s, which is no member", id, m.sender.name, m.groups, c.name)
	}
	if !m.service.Ordered() {
		return
	}
	k.latency = append(k.latency, k.w.now-m.sent)
	for past := range m.past {
		c.seen[past] = true
	}
	c.seen[id] = true
	c.log = append(c.log, fmt.Sprintf("m%d", id))
	for _, g := range m.groups {
		if m.meant(c, g) {
			c.since[g] = append(c.since[g], fmt.Sprint(id))
		}
	}
	if m.federated && m.service == membership.Safe && !c.node.tail && !c.tense[m.groups[0]] && len(m.groups) == 1 {
		k.safe(m)
	}
}

// meant says whether a message to a group is for the members at a client's site: each site
// has its own group of a name that never leaves it.
func (m *message) meant(c *simClient, group string) bool {
	scoped := c.node.w.opt.scoped
	return scoped == nil || !scoped(group) || c.node.site == m.sender.node.site
}

// safe: every node of every destination holds the record.
func (k *checker) safe(m *message) {
	for i := range k.w.sites {
		at, ok := k.imported[importKey{m.src, i}]
		if !ok {
			continue
		}
		for _, n := range at.ring.members {
			if n.up && n.ring == at.ring && n.recv < at.seq {
				k.w.fail("safe: message %d delivered, %s does not hold it", m.id, n.name)
			}
		}
	}
}

func (k *checker) view(c *simClient, v *GroupView) {
	var names []string
	for _, x := range v.Members {
		names = append(names, x.Name)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		k.w.fail("view of %s has somebody twice: %v", v.Group, names)
	}
	in := slices.ContainsFunc(v.Members, func(x Member) bool { return x.Client == c.id })
	if !in {
		k.w.fail("view of %s at %s, which is not in it", v.Group, c.name)
	}
	inSets := 0
	for _, s := range v.Sets {
		inSets += len(s)
	}
	if v.Cause == CauseNetwork && inSets != len(v.Members) {
		k.w.fail("sets of a view of %s have %d of %d members", v.Group, inSets, len(v.Members))
	}
	c.memberOf[v.Group] = true
	id := viewName(v.ID)
	key := v.Group + " " + id
	members := strings.Join(names, " ")
	if old, ok := k.views[key]; ok && old != members {
		k.w.fail("view %s: %q and %q", key, old, members)
	}
	k.views[key] = members
	delete(c.tense, v.Group)
	if before, ok := c.view[v.Group]; ok {
		if before == id {
			k.w.fail("view %s came twice to %s", key, c.name)
		}
		span := key + " after " + before + k.company(c, v)
		msgs := strings.Join(c.since[v.Group], " ")
		if old, ok := k.between[span]; ok && old != msgs {
			k.w.fail("between views, %s: %q and %q", span, old, msgs)
		}
		k.between[span] = msgs
	}
	c.view[v.Group] = id
	c.since[v.Group] = nil
	c.log = append(c.log, "v"+key)
}

// company names the members that have come to a view together with c: what they got
// before it is the same.
func (k *checker) company(c *simClient, v *GroupView) string {
	for _, s := range v.Sets {
		if slices.ContainsFunc(s, func(x Member) bool { return x.Client == c.id }) {
			return fmt.Sprint(" with ", s)
		}
	}
	return ""
}

// A recordKey names a record everywhere.
type recordKey struct {
	src  membership.InstanceID
	view membership.ViewID
	n    uint64
}

func keyOf(src membership.InstanceID, v membership.ViewID, n uint64) recordKey {
	return recordKey{src, v, n}
}

type importKey struct {
	recordKey
	site int
}

func (k *checker) trace(n *simNode, e *TraceEvent) {
	k.far(e)
	at := position{n.ring, n.handed}
	switch e.Kind {
	case TraceSend:
		k.acceptedAt(n, e)
		if e.Federated {
			key := keyOf(e.Instance, e.View, e.N)
			// A learner accepts later, when it replays what it had kept.
			if first, ok := k.accepted[key]; !ok || first.ring == at.ring && at.seq < first.seq {
				k.accepted[key] = at
			}
		}
	case TraceImport:
		key := keyOf(e.Src, e.View, e.N)
		k.stamp(key, e.T)
		k.imported[importKey{key, n.site.index}] = at
	case TraceView:
		n.ends[1] = len(n.replica.fx.Outputs)
	case TraceSig:
		n.ends = [2]int{len(n.replica.fx.Outputs), math.MaxInt}
		if len(e.Nodes) > 0 {
			for _, c := range n.clients {
				c.period++
			}
		}
	case TraceDeliver:
		if e.Federated && e.Request == Send && e.Src != e.Instance {
			k.stamp(keyOf(e.Src, e.View, e.N), e.T)
		}
	}
}

// acceptedAt connects a message with what its node accepts: a client's requests are accepted
// in the order in which it made them, each once.
func (k *checker) acceptedAt(n *simNode, e *TraceEvent) {
	c := k.clients[e.Client]
	if c == nil || c.node != n || e.Request != Send || e.Service < membership.FIFO {
		return
	}
	if len(c.sent) == 0 || c.sent[0].service != e.Service || !slices.Equal(c.sent[0].groups, e.Groups) {
		k.w.fail("%s accepts what %s did not send next: %v to %v", n.name, c.name, e.Service, e.Groups)
		return
	}
	m := c.sent[0]
	c.sent = c.sent[1:]
	m.period, m.federated = c.period, e.Federated
	if e.Federated {
		m.src = keyOf(e.Instance, e.View, e.N)
	}
}

// apart says whether two messages of one sender need not come in order: one of them is of
// FIFO service, and between them the sender's node has gone on without its instance (P10).
func (k *checker) apart(a, b *message) bool {
	return a.period != b.period && (a.service == membership.FIFO || b.service == membership.FIFO)
}

func (k *checker) stamp(key recordKey, t int64) {
	if old, ok := k.stamps[key]; ok && old != t {
		k.w.fail("record %v has T %d and %d", key, old, t)
	}
	k.stamps[key] = t
}

// final judges whole runs: the union of all orders has no cycle, causes come first.
func (k *checker) final() {
	next := map[string]map[string]bool{}
	degree := map[string]int{}
	for _, c := range k.sorted() {
		for i, x := range c.log {
			if _, ok := degree[x]; !ok {
				degree[x] = 0
			}
			if i > 0 && !next[c.log[i-1]][x] {
				if next[c.log[i-1]] == nil {
					next[c.log[i-1]] = map[string]bool{}
				}
				next[c.log[i-1]][x] = true
				degree[x]++
			}
		}
		k.causal(c)
	}
	var free []string
	for x, d := range degree {
		if d == 0 {
			free = append(free, x)
		}
	}
	seen := 0
	for len(free) > 0 {
		x := free[len(free)-1]
		free = free[:len(free)-1]
		seen++
		for y := range next[x] {
			if degree[y]--; degree[y] == 0 {
				free = append(free, y)
			}
		}
	}
	if seen != len(degree) {
		k.w.fail("order: %d of %d things stand in cycles: %s", len(degree)-seen, len(degree), k.cycle(next, degree))
	}
}

// cycle finds a short way round.
func (k *checker) cycle(next map[string]map[string]bool, degree map[string]int) string {
	var best []string
	for start, d := range degree {
		if d == 0 {
			continue
		}
		from := map[string]string{}
		for queue := []string{start}; len(queue) > 0 && from[start] == ""; queue = queue[1:] {
			for y := range next[queue[0]] {
				if from[y] == "" && degree[y] > 0 {
					from[y] = queue[0]
					queue = append(queue, y)
				}
			}
		}
		if from[start] == "" {
			continue
		}
		way := []string{start}
		for x := from[start]; x != start; x = from[x] {
			way = append(way, x)
		}
		if best == nil || len(way) < len(best) {
			best = way
		}
	}
	slices.Reverse(best)
	for i, x := range best {
		for _, c := range k.sorted() {
			if at := slices.Index(c.log, x); at >= 0 && at+1 < len(c.log) && c.log[at+1] == best[(i+1)%len(best)] {
				best[i] += " -" + c.name + "@" + c.node.name + "->"
				break
			}
		}
	}
	return strings.Join(best, " ")
}

func (k *checker) causal(c *simClient) {
	at := map[int]int{}
	for i, x := range c.log {
		id := 0
		if _, err := fmt.Sscanf(x, "m%d", &id); err == nil {
			at[id] = i
		}
	}
	for id, i := range at {
		for past := range k.messages[id].past {
			if j, ok := at[past]; ok && j > i {
				k.w.fail("causal: %s got %d before its cause %d", c.name, id, past)
			}
		}
	}
}

func (k *checker) sorted() (all []*simClient) {
	for _, c := range k.clients {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *simClient) int { return a.id.Compare(b.id) })
	return all
}
