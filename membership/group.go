package membership

import "slices"

// A Member is a client in a group.
type Member struct {
	Client ClientID
	Name   string // private name, without '#' and node
}

// A Group is the membership of one group as one site knows it. It is not safe for
// concurrent use.
type Group struct {
	Name     string
	Interest Set // the members of the site view that have members in it, or prepare to

	own    []Member
	remote []remoteMember
	at     map[remoteKey]struct{} // of remote
	to     []ClientID             // own members at one node: what Local returns
	toOK   bool
	names  []string // Name alone, for messages to this group only
}

// A remoteKey names a member by its site's place and its client.
type remoteKey struct {
	from   int
	client ClientID
}

type remoteMember struct {
	Member
	from int // place of its site in the site view
}

// NewGroup returns a group that nobody is in.
func NewGroup(name string) *Group { return &Group{Name: name, names: []string{name}} }

// Names returns a list with the group's name alone. It is shared.
func (g *Group) Names() []string { return g.names }

// Own returns the members at this site. The slice is shared: see M3.
func (g *Group) Own() []Member { return slices.Clip(g.own) }

// Len returns the number of members everywhere.
func (g *Group) Len() int { return len(g.own) + len(g.remote) }

// Remotes returns the number of members at other sites.
func (g *Group) Remotes() int { return len(g.remote) }

// Members returns everybody, in a new slice.
func (g *Group) Members() []Member {
	all := make([]Member, 0, g.Len())
	all = append(all, g.own...)
	for _, m := range g.remote {
		all = append(all, m.Member)
	}
	return all
}

// EachRemote calls f for every member at another site.
func (g *Group) EachRemote(f func(from int, m Member)) {
	for _, m := range g.remote {
		f(m.from, m.Member)
	}
}

// HasOwn says whether c is a member at this site.
func (g *Group) HasOwn(c ClientID) bool {
	return slices.ContainsFunc(g.own, func(m Member) bool { return m.Client == c })
}

// Has says whether c is a member anywhere.
func (g *Group) Has(c ClientID) bool {
	return g.HasOwn(c) || slices.ContainsFunc(g.remote, func(m remoteMember) bool { return m.Client == c })
}

// Join adds a member at this site. It says whether that changed anything.
func (g *Group) Join(m Member) bool {
	if g.HasOwn(m.Client) {
		return false
	}
	// Behind the end of what was handed out: nobody sees it there, and g.own is the only
	// list that grows in that memory.
	g.own = append(g.own, m)
	g.toOK = false
	return true
}

// Leave removes members at this site and returns how many.
func (g *Group) Leave(gone func(Member) bool) int {
	left := slices.Clone(g.own)
	left = slices.DeleteFunc(left, gone)
	n := len(g.own) - len(left)
	if n > 0 {
		g.own, g.toOK = left, false
	}
	return n
}

// JoinRemote adds a member at another site. It says whether that changed anything. A
// client may be a member by two instances of one site for a while: it has gone from one
// to the other, and its end there is not ordered yet.
func (g *Group) JoinRemote(from int, m Member) bool {
	if _, there := g.at[remoteKey{from, m.Client}]; there {
		return false
	}
	if g.at == nil {
		g.at = map[remoteKey]struct{}{}
	}
	g.at[remoteKey{from, m.Client}] = struct{}{}
	g.remote = append(g.remote, remoteMember{m, from})
	return true
}

// LeaveRemote removes members that the site at the given place has, and returns how
// many.
func (g *Group) LeaveRemote(from int, gone func(Member) bool) int {
	before := len(g.remote)
	g.remote = slices.DeleteFunc(g.remote, func(m remoteMember) bool {
		if m.from != from || !gone(m.Member) {
			return false
		}
		delete(g.at, remoteKey{from, m.Client})
		return true
	})
	return before - len(g.remote)
}

// ClearRemote forgets all members at other sites and returns how many there were.
func (g *Group) ClearRemote() int {
	n := len(g.remote)
	g.remote, g.at = nil, nil
	return n
}

// Local returns the members that one run of a node has, always the same run: here
// says which clients are its own. The slice is shared: see M3.
func (g *Group) Local(here func(ClientID) bool) []ClientID {
	if !g.toOK {
		g.to = nil
		for _, m := range g.own {
			if here(m.Client) {
				g.to = append(g.to, m.Client)
			}
		}
		g.toOK = true
	}
	return g.to
}
