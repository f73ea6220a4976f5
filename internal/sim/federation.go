package sim

import (
	"fmt"
	"time"

	"ringway/internal/evs"
	"ringway/membership"
)

// epochUnix is the wall clock at the begin of a run, in seconds. Any will do.
const epochUnix = 1_700_000_000

// warmUp is how long a run leaves its federation alone at first, so that most of
// it happens to one that has formed.
const warmUp = 1500 * time.Millisecond

// A federation is one run: sites, nodes, networks, clients and what they saw.
type federation struct {
	agenda
	seed     uint64
	profile  Profile
	sites    []*site
	nodeOf   map[membership.NodeID]*place
	siteOf   map[membership.SiteID]*site
	wan      *wan
	faults   chance
	talk     chance
	boots    chance
	talking  bool  // clients send
	over     bool  // nothing more will happen
	untraced bool  // keep no events: the run is too long
	play     *play // of a schedule; nil: a federation that dice drive
	traces   []*evs.Trace
	wrong    []evs.Violation // found while running
	stats    Stats
	groups   []string

	numbers map[request]uint64 // the message that a request was
}

// A site is a LAN and the places of its nodes.
type site struct {
	f      *federation
	index  int
	name   string
	id     membership.SiteID
	places []*place
	lan    *lan
	// busyUntil keeps faults of one site apart that together would take its
	// lineage away.
	busyUntil time.Duration
	importer  *life // the gateway that pulls and receives for this site
}

// A place is where a node runs, one life after the other.
type place struct {
	site    *site
	index   int
	name    string
	id      membership.NodeID
	gateway bool
	life    *life // the present one; nil: down
	lives   int   // how many there were
}

// Stats counts what happened in a run.
type Stats struct {
	Submitted, Rejected, Delivered, GroupViews, Rings, Crashes, Faults int
	Packets, Records, Promises, Controls                               int
	Events, Blocked                                                    int
	Whole                                                              time.Duration // of a play: from the last fault until all nodes were together for good
	ByService                                                          map[membership.Service]int
}

func newFederation(seed uint64, p Profile) *federation {
	f := &federation{seed: seed, profile: p,
		nodeOf: map[membership.NodeID]*place{}, siteOf: map[membership.SiteID]*site{},
		numbers: map[request]uint64{},
		faults:  newChance(seed, 1), talk: newChance(seed, 2), boots: newChance(seed, 3)}
	f.stats.ByService = map[membership.Service]int{}
	shape := newChance(seed, 4)
	for i := range shape.count(p.Sites[0], p.Sites[1]) {
		s := &site{f: f, index: i, name: fmt.Sprintf("s%d", i)}
		s.id = membership.SiteIDOf(s.name)
		f.siteOf[s.id] = s
		for j := range shape.count(p.Nodes[0], p.Nodes[1]) {
			at := &place{site: s, index: j, name: fmt.Sprintf("s%dn%d", i, j), gateway: j < p.Gateways}
			if p.Shape != nil {
				at.name = nodeText(j)
			}
			at.id = membership.NodeIDOf(at.name)
			f.nodeOf[at.id] = at
			s.places = append(s.places, at)
		}
		s.lan = newLAN(s, newChance(seed, 100+uint64(i)))
		f.sites = append(f.sites, s)
	}
	for g := range p.Groups {
		f.groups = append(f.groups, fmt.Sprintf("g%d", g))
	}
	f.wan = newWAN(f, newChance(seed, 5))
	return f
}

// run plays the whole life of the federation: a start at slightly different times,
// talk and faults, the quiet end.
func (f *federation) run() {
	f.talking = true
	for _, s := range f.sites {
		for _, at := range s.places {
			f.after(f.boots.between(0, 200*time.Millisecond), func() { f.boot(at) })
		}
	}
	end := warmUp + f.profile.Active
	if f.profile.FaultEvery > 0 {
		f.after(warmUp, f.nextFault)
	}
	f.at(end, func() {
		f.talking = false
		f.heal()
	})
	f.agenda.run(end+f.profile.Settle, &f.over)
	f.finish()
}

// finish ends the traces of those who are there, and looks at the end state.
func (f *federation) finish() {
	if f.play != nil {
		f.play.checkRest()
	}
	for _, s := range f.sites {
		for _, at := range s.places {
			if at.life != nil {
				if f.play == nil {
					f.checkEnd(at.life)
				}
				at.life.recorder.Stop(f.now - at.life.start)
			}
		}
	}
	f.renumber()
}

// report notes something that is wrong in itself.
func (f *federation) report(predicate, format string, args ...any) {
	if len(f.wrong) < 20 {
		f.wrong = append(f.wrong, evs.Violation{Predicate: predicate, Explain: fmt.Sprintf("%.6fs: ", f.now.Seconds()) + fmt.Sprintf(format, args...)})
	}
}
