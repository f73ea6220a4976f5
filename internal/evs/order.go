package evs

import (
	"fmt"
	"iter"
	mathbits "math/bits"
	"slices"
	"strings"
)

// A bits is a set of message indices.
type bits []uint64

func (b bits) set(i int) { b[i/64] |= 1 << (i % 64) }
func (b bits) or(c bits) {
	for i := range c {
		b[i] |= c[i]
	}
}

// causalOrder is P11. (a) No client gets a message before one of its past. (b) A
// client that gets a message has got everything of its past in the same view that is
// addressed to it; here the past begins where a sender's node last closed alone. Causal
// and stronger messages make the past of everybody, a fifo message that of its sender's
// later ones only.
func causalOrder(h *history, r *report) {
	pasts, fifos := h.pasts(false)
	inView := h.inView()
	recent := pasts
	if h.anyClosed() {
		recent, fifos = h.pasts(true)
	}
	for _, c := range h.clients {
		ahead := h.none()   // ordered messages still to come
		lacks := h.none()   // messages that never come
		var misses bits     // those of them that are addressed to it
		period := anyPeriod // that misses is of
		for _, m := range h.messages {
			if _, got := c.got[m]; !got {
				lacks.set(m.index)
			} else if Ordered(m.service) {
				ahead.set(m.index)
			}
		}
		for at, it := range c.items {
			if it.Kind != Dlv || !Ordered(it.message.service) || c.got[it.message] != at {
				continue
			}
			m := it.message
			ahead[m.index/64] &^= 1 << (m.index % 64)
			if pasts[m.index] == nil {
				continue
			}
			for cause := range h.both(pasts[m.index], ahead) {
				r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("client %s got %v before %v, on which it depends", c.name, m.Message, cause.Message)},
					cause.submit, m.submit, it.Event, c.items[c.got[cause]].Event)
			}
			if send := m.federated(); send != nil {
				if it.period != period {
					misses, period = h.addressedOf(lacks, c, it.period), it.period
				}
				h.causesArrived(r, c, it, [2]bits{recent[m.index], fifos[m.index]}, inView[send.View], misses)
			}
		}
		if r.full() {
			return
		}
	}
}

// addressedOf returns those of a set that are addressed to a client in an attach period.
func (h *history) addressedOf(set bits, c *client, period int) bits {
	addressed := h.none()
	for m := range h.both(set) {
		if h.addressedIn(c, m, period) {
			addressed.set(m.index)
		}
	}
	return addressed
}

// causesArrived checks P11 (b) for one delivery, of whose past the first part is
// ordered; the other is its sender's fifo messages. misses are what the client should
// have got and did not.
func (h *history) causesArrived(r *report, c *client, it item, past [2]bits, inView, misses bits) {
	for i, part := range past {
		for cause := range h.both(part, inView, misses) {
			if i == 0 || h.there(c, cause, it, it.period) {
				r.add(Violation{Client: c.name, Message: it.Msg, View: it.View, Explain: fmt.Sprintf("client %s got %v without %v, on which it depends", c.name, it.Msg, cause.Message)}, cause.accepted, it.message.accepted, it.Event)
			}
		}
	}
}

// there says whether the client was in a group of a fifo message from before it was
// sent on until an item, in one attach period. A fifo message comes when it comes, not at its key, so keys do
// not tell who was there for it.
func (h *history) there(c *client, m *message, until item, period int) bool {
	if !h.opts.OneClock || m.submit == nil {
		return false
	}
	return slices.ContainsFunc(m.groups, func(g string) bool {
		member := g == c.private && c.items[0].when < m.when
		for _, e := range c.moves[g] {
			switch now := c.node.now(e.Event); {
			case e.period < period: // of an earlier attach period
				member = false
			case now > until.when:
				return member
			case now >= m.when && e.Kind != Join:
				return false
			case now < m.when:
				member = e.Kind == Join
			}
		}
		return member
	})
}

// none returns an empty set of messages.
func (h *history) none() bits { return make(bits, (len(h.messages)+63)/64) }

// both goes through the messages that are in all sets.
func (h *history) both(first bits, more ...bits) iter.Seq[*message] {
	return func(yield func(*message) bool) {
		for w, all := range first {
			for _, set := range more {
				all &= set[w]
			}
			for ; all != 0; all &= all - 1 {
				if !yield(h.messages[w*64+mathbits.TrailingZeros64(all)]) {
					return
				}
			}
		}
	}
}

// inView returns the federated messages that keep an order, by the view that accepted
// them.
func (h *history) inView() map[ViewID]bits {
	sets := map[ViewID]bits{}
	for view, messages := range h.ofView {
		sets[view] = h.none()
		for _, m := range messages {
			if inSenderOrder(m.service) {
				sets[view].set(m.index)
			}
		}
	}
	return sets
}

