package merge

import (
	"cmp"
	"slices"

	"ringway/membership"
)

// A JoinWait is a group that clients of this node have asked to join, and which waits for other
// sites: for their answers (J1), or for their promises to get to the join's deadline. On a thin
// link either stands behind what is queued for it.
type JoinWait struct {
	Group   string
	Clients int
	On      []WaitedFor // by place in the view
}

// A WaitedFor is a site that a join waits for.
type WaitedFor struct {
	Site membership.SiteID
	// Bytes of own records are under way to it: the queue that what this site has said
	// about the join stands in, as far as it was there before.
	Bytes int
	// Records of it are known to exist and have not come: the queue that what it has said
	// stands in.
	Records uint64
}

// maxJoinLook bounds the pending records that JoinsWaiting looks through, the oldest first.
const maxJoinLook = 4096

// JoinsWaiting returns the groups that clients of this node wait to get into, by name, at most
// limit of them.
func (r *Replica) JoinsWaiting(limit int) []JoinWait {
	m := r.m
	if m == nil || !r.attached || m.solo() {
		return nil
	}
	found := map[string]*JoinWait{}
	add := func(group string, clients int, lacks membership.Set) {
		w := found[group]
		if w == nil {
			if len(found) >= limit || clients == 0 {
				return
			}
			w = &JoinWait{Group: group, On: m.waitedFor(lacks)}
			found[group] = w
		}
		w.Clients += clients
	}
	for g := range m.preparing {
		clients := 0
		for i := range g.prep.wait {
			if m.here(g.prep.wait[i].Client) {
				clients++
			}
		}
		add(g.Name, clients, m.view.All().Without(m.self)&^g.prep.acked)
	}
	for _, p := range m.pend[:min(len(m.pend), maxJoinLook)] {
		if p.kind == kindJoin && p.src == m.self && m.here(p.client) {
			add(p.groups[0], 1, m.notBeyond(p.t))
		}
	}
	list := make([]JoinWait, 0, len(found))
	for _, w := range found {
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b JoinWait) int { return cmp.Compare(a.Group, b.Group) })
	return list
}

// notBeyond are the members whose promises do not cover a deadline yet.
func (m *machine) notBeyond(t int64) (s membership.Set) {
	for i := range m.view.Members {
		if i != m.self && m.prom[i] < t {
			s |= membership.SetOf(i)
		}
	}
	return s
}

func (m *machine) waitedFor(s membership.Set) (on []WaitedFor) {
	for ; s != 0; s &= s - 1 {
		i := s.First()
		w := WaitedFor{Site: m.view.Members[i].Site, Bytes: m.owed[i]}
		if p := m.waiting[i]; len(p) > 0 && p[len(p)-1].idx > m.inNext[i] {
			w.Records = p[len(p)-1].idx - m.inNext[i]
		}
		on = append(on, w)
	}
	return on
}
