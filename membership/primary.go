package membership

import (
	"cmp"
	"fmt"
	"slices"

	"ringway/internal/wire"
)

// A Quorum is who decides what comes after a primary view: the instances in it, each with
// the weight of its site.
type Quorum struct {
	View  ViewID
	Votes []Vote // ascending by instance; weights above zero
}

// A Vote is the say of an instance.
type Vote struct {
	Instance InstanceID
	Weight   uint32
}

// A Primary is what an instance knows of the line of primary views.
type Primary struct {
	Formed   Quorum   // of the newest one known; no votes: none is
	Attempts []Quorum // later ones that others may have installed: this instance has said Ready for them, or knows of them from who did; ascending
	Void     bool     // there were too many attempts: its vote does not count until a primary view has it again
}

// A Claim is what an instance brings into a new view.
type Claim struct {
	SiteInstance
	Weight uint32 // of its site; zero: it has no say
	Whole  bool   // it has all nodes of its site
	Primary
}

// maxPrimaryAttempts bounds the attempts of a Primary. There is one for each primary view
// that somebody agreed on, and that was not installed since the last that was.
const maxPrimaryAttempts = 16

// Decide says whether a view of those who claim is primary, and who decides what comes
// after it if it is. It is a function of the claims: all come to the same.
//
//	R1  The first primary view is one of all sites, each of which is whole.
//	R2  Each later one has the majority of the weight of the one before it: of the newest
//	    one known to anybody in it.
//	R3  It has the majority of each later attempt, too, that anybody in it knows of: that
//	    one may have been installed.
//	R4  Half of the weight is a majority if it includes the lowest instance.
//	R5  Who agrees to a primary view knows from then on what the others in it know: the one
//	    before, and attempts. Otherwise one that has just come would know this attempt only,
//	    and could be its majority, while the others, who have not agreed yet, go on without it.
//
// A view is primary at whoever installs it, and everybody in it has said Ready before: so
// everybody in it knows at least the attempt. Two majorities of one quorum have an
// instance in common. So whatever comes later has somebody who knows of it.
func Decide(view ViewID, sites int, claims []Claim) (next Quorum, primary bool) {
	next = quorumOf(view, claims)
	before := before(claims)
	if len(before) == 0 {
		return next, len(next.Votes) > 0 && allWhole(sites, claims)
	}
	for i := range before {
		if !before[i].majority(claims) {
			return next, false
		}
	}
	return next, len(next.Votes) > 0
}

// newest returns the newest primary view that anybody knows.
func newest(claims []Claim) (q Quorum) {
	for i := range claims {
		if f := &claims[i].Formed; len(f.Votes) > 0 && f.View.Compare(q.View) > 0 {
			q = *f
		}
	}
	return q
}

// before returns what a primary view of those who claim has to have majorities of.
func before(claims []Claim) (all []Quorum) {
	formed := newest(claims)
	if len(formed.Votes) > 0 {
		all = append(all, formed)
	}
	for i := range claims {
		for _, a := range claims[i].Attempts {
			if a.View.Compare(formed.View) > 0 {
				all = append(all, a)
			}
		}
	}
	return all
}

// allWhole is R1.
func allWhole(sites int, claims []Claim) bool {
	seen := map[SiteID]bool{}
	for i := range claims {
		if claims[i].Whole {
			seen[claims[i].Site] = true
		}
	}
	return len(seen) == sites
}

// quorumOf gives each site's weight to one of its instances: the lowest that is whole, or
// else the lowest.
func quorumOf(view ViewID, claims []Claim) Quorum {
	q := Quorum{View: view}
	for i := range claims {
		c := &claims[i]
		if c.Weight == 0 {
			continue
		}
		better := slices.ContainsFunc(claims, func(o Claim) bool {
			return o.Site == c.Site && o.Instance != c.Instance && (o.Whole && !c.Whole || o.Whole == c.Whole && o.Instance < c.Instance)
		})
		if !better {
			q.Votes = append(q.Votes, Vote{c.Instance, c.Weight})
		}
	}
	slices.SortFunc(q.Votes, func(a, b Vote) int { return cmp.Compare(a.Instance, b.Instance) })
	return q
}

