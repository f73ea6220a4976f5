package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"ringway/client"
)

// A room is one participant's view of a room.
type room struct {
	name string
	view *client.View // nil: not in yet
}

// show returns the lines that an event is worth.
func (r *room) show(event client.Event) []string {
	switch e := event.(type) {
	case *client.Message:
		return []string{r.line(e)}
	case *client.View:
		before := r.view
		r.view = e
		return r.change(before, e)
	case *client.Transition:
		return []string{"* some may be out of reach; lines up to the next change may not have come to them"}
	case *client.Gap:
		r.view = nil
		return []string{fmt.Sprintf("* the connection was lost for %.1f s, and lines may be missing; now at %s", e.Down.Seconds(), nodeOf(e.Name))}
	case *client.Rejected:
		return []string{"* the node's access rules refuse that"}
	}
	return nil
}

func (r *room) line(m *client.Message) string {
	text := printable(string(m.Data))
	if len(m.Groups) == 1 && strings.HasPrefix(m.Groups[0], "#") {
		return fmt.Sprintf("%s, to you: %s", short(m.Sender), text)
	}
	return fmt.Sprintf("%s: %s", short(m.Sender), text)
}

// change says who came and who went.
func (r *room) change(before, now *client.View) []string {
	if before == nil {
		return []string{fmt.Sprintf("* you are in %s with %s", r.name, list(now.Members))}
	}
	var lines []string
	how := map[client.Cause]string{client.ByLeave: "left", client.ByDisconnect: "hung up", client.ByNetwork: "is out of reach"}
	for _, m := range before.Members {
		if !slices.Contains(now.Members, m) {
			lines = append(lines, fmt.Sprintf("* %s %s", short(m), how[now.Cause]))
		}
	}
	came := "came in"
	if now.Cause == client.ByNetwork {
		came = "is in reach again"
	}
	for _, m := range now.Members {
		if !slices.Contains(before.Members, m) {
			lines = append(lines, fmt.Sprintf("* %s %s", short(m), came))
		}
	}
	return lines
}

// A request is what a line asks for.
type request struct {
	groups []string // to send to; none: nothing is sent
	text   string
	say    string // what to print at once
	quit   bool
}

// parse understands a line of the user's.
func (r *room) parse(line string) request {
	command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case command == "":
		return request{}
	case command == "/quit":
		return request{quit: true}
	case command == "/who" && r.view != nil:
		return request{say: "* here: " + list(r.view.Members)}
	case command == "/who":
		return request{say: "* not in yet"}
	case command == "/to":
		name, text, _ := strings.Cut(rest, " ")
		to := r.find(name)
		if len(to) == 0 || text == "" {
			return request{say: fmt.Sprintf("* nobody is %q here: /to NAME TEXT, and /who lists names", name)}
		}
		return request{groups: to, text: text}
	case strings.HasPrefix(command, "/"):
		return request{say: "* there are /who, /to NAME TEXT and /quit"}
	}
	return request{groups: []string{r.name}, text: strings.TrimRight(line, "\r\n")}
}

// find returns those in the room with that name: on different nodes, several may have it.
func (r *room) find(name string) []string {
	var found []string
	if r.view != nil && name != "" {
		for _, m := range r.view.Members {
			if m == name || short(m) == name {
				found = append(found, m)
			}
		}
	}
	return found
}

// short returns the name that a participant chose.
func short(private string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(private, "#"), "#")
	return name
}

func nodeOf(private string) string { return private[strings.LastIndexByte(private, '#')+1:] }

func list(members []string) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = short(m) + " (" + nodeOf(m) + ")"
	}
	return strings.Join(names, ", ")
}

// printable keeps strangers from controlling a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
