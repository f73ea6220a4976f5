package ring

import (
	"fmt"
	"slices"

	"ringway/membership"
)

// check holds the logs of a finished run against doc.go's list. settled says that
// the run came to rest.
func (s *sim) check(settled bool) error {
	if s.fault != "" {
		return fmt.Errorf("%s", s.fault)
	}
	for _, l := range s.lives {
		l.parts = l.split()
	}
	for _, f := range []func() error{s.checkLives, s.checkViews, s.checkPositions, s.checkTogether, s.checkSafe, s.checkStreams, s.checkCausal, s.checkLeft} {
		if err := f(); err != nil {
			return err
		}
	}
	if settled {
		return s.checkComplete()
	}
	return nil
}

func (l *life) name() string { return fmt.Sprintf("%v/%d", l.node, l.incarnation) }

// checkLives: order of positions and views at each node, nothing twice.
func (s *sim) checkLives() error {
	for _, l := range s.lives {
		seen := map[frameKey]bool{}
		var last Position
		var view *View
		for i, e := range l.log {
			switch e.kind {
			case Deliver, Arrive:
				if seen[e.key] {
					return fmt.Errorf("%s: frame %v twice", l.name(), e.key)
				}
				seen[e.key] = true
				if e.pos.Counter != e.ring.Counter {
					return fmt.Errorf("%s: %v handed up in ring %v", l.name(), e.pos, e.ring)
				}
				if e.kind == Deliver && e.pos.Compare(last) < 0 {
					return fmt.Errorf("%s: %v after %v", l.name(), e.pos, last)
				}
				if e.kind == Deliver {
					last = e.pos
				}
			case Transitional:
				if view == nil || e.late || e.view.Previous != view.ID {
					return fmt.Errorf("%s: misplaced transitional event", l.name())
				}
			case Installed:
				v := e.view
				switch {
				case !slices.Contains(v.Members, l.node) || !slices.Contains(v.Together, l.node):
					return fmt.Errorf("%s: not in its own view %+v", l.name(), v)
				case !slices.IsSorted(v.Members) || !slices.IsSorted(v.Together):
					return fmt.Errorf("%s: view not sorted: %+v", l.name(), v)
				case view == nil && v.Previous != ID{}, view != nil && v.Previous != view.ID:
					return fmt.Errorf("%s: view %v does not follow %v", l.name(), v.ID, v.Previous)
				case view != nil && v.ID.Counter <= view.ID.Counter:
					return fmt.Errorf("%s: view %v after %v", l.name(), v.ID, view.ID)
				case view != nil && !slices.ContainsFunc(l.log[:i], func(p logEntry) bool { return p.kind == Transitional && p.view.ID == v.ID }):
					return fmt.Errorf("%s: view %v without transitional event", l.name(), v.ID)
				}
				view, last = v, Position{}
			}
		}
	}
	return nil
}

// checkViews: same id, same members.
func (s *sim) checkViews() error {
	members := map[ID][]membership.NodeID{}
	first := map[ID]*View{}
	for _, l := range s.lives {
		for _, v := range l.views {
			if m, ok := members[v.ID]; ok && !slices.Equal(m, v.Members) {
				return fmt.Errorf("ring %v has members %v and %v", v.ID, m, v.Members)
			}
			members[v.ID] = v.Members
			if err := s.checkOrigins(l, v, first[v.ID]); err != nil {
				return err
			}
			first[v.ID] = v
		}
	}
	return nil
}

// checkOrigins: what a view tells of where its members come from is the same
// everywhere and agrees with Together.
func (s *sim) checkOrigins(l *life, v, other *View) error {
	if len(v.Origins) != len(v.Members) || len(v.Incarnations) != len(v.Members) {
		return fmt.Errorf("%s: %d members, %d origins, %d incarnations", l.name(), len(v.Members), len(v.Origins), len(v.Incarnations))
	}
	if other != nil && (!slices.Equal(v.Origins, other.Origins) || !slices.Equal(v.Incarnations, other.Incarnations)) {
		return fmt.Errorf("%s: view %v has origins %v, elsewhere %v", l.name(), v.ID, v.Origins, other.Origins)
	}
	for i, n := range v.Members {
		together := v.Previous != ID{} && v.Origins[i] == v.Previous || n == l.node
		if together != slices.Contains(v.Together, n) {
			return fmt.Errorf("%s: view %v: node %v comes from %v, and Together is %v", l.name(), v.ID, n, v.Origins[i], v.Together)
		}
		if n == l.node && v.Incarnations[i] != l.incarnation {
			return fmt.Errorf("%s: view %v has incarnation %d", l.name(), v.ID, v.Incarnations[i])
		}
	}
	return nil
}

