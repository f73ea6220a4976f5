package site

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ringway/internal/admin"
	"ringway/membership"
	"ringway/site/merge"
)

// TestAJoinThatWaitsIsTold: once when it has waited for long, with the sites that it waits for and
// what is queued before them, and once when it does not wait any more. Short waits are nobody's
// business.
func TestAJoinThatWaitsIsTold(t *testing.T) {
	s, out := newTestSayings()
	j := newJoinWatch(s.log, func(id membership.SiteID) string { return fmt.Sprintf("s%d", id) })
	slow := merge.JoinWait{Group: "slow", Clients: 1, On: []merge.WaitedFor{{Site: 7, Bytes: 4096, Records: 3}, {Site: 2}}}
	short := merge.JoinWait{Group: "short", Clients: 1, On: slow.On}
	for now := time.Duration(0); now < 5*time.Second; now += joinLook {
		if !j.due(now) && now > 0 {
			t.Fatalf("nobody looks at %v", now)
		}
		waits := []merge.JoinWait{slow}
		if now < joinPatience/2 {
			waits = append(waits, short)
		}
		j.look(now, waits)
	}
	slow.Clients = 2
	j.look(5*time.Second, []merge.JoinWait{slow})
	if got := j.status(6 * time.Second); len(got) != 1 || got[0].Clients != 2 || got[0].WaitedMS != 6000 || len(got[0].Sites) != 2 ||
		got[0].Sites[1] != (admin.SiteWait{Site: "s7", Bytes: 4096, Records: 3}) {
		t.Errorf("status has %+v", got)
	}
	j.look(5500*time.Millisecond, nil)
	j.look(6*time.Second, nil)
	want := `level=WARN msg="a join waits for other sites" group=slow clients=1 waited=2s for="s2 (0 bytes under way to it, 0 records from it), s7 (4096 bytes under way to it, 3 records from it)"
level=INFO msg="a join no longer waits" group=slow waited=5.5s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	// It may wait again, and so may many: lines are few.
	j.lines.limiter.SetLimit(0)
	out.Reset()
	for now := range 10 {
		var waits []merge.JoinWait
		for i := range maxJoinsWatched {
			waits = append(waits, merge.JoinWait{Group: fmt.Sprint("g", i)})
		}
		j.look(time.Duration(now)*time.Second, waits)
	}
	if n := strings.Count(out.String(), "\n"); n > linesAtOnce {
		t.Errorf("%d lines about %d groups", n, maxJoinsWatched)
	}
}