// majority is R2 and R4.
func (q *Quorum) majority(claims []Claim) bool {
	var have, all uint64
	lowest := false
	for i, v := range q.Votes {
		all += uint64(v.Weight)
		if slices.ContainsFunc(claims, func(c Claim) bool { return c.Instance == v.Instance && !c.Void }) {
			have += uint64(v.Weight)
			lowest = lowest || i == 0
		}
	}
	return 2*have > all || 2*have == all && lowest
}

// Ready notes an attempt: this instance agrees to a view of those who claim, which will be
// primary. It must be called before anybody can know of that. What the attempt rests on is
// noted with it: the others may never say Ready, and go on from the primary view before.
func (p *Primary) Ready(q Quorum, claims []Claim) {
	p.learn(claims)
	all := slices.Clone(p.Attempts)
	for i := range claims {
		all = append(all, claims[i].Attempts...)
	}
	all = slices.DeleteFunc(append(all, q), func(a Quorum) bool { return a.View.Compare(p.Formed.View) <= 0 })
	slices.SortFunc(all, func(a, b Quorum) int { return a.View.Compare(b.View) })
	all = slices.CompactFunc(all, func(a, b Quorum) bool { return a.View == b.View })
	if len(all) > maxPrimaryAttempts {
		p.Void, all = true, p.Attempts
	}
	p.Attempts = all
}

// Install notes a view that was installed, of those who claim: a primary one with that
// quorum, or another.
func (p *Primary) Install(q Quorum, primary bool, claims []Claim) {
	if primary {
		*p = Primary{Formed: q}
		return
	}
	p.learn(claims)
}

// learn takes up the newest primary view that anybody of those who claim knows.
func (p *Primary) learn(claims []Claim) {
	if formed := newest(claims); formed.View.Compare(p.Formed.View) > 0 {
		p.Formed = formed
	}
	kept := slices.Clone(p.Attempts)
	p.Attempts = slices.DeleteFunc(kept, func(a Quorum) bool { return a.View.Compare(p.Formed.View) <= 0 })
}

const voteBytes = 12

func (q *Quorum) append(b []byte) []byte {
	b = wire.AppendUint32(q.View.Append(b), uint32(len(q.Votes)))
	for _, v := range q.Votes {
		b = wire.AppendUint32(wire.AppendUint64(b, uint64(v.Instance)), v.Weight)
	}
	return b
}

func readQuorum(r *wire.Reader) Quorum {
	q := Quorum{View: ReadViewID(r)}
	for range r.Count(MaxSites, voteBytes) {
		q.Votes = append(q.Votes, Vote{InstanceID(r.Uint64()), r.Uint32()})
	}
	return q
}

// Append appends p's encoding.
func (p *Primary) Append(b []byte) []byte {
	b = p.Formed.append(wire.AppendBool(b, p.Void))
	b = wire.AppendUint32(b, uint32(len(p.Attempts)))
	for i := range p.Attempts {
		b = p.Attempts[i].append(b)
	}
	return b
}

// ReadPrimary reads what Append wrote.
func ReadPrimary(r *wire.Reader) Primary {
	p := Primary{Void: r.Bool(), Formed: readQuorum(r)}
	for range r.Count(maxPrimaryAttempts, ViewIDBytes+4) {
		p.Attempts = append(p.Attempts, readQuorum(r))
	}
	for i := range p.Attempts {
		if i > 0 && p.Attempts[i-1].View.Compare(p.Attempts[i].View) >= 0 {
			r.Fail(fmt.Errorf("%w: attempts are not ascending at %d", ErrView, i))
		}
	}
	return p
}
