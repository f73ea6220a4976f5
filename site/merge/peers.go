package merge

import (
	"slices"
	"time"

	"ringway/membership"
)

// peers is what a gateway knows of the other instances, and how far it trusts them: who
// is reachable, since when, and who has to wait before a view takes it in (X8). It is
// not replicated.
type peers struct {
	known map[membership.InstanceID]*peer
	sites map[membership.SiteID]*history
	since time.Duration // when this node began to lead; who was never seen has a while
}

// A peer is another instance.
type peer struct {
	Reach
	reachable bool
	since     time.Duration     // reachable, or not, without a break
	from      membership.ViewID // the view before its present one; zero: not known
	moved     time.Duration     // when that changed
	away      time.Duration     // noTime: not put off. Else since when it has had to wait
	firm      bool              // put off for more than silence: that a promise comes does not count
	refused   membership.ViewID // the latest of its proposals that came too early
	fell      membership.ViewID // the latest proposal with it that it got out of sight of
	declines  declination
}

// A declination is what a peer has answered to a proposal of this instance: it has put this
// instance off, for longer than this instance would wait by itself.
type declination struct {
	view  membership.ViewID // that proposal
	until time.Duration     // it takes part in none before
}

// A history is how steady a site has been.
type history struct {
	wait   time.Duration // before a view takes it in again; zero: it was never lost
	merged time.Duration // when a view last took it in, or would have
	window time.Duration // lost again within that time after it came in, it has to wait for longer; zero: Timing.FlapWindow
}

// maxPeers bounds the instances that are remembered.
const maxPeers = 4 * membership.MaxSites

func newPeers() peers {
	return peers{known: map[membership.InstanceID]*peer{}, sites: map[membership.SiteID]*history{}}
}

// update takes what link state says.
func (p *peers) update(now time.Duration, reach []Reach) {
	seen := map[membership.InstanceID]bool{}
	for _, x := range reach {
		if x.Instance == 0 || seen[x.Instance] {
			continue
		}
		seen[x.Instance] = true
		known := p.known[x.Instance]
		if known == nil {
			if len(p.known) >= maxPeers {
				continue
			}
			known = &peer{away: noTime}
			p.known[x.Instance] = known
		}
		if !known.reachable {
			known.reachable, known.since = true, now
		}
		if x.View != known.View {
			known.from, known.moved = known.View, now
		}
		known.Reach = x
	}
	for id, known := range p.known {
		switch {
		case seen[id]:
		case known.reachable:
			known.reachable, known.since = false, now
		case now-known.since > time.Minute:
			delete(p.known, id)
		}
	}
}

// at returns what link state says of an instance that is reachable now.
func (p *peers) at(i membership.InstanceID) *peer {
	if x := p.known[i]; x != nil && x.reachable {
		return x
	}
	return nil
}

func (p *peers) history(s membership.SiteID) *history {
	h := p.sites[s]
	if h == nil {
		if len(p.sites) >= maxPeers {
			clear(p.sites)
		}
		h = &history{}
		p.sites[s] = h
	}
	return h
}

// installed notes who came and who went with a view.
func (p *peers) installed(now time.Duration, t *Timing, before, after []SiteInstance) {
	for _, x := range after {
		if !slices.Contains(before, x) {
			p.history(x.Site).merged = now
		}
		if known := p.known[x.Instance]; known != nil {
			known.away, known.firm, known.declines = noTime, false, declination{}
		}
	}
	for _, x := range before {
		if slices.Contains(after, x) {
			continue
		}
		p.history(x.Site).lost(now, t)
		if known := p.known[x.Instance]; known != nil {
			known.away = now
		}
	}
}

// lost has the site wait before a view takes it in again: longer, if it has not held out.
func (h *history) lost(now time.Duration, t *Timing) {
	if h.wait == 0 || now-h.merged > max(t.FlapWindow, h.window) {
		h.wait = t.Rejoin
	} else {
		h.wait = min(2*h.wait, t.MaxRejoin)
	}
}

// fallen notes whom a view was on its way to take in, and who got out of sight meanwhile. That
// has frozen everybody else for nothing, and counts as if it had been in the view and was
// lost: a link that holds out for no longer than its turn takes costs two attempts, and not
// one each time that it comes back.
func (p *peers) fallen(now time.Duration, t *Timing, before []SiteInstance, proposed *membership.SiteView) {
	for _, x := range proposed.Members {
		known := p.known[x.Instance]
		if known == nil || known.reachable || known.fell == proposed.ID || slices.Contains(before, x) {
			continue
		}
		known.fell = proposed.ID
		h := p.history(x.Site)
		h.lost(now, t)
		h.merged = now
	}
}

// adopted begins anew with a view that this node has learned. Its members are in it, whatever
// this node has held against them; who is out of sight has been for as long as this node
// had no links, and is as good as never heard of.
func (p *peers) adopted(now time.Duration, t *Timing, members []SiteInstance) {
	p.installed(now, t, members, members)
	for id, x := range p.known {
		if !x.reachable {
			delete(p.known, id)
		}
	}
}

// putOff makes an instance wait although it is reachable: it does not take part.
func (p *peers) putOff(now time.Duration, x SiteInstance, t *Timing) {
	if known := p.known[x.Instance]; known != nil {
		known.away = now
	}
	if h := p.history(x.Site); h.wait == 0 {
		h.wait = t.Rejoin
	}
}

// evict puts off an instance that is slow. How long it took to find it so is how long it
// may take again, so the time within which it counts as flapping covers that.
func (p *peers) evict(now time.Duration, x SiteInstance, after time.Duration, t *Timing) {
	p.putOff(now, x, t)
	p.known[x.Instance].firm = true
	h := p.history(x.Site)
	h.window = max(h.window, slowFlaps*after)
}

// slowFlaps is how many times as long as it takes to find a site slow it has to hold out,
// once it is back, before it counts as steady.
const slowFlaps = 4

// steadyAt is from when on a view may take in an instance that is reachable.
func (p *peers) steadyAt(x *peer, t *Timing) time.Duration {
	wait := t.Meet
	if h := p.sites[x.Site]; h != nil && h.wait > 0 {
		wait = h.wait
	}
	return max(x.since, x.away) + wait
}

// refuses says whether a proposal comes too early. It stays refused: whoever was told so does
// not count on an answer any more.
func (p *peers) refuses(now time.Duration, v membership.ViewID, t *Timing) bool {
	x := p.known[v.Proposer]
	if x == nil {
		return false
	}
	if _, early := p.early(now, v.Proposer, t); early && v.Compare(x.refused) > 0 {
		x.refused = v
	}
	return v.Compare(x.refused) <= 0
}

// early says whether it is too early for proposals of an instance, because it was put off, and
// how long it has to wait. A quarter less is enough, so that two clocks need not agree.
func (p *peers) early(now time.Duration, i membership.InstanceID, t *Timing) (wait time.Duration, early bool) {
	x := p.known[i]
	if x == nil || x.away == noTime {
		return 0, false
	}
	from, at := max(x.since, x.away), p.steadyAt(x, t)
	return at - now, now-from < (at-from)*3/4
}

// declined notes that an instance takes part in no proposal for a while, and not in this one.
func (p *peers) declined(now time.Duration, i membership.InstanceID, v membership.ViewID, wait time.Duration) {
	if x := p.known[i]; x != nil {
		x.declines = declination{v, now + wait}
	}
}
