package topology

import (
	"fmt"
	"time"
)

// Defaults of what [timing] can set. Every other time-out of the protocols follows
// from these two; DerivedTiming lists them, so that an operator sees them in one place.
const (
	// A token goes round 16 nodes in a few milliseconds even under load; 300 ms is
	// far beyond that and still re-forms a ring in less than half a second.
	baseTokenLoss  = 300 * time.Millisecond
	baseRingSize   = 16
	tokenLossANode = 5 * time.Millisecond // for each node beyond baseRingSize

	defaultHello = 100 * time.Millisecond
)

// derivedTiming returns the timing of a topology that sets none.
func derivedTiming(t *Topology) Timing {
	beyond := max(0, largestRing(t)-baseRingSize)
	return Timing{
		TokenLoss: baseTokenLoss + time.Duration(beyond)*tokenLossANode,
		Hello:     defaultHello,
	}
}

func largestRing(t *Topology) int {
	largest := 0
	for _, s := range t.Sites {
		largest = max(largest, len(s.Nodes))
	}
	return largest
}

// A Derived is one duration of the protocols, and where it comes from.
type Derived struct {
	Name  string        `json:"name"`
	Value time.Duration `json:"value_ns"`
	Why   string        `json:"why"`
}

// DerivedTiming lists the durations of the protocols. It repeats what site/ring, overlay
// and routing derive, which this package may not import.
func (t *Topology) DerivedTiming() []Derived {
	loss, hello := t.Timing.TokenLoss, t.Timing.Hello
	lossWhy, helloWhy := "set in the file", "set in the file"
	defaults := derivedTiming(t)
	if loss == defaults.TokenLoss {
		lossWhy = fmt.Sprintf("%v up to %d nodes, %v more for each further one; the largest ring has %d", baseTokenLoss, baseRingSize, tokenLossANode, largestRing(t))
	}
	if hello == defaults.Hello {
		helloWhy = "default"
	}
	return []Derived{
		{"token_loss", loss, lossWhy},
		{"token_retransmit", loss / 4, "token_loss / 4: a lone lost token is sent again without a new view"},
		{"token_hold", loss / 12, "token_loss / 12: an idle token rests so long"},
		{"ring_hello", loss / 6, "token_loss / 6: a node lets its successor hear from it"},
		{"ring_silence", loss * 3 / 4, "token_loss * 3/4: a predecessor not heard for so long is dead"},
		{"ring_join", loss / 15, "token_loss / 15: how often a join is repeated"},
		{"ring_consensus", loss / 3, "token_loss / 3: who has not agreed by then is left behind"},
		{"ring_commit", loss / 2, "token_loss / 2: no new ring by then, gather again"},
		{"pause_guard", loss / 2, "token_loss / 2: a node that slept longer drops queued joins first"},
		{"ring_probe", time.Second, "fixed: how soon rings that can hear each other again merge"},
		{"hello", hello, helloWhy},
		{"link_down", 3 * hello, "3 hellos missed"},
		{"link_up", 6 * hello, "6 good hellos after a flap, and a back-off that doubles with each one"},
		{"route_first", 10 * time.Millisecond, "fixed: shortest paths after a first change"},
		{"route_next", 50 * time.Millisecond, "fixed: after a second one soon after"},
		{"route_most", 500 * time.Millisecond, "fixed: at most so late while changes go on"},
	}
}
