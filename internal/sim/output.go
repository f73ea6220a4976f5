package sim

import (
	"slices"
	"time"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/merge"
)

// A request names a request of a client as the machine counts them. Its count is not
// the client's: joins have numbers too, and a node that comes to another instance
// counts anew.
type request struct {
	client string
	seq    uint64
}

// emit takes an event of the node's recorder. What the machine calls a message is
// replaced at the end: see renumber.
func (l *life) emit(e evs.Event) {
	switch e.Kind {
	case evs.Ring:
		l.f.stats.Rings++
	case evs.Reject:
		l.f.stats.Rejected++
	case evs.Dlv:
		l.f.stats.Delivered++
	case evs.GView:
		l.f.stats.GroupViews++
		l.looked(&e)
	case evs.Lineage:
		l.carry(e.Inst, e.Number[0])
	case evs.Named:
		l.f.number(l.name, request{e.Msg.Client, e.Msg.Seq}, e.N)
		return
	}
	if !l.f.untraced {
		l.trace.Events = append(l.trace.Events, e)
	}
}

// carry notes that the node is in an instance, in a ring with that counter.
func (l *life) carry(instance string, ring uint64) {
	if l.carried == nil {
		l.carried = map[string]uint64{}
	}
	if l.site.carried == nil {
		l.site.carried = map[string]uint64{}
	}
	l.carried[instance] = max(l.carried[instance], ring)
	l.site.carried[instance] = max(l.site.carried[instance], ring)
}

// looked checks what a client sees at first glance.
func (l *life) looked(e *evs.Event) {
	if len(slices.Compact(slices.Clone(e.Members))) != len(e.Members) {
		l.f.report("groupview", "node %s: view of %s has a member twice: %v", l.name, e.Group, e.Members)
	}
	if !slices.Contains(e.Members, e.Client) {
		l.f.report("groupview", "node %s gives %v a view of %s without it", l.name, e.Client, e.Group)
	}
}

// outputs gives what the core hands out to the clients.
func (l *life) outputs(list []merge.Output) {
	for i := range list {
		switch o := &list[i]; o.Kind {
		case merge.OutMessage:
			l.message(o)
		case merge.OutClosed:
			l.closed(o)
		}
	}
}

// closed frees the names of clients whose ends have gone round.
func (l *life) closed(o *merge.Output) {
	for _, to := range o.To {
		c := l.sessions[to]
		if c == nil || !c.ended {
			l.f.report("closed", "node %s closes client %v, which did not disconnect", l.name, to)
			continue
		}
		delete(l.names, c.name)
		delete(l.sessions, to)
	}
}

// message gives a message to its receivers. One in a while is answered, which makes
// chains of causes.
func (l *life) message(o *merge.Output) {
	m := &o.Message
	seq, whole := readPayload(m)
	if !whole {
		l.f.report("payload", "node %s delivers a damaged message of %v, %d bytes, hint %v", l.name, m.Sender, len(m.Data), m.Hint)
	}
	for _, to := range o.To {
		c := l.sessions[to]
		if c == nil {
			l.f.report("output", "node %s delivers message %d of %v to %v, which is not connected", l.name, seq, m.Sender, to)
			continue
		}
		if c.ended || m.Sender == c.id {
			continue
		}
		if l.f.play.answers(c, m, seq) {
			l.f.after(answerTime, func() { l.reply(c, m.Groups) })
		}
	}
}

// answerTime is how long a client thinks before it answers.
const answerTime = 500 * time.Microsecond

func (l *life) reply(c *client, groups []string) {
	if !c.ended && l.alive() && l.f.talking {
		c.submitMessage(membership.Agreed, false, groups, 10)
	}
}

// delivered learns, from what is delivered, which message a request was. It must be
// the one that the sender's node named.
func (l *life) delivered(m *merge.Message, seq uint64) {
	known, _ := readPayload(m)
	l.f.number(l.name, request{m.Sender.String(), seq}, known)
}

// number notes which message a request was.
func (f *federation) number(node string, r request, seq uint64) {
	if known, ok := f.numbers[r]; ok && known != seq {
		f.report("output", "node %s has request %d of %s as message %d, which was message %d", node, r.seq, r.client, seq, known)
	}
	if !f.untraced {
		f.numbers[r] = seq
	}
}

// renumber gives all events the numbers of the messages. What nobody received and
// whose sender does not know stays out: no predicate asks for its key.
func (f *federation) renumber() {
	for _, t := range f.traces {
		kept := t.Events[:0]
		for _, e := range t.Events {
			switch e.Kind {
			case evs.Send, evs.Cast, evs.Reject, evs.Dlv:
				seq, ok := f.numbers[request{e.Msg.Client, e.Msg.Seq}]
				if !ok {
					continue
				}
				e.Msg.Seq = seq
			}
			kept = append(kept, e)
		}
		t.Events = kept
	}
}
