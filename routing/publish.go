package routing

import (
	"math"
	"slices"
	"time"

	"ringway/membership"
)

// When a measured cost is worth telling everybody, and how often to compute.
const (
	changeShare  = 10                   // a tenth of the cost told last
	changeLeast  = 2 * time.Millisecond // and at least this much
	changeHold   = time.Second          // for so long; doubled with each swing
	swingMost    = 5                    // at most so often
	swingDecay   = time.Minute          // after which a swing is forgotten
	refreshEvery = 10 * time.Minute     // said again, so that Expire spares the living
	minimumCost  = 50 * time.Microsecond

	flightPackets = 10
	lossFloor     = 0.02
	lossSurcharge = 15 * time.Millisecond
)

// Cost is an edge's cost: half the round trip of its way, plus the delay that losses
// are expected to add. A lost packet costs about one and a half round trips, and holds
// up what comes behind it in its stream: of some flightPackets under way, one lost one
// is enough. Above lossFloor a stream's congestion control gives up, which no round
// trip measures; each further percent counts lossSurcharge. A fixed cost, if there is
// one, stands for half the round trip.
func Cost(rtt time.Duration, lossPPM uint32, fixed time.Duration) time.Duration {
	p := float64(lossPPM) / partsPerMillion
	penalty := 1.5 * float64(rtt) * (1 - math.Pow(1-p, flightPackets))
	if p > lossFloor {
		penalty += (p - lossFloor) * 100 * float64(lossSurcharge)
	}
	way := rtt / 2
	if fixed > 0 {
		way = fixed
	}
	return min(max(min(way, maxAdvertised)+time.Duration(penalty), minimumCost), maxAdvertised)
}

// Doubt is added to the cost of a link that has been silent or down not long ago: more
// than any detour, so that only what has no other way takes it.
const Doubt = 10 * time.Second

// A Publisher decides when a gateway's own advertisement is to be said again, and which
// costs it has then. It is not safe for concurrent use.
type Publisher struct {
	last  Advertisement
	said  bool
	at    time.Duration // of the last one
	edges map[membership.NodeID]*told
}

// told is what a Publisher knows of an edge that it has told of.
type told struct {
	edge   Edge          // as it was told
	moved  bool          // its cost differs by more than allowed
	since  time.Duration // for so long
	rose   bool          // when its cost was told anew the last time
	swings int           // times in a row that the cost turned round after that
	turned time.Duration // when the last one was counted, or forgotten
}

// Next takes what the gateway would say now, its edges ascending by id, and tells what to
// say and whether to say it. Counter is filled in. Anything but a cost (an edge that came
// or went, another view, a flag) and a new Doubt is said at once; a cost when it moved by
// more than max(10 %, 2 ms) and stayed so for a second. A cost that rises and falls again
// and again, as where traffic and routes chase each other, has to stay for twice as long
// each time it turns, up to 32 s. Costs that are not to be told yet keep the told value,
// with their round trips: nearly equal ways must not change places for nothing.
func (p *Publisher) Next(now time.Duration, want Advertisement) (Advertisement, bool) {
	want.Edges = slices.Clone(want.Edges)
	moved := false
	for i := range want.Edges {
		e := &want.Edges[i]
		if t := p.edges[e.To]; t != nil && t.settle(now, e) {
			moved = true
		}
	}
	if p.said && !moved && now-p.at < refreshEvery && sameBesideCosts(&p.last, &want) {
		return Advertisement{}, false
	}
	want.Counter = p.last.Counter + 1
	p.last, p.said, p.at = want, true, now
	p.remember(now)
	return want, true
}

// settle gives e the cost that is to be told, and says whether it is another one.
func (t *told) settle(now time.Duration, e *Edge) bool {
	by := e.Cost - t.edge.Cost
	if by >= Doubt/2 {
		return true
	}
	if by.Abs() > max(t.edge.Cost/changeShare, changeLeast) {
		if !t.moved {
			t.moved, t.since = true, now
		}
		if now-t.since >= t.hold(now, by) {
			return true
		}
	} else {
		t.moved = false
	}
	e.Cost, e.RTT = t.edge.Cost, t.edge.RTT
	return false
}

