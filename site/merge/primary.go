package merge

import (
	"ringway/internal/wire"
	"ringway/membership"
)

// primaryState is what the machine knows of primary views (docs/topology.md). A change of
// the view carries it: a Sync has the claim of its sender, and with all Syncs everybody in
// the proposal decides the same. Saying Ready to a view that will be primary is an attempt
// at it, which is noted at the position at which Ready is fixed, so before anybody else can
// know of it. See membership.Decide.
type primaryState struct {
	primary bool // the view in force is
	past    membership.Primary
}

// claim is what this instance brings into a new view.
func (m *machine) claim() membership.Claim {
	c := membership.Claim{SiteInstance: SiteInstance{Instance: m.instance, Site: m.cfg.Site}, Primary: m.past}
	if m.cfg.Weights != nil {
		c.Weight, c.Whole = m.cfg.Weights[m.cfg.Site], m.whole()
	}
	return c
}

// whole says whether all nodes of the site are in the electorate: then no other instance
// of it lives that may remember more.
func (m *machine) whole() bool {
	n := 0
	for _, site := range m.cfg.Nodes {
		if site == m.cfg.Site {
			n++
		}
	}
	return len(m.voters) == n
}

// mayBegin says whether this instance, whole by now, may bring about the first primary view.
func (m *machine) mayBegin() bool {
	return m.cfg.Weights != nil && !m.primary && len(m.past.Formed.Votes)+len(m.past.Attempts) == 0 &&
		len(m.view.Members) >= len(m.cfg.Weights) && m.whole()
}

// decide says whether the proposed view will be primary. All Syncs are there.
func (f *flush) decide(cfg *Config) (membership.Quorum, []membership.Claim, bool) {
	claims := make([]membership.Claim, len(f.parts))
	for i := range f.parts {
		claims[i] = f.parts[i].claim
		claims[i].SiteInstance = f.view.Members[i]
	}
	if cfg.Weights == nil {
		return membership.Quorum{}, claims, false
	}
	q, primary := membership.Decide(f.view.ID, len(cfg.Weights), claims)
	return q, claims, primary
}

// attempt notes that Ready is said.
func (m *machine) attempt() {
	if q, claims, primary := m.flush.decide(m.cfg); primary {
		m.past.Ready(q, claims)
	}
}

// takePrimary is the install of the view that f proposed.
func (m *machine) takePrimary(f *flush) {
	q, claims, primary := f.decide(m.cfg)
	m.past.Install(q, primary, claims)
	m.primary = primary
}

// foundPrimary is the view of a new instance by itself: primary only if there is no other
// site.
func (m *machine) foundPrimary() {
	f := &flush{view: m.view, parts: []part{{claim: m.claim()}}}
	m.takePrimary(f)
}

func appendClaim(b []byte, c *membership.Claim) []byte {
	return c.Primary.Append(wire.AppendBool(wire.AppendUint32(b, c.Weight), c.Whole))
}

// readClaim reads a claim without its instance, which is that of the place it stands at.
func readClaim(r *wire.Reader) membership.Claim {
	return membership.Claim{Weight: r.Uint32(), Whole: r.Bool(), Primary: membership.ReadPrimary(r)}
}
