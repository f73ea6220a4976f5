package demo

import (
	"bytes"
	"fmt"
	"slices"
)

// A history is what one member received in the group that all are in.
type history struct {
	member     string
	deliveries []delivery
}

// A check is one thing that must hold, and whether it does.
type check struct {
	Name   string
	OK     bool
	Detail string
}

// compare holds what the members received against each other and against what was
// published.
func compare(histories []history, publishers []*publisher) []check {
	return []check{sameOrder(histories), everyLineOnce(histories, publishers), publishersOrder(histories, publishers)}
}

// sameOrder: every member has the same messages in the same order, byte by byte.
func sameOrder(histories []history) check {
	c := check{Name: "one order", OK: true}
	first := histories[0]
	for _, other := range histories[1:] {
		if at, same := firstDifference(first.deliveries, other.deliveries); !same {
			return check{c.Name, false, fmt.Sprintf("message %d is %s at %s, but %s at %s",
				at+1, first.show(at), first.member, other.show(at), other.member)}
		}
	}
	c.Detail = fmt.Sprintf("%d members received the same %d messages in the same order, byte by byte", len(histories), len(first.deliveries))
	return c
}

func firstDifference(a, b []delivery) (at int, same bool) {
	for i := range min(len(a), len(b)) {
		if a[i].sender != b[i].sender || !bytes.Equal(a[i].data, b[i].data) {
			return i, false
		}
	}
	return min(len(a), len(b)), len(a) == len(b)
}

// show writes a delivery for a message to a person.
func (h *history) show(i int) string {
	if i >= len(h.deliveries) {
		return "missing"
	}
	return fmt.Sprintf("%.60q of %s", h.deliveries[i].data, h.deliveries[i].sender)
}

// A messageKey tells messages apart by who sent them and what they say.
type messageKey struct{ sender, data string }

// everyLineOnce: every member has every published message as often as it was published.
func everyLineOnce(histories []history, publishers []*publisher) check {
	const name = "nothing lost, nothing twice"
	want, total := map[messageKey]int{}, 0
	for _, p := range publishers {
		for _, s := range p.sent {
			want[messageKey{p.name, string(s.data)}]++
			total++
		}
	}
	for _, h := range histories {
		have := map[messageKey]int{}
		for _, d := range h.deliveries {
			have[messageKey{d.sender, string(d.data)}]++
		}
		for key, n := range want {
			if have[key] != n {
				return check{name, false, fmt.Sprintf("%s received %.60q of %s %d times; it was published %d times", h.member, key.data, key.sender, have[key], n)}
			}
			delete(have, key)
		}
		for key := range have {
			return check{name, false, fmt.Sprintf("%s received %.60q of %s, which nobody published", h.member, key.data, key.sender)}
		}
	}
	return check{name, true, fmt.Sprintf("each of the %d published messages arrived at every member exactly once", total)}
}

// publishersOrder: each publisher's messages came in the order in which it sent them.
func publishersOrder(histories []history, publishers []*publisher) check {
	const name = "each publisher's own order"
	for _, h := range histories {
		next := map[string]int{}
		for i, d := range h.deliveries {
			at := slices.IndexFunc(publishers, func(p *publisher) bool { return p.name == d.sender })
			if at < 0 {
				return check{name, false, fmt.Sprintf("%s: message %d is of %s, who is no publisher", h.member, i+1, d.sender)}
			}
			p, n := publishers[at], next[d.sender]
			if n >= len(p.sent) || !bytes.Equal(p.sent[n].data, d.data) {
				return check{name, false, fmt.Sprintf("%s: message %d is %s, which is not number %d that it sent", h.member, i+1, h.show(i), n+1)}
			}
			next[d.sender]++
		}
	}
	return check{name, true, fmt.Sprintf("the messages of each of %d publishers came in the order in which they were sent", len(publishers))}
}

// The faults that a test injects into the comparison, to see that it would be noticed.
const (
	faultSwap = "swap" // two neighbours change places at one member
	faultDrop = "drop" // one member misses a message
)

// inject changes what the last member received.
func inject(fault string, histories []history) error {
	if fault == "" {
		return nil
	}
	last := &histories[len(histories)-1]
	d := slices.Clone(last.deliveries)
	last.deliveries = d
	for i := len(d) / 2; i+1 < len(d); i++ {
		if _, same := firstDifference(d[i:i+1], d[i+1:i+2]); same {
			continue // a swap of equals is no fault
		}
		switch fault {
		case faultSwap:
			d[i], d[i+1] = d[i+1], d[i]
		case faultDrop:
			last.deliveries = slices.Delete(d, i, i+1)
		default:
			return fmt.Errorf("fault %q: want %s or %s", fault, faultSwap, faultDrop)
		}
		return nil
	}
	return fmt.Errorf("fault %q: too few messages", fault)
}
