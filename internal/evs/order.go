package evs

import (
	"fmt"
	"slices"
	"strings"
)

// A bits is a set of message indices.
type bits []uint64

func (b bits) has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }
func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) or(c bits) {
	for i := range c {
		b[i] |= c[i]
	}
}

// causalOrder is P11. (a) No client gets a message before one of its past. (b) A
// client that gets a message has got everything of its past in the same view that
// is addressed to it. Causal and stronger messages make the past.
func causalOrder(h *history, r *report) {
	pasts := h.pasts()
	for _, c := range h.clients {
		ahead := make(bits, (len(h.messages)+63)/64) // ordered messages still to come
		for m := range c.got {
			if Ordered(m.service) {
				ahead.set(m.index)
			}
		}
		for at, it := range c.items {
			if it.Kind != Dlv || !Ordered(it.message.service) || c.got[it.message] != at {
				continue
			}
			m := it.message
			ahead[m.index/64] &^= 1 << (m.index % 64)
			past := pasts[m.index]
			if past == nil {
				continue
			}
			for w := range past {
				if both := past[w] & ahead[w]; both != 0 {
					for i := w * 64; i < len(h.messages) && i < w*64+64; i++ {
						if both>>(i%64)&1 == 1 {
							cause := h.messages[i]
							r.add(Violation{Client: c.name, Message: m.Message, Explain: fmt.Sprintf("client %s got %v before %v, on which it depends", c.name, m.Message, cause.Message)},
								cause.submit, m.submit, it.Event, c.items[c.got[cause]].Event)
						}
					}
				}
			}
			h.causesArrived(r, c, it, past)
		}
		if r.full() {
			return
		}
	}
}

// causesArrived checks P11 (b) for one delivery.
func (h *history) causesArrived(r *report, c *client, it item, past bits) {
	send := it.message.federated()
	if send == nil {
		return
	}
	for _, cause := range h.messages {
		e := cause.federated()
		if e == nil || e.View != send.View || !Ordered(cause.service) || !past.has(cause.index) {
			continue
		}
		if _, got := c.got[cause]; !got && h.addressed(c, cause) {
			r.add(Violation{Client: c.name, Message: it.Msg, View: send.View, Explain: fmt.Sprintf("client %s got %v without %v, on which it depends", c.name, it.Msg, cause.Message)}, e, send, it.Event)
		}
	}
}

// pasts returns the past of every message that was submitted, by its index. It
// goes through the clients in turn, each as far as the pasts of what it received
// are known.
func (h *history) pasts() []bits {
	words := (len(h.messages) + 63) / 64
	pasts := make([]bits, len(h.messages))
	state := make([]bits, len(h.clients))
	next := make([]int, len(h.clients))
	for i := range state {
		state[i] = make(bits, words)
	}
	for moved := true; moved; {
		moved = false
		for i, c := range h.clients {
			for ; next[i] < len(c.items); next[i]++ {
				it := c.items[next[i]]
				if it.Kind == Dlv && Ordered(it.message.service) && it.message.submit != nil {
					past := pasts[it.message.index]
					if past == nil {
						break // its sender has not got there yet
					}
					state[i].or(past)
					state[i].set(it.message.index)
				}
				if it.Kind == Submit {
					pasts[it.message.index] = slices.Clone(state[i])
					if Ordered(it.message.service) {
						state[i].set(it.message.index)
					}
				}
				moved = true
			}
		}
	}
	return pasts
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
		for _, it := range c.items {
			var v int
			switch {
			case it.Kind == Dlv && Ordered(it.message.service):
				v = at(it.message.String())
			case it.Kind == GView:
				v = at("view " + it.ID + " of " + it.Group)
			case it.Kind == GSig && it.ID != "":
				v = at("signal " + it.ID + " of " + it.Group)
			default:
				continue
			}
			if before >= 0 && before != v && !slices.Contains(g[before].next, v) {
				g[before].next = append(g[before].next, v)
				g[before].why = append(g[before].why, it.Event)
				g[v].in++
			}
			before = v
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
