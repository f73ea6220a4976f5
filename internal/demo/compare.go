package demo

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"ringway/client"
)

// A history is what one member received in the group that all are in.
type history struct {
	member     string
	site       int
	born       time.Duration // it has to have what was sent from here on
	dead       bool          // its node was killed: it has what it has
	deliveries []delivery
	views      []groupView
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
	sent := make([][]sending, len(publishers))
	for i, p := range publishers {
		sent[i] = p.sendings()
	}
	known := make([][]messageID, len(histories))
	checks := []check{publishersOrder(histories, publishers, sent, known)}
	if !checks[0].OK {
		return append(checks, check{"one order", false, "not looked at, as messages are not where they belong"})
	}
	return append(checks, oneOrder(histories, known), everywhere(histories, publishers, sent, known), sameInView(histories, known))
}

// A messageID names a message: whose, and the number among that publisher's.
type messageID struct{ publisher, n int }

// publishersOrder: every delivery is of a publisher, and each publisher's messages come
// in the order in which it sent them, none twice. It fills in which message each
// delivery is.
func publishersOrder(histories []history, publishers []*publisher, sent [][]sending, known [][]messageID) check {
	const name = "each publisher's own order, nothing twice"
	for i := range histories {
		h := &histories[i]
		next := make([]int, len(publishers))
		for at, d := range h.deliveries {
			p := slices.IndexFunc(publishers, func(p *publisher) bool { return p.name == d.sender })
			if p < 0 {
				return check{name, false, fmt.Sprintf("%s: message %d is of %s, who is no publisher", h.member, at+1, d.sender)}
			}
			n := find(sent[p], next[p], d)
			if n < 0 {
				return check{name, false, fmt.Sprintf("%s: message %d is %s: not sent, or not after number %d of that publisher", h.member, at+1, h.show(at), next[p])}
			}
			next[p] = n + 1
			known[i] = append(known[i], messageID{p, n})
		}
	}
	return check{name, true, fmt.Sprintf("the messages of each of %d publishers came in the order in which they were sent", len(publishers))}
}

// find returns the number of the message that was delivered, from the given one on.
func find(sent []sending, from int, d delivery) int {
	// Numbers agree in their low 16 bits.
	for n := from + int(uint16(int(uint16(d.tag))-from)); n < len(sent); n += 1 << 16 {
		if bytes.Equal(sent[n].data, d.data) {
			return n
		}
	}
	return -1
}

// show writes a delivery for a message to a person.
func (h *history) show(i int) string {
	return fmt.Sprintf("%.60q of %s", h.deliveries[i].data, h.deliveries[i].sender)
}

// oneOrder: what two members both received, they received in the same order.
func oneOrder(histories []history, known [][]messageID) check {
	const name = "one order"
	common := 0
	for i := range histories {
		for j := range i {
			a, b := restricted(known[i], known[j]), restricted(known[j], known[i])
			for k := range a {
				if a[k] != b[k] {
					return check{name, false, fmt.Sprintf("of what both received, message %d is number %d of publisher %d at %s, but number %d of publisher %d at %s",
						k+1, a[k].n+1, a[k].publisher+1, histories[i].member, b[k].n+1, b[k].publisher+1, histories[j].member)}
				}
			}
			common = max(common, len(a))
		}
	}
	return check{name, true, fmt.Sprintf("whatever two of %d members both received, up to %d messages, they received in the same order, byte by byte", len(histories), common)}
}

// restricted returns the messages that are in other, too. None is twice in a list.
func restricted(list, other []messageID) []messageID {
	in := make(map[messageID]bool, len(other))
	for _, id := range other {
		in[id] = true
	}
	var kept []messageID
	for _, id := range list {
		if in[id] {
			kept = append(kept, id)
		}
	}
	return kept
}

// everywhere: every message arrived where it had to, and nowhere else.
func everywhere(histories []history, publishers []*publisher, sent [][]sending, known [][]messageID) check {
	const name = "nothing lost"
	total, oneSide := 0, 0
	for p := range sent {
		total += len(sent[p])
		for n := range sent[p] {
			if s := &sent[p][n]; s.to.must == s.to.may && s.to.must != sent[p][0].to.must {
				oneSide++
			}
		}
	}
	for i := range histories {
		h := &histories[i]
		have := make(map[messageID]bool, len(known[i]))
		for _, id := range known[i] {
			have[id] = true
		}
		for p := range sent {
			for n := range sent[p] {
				s, got := &sent[p][n], have[messageID{p, n}]
				switch {
				case got && !s.to.may.has(h.site):
					return check{name, false, fmt.Sprintf("%s received %.60q of %s, which was sent on the other side of a cut", h.member, s.data, publishers[p].name)}
				case !got && !h.dead && s.to.must.has(h.site) && s.at >= h.born:
					return check{name, false, fmt.Sprintf("%s never received %.60q, number %d of %s; %s", h.member, s.data, n+1, publishers[p].name, whoHas(histories, known, messageID{p, n}))}
				}
			}
		}
	}
	return check{name, true, fmt.Sprintf("each of %d messages arrived at every member that it was for, %d of them on their side of the cut only", total, oneSide)}
}

// whoHas says which members received a message.
func whoHas(histories []history, known [][]messageID, id messageID) string {
	var who []string
	for i := range histories {
		if slices.Contains(known[i], id) {
			who = append(who, histories[i].member)
		}
	}
	if len(who) == 0 {
		return "nobody did"
	}
	return "received by " + strings.Join(who, " ")
}

// sameInView: members who go together from one view to the next received the same
// messages in it (virtual synchrony). Who comes along is what the second view says.
func sameInView(histories []history, known [][]messageID) check {
	const name = "same view, same messages"
	type step struct{ from, to client.ViewID }
	type seen struct {
		who      *history
		to       *groupView
		messages []messageID
	}
	steps := map[step][]seen{}
	for i := range histories {
		h := &histories[i]
		for v := 0; v+1 < len(h.views); v++ {
			s, me := step{h.views[v].id, h.views[v+1].id}, seen{who: h, to: &h.views[v+1]}
			for at, d := range h.deliveries {
				if d.view == v {
					me.messages = append(me.messages, known[i][at])
				}
			}
			for _, other := range steps[s] {
				if !me.to.cameWith(other.who.member) {
					continue
				}
				if !slices.Equal(me.messages, other.messages) {
					return check{name, false, fmt.Sprintf("between the views %v and %v %s received %d messages, %s %d, or others", s.from, s.to, h.member, len(me.messages), other.who.member, len(other.messages))}
				}
			}
			steps[s] = append(steps[s], me)
		}
	}
	return check{name, true, fmt.Sprintf("members who went together through two of %d views received the same between them", len(steps)+1)}
}

// cameWith says whether the member named came along from the view before.
func (v *groupView) cameWith(member string) bool {
	return !v.network || slices.Contains(v.together, member)
}

// The faults that a test injects into the comparison, to see that it would be noticed.
const (
	faultSwap = "swap" // two neighbours change places at one member
	faultDrop = "drop" // one member misses a message
)

// inject changes what the last member that had everything received.
func inject(fault string, histories []history) error {
	if fault == "" {
		return nil
	}
	var last *history
	for i := range histories {
		if h := &histories[i]; !h.dead && h.born == 0 {
			last = h
		}
	}
	d := slices.Clone(last.deliveries)
	last.deliveries = d
	for i := len(d) / 2; i+1 < len(d); i++ {
		if d[i].sender == d[i+1].sender || d[i].view != d[i+1].view {
			continue
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
