package routing

import (
	"math"
	"time"
)

// When a measured cost is worth telling everybody, and how often to compute.
const (
	changeShare  = 10                   // a tenth of the cost told last
	changeLeast  = 2 * time.Millisecond // and at least this much
	changeHold   = time.Second          // for so long
	refreshEvery = 10 * time.Minute     // said again, so that Expire spares the living
	minimumCost  = 50 * time.Microsecond

	flightPackets = 10
	lossFloor     = 0.02
	lossSurcharge = 15 * time.Millisecond
)

// Cost is an edge's cost: half the smoothed round trip, plus the delay that losses
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

// A Publisher decides when a gateway's own advertisement is to be said again. It is
// not safe for concurrent use.
type Publisher struct {
	last    Advertisement
	said    bool
	at      time.Duration // of the last one
	changed time.Duration // since when costs differ by more than allowed
	differs bool
}

// Next takes what the gateway would say now, its edges ascending by id, and tells whether to say it. Counter is
// filled in. Anything but a cost (an edge that came or went, another view, a flag) and
// a new Doubt is said at once; a cost when it moved by more than max(10 %, 2 ms) and stayed so for a
// second.
func (p *Publisher) Next(now time.Duration, want Advertisement) (Advertisement, bool) {
	if p.said && !p.due(now, &want) {
		return Advertisement{}, false
	}
	want.Counter = p.last.Counter + 1
	p.last, p.said, p.at, p.differs = want, true, now, false
	return want, true
}

// Outnumber makes the next counter larger than one that somebody claims to have
// heard of this gateway, and lets it be said at once.
func (p *Publisher) Outnumber(counter uint64) {
	p.last.Counter = max(p.last.Counter, counter)
	p.said = false
}

// Again lets the same be said at once, as with another signature.
func (p *Publisher) Again() { p.said = false }

func (p *Publisher) due(now time.Duration, want *Advertisement) bool {
	if now-p.at >= refreshEvery || !sameBesideCosts(&p.last, want) {
		return true
	}
	if doubted(p.last.Edges, want.Edges) {
		return true
	}
	if !costsDiffer(p.last.Edges, want.Edges) {
		p.differs = false
		return false
	}
	if !p.differs {
		p.differs, p.changed = true, now
	}
	return now-p.changed >= changeHold
}

func sameBesideCosts(a, b *Advertisement) bool {
	if a.Flags != b.Flags || a.Instance != b.Instance || a.View != b.View || a.Epoch != b.Epoch || a.Wanted != b.Wanted ||
		a.Incarnation != b.Incarnation || len(a.Edges) != len(b.Edges) {
		return false
	}
	for i := range a.Edges {
		if a.Edges[i].To != b.Edges[i].To || a.Edges[i].Lanes != b.Edges[i].Lanes {
			return false
		}
	}
	return true
}

// doubted says whether a link has come into doubt.
func doubted(said, now []Edge) bool {
	for i := range said {
		if now[i].Cost-said[i].Cost >= Doubt/2 {
			return true
		}
	}
	return false
}

func costsDiffer(said, now []Edge) bool {
	for i := range said {
		moved := (now[i].Cost - said[i].Cost).Abs()
		if moved > max(said[i].Cost/changeShare, changeLeast) {
			return true
		}
	}
	return false
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