type place struct {
	ring ID
	seq  Seq
}

// checkPositions: the same ordered frames at a position, whoever hands it up.
func (s *sim) checkPositions() error {
	at := map[place][]frameKey{}
	for _, l := range s.lives {
		mine := map[place][]frameKey{}
		for _, e := range l.log {
			if e.kind == Deliver {
				p := place{e.ring, e.pos.Seq}
				mine[p] = append(mine[p], e.key)
			}
		}
		for p, keys := range mine {
			if other, ok := at[p]; ok && !slices.Equal(other, keys) {
				return fmt.Errorf("%s: at %v frames %v, elsewhere %v", l.name(), p, keys, other)
			}
			at[p] = keys
		}
	}
	return nil
}

// part is what a life handed up in one ring.
type part struct {
	regular, all []frameKey
	next         *View
}

// split sorts what a life handed up by rings.
func (l *life) split() map[ID]*part {
	parts := map[ID]*part{}
	for _, e := range l.log {
		p := parts[e.ring]
		if p == nil {
			p = &part{}
			parts[e.ring] = p
		}
		switch e.kind {
		case Deliver:
			p.all = append(p.all, e.key)
			if !e.late {
				p.regular = append(p.regular, e.key)
			}
		case Transitional:
			p.next = e.view
		}
	}
	return parts
}

// checkTogether: nodes that go on together have handed up the same, and agree
// that they do.
func (s *sim) checkTogether() error {
	for i, a := range s.lives {
		for id, pa := range a.parts {
			for _, b := range s.lives[:i] {
				pb := b.parts[id]
				if pb == nil || pa.next == nil || pb.next == nil || pa.next.ID != pb.next.ID {
					continue
				}
				if slices.Contains(pa.next.Together, b.node) != slices.Contains(pb.next.Together, a.node) {
					return fmt.Errorf("%s and %s disagree whether they come together from %v", a.name(), b.name(), id)
				}
				if !slices.Contains(pa.next.Together, b.node) {
					continue
				}
				if !slices.Equal(pa.all, pb.all) {
					return fmt.Errorf("%s and %s go from %v to %v together, but handed up %s", a.name(), b.name(), id, pa.next.ID, firstDifference(pa.all, pb.all))
				}
				if !slices.Equal(pa.regular, pb.regular) {
					return fmt.Errorf("%s and %s go from %v to %v together, but before it handed up %s", a.name(), b.name(), id, pa.next.ID, firstDifference(pa.regular, pb.regular))
				}
			}
		}
	}
	return nil
}

func firstDifference(a, b []frameKey) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%v and %v as number %d", a[i], b[i], i)
		}
	}
	return fmt.Sprintf("%d and %d frames", len(a), len(b))
}

// checkSafe: who must hand up a safe frame that one node has handed up: in the
// regular part every member of the ring, whether it installed it or not; after it
// those who come along. Those that crash are excused.
func (s *sim) checkSafe() error {
	named := s.named()
	delivered := map[*life]map[frameKey]bool{}
	for _, l := range s.lives {
		keys := map[frameKey]bool{}
		for _, e := range l.log {
			if e.kind == Deliver && e.service == membership.Safe {
				keys[e.key] = true
			}
		}
		delivered[l] = keys
	}
	settled := s.settled()
	for _, l := range s.lives {
		var view *View
		for _, e := range l.log {
			if e.kind == Installed {
				view = e.view
			}
			if e.kind != Deliver || e.service != membership.Safe {
				continue
			}
			for i, n := range view.Members {
				other := named[lifeName{n, view.Incarnations[i]}]
				if other == nil || other.crashed || delivered[other][e.key] || e.late && !slices.Contains(l.parts[e.ring].next.Together, n) {
					continue
				}
				if v := other.view(); !settled && (v == nil || v.ID.Counter <= e.ring.Counter) {
					continue // still on its way
				}
				return fmt.Errorf("%s handed up safe %v in %v (late %v), %s did not", l.name(), e.key, e.ring, e.late, other.name())
			}
		}
	}
	return nil
}

type lifeName struct {
	node        membership.NodeID
	incarnation uint64
}

func (s *sim) named() map[lifeName]*life {
	named := map[lifeName]*life{}
	for _, l := range s.lives {
		named[lifeName{l.node, l.incarnation}] = l
	}
	return named
}

