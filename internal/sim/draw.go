package sim

import (
	"fmt"
	"slices"
	"time"

	"ringway/membership"
)

// calmBefore is how long before the end of a schedule its last fault ends: clients
// then still talk, and what they say must arrive.
const calmBefore = 3 * time.Second

// An artist draws a schedule. What the sites are like, what goes wrong and what clients
// do come from dice of their own.
type artist struct {
	*Schedule
	shape  *Shape
	site   chance
	faults chance
	talk   chance
	groups []string
	first  []int // node of each site
}

// Draw makes the schedule of a seed. The same seed gives the same schedule.
func Draw(seed uint64, p Profile) *Schedule {
	a := &artist{shape: &p.Shape, site: newChance(seed, 11), faults: newChance(seed, 12), talk: newChance(seed, 13)}
	a.Schedule = &Schedule{Profile: p.Name, Seed: seed, Length: a.site.between(p.Shape.Length[0], p.Shape.Length[1]).Truncate(time.Millisecond)}
	for range a.site.count(p.Shape.Sites[0], p.Shape.Sites[1]) {
		a.first = append(a.first, a.nodes())
		s := Site{Nodes: a.site.count(p.Shape.Nodes[0], p.Shape.Nodes[1])}
		s.Gateways = min(s.Nodes, a.site.count(p.Shape.Gateways[0], p.Shape.Gateways[1]))
		if p.Shape.Sites[1] > 1 && a.site.percent(25) {
			s.Ahead = a.site.between(0, 10*time.Minute).Truncate(time.Second)
		}
		a.Sites = append(a.Sites, s)
	}
	a.Answers = 15 / float64(a.nodes()*2)
	for g := range a.shape.Groups {
		a.groups = append(a.groups, fmt.Sprintf("g%d", g))
	}
	a.network()
	if len(a.Sites) > 1 {
		a.connect()
		a.weigh(newChance(seed, 14))
	}
	a.LAN.Refuse = newChance(seed, 15).percent(50) // dice of its own: the rest is as it was without
	a.population()
	a.trouble()
	if len(a.Sites) > 1 {
		a.free(newChance(seed, 16)) // likewise
	}
	slices.SortStableFunc(a.Steps, func(x, y Step) int { return int(x.At - y.At) })
	return a.Schedule
}

func (a *artist) add(s Step) {
	s.At, s.For, s.By = s.At.Truncate(time.Microsecond), s.For.Truncate(time.Microsecond), s.By.Truncate(time.Microsecond)
	a.Steps = append(a.Steps, s)
}

// weigh lets every other topology ask for primary views. Some sites have no say.
func (a *artist) weigh(dice chance) {
	if dice.percent(50) {
		for i := range a.Sites {
			a.Sites[i].Weight = dice.count(0, 3)
		}
	}
}

// free gives some sessions of every other federation independent scopes.
func (a *artist) free(dice chance) {
	if !dice.percent(50) {
		return
	}
	for i := range a.Steps {
		if s := &a.Steps[i]; s.Verb == Connect {
			s.Free = dice.percent(40)
		}
	}
}

// network picks a good LAN, mostly.
func (a *artist) network() {
	a.LAN = LAN{Delay: [2]time.Duration{20 * time.Microsecond, a.site.between(40*time.Microsecond, 300*time.Microsecond).Truncate(time.Microsecond)},
		Jitter: a.site.between(5*time.Microsecond, 100*time.Microsecond).Truncate(time.Microsecond)}
	switch a.site.IntN(4) {
	case 0:
		a.LAN.Loss, a.LAN.Duplicate = float64(a.site.IntN(4)), float64(a.site.IntN(3))
	case 1:
		a.LAN.Late, a.LAN.LateBy = float64(a.site.IntN(5)), a.site.between(0, 3*time.Millisecond).Truncate(time.Microsecond)
	}
}

// population starts the nodes, most of them together, and seats the clients.
func (a *artist) population() {
	for n := range a.nodes() {
		at := a.site.between(0, 200*time.Millisecond)
		if a.site.percent(4) {
			at = a.site.between(0, a.Length/2)
		}
		a.add(Step{At: at, Verb: Start, Node: n})
		for c := range a.talk.count(a.shape.Clients[0], a.shape.Clients[1]) {
			begin := at + a.talk.between(0, 400*time.Millisecond)
			a.add(Step{At: begin, Verb: Connect, Node: n, Client: c, Groups: a.someGroups(n, 40)})
			for t := begin + a.talk.about(a.shape.Every); t < a.Length; t += a.talk.about(a.shape.Every) {
				a.act(t, n, c)
			}
		}
	}
	if a.talk.percent(15) {
		n, c := a.someClient()
		a.add(Step{At: a.talk.between(time.Second, a.Length-calmBefore), Verb: Say, Node: n, Client: c, Service: a.service(), Groups: a.someGroups(n, 10),
			Size: a.talk.count(1<<20, 4<<20), Count: 1})
	}
}

