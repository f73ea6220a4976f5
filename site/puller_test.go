package site

import (
	"slices"
	"testing"

	"ringway/membership"
	"ringway/overlay"
	"ringway/site/merge"
)

// TestAGatewayThatLearnsAnewPullsAgain: a gateway gets another machine within a moment, with a
// state in which less has come of a log than the overlay has handed over. What is missing is
// asked for again. To compare with the positions asked for last is not enough: a quarter of a
// second may lie between, in which much has come.
func TestAGatewayThatLearnsAnewPullsAgain(t *testing.T) {
	log := membership.LogID{Site: 5, Instance: 50, View: membership.ViewID{Epoch: 1}}
	other := membership.LogID{Site: 6, Instance: 60, View: log.View}
	const own = membership.InstanceID(1)
	positions := map[membership.LogID]uint64{}
	at := func(id membership.LogID) (uint64, bool) { n, known := positions[id]; return n, known }
	for _, c := range []struct {
		what   string
		asked  uint64 // when logs were last pulled
		handed uint64 // the number behind what has come since
		learns uint64 // where the new machine goes on
		as     membership.InstanceID
		again  bool
	}{
		{"nothing has changed", 10, 50, 50, own, false},
		{"another gateway has brought more", 10, 50, 80, own, false},
		{"it is behind what was handed over", 10, 50, 30, own, true},
		{"it is behind what was asked for", 50, 0, 30, own, true},
		{"it is of another instance, for which nothing was handed over", 10, 50, 60, own + 1, true},
	} {
		var p puller
		p.state(&merge.State{Instance: own, Logs: []membership.LogID{log, other}})
		positions[log], positions[other] = c.asked, 7
		if kept, all := p.pull(at); len(kept) > 0 || len(all) != 2 {
			t.Errorf("%s: at first %v is kept of %v", c.what, kept, all)
		}
		if kept, _ := p.pull(at); len(kept) != 2 {
			t.Errorf("%s: then %v is kept", c.what, kept)
		}
		if c.handed > 0 {
			p.take(&overlay.Batch{Log: log, For: own, From: c.asked, Entries: []overlay.LogEntry{{N: c.asked}, {N: c.handed - 1}}})
		}
		p.take(&overlay.Batch{Log: other, For: own + 7, Entries: []overlay.LogEntry{{N: 99}}}) // of long ago
		p.state(&merge.State{Instance: c.as, Logs: []membership.LogID{log, other}})
		positions[log] = c.learns
		kept, all := p.pull(at)
		if again := !slices.Contains(kept, overlay.Position{Log: log, From: c.learns}); again != c.again || len(all) != 2 {
			t.Errorf("%s: pulled again is %v, %v of %v are kept", c.what, again, kept, all)
		}
		if kept, all := p.pull(at); !slices.Equal(kept, all) {
			t.Errorf("%s: once is enough: %v of %v are kept", c.what, kept, all)
		}
		delete(positions, log) // it has no state
		if _, all := p.pull(at); len(all) != 1 {
			t.Errorf("%s: without a position, %v is pulled", c.what, all)
		}
		positions[log] = 200
		if kept, all := p.pull(at); len(kept) != 1 || len(all) != 2 {
			t.Errorf("%s: with one, %v of %v are kept", c.what, kept, all)
		}
	}
}
