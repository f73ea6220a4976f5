package overlay

import (
	"ringway/membership"
	"ringway/routing"
)

// A fair queue has things of several origins. Each origin has maxNotes places and its turn,
// so that one that sends much delays or displaces nothing of the others. There may be as many as a
// federation has gateways: what names more origins than that is made up. The zero value is
// empty; it is not safe for concurrent use.
type fair[T any] struct {
	of    map[membership.NodeID][]T
	turns []membership.NodeID // origins that have something, the next one first
}

// put adds something, and reports how many were dropped: an older one of its origin that made room for it, or itself.
func (q *fair[T]) put(origin membership.NodeID, x T) (dropped int) {
	if q.of == nil {
		q.of = map[membership.NodeID][]T{}
	}
	list := q.of[origin]
	switch {
	case len(list) == 0 && len(q.turns) == routing.MaxGateways:
		return 1
	case len(list) == 0:
		q.turns = append(q.turns, origin)
	case len(list) >= maxNotes:
		list, dropped = behindFirst(list), 1
	}
	q.of[origin] = append(list, x)
	return dropped
}

// next takes the oldest of the origin whose turn it is.
func (q *fair[T]) next() (x T, ok bool) {
	if len(q.turns) == 0 {
		return x, false
	}
	origin := q.turns[0]
	q.turns = q.turns[1:]
	list := q.of[origin]
	x = list[0]
	list = behindFirst(list)
	if len(list) == 0 {
		delete(q.of, origin)
	} else {
		q.of[origin] = list
		q.turns = append(q.turns, origin)
	}
	return x, true
}

// round takes a round of them, in turn. It says whether there may be more.
func (q *fair[T]) round() (list []T, more bool) {
	for len(list) < noteRound {
		x, ok := q.next()
		if !ok {
			return list, false
		}
		list = append(list, x)
	}
	return list, true
}

func (q *fair[T]) empty() bool { return len(q.turns) == 0 }

// behindFirst is a list without its first, which is forgotten.
func behindFirst[T any](list []T) []T {
	var none T
	list[0] = none
	return list[1:]
}
