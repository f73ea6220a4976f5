package merge

import "fmt"

// dump describes a world, for whoever looks into a failed run.
func (w *world) dump() (lines []string) {
	for _, s := range w.sites {
		for _, n := range s.nodes {
			line := n.name
			switch m := n.replica.m; {
			case !n.up:
				line += " down"
			case m == nil:
				line += " has no state"
			default:
				line += fmt.Sprintf(" side %d ring %v inst %v view %v of %d attached %v leads %v formed %v pend %d epoch %d wanted %v", n.side, n.replica.descent.view.ID.Counter, m.instance, m.view.ID, len(m.view.Members), n.replica.attached,
					n.replica.gateway.leads, n.replica.descent.decided, len(m.pend), m.epoch, m.wanted)
				if f := m.flush; f != nil {
					line += fmt.Sprintf(" flush %v of %d missing %b synced %v ready %v told %v", f.view.ID, len(f.parts), f.missing(), f.synced, f.ready, f.announced)
				}
				line += fmt.Sprintf(" waits fifo %d proposer %d lost %d", len(m.fifoWait), n.replica.proposer.count, len(m.lost))
				for c, h := range m.bodies {
					line += fmt.Sprintf("\n    body %v seq %d groups %v bytes %d held by %v may move %v", c, h.seq, h.groups, len(h.data), h.holds, n.replica.mayMove(h.pos))
				}
				for from, list := range m.transfers {
					for _, t := range list {
						line += fmt.Sprintf("\n    transfer from %v %v lacks %d pull %+v may move %v", from, t.bodyKey, t.lacks, t.pull, n.replica.mayMove(t.pos))
					}
				}
				for id, p := range n.replica.views.peers.known {
					line += fmt.Sprintf("\n    knows %v reachable %v since %v away %v view %v wait %v", id, p.reachable, p.since, p.away, p.View, n.replica.views.peers.steadyAt(p, &n.replica.cfg.Timing))
				}
			}
			lines = append(lines, line)
		}
	}
	return lines
}
