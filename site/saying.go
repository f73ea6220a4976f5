package site

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

// A node may say so many lines of one kind at once, and one more each second: what
// changes or misbehaves again and again must not fill the disk.
const linesAtOnce = 20

// A saying is what the loop says about one subject, at a bounded rate. It is the loop's
// alone.
type saying struct {
	limiter *rate.Limiter
	unsaid  uint64 // since the last line
}

func newSaying() saying {
	return saying{limiter: rate.NewLimiter(rate.Every(time.Second), linesAtOnce)}
}

// say logs a line, or counts it. The next line tells how many there were between.
func (s *saying) say(log func(string, ...any), msg string, args ...any) {
	if !s.limiter.Allow() {
		s.unsaid++
		return
	}
	if s.unsaid > 0 {
		args = append(args, "unsaid", s.unsaid)
		s.unsaid = 0
	}
	log(msg, args...)
}

// sayings are all that the loop says about.
type sayings struct {
	log    *slog.Logger
	nameOf func(membership.NodeID) string
	siteOf func(membership.SiteID) string

	rings, views, faults saying

	former  []membership.NodeID // members of the last ring
	without bool                // this node is in no ring, since then:
	since   time.Duration
	view    merge.State // the last that was told
}

func newSayings(log *slog.Logger, nameOf func(membership.NodeID) string, siteOf func(membership.SiteID) string) sayings {
	return sayings{log: log, nameOf: nameOf, siteOf: siteOf, rings: newSaying(), views: newSaying(), faults: newSaying(), without: true}
}

// look notes since when there is no ring.
func (s *sayings) look(now time.Duration, state ring.State) {
	if state != ring.Operational && !s.without {
		s.without, s.since = true, now
	}
}

// ring tells of a ring that was installed: who came and who went. A node that is in both
// lists was restarted, or was in another ring meanwhile.
func (s *sayings) ring(now time.Duration, v *ring.View) {
	apart := func(id membership.NodeID) bool { return slices.Contains(v.Together, id) }
	came := slices.DeleteFunc(slices.Clone(v.Members), apart)
	went := slices.DeleteFunc(s.former, apart)
	took := time.Duration(0)
	if s.without {
		took = now - s.since
	}
	s.rings.say(s.log.Info, "ring changed", "ring", v.ID.String(), "members", s.names(v.Members),
		"came", s.names(came), "went", s.names(went), "took", took.Round(100*time.Microsecond))
	s.former, s.without = slices.Clone(v.Members), false
}

func (s *sayings) names(ids []membership.NodeID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = s.nameOf(id)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// siteView tells of a site view, if it is another one: its sites, and which of them came or
// went. An instance that followed another one of its site did both.
func (s *sayings) siteView(state *merge.State, primary string) {
	if state.View == s.view.View && state.Instance == s.view.Instance && state.Primary == s.view.Primary {
		return
	}
	in := func(list []membership.SiteInstance) func(membership.SiteInstance) bool {
		return func(x membership.SiteInstance) bool { return slices.Contains(list, x) }
	}
	came := slices.DeleteFunc(slices.Clone(state.Members), in(s.view.Members))
	went := slices.DeleteFunc(s.view.Members, in(state.Members))
	s.views.say(s.log.Info, "site view", "view", state.View.String(), "instance", state.Instance.String(), "members", len(state.Members),
		"sites", s.sites(state.Members), "came", s.sites(came), "went", s.sites(went), "primary", primary)
	s.view = merge.State{View: state.View, Instance: state.Instance, Primary: state.Primary, Members: slices.Clone(state.Members)}
}

func (s *sayings) sites(members []membership.SiteInstance) string {
	names := make([]string, len(members))
	for i, x := range members {
		names[i] = s.siteOf(x.Site)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// fault tells what a peer did.
func (s *sayings) fault(f *merge.Fault, site string) {
	s.faults.say(s.log.Warn, "a peer broke the protocol", "site", site, "what", f.What)
}
