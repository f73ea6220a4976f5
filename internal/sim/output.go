package sim

import (
	"fmt"
	"slices"
	"time"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/merge"
)

// output gives what the core hands out to the clients, and to the trace.
func (l *life) output(o *merge.Output) {
	switch o.Kind {
	case merge.OutMessage:
		l.message(o)
	case merge.OutView:
		l.groupView(o)
	case merge.OutTransition:
		members := names(o.Members)
		for _, to := range o.To {
			l.record(evs.Event{Kind: evs.GSig, Client: to.String(), Group: o.Group, Members: members})
		}
	case merge.OutLeft:
		for _, to := range o.To {
			left := evs.Event{Kind: evs.Leave, Client: to.String(), Group: o.Group}
			if l.cause.Request == merge.Leave && l.cause.Client == to {
				left = l.keyed(left) // else it never got in
			}
			l.record(left)
			if c := l.sessions[to]; c != nil {
				delete(c.member, o.Group)
			}
		}
	case merge.OutClosed:
		for _, to := range o.To {
			if c := l.sessions[to]; c == nil || !c.ended {
				l.f.report("closed", "node %s closes client %v, which did not disconnect", l.name, to)
			}
		}
	default:
		l.f.report("output", "node %s hands out an output of kind %d", l.name, o.Kind)
	}
}

// message gives a message to its receivers. One in a while is answered, which
// makes chains of causes.
func (l *life) message(o *merge.Output) {
	m := &o.Message
	seq, whole := readPayload(m.Sender, m.Data)
	if !whole {
		l.f.report("payload", "node %s delivers a damaged message of %v, %d bytes", l.name, m.Sender, len(m.Data))
	}
	if m.Hint != [4]byte{1, 2, 3, byte(seq)} {
		l.f.report("payload", "node %s delivers message %d of %v with hint %v", l.name, seq, m.Sender, m.Hint)
	}
	id := evs.Message{Client: m.Sender.String(), Seq: seq}
	l.number(m, seq)
	for _, to := range o.To {
		c := l.sessions[to]
		if c == nil {
			l.f.report("output", "node %s delivers %v to %v, which never connected", l.name, id, to)
			continue
		}
		if c.ended {
			continue // the session's socket is closed
		}
		l.f.stats.Delivered++
		l.record(l.keyed(evs.Event{Kind: evs.Dlv, Client: c.trace, Msg: id}))
		if l.f.talk.percent(1.5) && m.Sender != c.id {
			groups := m.Groups
			l.f.after(l.f.talk.between(0, 2*time.Millisecond), func() {
				if !c.ended && l.alive() && l.f.talking {
					c.send(membership.Agreed, groups, 10)
				}
			})
		}
	}
}

// groupView gives a group view to its receivers. The first view that a client gets
// after a join, or after its node has brought it back, is that client's join.
func (l *life) groupView(o *merge.Output) {
	v := o.View
	members := names(v.Members)
	if len(slices.Compact(slices.Clone(members))) != len(members) {
		l.f.report("groupview", "node %s: view of %s has a member twice: %v", l.name, v.Group, members)
	}
	id := fmt.Sprintf("%x.%d.%d", v.ID.Origin, v.ID.Time, v.ID.Index)
	for _, to := range o.To {
		c := l.sessions[to]
		if c == nil || c.ended {
			continue
		}
		l.f.stats.GroupViews++
		if !c.member[v.Group] {
			c.member[v.Group] = true
			l.record(l.keyed(evs.Event{Kind: evs.Join, Client: c.trace, Group: v.Group}))
		}
		if !slices.Contains(members, c.trace) {
			l.f.report("groupview", "node %s gives %v a view of %s without it", l.name, to, v.Group)
		}
		l.record(evs.Event{Kind: evs.GView, Client: c.trace, Group: v.Group, ID: id, Members: members, With: with(v, to)})
	}
}

// names are the clients that are members, sorted.
func names(members []merge.Member) []string {
	list := make([]string, 0, len(members))
	for _, m := range members {
		list = append(list, m.Client.String())
	}
	slices.Sort(list)
	return list
}

// with is the set of a view that a member is in: those who came with it.
func with(v *merge.GroupView, c membership.ClientID) []string {
	own := func(x merge.Member) bool { return x.Client == c }
	for _, set := range v.Sets {
		if slices.ContainsFunc(set, own) {
			return names(set)
		}
	}
	if v.Cause == merge.CauseJoin && v.Changed.Client == c {
		return names([]merge.Member{v.Changed})
	}
	return names(slices.DeleteFunc(slices.Clone(v.Members), func(x merge.Member) bool { return v.Cause == merge.CauseJoin && x.Client == v.Changed.Client }))
}
