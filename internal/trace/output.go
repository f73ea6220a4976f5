package trace

import (
	"fmt"
	"slices"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/merge"
)

// output records what clients get.
func (r *Recorder) output(o *merge.Output) {
	switch o.Kind {
	case merge.OutMessage:
		if r.cfg.Message != nil {
			r.cfg.Message(&o.Message, r.cause.Seq)
		}
		id := evs.Message{Client: o.Message.Sender.String(), Seq: r.cause.Seq}
		r.each(o, func(s *session) {
			r.record(r.keyed(evs.Event{Kind: evs.Dlv, Client: s.name, Msg: id}))
		})
	case merge.OutView:
		r.groupView(o)
	case merge.OutTransition:
		members := names(o.Members)
		r.each(o, func(s *session) {
			r.record(evs.Event{Kind: evs.GSig, Client: s.name, Group: o.Group, Members: members})
		})
	case merge.OutLeft:
		r.left(o)
	case merge.OutClosed:
		for _, to := range o.To {
			delete(r.sessions, to)
		}
	}
}

// each calls f for the receivers whose sessions have not ended.
func (r *Recorder) each(o *merge.Output, f func(*session)) {
	for _, to := range o.To {
		if s := r.sessions[to]; s != nil && !s.ended {
			f(s)
		}
	}
}

func (r *Recorder) left(o *merge.Output) {
	for _, to := range o.To {
		s := r.sessions[to]
		if s == nil {
			continue
		}
		left := evs.Event{Kind: evs.Leave, Client: s.name, Group: o.Group}
		if r.cause.Request == merge.Leave && r.cause.Client == to {
			left = r.keyed(left) // else it never got in
		}
		r.record(left)
		delete(s.member, o.Group)
	}
}

// groupView records a group view at its receivers. The first view that a client gets
// after a join, or after its node has brought it back, is that client's join.
func (r *Recorder) groupView(o *merge.Output) {
	v := o.View
	members := names(v.Members)
	id := fmt.Sprintf("%x.%d.%d", v.ID.Origin, v.ID.Time, v.ID.Index)
	for _, to := range o.To {
		s := r.sessions[to]
		if s == nil || s.ended {
			continue
		}
		if !s.member[v.Group] {
			s.member[v.Group] = true
			r.record(r.keyed(evs.Event{Kind: evs.Join, Client: s.name, Group: v.Group}))
		}
		r.record(evs.Event{Kind: evs.GView, Client: s.name, Group: v.Group, ID: id, Members: members, With: with(v, to), Without: runs(o.Gone)})
	}
}

// with is the set of a view that a member is in: those who came with it.
func with(v *merge.GroupView, c membership.ClientID) []string {
	own := func(x merge.Member) bool { return x.Client == c }
	for _, set := range v.Sets {
		if slices.ContainsFunc(set, own) {
			return names(set)
		}
	}
	if v.Cause != merge.CauseJoin {
		return names(v.Members)
	}
	if v.Changed.Client == c {
		return names([]merge.Member{v.Changed})
	}
	return names(slices.DeleteFunc(slices.Clone(v.Members), func(x merge.Member) bool { return x.Client == v.Changed.Client }))
}

// runs are the names of runs of nodes, sorted.
func runs(list []membership.ClientID) []string {
	var found []string
	for _, run := range list {
		found = append(found, run.String())
	}
	slices.Sort(found)
	return found
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
