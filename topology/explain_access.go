package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// access writes who may connect, and who may do what.
func (e *explainer) access(t *Topology) {
	a := &t.Access
	e.line("")
	e.line("access: methods %s", strings.Join(a.Methods, ", "))
	rows := [][]string{{"from", a.from()}}
	if a.TokenFile != "" {
		rows = append(rows, []string{"tokens", fmt.Sprintf("%s in %s", count(len(a.Tokens), "token"), a.TokenFile)})
	}
	rows = append(rows, []string{"slow readers", a.slow()})
	if limits := a.Limits.String(); limits != "" {
		rows = append(rows, []string{"limits", limits})
	}
	e.table(rows)
	if slices.Contains(a.Methods, "TOKEN") {
		e.tokens(a.Tokens)
	}
	if len(a.Allow) == 0 {
		e.line("  every client may send to and join every group")
		return
	}
	rows = [][]string{{"client", "may send to", "may join"}}
	for _, rule := range a.Allow {
		rows = append(rows, []string{rule.Client, patterns(rule.Send), patterns(rule.Join)})
	}
	e.table(append(rows, []string{"any other", "-", "-"}))
}

func patterns(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, " ")
}

// shownHash is how much of a token's hash tells it from others.
const shownHash = 8

func (e *explainer) tokens(tokens []Token) {
	rows := [][]string{{"token", "for clients", "note"}}
	for _, token := range tokens {
		rows = append(rows, []string{fmt.Sprintf("%x", token.Hash)[:shownHash], token.Client, token.Note})
	}
	e.table(rows)
}

// from says where clients may be.
func (a *Access) from() string {
	if a.Addresses == nil {
		if !slices.Contains(a.Methods, "IP") {
			return "everywhere"
		}
		if len(a.Methods) == 1 {
			return "this machine (no addresses are given)"
		}
		return "everywhere; by method IP alone from this machine (no addresses are given)"
	}
	return strings.Join(a.Addresses.list(), " ")
}

func (a *Addresses) list() []string {
	list := make([]string, 0, len(a.Prefixes)+1)
	for _, p := range a.Prefixes {
		list = append(list, p.String())
	}
	if a.Unix {
		list = append(list, unixClients)
	}
	return list
}

// slow says what becomes of slow readers.
func (a *Access) slow() string {
	policy := a.SlowReader
	if policy == "" {
		policy = Disconnect
	}
	if a.BlockTime == 0 {
		return string(policy) + "; none may hold senders back"
	}
	return fmt.Sprintf("%s; who asks for it may hold senders back for %s", policy, shortDuration(a.BlockTime))
}

// String writes the limits that the file has.
func (l Limits) String() string {
	var parts []string
	add := func(n int, text, unit string) {
		if n > 0 {
			parts = append(parts, text+unit)
		}
	}
	add(l.Sessions, strconv.Itoa(l.Sessions), " sessions")
	add(l.SessionsPerAddress, strconv.Itoa(l.SessionsPerAddress), " from one address")
	add(l.JoinsPerSecond, strconv.Itoa(l.JoinsPerSecond), " joins/s each")
	add(l.QueueMessages, strconv.Itoa(l.QueueMessages), " messages queued")
	add(l.QueueBytes, formatSize(l.QueueBytes), " queued")
	return strings.Join(parts, ", ")
}
