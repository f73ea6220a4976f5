package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"ringway/internal/evs"
	"ringway/site/ring"
)

// Facts are what no trace shows: how large queues became, and what was left at the
// end (P24, P27).

// measureEvery is how often a play looks at the sizes of things.
const measureEvery = 200 * time.Millisecond

// A bounded thing is one of a node that must not outgrow its limit.
type bounded struct{ node, what string }

// measure notes how large things are at present.
func (p *play) measure() {
	for _, at := range p.f.places {
		if at.life == nil {
			continue
		}
		r, s := at.life.core.Ring.Status(), at.life.core.Replica.Status()
		p.size(at, "packets that not all hold", int(r.Seq-r.Stable), 2*ring.MaxOutstanding)
		p.size(at, "queued bytes", s.QueuedBytes, len(p.slots[at.number])*maxQueued+maxSession)
		p.size(at, "records pending", s.Pending, maxRecords)
		p.size(at, "records held", s.Held, maxRecords)
		p.size(at, "bytes held", s.HeldBytes, maxSession)
		p.size(at, "clients", s.Clients, 2*maxSlots) // those of former lives until they are given up
		p.size(at, "groups", s.Groups, maxSlots*len(p.f.places))
	}
	p.f.after(measureEvery, p.measure)
}

// Limits of a node whose clients are those of a schedule. Those of the machines are
// far above what a schedule can fill in seconds.
const (
	maxSession = 64 << 20 // bytes of messages that clients handed over in one go
	maxRecords = 10_000
)

func (p *play) size(at *place, what string, n, limit int) {
	b := bounded{at.name, what}
	if x, known := p.sizes[b]; !known || x.Value < n || x.Limit < limit {
		p.sizes[b] = evs.Size{Node: at.name, What: what, Value: max(n, x.Value), Limit: max(limit, x.Limit)}
	}
}

// Limits of what is looked at, so that runs stay fast.
const (
	releasePart = 16 // of the steps that release something, one in so many
	maxReleases = 32 // that are kept to show that some were looked at; all wrong ones are
)

// released looks who holds what a promise or record rests on that leaves node l: all
// that its ring calls stable (P21). Members that have left the ring meanwhile hold what
// they need by its recovery.
func (p *play) released(l *life) {
	if p.releases++; p.releases%releasePart != 0 {
		return
	}
	r := l.core.Ring.Status()
	x := evs.Release{Event: evs.Event{At: int64(p.f.now - l.start), Node: l.name, Boot: l.boot, Kind: evs.Promise, Dir: "out"}, Ring: r.Ring.String(), RSeq: uint64(r.Stable)}
	for _, id := range r.Members {
		at := p.f.nodeOf[id]
		x.Members = append(x.Members, at.name)
		if at.life != nil {
			if s := at.life.core.Ring.Status(); s.Ring == r.Ring && s.Aru < r.Stable {
				continue
			}
		}
		x.Holders = append(x.Holders, at.name)
	}
	if len(x.Holders) < len(x.Members) || len(p.release) < maxReleases {
		p.release = append(p.release, x)
	}
}

// facts are what a checker wants to know of a play that has ended.
func (p *play) facts() *evs.Facts {
	f := &evs.Facts{Releases: p.release, Sizes: slices.SortedFunc(maps.Values(p.sizes), func(a, b evs.Size) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.What, b.What))
	})}
	for _, at := range p.f.places {
		if at.life != nil {
			s := at.life.core.Replica.Status()
			f.Ends = append(f.Ends, evs.End{Node: at.name, Frozen: s.Frozen, Pending: s.Pending, Held: s.Held, HeldMost: maxHeld})
		}
	}
	return f
}
