package merge

import "ringway/membership"

// A Listed is what this site knows of a group that somebody is in.
type Listed struct {
	Name     string
	Members  int
	Sites    int  // that have members, or prepare to
	Complete bool // Members are all that there are: a site without own ones knows no others
}

// EachGroup calls f for every group that has members somewhere in the site view.
func (r *Replica) EachGroup(f func(Listed)) {
	if r.m == nil {
		return
	}
	for _, g := range r.m.groups {
		if g.Len() > 0 || g.Interest != 0 {
			f(Listed{g.Name, g.Len(), max(g.Interest.Len(), min(1, g.Len())), r.m.complete(g)})
		}
	}
}

// Members returns the members of a group that this site knows, in a new slice and in no
// order, and whether they are all.
func (r *Replica) Members(group string) (members []Member, complete bool) {
	if r.m == nil {
		return nil, false
	}
	g := r.m.groups[group]
	if g == nil {
		return nil, true
	}
	return g.Members(), r.m.complete(g)
}

// complete says whether the site knows all members of a group.
func (m *machine) complete(g *group) bool {
	if g.Interest&^membership.SetOf(m.self) == 0 {
		return true
	}
	return g.Interest.Has(m.self) && g.prep == nil && len(g.Own()) > 0
}
