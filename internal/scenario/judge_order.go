//go:build linux

package scenario

import (
	"fmt"
	"strings"

	"ringway/client"
)

// A vertex is what has one place in the order that all sessions share: a message of
// causal or stronger service, or a view.
type vertex struct {
	message MessageID
	view    viewKey
}

func (v vertex) String() string {
	if v.message.Seq > 0 {
		return fmt.Sprintf("message %d of session %d", v.message.Seq, v.message.Tag)
	}
	return "view " + v.view.id + " of " + v.view.group
}

func vertexOf(r *Record) (vertex, bool) {
	switch {
	case r.View != nil:
		return vertex{view: keyOf(r.View)}, true
	case r.Message.Seq > 0 && r.Service >= client.Causal:
		return vertex{message: r.Message}, true
	}
	return vertex{}, false
}

// order checks that one order exists that contradicts no session: what each got, one
// after another, and what each had got or sent before it sent something.
func (j *judge) order() {
	after := map[vertex][]vertex{}
	count := map[vertex]int{} // of those before
	edge := func(a, b vertex) {
		after[a] = append(after[a], b)
		count[b]++
	}
	for _, t := range j.transcripts {
		path := make([]vertex, 0, len(t.Log)) // the last vertex up to each record
		var last vertex
		for i := range t.Log {
			if v, ok := vertexOf(&t.Log[i]); ok {
				if last != (vertex{}) {
					edge(last, v)
				}
				last = v
			}
			path = append(path, last)
		}
		j.pasts(t, path, edge)
	}
	if circle := circle(after, count); len(circle) > 0 {
		var names []string
		for _, v := range circle {
			names = append(names, v.String())
		}
		j.accuse("no order fits all sessions: each of these comes before the next one somewhere: %s", strings.Join(names, "; "))
	}
}

// pasts adds what a session had got and sent before each of its messages.
func (j *judge) pasts(t *transcript, path []vertex, edge func(a, b vertex)) {
	var previous vertex
	for _, m := range t.Sent {
		if m.Service < client.Causal {
			continue
		}
		v := vertex{message: MessageID{t.Tag, m.Seq}}
		if m.After > 0 && path[m.After-1] != (vertex{}) {
			edge(path[m.After-1], v)
		}
		if previous != (vertex{}) {
			edge(previous, v)
		}
		previous = v
	}
}

// circle sorts topologically and returns vertices that cannot be sorted, in a circle;
// none if there are none.
func circle(after map[vertex][]vertex, count map[vertex]int) []vertex {
	var ready []vertex
	for v := range after {
		if count[v] == 0 {
			ready = append(ready, v)
		}
	}
	for len(ready) > 0 {
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, w := range after[v] {
			if count[w]--; count[w] == 0 {
				ready = append(ready, w)
			}
		}
	}
	before := map[vertex]vertex{} // of those that are left: one that is left, too
	var at vertex
	for v, ws := range after {
		if count[v] == 0 {
			continue
		}
		for _, w := range ws {
			if count[w] > 0 {
				before[w] = v
				at = w
			}
		}
	}
	if len(before) == 0 {
		return nil
	}
	// Everything that is left has something before it: walking back ends in a circle.
	place := map[vertex]int{}
	var walk []vertex
	for {
		if i, been := place[at]; been {
			walk = walk[i:]
			break
		}
		place[at] = len(walk)
		walk = append(walk, at)
		at = before[at]
	}
	for i, k := 0, len(walk)-1; i < k; i, k = i+1, k-1 {
		walk[i], walk[k] = walk[k], walk[i]
	}
	return walk
}
