package site

import (
	"ringway/membership"
	"ringway/overlay"
	"ringway/site/merge"
)

// A puller knows which logs this site imports, and how far the overlay has got with handing
// them over. A node that gets another machine, of the same instance or of another one, forgets
// what was handed over and not ordered yet. The overlay never goes back by itself; it does
// for a log that one call of Pull leaves out.
type puller struct {
	logs     []membership.LogID
	instance membership.InstanceID       // for which they are pulled
	handed   map[membership.LogID]uint64 // below that number nothing of each comes any more
}

// state takes which logs are to be pulled now. What the overlay has passed over was for the
// former instance alone.
func (p *puller) state(s *merge.State) {
	if p.logs = s.Logs; s.Instance != p.instance || p.handed == nil {
		p.instance = s.Instance
		p.handed = map[membership.LogID]uint64{}
		for _, log := range p.logs {
			p.handed[log] = anywhere
		}
	}
}

// anywhere is in the place of a number, and lets a log be pulled anew wherever it is.
const anywhere = ^uint64(0)

// take notes what was handed over.
func (p *puller) take(batch *overlay.Batch) {
	if last := batch.Entries[len(batch.Entries)-1].N; batch.For == p.instance {
		p.handed[batch.Log] = max(p.handed[batch.Log], last+1)
	}
}

// pull returns what the overlay is to pull, from where position says that the machine goes on,
// and what of it need not begin anew.
func (p *puller) pull(position func(membership.LogID) (uint64, bool)) (kept, all []overlay.Position) {
	handed := make(map[membership.LogID]uint64, len(p.logs))
	for _, log := range p.logs {
		from, known := position(log)
		if !known {
			handed[log] = anywhere // it is asked for again, from where it is then
			continue
		}
		at := overlay.Position{Log: log, From: from}
		if p.handed[log] <= from {
			kept = append(kept, at)
		}
		all, handed[log] = append(all, at), from
	}
	p.handed = handed
	return kept, all
}
