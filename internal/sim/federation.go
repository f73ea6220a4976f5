package sim

import (
	"fmt"
	"strings"
	"time"

	"ringway/internal/evs"
	"ringway/membership"
)

// epochUnix is the wall clock at the begin of a run, in seconds. Any will do.
const epochUnix = 1_700_000_000

// A federation is one run: sites, nodes, networks, clients and what they saw.
type federation struct {
	agenda
	seed     uint64
	play     *play // what happens to it
	sites    []*site
	places   []*place // of all sites
	nodeOf   map[membership.NodeID]*place
	siteOf   map[membership.SiteID]*site
	nodes    map[membership.NodeID]membership.SiteID
	siteIDs  []membership.SiteID
	weights  map[membership.SiteID]uint32 // for primary views; nil: the topology does not ask for them
	wan      *wan
	talking  bool // clients send
	over     bool // nothing more will happen
	panicked bool // a machine did
	untraced bool // keep no events: the run is too long
	traces   []*evs.Trace
	wrong    []evs.Violation // found while running
	stats    Stats

	numbers map[request]uint64 // the message that a request was
}

// A site is a LAN and the places of its nodes.
type site struct {
	f      *federation
	index  int
	name   string
	id     membership.SiteID
	ahead  time.Duration // of its wall clocks
	places []*place
	lan    *lan
	// carried has, for each instance, the newest ring in which somebody was in it, whatever
	// has become of that one.
	carried map[string]uint64
}

// A place is where a node runs, one life after the other.
type place struct {
	site    *site
	index   int // in its site
	number  int // of all sites
	name    string
	id      membership.NodeID
	gateway bool
	life    *life // the present one; nil: down
	lives   int   // how many there were
}

// Stats counts what happened in a run.
type Stats struct {
	Submitted, Rejected, Delivered, GroupViews, Rings, Crashes, Faults int
	Packets, Records, Promises, Controls, Datagrams                    int
	PromiseBytes                                                       int // of all copies
	Events, Blocked                                                    int
	Whole                                                              time.Duration   // from the last fault until all nodes were together for good
	Parted                                                             []time.Duration // from splits of the WAN until each node had a view without the other side
	Sides                                                              []time.Duration // from such splits until each node got a message sent to another site of its side
	ByService                                                          map[membership.Service]int
	Covered                                                            evs.Coverage // what else happened, for a summary
}

// newFederation builds the sites and networks of a schedule.
func newFederation(s *Schedule) *federation {
	f := &federation{seed: s.Seed,
		nodeOf: map[membership.NodeID]*place{}, siteOf: map[membership.SiteID]*site{},
		nodes: map[membership.NodeID]membership.SiteID{}, numbers: map[request]uint64{}}
	f.stats.ByService, f.stats.Covered = map[membership.Service]int{}, evs.Coverage{}
	if s.primary() {
		f.weights = map[membership.SiteID]uint32{}
	}
	for i, spec := range s.Sites {
		x := &site{f: f, index: i, name: siteText(i), ahead: spec.Ahead}
		x.id = membership.SiteIDOf(x.name)
		f.siteOf[x.id] = x
		f.siteIDs = append(f.siteIDs, x.id)
		if f.weights != nil {
			f.weights[x.id] = uint32(spec.Weight)
		}
		for j := range spec.Nodes {
			at := &place{site: x, index: j, number: len(f.places), name: nodeText(len(f.places)), gateway: j < spec.Gateways}
			at.id = membership.NodeIDOf(at.name)
			f.nodeOf[at.id], f.nodes[at.id] = at, x.id
			f.places, x.places = append(f.places, at), append(x.places, at)
		}
		x.lan = newLAN(x, s.LAN, newChance(s.Seed, 100+uint64(i)))
		f.sites = append(f.sites, x)
	}
	f.wan = newWAN(f, s, newChance(s.Seed, 5))
	return f
}

// impatience is for how long groups whose names begin with e wait for a slow site.
const impatience = 3 * time.Second

// slowAfter says for how long a group waits for a site that is behind; zero: for ever.
func slowAfter(group string) time.Duration {
	if strings.HasPrefix(group, "e") {
		return impatience
	}
	return 0
}

// siteScoped says which groups never leave a site: those that draw.go gives to one.
func siteScoped(group string) bool { return strings.HasPrefix(group, "s") }

// finish ends the traces of those who are there, and looks at the end state.
func (f *federation) finish() {
	f.play.checkRest()
	for _, at := range f.places {
		if at.life != nil {
			at.life.recorder.Stop(f.now - at.life.start)
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