// checkCausal: whoever hands up a frame has handed up all that its sender had, in
// that ring, when it sent it.
func (s *sim) checkCausal() error {
	named := s.named()
	type pair struct {
		sender *life
		ring   ID
	}
	for _, l := range s.lives {
		common := map[pair]int{}
		for _, e := range l.log {
			if e.kind != Deliver || e.after == 0 {
				continue
			}
			k := pair{named[lifeName{e.key.node, e.key.incarnation}], e.ring}
			n, ok := common[k]
			if !ok && k.sender.parts[e.ring] != nil {
				mine, theirs := l.parts[e.ring].all, k.sender.parts[e.ring].all
				for n < min(len(mine), len(theirs)) && mine[n] == theirs[n] {
					n++
				}
				common[k] = n
			}
			if e.after > n {
				return fmt.Errorf("%s handed up %v in %v, whose sender had handed up %d frames there, and has only %d of them", l.name(), e.key, e.ring, e.after, n)
			}
		}
	}
	return nil
}

// checkLeft: what a node took before it left in order, it has handed up; what of it lies
// in the ring that it left, all members of that one have.
func (s *sim) checkLeft() error {
	named, settled := s.named(), s.settled()
	for _, l := range s.lives {
		if !l.left {
			continue
		}
		own := map[frameKey]bool{}
		var view *View
		for _, e := range l.log {
			if e.kind == Installed {
				view = e.view
			}
			if e.kind != Deliver && e.kind != Arrive || e.key.node != l.node || e.key.incarnation != l.incarnation {
				continue
			}
			own[e.key] = true
			for i, n := range view.Members {
				other := named[lifeName{n, view.Incarnations[i]}]
				if other == nil || other.crashed || !settled || e.kind == Arrive || e.ring != l.view().ID {
					continue
				}
				if !slices.ContainsFunc(other.log, func(o logEntry) bool { return o.kind == Deliver && o.key == e.key }) {
					return fmt.Errorf("%s left in order, and %s lacks its frame %v", l.name(), other.name(), e.key)
				}
			}
		}
		for _, k := range l.taken {
			if !own[k] {
				return fmt.Errorf("%s left before it had handed up its own frame %v", l.name(), k)
			}
		}
	}
	return nil
}

// checkStreams: frames of a stream in order and without a gap in a ring.
func (s *sim) checkStreams() error {
	type stream struct {
		node        membership.NodeID
		incarnation uint64
		stream      uint64
	}
	for _, l := range s.lives {
		last := map[stream]logEntry{}
		for _, e := range l.log {
			if e.kind != Deliver {
				continue
			}
			k := stream{e.key.node, e.key.incarnation, e.key.stream}
			p, ok := last[k]
			if ok && e.key.number <= p.key.number || ok && p.ring == e.ring && e.key.number != p.key.number+1 {
				return fmt.Errorf("%s: in stream %v frame %d follows %d", l.name(), k, e.key.number, p.key.number)
			}
			last[k] = e
		}
	}
	return nil
}

// checkComplete: whoever lives has handed up all of its own, and all have handed
// up the same in the last ring.
func (s *sim) checkComplete() error {
	var first *life
	var reference []frameKey
	for _, l := range s.lives {
		if l.crashed {
			continue
		}
		own := map[frameKey]bool{}
		var last []frameKey
		arrived := map[frameKey]bool{}
		for _, e := range l.log {
			if e.kind == Deliver || e.kind == Arrive {
				own[e.key] = true
				if e.ring == l.view().ID && e.kind == Deliver {
					last = append(last, e.key)
				}
				if e.ring == l.view().ID && e.kind == Arrive {
					arrived[e.key] = true
				}
			}
		}
		for _, k := range l.taken {
			if !own[k] {
				return fmt.Errorf("%s never got its own frame %v", l.name(), k)
			}
		}
		if first == nil {
			first, reference = l, last
		}
		if !slices.Equal(reference, last) {
			return fmt.Errorf("%s and %s in the last ring: %s", first.name(), l.name(), firstDifference(reference, last))
		}
	}
	return nil
}

// checkCalm: after the last fault there are few views more (P28).
func (s *sim) checkCalm() error {
	for _, l := range s.lives {
		views := 0
		for _, e := range l.log {
			if e.kind == Installed && e.at > s.healed {
				views++
			}
		}
		if views > 10 {
			return fmt.Errorf("%s installed %d views after the last fault", l.name(), views)
		}
	}
	return nil
}
