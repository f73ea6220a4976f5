package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Profile says what schedule a seed makes.
type Profile struct {
	Name  string
	About string
	// Rare: the profile is not in the set that random runs draw from. What is not says
	// why in doc.go.
	Rare  bool
	Shape Shape
}

// A Shape says what the schedules of a profile are like.
type Shape struct {
	Sites    [2]int // how many, from and to
	Nodes    [2]int // of a site
	Gateways [2]int // likewise
	Clients  [2]int // at a node
	Groups   int
	Length   [2]time.Duration
	Faults   [2]int
	Every    time.Duration // mean time between two messages of a client without cause
	Burst    [2]int        // messages of one client around a fault
	Map      []Map         // how sites are linked; each as likely as the other
	Rough    bool          // promises get lost and come late all the time
	Mix      []Family      // of faults, each as likely; repeat one to make it likelier. Nil: those of one site
}

// A Family is a kind of faults.
type Family uint8

// The families of faults.
const (
	OfLAN      Family = iota + 1 // what happens to one site: to its nodes and its network
	OfGateways                   // gateways die, hang and come back, one or all of a site
	OfSites                      // all nodes of a site die and come back
	OfLinks                      // links are cut, flap, take longer, jitter, lose
	OfSplits                     // the federation falls apart, in two or more, one split upon the other
	OfPromises                   // promises get lost and come late
	OfHints                      // link state shows what is not so
	OfClocks                     // clocks leap
	OfHangs                      // a gateway is stopped for seconds and goes on, as by SIGSTOP
	OfHunger                     // machines have too little time: nodes of all sites stand still again and again
)

var (
	seconds = func(from, to int) [2]time.Duration {
		return [2]time.Duration{time.Duration(from) * time.Second, time.Duration(to) * time.Second}
	}
	anyMap = []Map{Mesh, Mesh, Circle, Hub, Web}
)

