package merge

import (
	"cmp"
	"slices"
	"time"

	"ringway/membership"
)

// A viewProposer looks, at gateways, whether another site view is due (X1, X8). It is
// not replicated.
type viewProposer struct {
	peers    peers
	needed   time.Duration // since when a view is; noTime: none is
	last     time.Duration // of the latest proposal of ours
	started  bool
	wait     time.Duration // before another one; doubles
	frozen   time.Duration // since when the flush under way has made no progress
	flush    membership.ViewID
	began    time.Duration // when it was seen first
	progress flushProgress
	waiting  []time.Duration // of members in the view: since when their promise is missing
	slow     slowWatch
	wasWhole bool   // the site had all its nodes when the view began
	evicted  uint64 // slow sites that a view was asked for without
	due      time.Duration
}

// flushProgress tells steps of a flush apart.
type flushProgress struct {
	id     membership.ViewID
	pieces uint32 // that are here
	others uint32 // that are at the others, as they say: while those get on this site can wait
	steps  int
}

// proposeInterval is the time between two proposals of an instance, which doubles up to
// maxProposeWait as long as none gets through.
const (
	proposeInterval = 500 * time.Millisecond
	maxProposeWait  = 5 * time.Second
	// turnInterval is how long each lower instance has for a proposal before the next
	// one makes it.
	turnInterval = time.Second
	// lookInterval is how often a gateway looks without being told.
	lookInterval = 100 * time.Millisecond
)

// consider proposes a view, if one is due and it is this instance's turn.
func (r *Replica) consider() {
	v, m := &r.views, r.m
	v.due = noTime
	if m == nil || !r.descent.decided || !r.gateway.leads {
		return
	}
	v.due = r.now + lookInterval
	if f := m.flush; f != nil && f.view.ID != v.flush {
		v.flush, v.began = f.view.ID, r.now
	}
	if m.flush != nil && !m.off(lightFall) {
		v.peers.fallen(r.now, &r.cfg.Timing, m.view.Members, &m.flush.view)
	}
	r.watch()
	want := r.wantedMembers()
	if !r.viewNeeded(want) {
		v.needed = noTime
		if len(want) == 1 && m.solo() && !m.frozen() && len(v.peers.known) == 0 {
			v.due = noTime
		}
		return
	}
	if v.needed == noTime {
		v.needed = r.now
	}
	turn := slices.IndexFunc(want, func(x SiteInstance) bool { return x.Instance == m.instance })
	at := v.needed + time.Duration(turn)*turnInterval
	if v.started {
		at = max(at, v.last+v.wait)
	}
	if r.now < at {
		v.due = min(v.due, at)
		return
	}
	r.proposeView(want)
}

// target are the members of the view that is in force, or under way.
func (m *machine) target() *membership.SiteView {
	if m.flush != nil {
		return &m.flush.view
	}
	return &m.view
}

// wantedMembers are the members that the view should have: this instance, those of the view
// that are there, and others that have been there for long enough. Nobody is taken out of a
// view one of whose members has to wait (mates.go): whoever is left would count that as a loss, wait for
// longer, and then take another one out of that view. Three sites can go on so for ever.
func (r *Replica) wantedMembers() []SiteInstance {
	m, p := r.m, &r.views.peers
	self := SiteInstance{Instance: m.instance, Site: r.cfg.Site}
	want := []SiteInstance{self}
	target, with := m.target(), r.mates()
	refused := r.refusedViews(with)
	for _, x := range target.Members {
		if x == self || !r.stillThere(x) {
			continue
		}
		if known := p.at(x.Instance); known == nil || !refused[with.of(known.View)] || slices.Contains(m.view.Members, x) {
			want = append(want, x)
		}
	}
	var others []*peer
	waits := map[membership.ViewID]bool{}
	for id, x := range p.known {
		if !x.reachable || id == m.instance || slices.Contains(target.Members, x.SiteInstance) {
			continue
		}
		if at := max(p.steadyAt(x, &r.cfg.Timing), x.declines.until); at > r.now {
			r.views.due = min(r.views.due, at)
			waits[with.of(x.View)] = true
			continue
		}
		others = append(others, x)
	}
	for _, x := range others {
		if !waits[with.of(x.View)] || x.View == (membership.ViewID{}) || m.off(apart) {
			want = append(want, x.SiteInstance)
		}
	}
	slices.SortFunc(want, func(a, b SiteInstance) int { return cmp.Compare(a.Instance, b.Instance) })
	if len(want) > membership.MaxSites {
		want = want[:membership.MaxSites]
		if !slices.Contains(want, self) {
			want[len(want)-1] = self
		}
	}
	return want
}

