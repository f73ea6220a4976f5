package evs

// A period is what one client saw of one group between two of its views: from a
// group view to the next one, to the client's leave or to the end of its trace.
// Group views have the same id at all members and a place in the total order, so
// periods show who is addressed by a message even in traces that have no keys.
type period struct {
	client   *client
	view     *Event
	when     int64      // of view
	end      *Event     // next view of the group, the leave, or nil
	before   *period    // that the view ended, or nil
	last     bool       // nothing ended it
	tail     bool       // it ended in the transitional part of a view of sites
	messages []*message // ordered ones to the group, as delivered
	at       []int      // where, in client.items
	clear    int        // how many of them came before a transitional signal
}

// A groupView names a view of a group.
type groupView struct{ group, id string }

// periods lists all periods by the view that begins them, and those views in
// order of appearance.
func (h *history) periods() (map[groupView][]*period, []groupView) {
	all := map[groupView][]*period{}
	var order []groupView
	for _, c := range h.clients {
		open := map[string]*period{}
		signalled := map[string]bool{}
		tail := false
		finish := func(group string, e *Event) {
			p := open[group]
			if p == nil {
				return
			}
			if !signalled[group] {
				p.clear = len(p.messages)
			}
			p.end, p.last, p.tail = e, e == nil, tail
			delete(open, group)
			delete(signalled, group)
		}
		signal := func(group string) {
			if p := open[group]; p != nil && !signalled[group] {
				p.clear, signalled[group] = len(p.messages), true
			}
		}
		for at, it := range c.items {
			switch it.Kind {
			case GView:
				before := open[it.Group]
				finish(it.Group, it.Event)
				name := groupView{it.Group, it.ID}
				p := &period{client: c, view: it.Event, when: it.when, before: before}
				open[it.Group] = p
				if all[name] == nil {
					order = append(order, name)
				}
				all[name] = append(all[name], p)
			case Leave:
				finish(it.Group, it.Event)
			case GSig:
				signal(it.Group)
			case Sig:
				for g := range open {
					signal(g)
				}
				tail = true
			case View, Attach, Lineage:
				tail = false
			case Dlv:
				if m := it.message; Ordered(m.service) && !m.discard && c.got[m] == at {
					for _, g := range m.groups {
						if p := open[g]; p != nil {
							p.messages = append(p.messages, m)
							p.at = append(p.at, at)
						}
					}
				}
			}
		}
		for g := range open {
			finish(g, nil)
		}
	}
	return all, order
}
