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

// facts are what a checker wants to know of a play that has ended.
func (p *play) facts() *evs.Facts {
	f := &evs.Facts{Sizes: slices.SortedFunc(maps.Values(p.sizes), func(a, b evs.Size) int {
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
