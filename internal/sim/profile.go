package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Profile says what kind of federation a seed makes and what it goes through.
type Profile struct {
	Name  string
	About string
	// Default: the profile is in the set that random runs draw from. What is not
	// says why in doc.go.
	Default bool

	Sites    [2]int // how many, from and to
	Nodes    [2]int // in a site
	Gateways int    // in a site, at most
	Clients  [2]int // at a node
	Groups   int

	Active time.Duration // how long clients talk and faults strike
	Settle time.Duration // quiet time at the end, in which everything must arrive
	Every  time.Duration // mean time between two requests of a client

	LAN LAN
	WAN WAN

	FaultEvery time.Duration // mean time between two faults; zero: none
	Faults     []Fault       // each as likely as the other; repeat one to make it likelier

	// Islands: no WAN link ever comes up; every site stays alone.
	Islands bool

	Skip []string // predicates that cannot hold yet, see doc.go

	// Shape: the profile is of one site, and draws schedules. Of the fields above
	// only the name counts then.
	Shape *Shape
}

// LAN is how packets travel in a site. Chances are in percent.
type LAN struct {
	Delay     [2]time.Duration // of a pair of nodes
	Jitter    time.Duration
	Loss      float64
	Duplicate float64
	Late      float64 // comes up to LateBy later than it should, so out of order
	LateBy    time.Duration
}

// WAN is how the overlay carries things between two sites. Chances are in percent.
type WAN struct {
	Delay       [2]time.Duration // one way, of a pair of sites
	Jitter      time.Duration
	PromiseLoss float64
	Duplicate   float64 // of promises
	Late        float64 // promises up to LateBy late
	LateBy      time.Duration
	Detect      time.Duration // until routing knows of a cut or a dead gateway
}

// A Fault is something that goes wrong.
type Fault uint8

// The faults. Those behind the line take configurations apart, which asks for the
// lineage and the view changes of SEQUENCING sections 8 and 9.
const (
	CrashNode    Fault = iota + 1 // a node dies and comes back with a new boot id
	LoseLAN                       // a site loses some packets for a while
	LoseOneWay                    // one node of a site hears less of another
	PauseShort                    // a node sleeps for less than the token loss time-out
	CutLink                       // a WAN link is cut; there is a way round it
	LosePromises                  // promises between two sites get lost for a while
	DelayLink                     // a WAN link takes a longer way for a while
	// ---
	LoseMuch       // a site loses so much that a node may be left behind
	LoseMuchOneWay // one node of a site hears little of another
	PauseLong      // a node sleeps until the others have given it up
	PartitionLAN   // a site falls apart
	PartitionWAN   // the federation falls apart
	CrashSite      // all nodes of a site die and come back
)

var (
	quietLAN = LAN{Delay: [2]time.Duration{40 * time.Microsecond, 120 * time.Microsecond}, Jitter: 20 * time.Microsecond}
	lossyLAN = LAN{Delay: [2]time.Duration{40 * time.Microsecond, 200 * time.Microsecond}, Jitter: 60 * time.Microsecond,
		Loss: 1, Duplicate: 0.5, Late: 1, LateBy: 3 * time.Millisecond}
	quietWAN = WAN{Delay: [2]time.Duration{5 * time.Millisecond, 40 * time.Millisecond}, Jitter: 200 * time.Microsecond,
		Detect: 300 * time.Millisecond}
	roughWAN = WAN{Delay: [2]time.Duration{5 * time.Millisecond, 120 * time.Millisecond}, Jitter: 8 * time.Millisecond,
		PromiseLoss: 8, Duplicate: 3, Late: 3, LateBy: 1500 * time.Millisecond, Detect: 300 * time.Millisecond}
)

