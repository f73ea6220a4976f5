package site

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"ringway/internal/admin"
	"ringway/membership"
	"ringway/site/merge"
)

const (
	// joinPatience is how long a join may wait for other sites before the log says what it waits
	// for. A first join takes the way to the farthest site and back, and a deadline.
	joinPatience = 2 * time.Second
	// joinLook is how often is looked.
	joinLook = 500 * time.Millisecond
	// maxJoinsWatched bounds the groups that are watched: more than anybody reads lines about.
	maxJoinsWatched = 256
)

// A joinWatch notices joins of this node's clients that other sites keep waiting: who holds a join
// up is nothing that a client can know, and an operator would not think of looking. It belongs
// to the loop.
type joinWatch struct {
	lines  saying
	log    *slog.Logger
	siteOf func(membership.SiteID) string
	looked time.Duration
	waits  map[string]*waitingJoin // by group
}

// A waitingJoin is one group of them.
type waitingJoin struct {
	merge.JoinWait
	since time.Duration // when it was seen first
	said  bool
}

func newJoinWatch(log *slog.Logger, siteOf func(membership.SiteID) string) joinWatch {
	return joinWatch{lines: newSaying(), log: log, siteOf: siteOf, waits: map[string]*waitingJoin{}}
}

// due says whether it is time to look.
func (j *joinWatch) due(now time.Duration) bool { return now-j.looked >= joinLook }

// look takes what waits now. A join that waits for long is told of once, and once more when
// it has ended.
func (j *joinWatch) look(now time.Duration, waits []merge.JoinWait) {
	j.looked = now
	for group, w := range j.waits {
		if !slices.ContainsFunc(waits, func(x merge.JoinWait) bool { return x.Group == group }) {
			if delete(j.waits, group); w.said {
				j.lines.say(j.log.Info, "a join no longer waits", "group", group, "waited", (now - w.since).Round(joinLook))
			}
		}
	}
	for _, x := range waits {
		w := j.waits[x.Group]
		if w == nil {
			w = &waitingJoin{since: now}
			j.waits[x.Group] = w
		}
		w.JoinWait = x
		if !w.said && now-w.since >= joinPatience {
			w.said = true
			j.lines.say(j.log.Warn, "a join waits for other sites", "group", x.Group, "clients", x.Clients,
				"waited", (now - w.since).Round(joinLook), "for", j.on(x.On))
		}
	}
}

// on names the sites that are waited for, and the queues before them.
func (j *joinWatch) on(sites []merge.WaitedFor) string {
	texts := make([]string, len(sites))
	for i, s := range sites {
		texts[i] = fmt.Sprintf("%s (%d bytes under way to it, %d records from it)", j.siteOf(s.Site), s.Bytes, s.Records)
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// status is what waits, by group.
func (j *joinWatch) status(now time.Duration) (list []admin.JoinWait) {
	for _, w := range j.waits {
		x := admin.JoinWait{Group: w.Group, Clients: w.Clients, WaitedMS: admin.Milliseconds(now - w.since)}
		for _, s := range w.On {
			x.Sites = append(x.Sites, admin.SiteWait{Site: j.siteOf(s.Site), Bytes: s.Bytes, Records: s.Records})
		}
		slices.SortFunc(x.Sites, func(a, b admin.SiteWait) int { return strings.Compare(a.Site, b.Site) })
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b admin.JoinWait) int { return strings.Compare(a.Group, b.Group) })
	return list
}