// siteOf is the site of a node.
func (a *artist) siteOf(node int) int {
	i, found := slices.BinarySearch(a.first, node)
	if !found {
		i--
	}
	return i
}

// someGroups picks for a client of a node one group, or more with a chance of percent
// each. In a federation each site has a group that never leaves it.
func (a *artist) someGroups(node int, percent float64) []string {
	pick := func() string {
		if len(a.Sites) > 1 && a.talk.percent(10) {
			return siteText(a.siteOf(node)) + "g"
		}
		return a.groups[a.talk.IntN(len(a.groups))]
	}
	groups := []string{pick()}
	for a.talk.percent(percent) && len(groups) < len(a.groups) {
		if g := pick(); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// someClient picks a client, now and then one that is not there.
func (a *artist) someClient() (node, client int) {
	return a.talk.IntN(a.nodes()), a.talk.IntN(a.shape.Clients[1])
}

// act lets a client do one thing without cause.
func (a *artist) act(at time.Duration, n, c int) {
	switch r := a.talk.IntN(100); {
	case r < 12:
		a.move(at, n, c)
	default:
		a.add(Step{At: at, Verb: Say, Node: n, Client: c, Service: a.service(), Discard: a.talk.percent(3), Groups: a.to(n), Size: a.size(), Count: 1})
	}
}

// move lets a client join, leave, or begin its session anew.
func (a *artist) move(at time.Duration, n, c int) {
	switch r := a.talk.IntN(100); {
	case r < 15:
		a.add(Step{At: at, Verb: Bye, Node: n, Client: c})
		a.add(Step{At: at + a.talk.about(20*time.Millisecond), Verb: Connect, Node: n, Client: c, Groups: a.someGroups(n, 40)})
	case r < 60:
		a.add(Step{At: at, Verb: Join, Node: n, Client: c, Groups: a.someGroups(n, 20)})
	default:
		a.add(Step{At: at, Verb: Leave, Node: n, Client: c, Groups: a.someGroups(n, 20)})
	}
}

// service picks one; agreed and safe are what most of the rules are about.
func (a *artist) service() membership.Service {
	weights := []membership.Service{membership.Unreliable, membership.Reliable, membership.FIFO, membership.FIFO, membership.Causal,
		membership.Agreed, membership.Agreed, membership.Agreed, membership.Safe, membership.Safe, membership.Safe}
	return weights[a.talk.IntN(len(weights))]
}

// to picks where to send: mostly groups, sometimes one client, which may be absent.
func (a *artist) to(from int) []string {
	if a.talk.percent(4) {
		n, c := a.someClient()
		return []string{fmt.Sprintf("#c%d#%s", c, nodeText(n))}
	}
	return a.someGroups(from, 15)
}

// size picks how long a message is: mostly a fraction of a packet, sometimes
// several packets, rarely more than a record may carry, now and then nothing.
func (a *artist) size() int {
	switch r := a.talk.IntN(400); {
	case r < 12:
		return a.talk.IntN(headBytes)
	case r < 360:
		return a.talk.count(headBytes, 300)
	case r < 390:
		return a.talk.count(300, 5000)
	case r < 399:
		return a.talk.count(5000, 60_000)
	default:
		return a.talk.count(60_000, 200_000)
	}
}

// around lets clients talk and move when something happens, so that it hits messages
// under way.
func (a *artist) around(at time.Duration) {
	for range a.talk.count(1, 4) {
		n, c := a.someClient()
		s := Step{At: max(0, at-a.talk.between(0, 12*time.Millisecond)), Verb: Say, Node: n, Client: c, Service: a.service(), Groups: a.someGroups(n, 15),
			Size: a.size(), Count: a.talk.count(a.shape.Burst[0], a.shape.Burst[1]), Every: a.talk.between(20*time.Microsecond, a.paced()).Truncate(time.Microsecond)}
		if s.Size > 5000 {
			s.Count = min(s.Count, 3)
		}
		a.add(s)
	}
	for a.talk.percent(35) {
		n, c := a.someClient()
		a.move(max(0, at+a.talk.between(-12*time.Millisecond, 12*time.Millisecond)), n, c)
	}
}

// paced bounds the time between the messages of a burst: between sites all takes longer.
func (a *artist) paced() time.Duration {
	if len(a.Sites) > 1 {
		return 30 * time.Millisecond
	}
	return time.Millisecond
}
