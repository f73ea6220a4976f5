package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ringway/client"
)

// The objects that `sub --json` prints, one a line.
type (
	messageJSON struct {
		Type       string   `json:"type"` // "message"
		Seq        int      `json:"seq"`  // of the messages printed, from 1
		Sender     string   `json:"sender"`
		Groups     []string `json:"groups"`
		Service    string   `json:"service"`
		MessType   int16    `json:"mess_type"`
		Data       *string  `json:"data,omitempty"`        // if it is UTF-8
		DataBase64 []byte   `json:"data_base64,omitempty"` // if it is not
	}
	viewJSON struct {
		Type          string   `json:"type"` // "view"
		Group         string   `json:"group"`
		ID            string   `json:"id"`
		Cause         string   `json:"cause"` // join, leave, disconnect, network
		Members       []string `json:"members"`
		MovedTogether []string `json:"moved_together"`
	}
	transitionJSON struct {
		Type  string `json:"type"` // "transition"
		Group string `json:"group"`
	}
	gapJSON struct {
		Type  string  `json:"type"`   // "gap": the connection was lost, messages may be missing
		Down  float64 `json:"down_s"` // seconds without one
		Name  string  `json:"name"`   // private group from here on
		Cause string  `json:"cause"`
	}
)

// An eventWriter prints events as text or JSON. Errors of the writer below are its
// owner's to notice.
type eventWriter struct {
	w        io.Writer
	json     *json.Encoder // nil: text
	views    bool
	messages int // printed
}

func newEventWriter(w io.Writer, asJSON, views bool) *eventWriter {
	e := &eventWriter{w: w, views: views}
	if asJSON {
		e.json = json.NewEncoder(w)
		e.json.SetEscapeHTML(false)
	}
	return e
}

func (e *eventWriter) write(event client.Event) {
	switch event := event.(type) {
	case *client.Message:
		e.messages++
		if e.json != nil {
			_ = e.json.Encode(e.messageObject(event))
			return
		}
		fmt.Fprintf(e.w, "%s %s: %s\n", printable(event.Sender), printable(strings.Join(event.Groups, ",")), readable(event.Data))
	case *client.View:
		if e.views {
			e.view(event)
		}
	case *client.Gap:
		if e.json != nil { // as text it is said beside the output
			_ = e.json.Encode(gapJSON{Type: "gap", Down: event.Down.Seconds(), Name: event.Name, Cause: event.Cause.Error()})
		}
	case *client.Transition:
		switch {
		case !e.views:
		case e.json != nil:
			_ = e.json.Encode(transitionJSON{Type: "transition", Group: event.Group})
		default:
			fmt.Fprintf(e.w, "-- %s: transition\n", printable(event.Group))
		}
	}
}

func (e *eventWriter) messageObject(m *client.Message) messageJSON {
	object := messageJSON{
		Type: "message", Seq: e.messages, Sender: m.Sender, Groups: m.Groups,
		Service: m.Service.String(), MessType: m.Type,
	}
	if utf8.Valid(m.Data) {
		text := string(m.Data)
		object.Data = &text
	} else {
		object.DataBase64 = m.Data
	}
	return object
}

func (e *eventWriter) view(v *client.View) {
	if e.json != nil {
		_ = e.json.Encode(viewJSON{
			Type: "view", Group: v.Group, ID: v.ID.String(), Cause: string(v.Cause),
			Members: list(v.Members), MovedTogether: list(v.MovedTogether),
		})
		return
	}
	who := ""
	if v.Cause != client.ByNetwork {
		who = " of " + printable(strings.Join(v.MovedTogether, " "))
	}
	plural := "s"
	if len(v.Members) == 1 {
		plural = ""
	}
	fmt.Fprintf(e.w, "-- %s: %d member%s after %s%s: %s\n", printable(v.Group), len(v.Members), plural, v.Cause, who, printable(strings.Join(v.Members, " ")))
}

// list turns nil into an empty list.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// readable returns data as it is if it is text, and quoted if it is not: bytes from
// strangers must not control a terminal.
func readable(data []byte) string { return printable(string(data)) }

// printable is readable for names: clients that know no better call groups what they like.
func printable(text string) string {
	for _, r := range text {
		if r != '\t' && !unicode.IsPrint(r) || r == utf8.RuneError {
			return strconv.Quote(text)
		}
	}
	return text
}