var profiles = []Profile{
	{
		Name: "site", About: "one site, everything that can happen to a LAN and its nodes",
		Shape: Shape{Sites: [2]int{1, 1}, Nodes: [2]int{3, 7}, Gateways: [2]int{1, 3}, Clients: [2]int{1, 3}, Groups: 4, Length: seconds(30, 32),
			Faults: [2]int{6, 20}, Every: 600 * time.Millisecond, Burst: [2]int{3, 70}},
	},
	{
		Name: "site-large", About: "one site of up to twenty nodes",
		Shape: Shape{Sites: [2]int{1, 1}, Nodes: [2]int{8, 20}, Gateways: [2]int{1, 3}, Clients: [2]int{1, 1}, Groups: 3, Length: seconds(30, 31),
			Faults: [2]int{4, 10}, Every: 4 * time.Second, Burst: [2]int{2, 20}},
	},
	{
		Name: "site-quiet", About: "one site, idle rings, few messages",
		Shape: Shape{Sites: [2]int{1, 1}, Nodes: [2]int{3, 7}, Gateways: [2]int{1, 3}, Clients: [2]int{1, 3}, Groups: 4, Length: seconds(30, 40),
			Faults: [2]int{3, 12}, Every: 6 * time.Second, Burst: [2]int{1, 3}},
	},
	{
		Name: "fed-calm", About: "two to four sites, nothing takes them apart: links jitter, are slow for a while, promises get lost",
		Shape: Shape{Sites: [2]int{2, 4}, Nodes: [2]int{1, 3}, Gateways: [2]int{1, 2}, Clients: [2]int{1, 2}, Groups: 5, Length: seconds(12, 15),
			Faults: [2]int{2, 8}, Every: 200 * time.Millisecond, Burst: [2]int{2, 20}, Map: anyMap, Mix: []Family{OfPromises}},
	},
	{
		Name: "fed-wan", About: "two to five sites, everything that can happen between sites",
		Shape: Shape{Sites: [2]int{2, 5}, Nodes: [2]int{1, 3}, Gateways: [2]int{1, 2}, Clients: [2]int{1, 2}, Groups: 5, Length: seconds(15, 25),
			Faults: [2]int{2, 9}, Every: 400 * time.Millisecond, Burst: [2]int{2, 30}, Map: anyMap, Rough: true,
			Mix: []Family{OfSplits, OfSplits, OfSplits, OfLinks, OfLinks, OfPromises, OfHints, OfSites}},
	},
	{
		Name: "fed-lan", About: "two or three sites, everything that can happen in a site",
		Shape: Shape{Sites: [2]int{2, 3}, Nodes: [2]int{2, 5}, Gateways: [2]int{1, 3}, Clients: [2]int{1, 2}, Groups: 5, Length: seconds(15, 25),
			Faults: [2]int{3, 10}, Every: 500 * time.Millisecond, Burst: [2]int{2, 40}, Map: anyMap, Mix: []Family{OfLAN}},
	},
	{
		Name: "fed-gateways", About: "two to four sites whose gateways die, hang and come back",
		Shape: Shape{Sites: [2]int{2, 4}, Nodes: [2]int{2, 4}, Gateways: [2]int{1, 3}, Clients: [2]int{1, 2}, Groups: 5, Length: seconds(15, 25),
			Faults: [2]int{3, 10}, Every: 400 * time.Millisecond, Burst: [2]int{2, 30}, Map: anyMap, Rough: true,
			Mix: []Family{OfGateways, OfGateways, OfGateways, OfLinks, OfPromises}},
	},
	{
		Name: "fed-hang", About: "two or three sites with pairs of gateways, which hang for seconds, on machines that are too busy",
		Shape: Shape{Sites: [2]int{2, 3}, Nodes: [2]int{3, 3}, Gateways: [2]int{2, 2}, Clients: [2]int{1, 2}, Groups: 3, Length: seconds(18, 26),
			Faults: [2]int{2, 5}, Every: 150 * time.Millisecond, Burst: [2]int{2, 20}, Map: []Map{Mesh}, Mix: []Family{OfHangs, OfHangs, OfHunger}},
	},
	{
		Name: "fed-chaos", About: "two to four sites, everything at once",
		Shape: Shape{Sites: [2]int{2, 4}, Nodes: [2]int{1, 4}, Gateways: [2]int{1, 3}, Clients: [2]int{1, 2}, Groups: 5, Length: seconds(15, 30),
			Faults: [2]int{4, 14}, Every: 500 * time.Millisecond, Burst: [2]int{2, 40}, Map: anyMap, Rough: true,
			Mix: []Family{OfLAN, OfLAN, OfLAN, OfGateways, OfGateways, OfSites, OfLinks, OfLinks, OfSplits, OfSplits, OfSplits, OfPromises, OfHints, OfClocks}},
	},
	{
		Name: "six-regions", About: "six regions on four continents, measured delays",
		Shape: Shape{Sites: [2]int{6, 6}, Nodes: [2]int{2, 2}, Gateways: [2]int{1, 2}, Clients: [2]int{1, 1}, Groups: 5, Length: seconds(15, 20),
			Faults: [2]int{2, 5}, Every: 500 * time.Millisecond, Burst: [2]int{2, 20}, Map: []Map{Regions},
			Mix: []Family{OfSplits, OfLinks, OfPromises, OfGateways, OfSites}},
	},
	{
		Name: "fifty-sites", About: "fifty sites of three nodes", Rare: true,
		Shape: Shape{Sites: [2]int{50, 50}, Nodes: [2]int{3, 3}, Gateways: [2]int{1, 1}, Clients: [2]int{0, 1}, Groups: 5, Length: seconds(14, 14),
			Faults: [2]int{1, 3}, Every: 5 * time.Second, Burst: [2]int{1, 3}, Map: []Map{Circle, Hub, Web}, Mix: []Family{OfSplits, OfLinks, OfSites}},
	},
}

// Profiles returns all profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

// OneSite returns the profiles of one site.
func OneSite() []Profile {
	return slices.DeleteFunc(Profiles(), func(p Profile) bool { return p.Rare || p.Shape.Sites[1] > 1 })
}

// Federations returns the profiles of several sites.
func Federations() []Profile {
	return slices.DeleteFunc(Profiles(), func(p Profile) bool { return p.Rare || p.Shape.Sites[1] == 1 })
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
