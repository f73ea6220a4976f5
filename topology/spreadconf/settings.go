package spreadconf

import (
	"slices"
	"strings"
	"time"
)

// Spread's own token time-outs on a LAN and on a WAN. Who has one of them in the file
// has copied an example, and is better off with what follows from the size of the ring.
var usualTokenTimeouts = []int{1250, 5000}

// The range that a topology takes.
const (
	minTokenLoss = 20 * time.Millisecond
	maxTokenLoss = time.Minute
)

// settings translates what the topology has a place for, and notes the rest.
func (b *builder) settings(one bool) {
	for i, s := range b.config.Settings {
		again := slices.ContainsFunc(b.config.Settings[i+1:], func(later Setting) bool { return later.Keyword == s.Keyword })
		if again {
			b.note(s.Line, s.Keyword, "it is given again below, and the last one counts.")
			continue
		}
		k, _ := find(s.Keyword)
		what := s.Keyword
		if len(s.Values) > 0 {
			what += " = " + strings.TrimSpace(s.text())
		}
		why := k.note
		switch s.Keyword {
		case "WideAreaNetwork":
			why = b.wideArea(one)
		case "TokenTimeout":
			why = b.tokenTimeout()
		case "MaxSessionMessages":
			why = b.queueLength()
		case "AllowedAuthMethods", "RequiredAuthMethods":
			why = "see [access] methods."
		case "AccessControlPolicy":
			why = "everybody may do everything. [[access.allow]] can say who may send to and join what."
			if !strings.EqualFold(s.text(), "PERMIT") {
				why = "a policy of your own is code that runs in the daemon; [[access.allow]] says who may send to and join what (docs/topology.md). Until you write rules there, EVERYTHING IS ALLOWED."
			}
		}
		b.note(s.Line, what, "%s", why)
	}
	b.access()
}

func (b *builder) wideArea(one bool) string {
	switch {
	case len(b.config.Segments) == 1:
		return "there is one segment and so one site: nothing to choose."
	case one:
		return "all segments are one site, whose ring sends to each node."
	}
	return "each segment is a site with a ring of its own, and its gateway sends to the other sites."
}

// tokenTimeout takes the token's time-out over, where somebody has thought about it.
func (b *builder) tokenTimeout() string {
	timeout := b.config.integer("TokenTimeout")
	d := min(max(time.Duration(timeout)*time.Millisecond, minTokenLoss), maxTokenLoss)
	switch {
	case len(b.sites) > 1:
		return "no token crosses the WAN any more. [timing] token_loss is for the LANs, and its default suits them."
	case slices.Contains(usualTokenTimeouts, timeout) || timeout == 0:
		return "the default of [timing] token_loss is left in force: 300 ms for up to 16 nodes, so that the loss of a node is noticed sooner."
	}
	b.tokenLoss = d
	return "[timing] token_loss. Its default, 300 ms for up to 16 nodes, may be better: try it without."
}

// usualQueue is how many messages a node keeps for a client that does not read, unless the
// topology says otherwise. maxQueue is the most that a topology takes.
const (
	usualQueue = 16384
	maxQueue   = 1 << 24
)

// queueLength takes over a bound that is above the usual one.
func (b *builder) queueLength() string {
	n := b.config.integer("MaxSessionMessages")
	if n <= usualQueue {
		return "[access.limits] queue_messages is 16384 by itself, which is more. [access] slow_reader can have senders wait instead of ending the session (docs/topology.md)."
	}
	b.queue = min(n, maxQueue)
	return "[access.limits] queue_messages; queue_bytes bounds their bytes."
}