// refusedViews are those of sites that take no part in the view that is under way, and have
// said so: they speak for whoever is with them.
func (r *Replica) refusedViews(with mates) map[membership.ViewID]bool {
	views := map[membership.ViewID]bool{}
	if f := r.m.flush; f != nil && !r.m.off(apart) {
		for _, x := range f.view.Members {
			if known := r.views.peers.at(x.Instance); known != nil && r.refusesThis(known) && known.View != (membership.ViewID{}) {
				views[with.of(known.View)] = true
			}
		}
	}
	return views
}

// stillThere says whether a member of the view, or of the one under way, stays in it.
func (r *Replica) stillThere(x SiteInstance) bool {
	t := &r.cfg.Timing
	known := r.views.peers.known[x.Instance]
	if known == nil {
		// This node may not have heard of anybody yet.
		grace := 3 * t.Silent
		if !r.gateway.is {
			grace = t.Silent
		}
		return r.now-r.views.peers.since < grace
	}
	if !known.reachable {
		at := known.since + t.Unreachable
		if at > r.now {
			r.views.due = min(r.views.due, at)
		}
		return at > r.now
	}
	if r.refusesThis(known) {
		return false
	}
	return known.away == noTime || r.m.flush != nil && known.away < r.views.began
}

// refusesThis says whether a site takes no part in the view that is under way, and has said so.
func (r *Replica) refusesThis(x *peer) bool {
	f := r.m.flush
	return f != nil && x.declines.view == f.view.ID
}

// viewNeeded says whether the view in force, or under way, will not do.
func (r *Replica) viewNeeded(want []SiteInstance) bool {
	m, p := r.m, &r.views.peers
	target := m.target()
	if !slices.Equal(want, target.Members) {
		return true
	}
	if m.flush == nil && m.wanted != 0 {
		return true
	}
	if m.flush == nil && !r.views.wasWhole && m.mayBegin() {
		return true
	}
	for _, x := range want {
		known := p.at(x.Instance)
		if known == nil {
			continue
		}
		// It has gone on: it takes no older proposal any more.
		if known.View.Compare(target.ID) > 0 || known.Wanted > target.ID.Epoch {
			return true
		}
	}
	return false
}

// proposeView puts a proposal on its way into the ring.
func (r *Replica) proposeView(want []SiteInstance) {
	v, m := &r.views, r.m
	epoch := max(m.epoch, r.epoch)
	for _, x := range v.peers.known {
		if x.reachable && !m.off(blindEpoch) {
			epoch = max(epoch, x.Epoch, x.View.Epoch, x.Wanted)
		}
	}
	if v.wait = min(max(2*v.wait, proposeInterval), maxProposeWait); r.now-v.last > 2*maxProposeWait {
		v.wait = proposeInterval
	}
	v.last, v.started, v.needed = r.now, true, noTime
	c := control{kind: controlPropose, from: m.instance, view: membership.SiteView{
		ID: membership.ViewID{Epoch: epoch + 1, Proposer: m.instance}, Founded: r.unixSeconds(), Members: want,
	}}
	r.exchange.queue.add(&c, c.append(nil))
	r.fx.Kick = true
}

