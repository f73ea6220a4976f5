package routing

import (
	"cmp"
	"slices"
	"time"

	"ringway/membership"
)

// MaxGateways bounds a database: 64 sites with a few gateways each.
const MaxGateways = 512

// A Summary tells which advertisement of a gateway somebody has.
type Summary struct {
	Gateway     membership.NodeID
	Incarnation uint64
	Counter     uint64
}

// compare orders advertisements of one gateway by age, oldest first.
func (s Summary) compare(t Summary) int {
	return cmp.Or(cmp.Compare(s.Incarnation, t.Incarnation), cmp.Compare(s.Counter, t.Counter))
}

// Summary returns what identifies a's version.
func (a *Advertisement) Summary() Summary { return Summary{a.Gateway, a.Incarnation, a.Counter} }

// A Verdict says what a database made of an advertisement.
type Verdict uint8

// The verdicts.
const (
	Newer    Verdict = iota + 1 // taken; flood it
	Same                        // known already
	Older                       // the sender lacks ours: send it
	OwnNewer                    // about this gateway, and newer than it ever said: out-number it
	Full                        // no room for another gateway
)

// A Database has the newest advertisement of every gateway. It is not safe for
// concurrent use.
//
// Invariant: the advertisement of a gateway is only ever replaced by a newer one.
type Database struct {
	self    membership.NodeID
	entries map[membership.NodeID]entry
}

type entry struct {
	signed *Signed
	heard  time.Duration
}

// NewDatabase returns an empty database of the gateway self.
func NewDatabase(self membership.NodeID) *Database {
	return &Database{self: self, entries: map[membership.NodeID]entry{}}
}

// Put offers an advertisement that the caller has verified.
func (d *Database) Put(now time.Duration, s *Signed) Verdict {
	known, ok := d.entries[s.Gateway]
	if !ok && len(d.entries) >= MaxGateways {
		return Full
	}
	order := 1
	if ok {
		order = s.Summary().compare(known.signed.Summary())
	}
	switch {
	case order == 0:
		d.entries[s.Gateway] = entry{known.signed, now}
		return Same
	case order < 0:
		return Older
	case s.Gateway == d.self:
		return OwnNewer
	}
	d.entries[s.Gateway] = entry{s, now}
	return Newer
}

// PutOwn takes this gateway's own advertisement.
func (d *Database) PutOwn(now time.Duration, s *Signed) { d.entries[d.self] = entry{s, now} }

// Get returns the advertisement of a gateway.
func (d *Database) Get(g membership.NodeID) (*Signed, bool) {
	e, ok := d.entries[g]
	return e.signed, ok
}

// All returns every advertisement, by gateway id.
func (d *Database) All() []*Signed {
	all := make([]*Signed, 0, len(d.entries))
	for _, e := range d.entries {
		all = append(all, e.signed)
	}
	slices.SortFunc(all, func(a, b *Signed) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return all
}

// Digest summarises the database, by gateway id.
func (d *Database) Digest() []Summary {
	digest := make([]Summary, 0, len(d.entries))
	for _, s := range d.All() {
		digest = append(digest, s.Summary())
	}
	return digest
}

// Missing returns what the owner of the digest lacks or has older, by gateway id.
func (d *Database) Missing(digest []Summary) []*Signed {
	theirs := make(map[membership.NodeID]Summary, len(digest))
	for _, s := range digest {
		theirs[s.Gateway] = s
	}
	var missing []*Signed
	for _, s := range d.All() {
		if has, ok := theirs[s.Gateway]; !ok || has.compare(s.Summary()) < 0 {
			missing = append(missing, s)
		}
	}
	return missing
}

// Expire drops advertisements of others that were last heard of before the given
// time. It is hygiene only: routing does not depend on ageing, because an edge counts
// only if both its ends advertise it.
func (d *Database) Expire(before time.Duration) (dropped int) {
	for g, e := range d.entries {
		if g != d.self && e.heard < before {
			delete(d.entries, g)
			dropped++
		}
	}
	return dropped
}
