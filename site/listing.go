package site

import (
	"slices"

	"ringway/internal/spread"
	"ringway/site/merge"
	"ringway/site/session"
)

// Groups implements session.Backend: all groups, in no order.
func (b *backend) Groups() (groups []session.GroupInfo, ok bool) {
	ok = b.ask(func(r *merge.Replica) {
		r.EachGroup(func(g merge.Listed) {
			groups = append(groups, session.GroupInfo{Name: g.Name, Members: g.Members, Sites: g.Sites, Complete: g.Complete})
		})
	})
	return groups, ok
}

// Members implements session.Backend.
func (b *backend) Members(group string) (members []merge.Member, complete, ok bool) {
	ok = b.ask(func(r *merge.Replica) { members, complete = r.Members(group) })
	return members, complete, ok
}

// ask runs f on the loop and waits for it. It returns false if the loop has ended.
func (b *backend) ask(f func(*merge.Replica)) bool {
	answered := make(chan struct{})
	if !b.node.in.call(func() {
		f(b.node.loop.core.Replica)
		close(answered)
	}) {
		return false
	}
	select {
	case <-answered:
		return true
	case <-b.node.done:
		return false
	}
}

// View implements session.Backend.
func (b *backend) View() (v spread.ViewAnswer, ok bool) {
	t := b.node.cfg.Topology
	v = spread.ViewAnswer{Weighed: t.Primary, Total: len(t.Sites)}
	ok = b.ask(func(r *merge.Replica) {
		s := r.Status()
		v.Primary, v.Changing, v.Epoch = s.Primary, s.Frozen, s.View.Epoch
		for _, m := range s.Members {
			v.Sites = append(v.Sites, b.node.siteName(m.Site))
		}
	})
	slices.Sort(v.Sites)
	return v, ok
}
