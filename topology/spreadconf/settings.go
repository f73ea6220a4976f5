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
	timeout := b.config.milliseconds("TokenTimeout")
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

// knownMethods are the authentication methods that a topology can name.
var knownMethods = []string{"NULL", "IP", "TOKEN"}

// access chooses the methods that are offered: the required ones, else the allowed ones.
func (b *builder) access() {
	s, ok := b.config.last("RequiredAuthMethods")
	if !ok || strings.TrimSpace(s.text()) == "" {
		s, ok = b.config.last("AllowedAuthMethods")
	}
	asked := strings.Fields(strings.ToUpper(s.text()))
	if !ok || len(asked) == 0 {
		return
	}
	for _, m := range asked {
		switch {
		case !slices.Contains(knownMethods, m):
			b.note(s.Line, "method "+said(m), "a method of your own is code that runs in the daemon. TOKEN takes its place: a secret that the client sends (docs/client-protocol.md).")
		case !slices.Contains(b.methods, m):
			b.methods = append(b.methods, m)
		}
	}
	if len(b.methods) == 0 {
		b.methods = []string{"TOKEN"} // not NULL: that would let everybody in
	}
	if slices.Contains(b.methods, "IP") {
		b.note(s.Line, "method IP", "the addresses of spread.access_ip go into the topology's [access] (docs/topology.md).")
	}
}