// anyClosed says whether any node closed a view alone.
func (h *history) anyClosed() bool {
	return slices.ContainsFunc(h.nodes, func(n *node) bool { return len(n.lone) > 0 })
}

// A vertex is a message or a group view in the union of all orders.
type vertex struct {
	name string
	next []int
	why  []*Event // the delivery that made each edge
	in   int
}

// totalOrder is P12: what all clients saw, put together, has no cycle.
func totalOrder(h *history, r *report) {
	g := h.orders()
	ready := make([]int, 0, len(g))
	for i := range g {
		if g[i].in == 0 {
			ready = append(ready, i)
		}
	}
	left := len(g)
	for len(ready) > 0 {
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		left--
		for _, w := range g[v].next {
			if g[w].in--; g[w].in == 0 {
				ready = append(ready, w)
			}
		}
	}
	if left == 0 {
		return
	}
	cycle := shortestCycle(g)
	names := make([]string, 0, len(cycle)+1)
	var evidence []*Event
	for i, v := range cycle {
		names = append(names, g[v].name)
		w := cycle[(i+1)%len(cycle)]
		evidence = append(evidence, g[v].why[slices.Index(g[v].next, w)])
	}
	names = append(names, names[0])
	r.add(Violation{Explain: fmt.Sprintf("the orders contradict each other: %s (each was seen behind the one before it by the client in the event)", strings.Join(names, " < "))}, evidence...)
}

// orders builds the union of the delivery orders of all clients.
//
// What a node takes behind a gap of its ring (N4) stands behind what it gave before, and in front of
// its next configuration. It has no place among the federated messages that it gives in this one: the part of the
// ring that has what is missing gave some of them in between, as a Tick said that is lost here.
func (h *history) orders() []vertex {
	var g []vertex
	index := map[string]int{}
	at := func(name string) int {
		i, ok := index[name]
		if !ok {
			i = len(g)
			index[name] = i
			g = append(g, vertex{name: name})
		}
		return i
	}
	for _, c := range h.clients {
		before := -1
		torn, gap := -1, 0           // the latest behind a gap, and of which configuration
		views := map[string]string{} // the latest of each group
		for _, it := range c.items {
			var v int
			switch {
			case it.Kind == Dlv && Ordered(it.message.service):
				v = at(it.message.String())
			case it.Kind == GView:
				views[it.Group] = it.ID
				v = at("view " + it.ID + " of " + it.Group)
			case it.Kind == GSig && it.ID != "":
				v = at("signal " + it.ID + " of " + it.Group)
			case it.Kind == GSig:
				// Without a name of its own it is the one behind that view for those members.
				// It speaks of a ring's safe messages: each site has its own, and so has each
				// instance of a site in a ring that they have only just met in.
				v = at(fmt.Sprintf("signal for %v of instance %s in ring %s, view %s of %s", it.Members, it.inst, it.ring, views[it.Group], it.Group))
			default:
				continue
			}
			behind := func(u int) {
				if u >= 0 && u != v && !slices.Contains(g[u].next, v) {
					g[u].next = append(g[u].next, v)
					g[u].why = append(g[u].why, it.Event)
					g[v].in++
				}
			}
			if torn >= 0 && it.configuration != gap {
				behind(torn)
				torn = -1
			}
			switch {
			case it.Kind != Dlv || !slices.Contains(it.message.torn, c.node):
				behind(before)
				before = v
			case torn < 0:
				behind(before)
				torn, gap = v, it.configuration
			default:
				behind(torn)
				torn = v
			}
		}
	}
	return g
}

// searches bounds how many starting points shortestCycle tries: a cycle close to
// the shortest is evidence enough.
const searches = 400

// shortestCycle returns a shortest cycle among those through the first vertices
// that lie on one. Vertices with in > 0 are on a cycle or behind one.
func shortestCycle(g []vertex) []int {
	var best []int
	tried := 0
	from := make([]int, len(g))
	for start := range g {
		if g[start].in == 0 {
			continue
		}
		if tried++; tried > searches && best != nil {
			break
		}
		for i := range from {
			from[i] = -1
		}
		queue := []int{start}
		for len(queue) > 0 && from[start] < 0 {
			v := queue[0]
			queue = queue[1:]
			for _, w := range g[v].next {
				if g[w].in > 0 && from[w] < 0 {
					from[w] = v
					queue = append(queue, w)
				}
			}
		}
		if from[start] < 0 {
			continue
		}
		cycle := []int{start}
		for v := from[start]; v != start; v = from[v] {
			cycle = append(cycle, v)
		}
		slices.Reverse(cycle)
		if best == nil || len(cycle) < len(best) {
			best = cycle
		}
		if len(best) == 2 {
			break
		}
	}
	return best
}
