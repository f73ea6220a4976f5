package membership

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"ringway/internal/wire"
)

// A SiteInstance is a member of a site view.
type SiteInstance struct {
	Instance InstanceID
	Site     SiteID
}

// A SiteView is the list of instances that share one order. It is never changed.
type SiteView struct {
	ID      ViewID
	Founded uint32         // seconds since 1970, of the proposer; for ids of group views
	Members []SiteInstance // ascending by instance
}

// Index returns the place of an instance in the view.
func (v *SiteView) Index(i InstanceID) (int, bool) {
	return slices.BinarySearchFunc(v.Members, i, func(m SiteInstance, i InstanceID) int {
		return compare(m.Instance, i)
	})
}

// Site returns the place of the instance of a site.
func (v *SiteView) Site(s SiteID) (int, bool) {
	i := slices.IndexFunc(v.Members, func(m SiteInstance) bool { return m.Site == s })
	return i, i >= 0
}

// All is the set of all members.
func (v *SiteView) All() Set { return Set(1)<<len(v.Members) - 1 }

// ErrView says that a site view is malformed.
var ErrView = errors.New("malformed site view")

// Check refuses a view that could not have been proposed by the rules.
func (v *SiteView) Check() error {
	switch {
	case len(v.Members) == 0 || len(v.Members) > MaxSites:
		return fmt.Errorf("%w: %d members, between 1 and %d are possible", ErrView, len(v.Members), MaxSites)
	case v.ID.Proposer == 0:
		return fmt.Errorf("%w: no proposer", ErrView)
	}
	for i, m := range v.Members {
		if m.Instance == 0 || m.Site == 0 {
			return fmt.Errorf("%w: member %d has no name", ErrView, i)
		}
		if i > 0 && v.Members[i-1].Instance >= m.Instance {
			return fmt.Errorf("%w: members are not ascending at %d", ErrView, i)
		}
	}
	return nil
}

const siteInstanceBytes = 12

// Append appends v's encoding.
func (v *SiteView) Append(b []byte) []byte {
	b = wire.AppendUint32(v.ID.Append(b), v.Founded)
	b = wire.AppendUint32(b, uint32(len(v.Members)))
	for _, m := range v.Members {
		b = wire.AppendUint32(wire.AppendUint64(b, uint64(m.Instance)), uint32(m.Site))
	}
	return b
}

// ReadSiteView reads what Append wrote and refuses what Check refuses.
func ReadSiteView(r *wire.Reader) SiteView {
	v := SiteView{ID: ReadViewID(r), Founded: r.Uint32()}
	v.Members = make([]SiteInstance, r.Count(MaxSites, siteInstanceBytes))
	for i := range v.Members {
		v.Members[i] = SiteInstance{InstanceID(r.Uint64()), SiteID(r.Uint32())}
	}
	if r.Err() == nil {
		if err := v.Check(); err != nil {
			r.Fail(err)
		}
	}
	return v
}

// A Set has some members of a site view, by their places in it.
type Set uint64

// SetOf returns the set with the member at place i alone.
func SetOf(i int) Set { return 1 << i }

// Has says whether the member at place i is in s.
func (s Set) Has(i int) bool { return s>>i&1 != 0 }

// Without returns s less the member at place i.
func (s Set) Without(i int) Set { return s &^ (1 << i) }

// Len returns the number of members in s.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// First returns the lowest place in s, which must not be empty.
func (s Set) First() int { return bits.TrailingZeros64(uint64(s)) }

// Rank returns how many members of s stand before place i.
func (s Set) Rank(i int) int { return bits.OnesCount64(uint64(s & (1<<i - 1))) }
