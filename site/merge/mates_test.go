package merge

import (
	"slices"
	"testing"
	"time"

	"ringway/membership"
)

// TestNewsComesOneByOne is X8: two sites change from one view into another, and one of them has
// to wait before this site takes it in. Link state shows them in the new view one after the
// other. The one that may come is not taken out of their view in between, as if it were
// alone in the new one.
func TestNewsComesOneByOne(t *testing.T) {
	d := newDesk(t, 0)
	steady, waiting := membership.InstanceID(12), membership.InstanceID(13)
	before, after, elsewhere := membership.ViewID{Epoch: 5, Proposer: 12}, membership.ViewID{Epoch: 7, Proposer: 13}, membership.ViewID{Epoch: 6, Proposer: 12}
	reach := func(s, w membership.ViewID) []Reach {
		return []Reach{{SiteInstance: SiteInstance{Instance: steady, Site: 12}, View: s, Delay: 10 * time.Millisecond},
			{SiteInstance: SiteInstance{Instance: waiting, Site: 13}, View: w, Delay: 30 * time.Millisecond}}
	}
	for _, test := range []struct {
		name           string
		steady, waits  membership.ViewID
		off            mutant
		at             time.Duration
		taken, changes bool
	}{
		{"both are in the view before", before, before, 0, 0, false, false},
		{"the steady one is seen in the new view", after, before, 0, 0, false, true},
		{"the same, and nothing but the news counts", after, before, oldNews, 0, true, true},
		{"the one that waits is seen in the new view", before, after, 0, 0, false, true},
		{"both are", after, after, 0, 0, false, true},
		{"the steady one has left the other for good", elsewhere, before, 0, 2 * time.Second, true, true},
	} {
		d.cfg.hooks.off = test.off
		r := &Replica{cfg: d.cfg, m: d.m, now: time.Minute}
		r.cfg.Timing = DefaultTiming
		r.views.peers = newPeers()
		p := &r.views.peers
		p.update(0, reach(before, before))
		p.history(13).wait = time.Hour
		p.update(r.now, reach(test.steady, test.waits))
		r.now += test.at
		r.views.due = time.Hour
		taken := slices.ContainsFunc(r.wantedMembers(), func(x SiteInstance) bool { return x.Instance == steady })
		if taken != test.taken {
			t.Errorf("%s: it is taken in: %v", test.name, taken)
		}
		if looks := r.views.due <= time.Minute+time.Second; looks != (test.changes && test.at == 0 && test.off == 0) {
			t.Errorf("%s: looks again at %v", test.name, r.views.due)
		}
	}
}