// hold returns for how long a cost that moved by so much has to stay before it is told.
func (t *told) hold(now, by time.Duration) time.Duration {
	for ; t.swings > 0 && now-t.turned >= swingDecay; t.swings-- {
		t.turned += swingDecay
	}
	if by <= -Doubt/2 || by > 0 == t.rose {
		return changeHold // a link that has proved itself has waited already
	}
	return changeHold << min(t.swings, swingMost)
}

// remember notes the edges that were just told.
func (p *Publisher) remember(now time.Duration) {
	edges := make(map[membership.NodeID]*told, len(p.last.Edges))
	for _, e := range p.last.Edges {
		t := p.edges[e.To]
		if t == nil {
			t = &told{edge: e, turned: now}
		} else if by := e.Cost - t.edge.Cost; by != 0 {
			t.moved = false
			if rises := by > 0; by.Abs() < Doubt/2 && rises != t.rose {
				t.rose, t.turned = rises, now
				t.swings = min(t.swings+1, swingMost+1)
			}
		}
		t.edge = e
		edges[e.To] = t
	}
	p.edges = edges
}

// Outnumber makes the next counter larger than one that somebody claims to have
// heard of this gateway, and lets it be said at once.
func (p *Publisher) Outnumber(counter uint64) {
	p.last.Counter = max(p.last.Counter, counter)
	p.said = false
}

// Again lets the same be said at once, as with another signature.
func (p *Publisher) Again() { p.said = false }

func sameBesideCosts(a, b *Advertisement) bool {
	if a.Flags != b.Flags || a.Instance != b.Instance || a.View != b.View || a.Epoch != b.Epoch || a.Wanted != b.Wanted ||
		a.Incarnation != b.Incarnation || !slices.Equal(a.Dead, b.Dead) || len(a.Edges) != len(b.Edges) {
		return false
	}
	for i := range a.Edges {
		if a.Edges[i].To != b.Edges[i].To || a.Edges[i].Lanes != b.Edges[i].Lanes {
			return false
		}
	}
	return true
}

// A Throttle spaces computations: the first change is computed after 10 ms, so that
// what is flooded together is computed once; changes that follow soon wait until 50 ms
// after the last computation, then twice as long each time, up to 500 ms and to twenty
// times what the last computation took. Calm resets it. The zero value is ready;
// it is not safe for concurrent use.
type Throttle struct {
	due    time.Duration
	armed  bool
	last   time.Duration
	recent int
	took   time.Duration // by the last computation
}

const (
	// throttleShare is one over the share of the time that computing may take: what is
	// quickly computed need not be put off.
	throttleShare = 20

	throttleFirst = 10 * time.Millisecond
	throttleNext  = 50 * time.Millisecond
	throttleMost  = 500 * time.Millisecond
)

// calm is how long nothing must have changed for the first step to hold again.
const calm = 2 * time.Second

// Change notes that the database changed.
func (t *Throttle) Change(now time.Duration) {
	if t.armed {
		return
	}
	if now-t.last > calm {
		t.recent = 0
	}
	t.armed, t.due = true, max(now+throttleFirst, t.last+t.wait())
}

// wait is the least time between the last computation and the next.
func (t *Throttle) wait() time.Duration {
	if t.recent == 0 {
		return 0
	}
	return min(throttleNext<<min(t.recent-1, 10), throttleMost, max(throttleNext, throttleShare*t.took))
}

// Took tells how long the computation took that Take allowed.
func (t *Throttle) Took(d time.Duration) { t.took = d }

// Deadline returns when to compute, if there is reason to.
func (t *Throttle) Deadline() (time.Duration, bool) { return t.due, t.armed }

// Take says that now is the time, and arms the throttle anew.
func (t *Throttle) Take(now time.Duration) bool {
	if !t.armed || now < t.due {
		return false
	}
	t.armed, t.last = false, now
	t.recent++
	return true
}
