package merge

import (
	"slices"
	"time"

	"ringway/membership"
	"ringway/site/ring"
)

// A viewProposer looks, at gateways, whether another site view is due, and makes
// sites that missed a proposal hear it again. It is not replicated.
type viewProposer struct {
	queue    []membership.SiteView // for the ring
	lastTime time.Duration         // of the latest proposal of ours
	wait     time.Duration         // before another one; doubles
	repeated time.Duration
	due      time.Duration
	started  bool
}

// consider proposes a view, or repeats the one that others have not installed.
func (r *Replica) consider() {
	v, m := &r.views, r.m
	v.due = noTime
	if m == nil || !r.descent.formedHere() || !r.gateway.leads {
		return
	}
	want, complete := r.wantedMembers()
	same := complete && slices.Equal(want, m.view.Members) && !r.overtaken(want)
	if m.proposal != nil && slices.Equal(want, m.proposal.Members) {
		same = true
	}
	if (complete && !same || m.bumped && !m.frozen()) && r.mayPropose(want, complete) {
		r.proposeView(want, complete)
	}
	r.repeatView()
	if v.due == noTime || v.due > r.now+proposeInterval {
		v.due = r.now + proposeInterval
	}
	if m.solo() && !m.frozen() && !m.bumped && len(r.gateway.reach) == 0 {
		v.due = noTime
	}
}

// overtaken says whether a member has gone on to a view of its own. It takes no older
// one any more, so it needs a proposal with a higher epoch.
func (r *Replica) overtaken(want []SiteInstance) bool {
	return slices.ContainsFunc(want, func(x SiteInstance) bool {
		peer, ok := r.gateway.reach[x.Site]
		return ok && peer.Instance == x.Instance && peer.View.Compare(r.m.view.ID) > 0
	})
}

// wantedMembers is one instance of every site of the topology, and whether all are
// reachable.
func (r *Replica) wantedMembers() (want []SiteInstance, complete bool) {
	want = append(want, SiteInstance{Instance: r.m.instance, Site: r.cfg.Site})
	for _, s := range r.cfg.Sites {
		if s == r.cfg.Site {
			continue
		}
		x, ok := r.gateway.reach[s]
		if !ok || x.Instance == 0 {
			return nil, false
		}
		want = append(want, x.SiteInstance)
	}
	slices.SortFunc(want, func(a, b SiteInstance) int {
		if a.Instance < b.Instance {
			return -1
		}
		return 1
	})
	return want, len(want) > 1
}

// mayPropose says whether it is this instance's turn, and time (X1).
func (r *Replica) mayPropose(want []SiteInstance, complete bool) bool {
	v := &r.views
	if complete && want[0].Instance != r.m.instance || len(v.queue) > 0 {
		return false
	}
	if v.started && r.now-v.lastTime < v.wait {
		v.due = v.lastTime + v.wait
		return false
	}
	return true
}

func (r *Replica) proposeView(want []SiteInstance, complete bool) {
	v, m := &r.views, r.m
	if !complete {
		want = m.view.Members
	}
	epoch := m.epoch
	for _, x := range r.gateway.reach {
		epoch = max(epoch, x.Epoch, x.View.Epoch)
	}
	if v.wait = min(max(2*v.wait, proposeInterval), maxProposeWait); r.now-v.lastTime > 2*maxProposeWait {
		v.wait = proposeInterval
	}
	v.lastTime, v.started = r.now, true
	v.queue = append(v.queue, membership.SiteView{
		ID: membership.ViewID{Epoch: epoch + 1, Proposer: m.instance}, Founded: unixSeconds(r.cfg.StartUnix, r.now), Members: want,
	})
}

// maxProposeWait bounds the time between proposals that do not get through.
const maxProposeWait = 5 * time.Second

// repeatView sends the newest view to members that do not advertise it yet.
func (r *Replica) repeatView() {
	m := r.m
	latest := &m.view
	if m.proposal != nil {
		latest = m.proposal
		if !r.descent.covers(m.proposed) {
			return
		}
	}
	if len(latest.Members) < 2 || r.now-r.views.repeated < repeatInterval && r.views.repeated > 0 {
		return
	}
	var data []byte
	for _, x := range latest.Members {
		peer, ok := r.gateway.reach[x.Site]
		if !ok || peer.Instance != x.Instance || peer.View.Compare(latest.ID) >= 0 {
			continue
		}
		if data == nil {
			c := control{controlPropose, *latest}
			data = c.append(nil)
		}
		r.fx.Controls = append(r.fx.Controls, Control{To: x, Data: data})
	}
	if data != nil {
		r.views.repeated = r.now
		r.views.due = r.now + repeatInterval
	}
}

// controlIn takes a message of another instance's gateway.
func (r *Replica) controlIn(from SiteInstance, data []byte) {
	var c control
	if err := c.read(data); err != nil {
		r.badFrames++
		r.fx.Faults = append(r.fx.Faults, Fault{from.Site, err.Error()})
		return
	}
	if !slices.Contains(c.view.Members, from) {
		r.fx.Faults = append(r.fx.Faults, Fault{from.Site, "control message: proposes a view without itself"})
		return
	}
	m := r.m
	if m == nil || c.view.ID.Compare(m.view.ID) <= 0 || m.proposal != nil && c.view.ID.Compare(m.proposal.ID) <= 0 {
		return
	}
	for i := range r.views.queue {
		if r.views.queue[i].ID == c.view.ID {
			return
		}
	}
	if len(r.views.queue) < maxControls {
		r.views.queue = append(r.views.queue, c.view)
	}
}

// nextControl is the frame of the next proposal.
func (r *Replica) nextControl() (ring.Frame, bool) {
	v := &r.views
	for len(v.queue) > 0 {
		view := v.queue[0]
		v.queue = slices.Delete(v.queue, 0, 1)
		if view.ID.Compare(r.m.view.ID) > 0 {
			c := control{controlPropose, view}
			return ring.Frame{Stream: controlStream, Service: membership.Agreed, Data: c.append([]byte{byte(frameControl)})}, true
		}
	}
	return ring.Frame{}, false
}