// watch looks after members that take no part although link state shows them: whose
// promises are missing while something waits for them, and who holds up a flush.
func (r *Replica) watch() {
	v, m := &r.views, r.m
	r.watchLeavers()
	if m.flush == nil {
		v.frozen = noTime
		r.watchPromises()
		r.watchSlow()
		return
	}
	f := m.flush
	now := flushProgress{id: f.view.ID}
	for i := range f.parts {
		p := &f.parts[i]
		now.pieces += p.next
		if r.exchange.id == f.view.ID && i < len(r.exchange.peers) && !m.off(selfish) {
			now.others += r.exchange.peers[i].got
		}
		for _, done := range []bool{p.filled, p.synced, p.ready} {
			if done {
				now.steps++
			}
		}
	}
	if now != v.progress || v.frozen == noTime {
		v.progress, v.frozen = now, r.now
		return
	}
	if r.now-v.frozen < r.stuckAfter() {
		return
	}
	v.frozen = r.now
	if x, ok := r.mostMissing(); ok {
		v.peers.putOff(r.now, x, &r.cfg.Timing)
	}
}

// stuckAfter is how long a change of the view may make no progress. While more than one piece of a Fill goes to
// somebody, that may also be because one was lost: a copy of it waits behind what is in front
// of a thin link, which is worth some seconds (fillOut).
func (r *Replica) stuckAfter() time.Duration {
	limit := max(r.cfg.Timing.Stuck, 12*r.farthest())
	if r.longFills() && !r.m.off(hurried) {
		limit += maxWaits * r.patience()
	}
	return limit
}

// longFills says whether a Fill of several pieces is under way from or to this site, or came to another
// one, as far as that says.
func (r *Replica) longFills() bool {
	f, x := r.m.flush, &r.exchange
	for i := range f.parts {
		if p := &f.parts[i]; p.next > 0 && !p.filled {
			return true
		}
		if x.id == f.view.ID && i < len(x.peers) {
			o := &x.peers[i].fill
			if len(o.data) > fillPieceBytes && int(o.have)*fillPieceBytes < len(o.data) || int(x.peers[i].got) >= len(f.parts) {
				return true
			}
		}
	}
	return false
}

// watchLeavers looks after members that have gone on without this site. Whoever has
// installed a newer view than the one in force here, or under way, did so without this
// site's Ready: this site is no part of it. So it goes on without them as well, and at
// once, instead of asking them for a view that they refuse; both wait equally long until
// they come together again. One that this site has only been asked by is not held to that: whoever
// made it leave would have it later, when this site would not, and the two would take turns.
func (r *Replica) watchLeavers() {
	v, m := &r.views, r.m
	target := m.target()
	for _, x := range target.Members {
		known := v.peers.at(x.Instance)
		if known == nil || x.Instance == m.instance || known.View.Compare(target.ID) <= 0 {
			continue
		}
		if !slices.Contains(m.view.Members, x) && !m.off(begrudge) {
			continue // it asked, was told to wait by another one here, and will ask again
		}
		if known.away == noTime || m.flush != nil && known.away < v.began {
			v.peers.putOff(r.now, x, &r.cfg.Timing)
			known.firm = true
		}
	}
}

// farthest is the longest way to a member, one way.
func (r *Replica) farthest() (far time.Duration) {
	for _, x := range r.views.peers.known {
		if x.reachable {
			far = max(far, x.Delay)
		}
	}
	return far
}

// waitsFor says whether the first pending record lacks something that a member's next
// promise may bring.
func (m *machine) waitsFor(i int) bool {
	if len(m.pend) == 0 {
		return false
	}
	head := m.pend[0]
	return m.prom[i] < head.t || head.safe() && head.dests.Has(i) && m.w[i] < head.t
}

// watchPromises is the trigger for silent members.
func (r *Replica) watchPromises() {
	v, m, g := &r.views, r.m, &r.gateway
	if len(v.waiting) != len(m.view.Members) {
		v.waiting = make([]time.Duration, len(m.view.Members))
		for i := range v.waiting {
			v.waiting[i] = r.now
		}
	}
	for i, x := range m.view.Members {
		if i == m.self || !m.waitsFor(i) {
			v.waiting[i] = r.now
			if known := v.peers.known[x.Instance]; known != nil && !known.firm {
				known.away = noTime // it is back before a view without it was made
			}
			continue
		}
		since := max(v.waiting[i], g.inbox[i].at)
		if r.now-since >= max(r.cfg.Timing.Silent, 8*g.delays[i]) && r.gateway.is && v.peers.at(x.Instance) != nil {
			v.peers.putOff(r.now, x, &r.cfg.Timing)
		}
	}
}
