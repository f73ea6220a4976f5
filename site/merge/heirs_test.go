package merge

import (
	"slices"
	"testing"

	"ringway/membership"
	"ringway/site/ring"
)

// A heirDesk is the Replica of node 1 of a site of three, which goes through rings by hand.
type heirDesk struct {
	t    *testing.T
	r    *Replica
	fx   Effects
	ring ring.View
	seq  ring.Seq
	boot map[membership.NodeID]uint64
}

func newHeirDesk(t *testing.T, off mutant) *heirDesk {
	d := &heirDesk{t: t, boot: map[membership.NodeID]uint64{1: 11, 2: 12, 3: 13}}
	d.r = New(Config{Self: 1, Site: 1, Boot: 11, Nodes: map[membership.NodeID]membership.SiteID{1: 1, 2: 1, 3: 1}, Gateways: []membership.NodeID{1}, hooks: &hooks{off: off}})
	return d
}

func (d *heirDesk) event(e ring.Event) {
	d.fx = Effects{}
	d.r.Ring(0, &e, &d.fx)
}

func (d *heirDesk) deliver(from membership.NodeID, s membership.Service, torn bool, frame []byte) {
	d.seq++
	d.event(ring.Event{Kind: ring.Deliver, Service: s, From: from, Torn: torn, Pos: ring.Position{Counter: d.ring.ID.Counter, Seq: d.seq}, Frame: frame})
}

// leave ends the ring for a next one with some members; those of them that were in it come
// along.
func (d *heirDesk) leave(members ...membership.NodeID) {
	next := ring.View{ID: ring.ID{Representative: members[0], Counter: d.ring.ID.Counter + 1}, Previous: d.ring.ID, Members: members}
	for _, id := range members {
		if id == 1 || slices.Contains(d.ring.Members, id) {
			next.Together = append(next.Together, id)
		}
	}
	if d.ring.ID.Counter > 0 {
		d.event(ring.Event{Kind: ring.Transitional, View: &next})
	}
	d.ring = next
}

// enter begins the ring that leave announced. The other members say what lineages has, or
// what node 1 says.
func (d *heirDesk) enter(lineages map[membership.NodeID]*lineage) {
	d.seq = 0
	d.event(ring.Event{Kind: ring.Installed, View: &d.ring})
	own := d.next(frameLineage)
	for _, id := range d.ring.Members {
		frame := own
		if id != 1 {
			l := lineages[id]
			if l == nil {
				l = d.r.ownLineage()
			}
			l.boot = d.boot[id]
			frame = l.append(nil)
		}
		d.deliver(id, membership.Safe, false, frame)
	}
	d.event(ring.Event{Kind: ring.Stable, Pos: ring.Position{Counter: d.ring.ID.Counter, Seq: d.seq}})
}

// next is the node's next frame, which is of a kind.
func (d *heirDesk) next(kind frameKind) []byte {
	f, ok := d.r.Next(0, 1400)
	if !ok || frameKind(f.Data[0]) != kind {
		d.t.Fatalf("the next frame is %v, not of kind %d", f.Data, kind)
	}
	return f.Data
}

// heirRules are those that a machine alone does not show.
var heirRules = []struct {
	name   string
	off    mutant
	script func(d *heirDesk) string
}{
	{"N4: nobody can have formed what lies behind a gap", noGapRule, func(d *heirDesk) string {
		d.leave(1, 2)
		d.enter(map[membership.NodeID]*lineage{2: {}})
		instance := d.r.m.instance
		d.leave(1, 2, 3)
		d.enter(map[membership.NodeID]*lineage{3: {}})
		state := d.next(frameSnapshot) // would make node 3 a voter
		d.leave(1)
		d.seq++ // something that node 2 sent is missing for good
		d.deliver(1, membership.Safe, true, state)
		d.enter(nil)
		if d.r.m.instance != instance { // 1 is half of 1 and 2, with the lowest id, and not most of 1, 2 and 3
			return "who is to go on founds an instance"
		}
		return ""
	}},
	{"N1: what lies in front of one somebody may have", noAttempts, func(d *heirDesk) string {
		d.leave(1, 2)
		d.enter(map[membership.NodeID]*lineage{2: {}})
		instance := d.r.m.instance
		d.leave(1, 2, 3)
		d.enter(map[membership.NodeID]*lineage{3: {}})
		state := d.next(frameSnapshot)
		d.leave(1)
		d.deliver(1, membership.Safe, false, state)
		d.enter(nil)
		if d.r.m.instance == instance { // 2 and 3 may have it too, and go on
			return "two may go on with one instance"
		}
		return ""
	}},
	{"X1: a proposal is newer than all that others know of", blindEpoch, func(d *heirDesk) string {
		d.leave(1)
		d.enter(nil)
		other := SiteInstance{Instance: ^membership.InstanceID(0), Site: 2}
		d.r.Reach(0, []Reach{{SiteInstance: other, View: membership.ViewID{Epoch: 7}, Epoch: 9}}, &d.fx)
		d.r.Wake(d.r.cfg.Timing.Meet, &d.fx)
		var c control
		if err := c.read(d.next(frameControl)[1:]); err != nil || !slices.Contains(c.view.Members, other) {
			d.t.Errorf("proposed is %v (%v)", c.view, err)
		}
		if d.next(frameAttach); c.view.ID.Epoch <= 9 {
			return "the other refuses it"
		}
		return ""
	}},
	{"N7: a founded view is newer than all that its members know of", blindFounder, func(d *heirDesk) string {
		d.leave(1, 2)
		d.enter(map[membership.NodeID]*lineage{2: {epoch: 7}})
		if d.r.m.view.ID.Epoch <= 7 {
			return "its clients would have to wait for another one"
		}
		return ""
	}},
	{"N7: and than what its clients have seen", blindFounder, func(d *heirDesk) string {
		d.leave(1, 2, 3)
		d.enter(map[membership.NodeID]*lineage{2: {epoch: 7}, 3: {}})
		d.r.newest = membership.ViewID{Epoch: 7}
		d.leave(1)
		d.enter(nil)
		if f, ok := d.r.Next(0, 1400); !ok || frameKind(f.Data[0]) != frameAttach {
			return "its clients have to wait for another one"
		}
		return ""
	}},
}

// TestHeirs are rules about what becomes of an instance when its ring breaks.
func TestHeirs(t *testing.T) {
	for _, r := range heirRules {
		t.Run(r.name, func(t *testing.T) {
			if wrong := r.script(newHeirDesk(t, 0)); wrong != "" {
				t.Errorf("with the rule: %s", wrong)
			}
			wrong := r.script(newHeirDesk(t, r.off))
			if wrong == "" {
				t.Errorf("nothing notices that the rule is off")
			}
			t.Logf("without it: %s", wrong)
		})
	}
}
