//go:build linux

package scenario

import (
	"slices"

	"ringway/client"
)

// installed is a session's copy of a view.
type installed struct {
	at       *seen
	view     *client.View
	epoch    *epoch // that it begins
	previous *epoch // of the group, or nil: it was no member before
}

// copies returns every session's copy of each view, in the order of the sessions.
func (j *judge) copies() map[viewKey][]installed {
	all := map[viewKey][]installed{}
	for _, s := range j.seen {
		for _, epochs := range s.views {
			for _, e := range epochs {
				key := keyOf(e.view)
				all[key] = append(all[key], installed{s, e.view, e, s.before[key]})
			}
		}
	}
	return all
}

// viewsAgree checks that all copies of a view have the same members, and that any two who
// have one see alike whether they came along with each other (P2, P5), unless they part.
// Cause and sets as such may differ: where it is known already that a member is gone, a
// join or a leave is a change of the network with that member apart (merge,
// GroupView.changing).
func (j *judge) viewsAgree() {
	for key, copies := range j.copies() {
		first := copies[0]
		for i, p := range copies {
			if !slices.Equal(p.view.Members, first.view.Members) {
				j.accuse("view %v: %s has %v by %s, %s has %v by %s", key, first.at.Name, first.view.Members, first.view.Cause, p.at.Name, p.view.Members, p.view.Cause)
			}
			for _, q := range copies[:i] {
				j.agree(key, p, q)
				j.agree(key, q, p)
			}
		}
	}
}

// agree checks that q sees p come along to a view if p sees q come along. Only who knows by
// then that one of the two is gone may see it otherwise: it has the view in the middle of a
// change, and goes on without p. p, which had the view before that was known, is not
// deceived: q has got the same before it (synchrony).
func (j *judge) agree(key viewKey, p, q installed) {
	if !cameAlong(p, q.at.Name) || cameAlong(q, p.at.Name) {
		return
	}
	if !q.epoch.interim || slices.Contains(q.epoch.along(q.at.Name), p.at.Name) {
		j.accuse("view %v: %s has own set %v, which %s with %v does not see so", key, p.at.Name, along(p), q.at.Name, along(q))
	}
}

// along are those that the view's copy names as having come from the same view.
func along(c installed) []string {
	switch joined := c.view.MovedTogether; {
	case c.view.Cause == client.ByNetwork:
		return c.view.MovedTogether
	case c.view.Cause != client.ByJoin:
		return c.view.Members
	case slices.Contains(joined, c.at.Name):
		return joined
	default:
		return slices.DeleteFunc(slices.Clone(c.view.Members), func(name string) bool { return slices.Contains(joined, name) })
	}
}

// cameAlong says whether the view's copy names another session as one that came along.
func cameAlong(c installed, name string) bool { return slices.Contains(along(c), name) }

// synchrony checks virtual synchrony: sessions that go from one view to the next
// together come from the same view and got the same messages in it. Those, too, of whom
// only one sees the other come along from where it came from itself.
func (j *judge) synchrony() {
	for key, copies := range j.copies() {
		for i, p := range copies {
			for _, q := range copies[:i] {
				one, other := cameAlong(p, q.at.Name), cameAlong(q, p.at.Name)
				switch {
				case p.previous == nil || q.previous == nil || !one && !other:
				case keyOf(p.previous.view) == keyOf(q.previous.view):
					j.sameMessages(key, p, q)
				case one && other:
					j.accuse("view %v: %s came from %s, %s from %s, together", key, p.at.Name, p.previous.view.ID, q.at.Name, q.previous.view.ID)
				}
			}
		}
	}
}

func (j *judge) sameMessages(key viewKey, p, q installed) {
	// A site's ring gives FIFO messages a place among views. Between sites they have none.
	weakest := client.FIFO
	if p.at.Site != q.at.Site {
		weakest = client.Causal
	}
	ordered := func(e *epoch) []MessageID {
		var ids []MessageID
		for _, m := range e.messages {
			if m.service >= weakest {
				ids = append(ids, m.id)
			}
		}
		return ids
	}
	a, b := ordered(p.previous), ordered(q.previous)
	if len(a) != len(b) {
		if m, ok := missing(a, b); ok {
			j.accuse("view %v: %s had message %v of session %s before it, %s did not", key, p.at.Name, m.Seq, j.byTag[m.Tag].Name, q.at.Name)
		}
		if m, ok := missing(b, a); ok {
			j.accuse("view %v: %s had message %v of session %s before it, %s did not", key, q.at.Name, m.Seq, j.byTag[m.Tag].Name, p.at.Name)
		}
		return
	}
	if m, ok := missing(a, b); ok {
		j.accuse("view %v: %s had message %v of session %s before it, %s did not", key, p.at.Name, m.Seq, j.byTag[m.Tag].Name, q.at.Name)
	}
}

// missing returns an element of a that is not in b.
func missing(a, b []MessageID) (MessageID, bool) {
	if slices.Equal(a, b) {
		return MessageID{}, false
	}
	in := make(map[MessageID]bool, len(b))
	for _, m := range b {
		in[m] = true
	}
	for _, m := range a {
		if !in[m] {
			return m, true
		}
	}
	return MessageID{}, false
}

// safe checks the promise of safe messages: who gets one before the signal knows that
// every member of the view gets it, and after the signal, that everybody who comes
// along does; members that crash are excused.
func (j *judge) safe() {
	for _, s := range j.seen {
		for _, epochs := range s.views {
			for _, e := range epochs {
				j.safeIn(s, e)
			}
		}
	}
}

func (j *judge) safeIn(s *seen, e *epoch) {
	for _, m := range e.messages {
		if m.service != client.Safe {
			continue
		}
		who := e.view.Members
		if m.late {
			if who = e.along(s.Name); who == nil {
				continue // it ended between signal and view
			}
		}
		for _, name := range who {
			if !slices.Contains(e.view.Members, name) {
				continue // came from elsewhere
			}
			if lacking := j.lacks(name, e.view, m.id); lacking != "" {
				j.accuse("%s got the safe message %d of %s in view %s of %s (after the signal: %v); %s", s.Name, m.id.Seq, j.byTag[m.id.Tag].Name, e.view.ID, e.view.Group, m.late, lacking)
			}
		}
	}
}

// along returns who, after a signal, is in the next view from the same one; nil if there
// is no such view. A view in the middle of a change, which another signal follows at once,
// may still have those that do not come along to the one after it, but nobody who came from
// elsewhere counts from there on.
func (e *epoch) along(self string) []string {
	var came []string // nil: no view has named anybody
	for e = e.next; e != nil; e = e.next {
		switch moved := e.view.MovedTogether; {
		case e.view.Cause != client.ByNetwork && !e.interim:
			return []string{self}
		case e.view.Cause != client.ByNetwork:
		case came == nil:
			came = slices.Clone(moved)
		default:
			came = slices.DeleteFunc(came, func(name string) bool { return !slices.Contains(moved, name) })
		}
		if !e.interim {
			return came
		}
	}
	return nil
}

// lacks says that the member of the view that has this name should have the message
// and does not.
func (j *judge) lacks(name string, v *client.View, m MessageID) string {
	for i, t := range j.transcripts {
		if t.Name != name {
			continue
		}
		if t.Crashed {
			// Perhaps this was the one in the view.
			return ""
		}
		if j.seen[i].has[m] {
			return ""
		}
		if _, had := j.seen[i].before[keyOf(v)]; had {
			return name + " had that view and not the message"
		}
	}
	return name + " had neither"
}
