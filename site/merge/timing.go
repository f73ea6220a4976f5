package merge

import "time"

// Timing says how patient a site is with others. The zero value stands for
// DefaultTiming.
type Timing struct {
	// Unreachable is how long link state may show no way to a member before a view
	// without it is proposed. Links have been silent for six hellos by then (decision 0020);
	// this is only for the news of several links to come together.
	Unreachable time.Duration
	// Silent is how long a member's promises may be missing while something waits for
	// them; four times the way there and back, if that is longer.
	Silent time.Duration
	// Slow is how much later than it should a member may be before it counts as behind,
	// for groups that do not want to wait for ever (slow.go).
	Slow time.Duration
	// Stuck is how long a change of the view may make no progress before it is
	// proposed anew, without who is missing; six times the longest way there and back,
	// if that is longer.
	Stuck time.Duration
	// Meet is how long an instance of a site that was never lost is reachable before a
	// view with it is proposed.
	Meet time.Duration
	// Rejoin is the same for a site that was lost. It doubles each time that the site
	// is lost again within FlapWindow, up to MaxRejoin.
	Rejoin     time.Duration
	MaxRejoin  time.Duration
	FlapWindow time.Duration
}

// DefaultTiming fits gateways that say hello each 100 ms.
var DefaultTiming = TimingOf(100 * time.Millisecond)

// TimingOf derives a Timing from the time between two hellos of gateways.
func TimingOf(hello time.Duration) Timing {
	hello = max(hello, 20*time.Millisecond)
	return Timing{
		Unreachable: hello / 2, Silent: 10 * hello, Slow: 5 * hello, Stuck: 20 * hello, Meet: 5 * hello,
		Rejoin: 20 * hello, MaxRejoin: 3000 * hello, FlapWindow: 600 * hello,
	}
}