var profiles = []Profile{
	{
		Name: "calm", About: "three sites, nothing goes wrong", Default: true,
		Sites: [2]int{3, 3}, Nodes: [2]int{1, 3}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 5,
		Active: 6 * time.Second, Settle: 5 * time.Second, Every: 60 * time.Millisecond,
		LAN: quietLAN, WAN: quietWAN,
	},
	{
		Name: "lan", About: "one or two sites, lossy LANs, nodes that crash and come back",
		Sites: [2]int{1, 2}, Nodes: [2]int{3, 5}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 5,
		Active: 12 * time.Second, Settle: 8 * time.Second, Every: 60 * time.Millisecond,
		LAN: lossyLAN, WAN: quietWAN,
		FaultEvery: 1200 * time.Millisecond, Faults: []Fault{CrashNode, CrashNode, LoseLAN, LoseOneWay, PauseShort},
	},
	{
		Name: "wan-delay", About: "three sites far apart, jitter, promises lost and late, links rerouted", Default: true,
		Sites: [2]int{3, 3}, Nodes: [2]int{1, 3}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 5,
		Active: 10 * time.Second, Settle: 8 * time.Second, Every: 80 * time.Millisecond,
		LAN: quietLAN, WAN: roughWAN,
		FaultEvery: 900 * time.Millisecond, Faults: []Fault{CutLink, LosePromises, LosePromises, DelayLink, LoseLAN},
	},
	{
		Name: "mixed", About: "three or four sites, everything that takes no configuration apart",
		Sites: [2]int{3, 4}, Nodes: [2]int{3, 4}, Gateways: 2, Clients: [2]int{1, 1}, Groups: 5,
		Active: 12 * time.Second, Settle: 9 * time.Second, Every: 120 * time.Millisecond,
		LAN: lossyLAN, WAN: roughWAN,
		FaultEvery: 700 * time.Millisecond, Faults: []Fault{CrashNode, CrashNode, LoseLAN, LoseOneWay, PauseShort, CutLink, LosePromises, DelayLink},
	},
	{
		Name: "island", About: "two or three sites without any WAN link: everything local works", Default: true, Islands: true,
		Sites: [2]int{2, 3}, Nodes: [2]int{1, 4}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 4,
		Active: 6 * time.Second, Settle: 4 * time.Second, Every: 60 * time.Millisecond,
		LAN: lossyLAN, WAN: quietWAN,
		FaultEvery: 1500 * time.Millisecond, Faults: []Fault{CrashNode, LoseLAN, PauseShort},
	},
	{
		Name: "pause", About: "nodes that sleep until the others have given them up",
		Sites: [2]int{1, 3}, Nodes: [2]int{3, 4}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 5,
		Active: 12 * time.Second, Settle: 9 * time.Second, Every: 100 * time.Millisecond,
		LAN: lossyLAN, WAN: quietWAN,
		FaultEvery: 1500 * time.Millisecond, Faults: []Fault{PauseLong, PauseShort, CrashNode},
	},
	{
		Name: "lossy", About: "LANs that lose so much that live nodes are left behind",
		Sites: [2]int{1, 3}, Nodes: [2]int{3, 5}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 5,
		Active: 12 * time.Second, Settle: 9 * time.Second, Every: 100 * time.Millisecond,
		LAN: lossyLAN, WAN: quietWAN,
		FaultEvery: 900 * time.Millisecond, Faults: []Fault{LoseMuch, LoseMuchOneWay, CrashNode},
	},
	{
		Name: "lan-partition", About: "sites that fall apart and come together again",
		Sites: [2]int{1, 3}, Nodes: [2]int{3, 5}, Gateways: 2, Clients: [2]int{1, 1}, Groups: 5,
		Active: 12 * time.Second, Settle: 9 * time.Second, Every: 100 * time.Millisecond,
		LAN: lossyLAN, WAN: quietWAN,
		FaultEvery: 1500 * time.Millisecond, Faults: []Fault{PartitionLAN, PartitionLAN, CrashNode, PauseLong},
	},
	{
		Name: "wan-partition", About: "federations that fall apart, sites that die",
		Sites: [2]int{3, 4}, Nodes: [2]int{1, 3}, Gateways: 2, Clients: [2]int{1, 2}, Groups: 5,
		Active: 15 * time.Second, Settle: 12 * time.Second, Every: 100 * time.Millisecond,
		LAN: quietLAN, WAN: roughWAN,
		FaultEvery: 2 * time.Second, Faults: []Fault{PartitionWAN, PartitionWAN, CrashSite, LosePromises},
	},
	{
		Name: "site", About: "one site, everything that can happen to a LAN and its nodes", Default: true,
		Shape: &Shape{Nodes: [2]int{3, 7}, Clients: [2]int{1, 3}, Groups: 4, Length: [2]time.Duration{30 * time.Second, 32 * time.Second},
			Faults: [2]int{6, 20}, Every: 600 * time.Millisecond, Burst: [2]int{3, 70}},
	},
	{
		Name: "site-large", About: "one site of up to twenty nodes", Default: true,
		Shape: &Shape{Nodes: [2]int{8, 20}, Clients: [2]int{1, 1}, Groups: 3, Length: [2]time.Duration{30 * time.Second, 31 * time.Second},
			Faults: [2]int{4, 10}, Every: 4 * time.Second, Burst: [2]int{2, 20}},
	},
	{
		Name: "site-quiet", About: "one site, idle rings, few messages", Default: true,
		Shape: &Shape{Nodes: [2]int{3, 7}, Clients: [2]int{1, 3}, Groups: 4, Length: [2]time.Duration{30 * time.Second, 40 * time.Second},
			Faults: [2]int{3, 12}, Every: 6 * time.Second, Burst: [2]int{1, 3}},
	},
}

// Profiles returns all profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

// OneSite returns the profiles of one site.
func OneSite() []Profile {
	return slices.DeleteFunc(Profiles(), func(p Profile) bool { return p.Shape == nil })
}

// Lookup returns the profile of that name.
func Lookup(name string) (Profile, error) {
	var names []string
	for _, p := range profiles {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("profile %q is not one of %s", name, strings.Join(names, ", "))
}
