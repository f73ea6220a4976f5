package merge

import (
	"time"

	"ringway/membership"
)

// A slowWatch is how long each member of the view has been behind, for groups whose
// policy does not want to wait for it (B6). It is not replicated: a site is taken out by
// an ordinary proposal, and whoever thinks it slow may make one.
//
// Behind is who does one of these, for a message that such a group is waiting for:
//
//   - hold back the order: the message's deadline is over by more than Timing.Slow, and
//     what the member has promised, with all its records, does not cover it;
//   - not say that a safe message is safe there, although all others' promises cover it;
//   - not take in what this site sends it, for that long after its deadline;
//   - keep its promises so late that all deadlines are set by it: later than Timing.Slow
//     above the way's own delay.
//
// The time grows while a member is behind and shrinks as fast while it is not: one that
// is behind more than half of the time does not escape by catching up now and then.
type slowWatch struct {
	at     time.Duration   // of the latest look
	behind []time.Duration // by place in the view
}

// An Eviction is that this node asks for a view without a site that is slow.
type Eviction struct {
	Site   membership.SiteID
	Group  string        // whose policy it is
	Behind time.Duration // how long, in sum
}

// maxSlowLook bounds the messages that one look goes through, the oldest first: enough
// for some of each group, as nobody sends to another for long while all wait.
const maxSlowLook = 1024

// A laggard is why a member is behind: the group that wants to wait for the shortest time.
type laggard struct {
	group string
	after time.Duration // zero: not behind
}

func (l *laggard) blame(group string, after time.Duration) {
	if l.after == 0 || after < l.after {
		*l = laggard{group, after}
	}
}

// watchSlow is the trigger for slow members.
func (r *Replica) watchSlow() {
	m, s := r.m, &r.views.slow
	if r.cfg.SlowAfter == nil || !r.gateway.is || m.solo() {
		return
	}
	if len(s.behind) != len(m.view.Members) {
		*s = slowWatch{at: r.now, behind: make([]time.Duration, len(m.view.Members))}
	}
	elapsed := min(r.now-s.at, 2*lookInterval) // a node that slept has nobody to blame
	s.at = r.now
	found := r.laggards()
	late, all := 0, 0
	for i := range found {
		if i == m.self {
			continue
		}
		all++
		if found[i].after == 0 {
			s.behind[i] = max(0, s.behind[i]-elapsed)
			continue
		}
		late++
		s.behind[i] += elapsed
	}
	if late == all && all > 1 {
		return // it is this site that is slow: the others will say so
	}
	for i, l := range found {
		if l.after == 0 || s.behind[i] < l.after {
			continue
		}
		x := m.view.Members[i]
		if known := r.views.peers.at(x.Instance); known == nil || known.firm {
			continue
		}
		r.views.peers.evict(r.now, x, l.after, &r.cfg.Timing)
		r.views.evicted++
		r.fx.Evicted = append(r.fx.Evicted, Eviction{Site: x.Site, Group: l.group, Behind: s.behind[i]})
	}
}

// laggards are the members that are behind, by place in the view.
func (r *Replica) laggards() []laggard {
	m := r.m
	found := make([]laggard, len(m.view.Members))
	now := r.viewNow(r.now) - int64(r.cfg.Timing.Slow)
	for _, rec := range m.pend[:min(len(m.pend), maxSlowLook)] {
		group, after := r.impatience(rec)
		if after == 0 {
			continue
		}
		if rec.t > now {
			r.blameLate(found, group, after) // one is enough, and the first is the oldest
			break
		}
		covered := true
		for i := range found {
			if i != m.self && m.prom[i] < rec.t {
				covered = false
				found[i].blame(group, after)
			}
		}
		if !covered || !rec.safe() {
			continue
		}
		for rest := rec.dests.Without(m.self); rest != 0; rest &= rest - 1 {
			if i := rest.First(); m.w[i] < rec.t {
				found[i].blame(group, after)
			}
		}
	}
	r.blameBacklog(found, now)
	return found
}

// blameLate blames whose promises are so late that they set everybody's deadlines.
func (r *Replica) blameLate(found []laggard, group string, after time.Duration) {
	g := &r.gateway
	for i := range found {
		if i != r.m.self && time.Duration(g.late[i].quantile) > g.delays[i]+r.cfg.Timing.Slow {
			found[i].blame(group, after)
		}
	}
}

// blameBacklog blames who does not take in what was sent to it: now is the deadline that
// is over for long enough.
func (r *Replica) blameBacklog(found []laggard, now int64) {
	m, g := r.m, &r.gateway
	for _, rec := range m.held[:min(len(m.held), maxSlowLook)] {
		if rec == nil || rec.t > now {
			continue
		}
		group, after := r.impatience(rec)
		if after == 0 {
			continue
		}
		k := 0
		for rest := rec.dests.Without(m.self); rest != 0; rest &= rest - 1 {
			i := rest.First()
			if rec.idx[k] >= g.inbox[i].taken && rec.t <= now-2*int64(g.delays[i]) {
				found[i].blame(group, after)
			}
			k++
		}
	}
}

// impatience is after how long who is behind with a message is to be taken out; zero:
// its groups wait, however long.
func (r *Replica) impatience(rec *record) (group string, after time.Duration) {
	if rec.kind != kindData {
		return "", 0
	}
	var l laggard
	for _, name := range rec.groups {
		if t := r.cfg.SlowAfter(name); t > 0 {
			l.blame(name, t)
		}
	}
	return l.group, l.after
}
