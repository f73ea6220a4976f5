package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"ringway/client"
)

var events = []client.Event{
	&client.View{Group: "g", ID: client.ViewID{1, 2, 3}, Cause: client.ByJoin, Members: []string{"#a#lon-1"}, MovedTogether: []string{"#a#lon-1"}},
	&client.Message{Sender: "#a#lon-1", Groups: []string{"g"}, Service: client.Agreed, Data: []byte("<hello> & wörld")},
	&client.Message{Sender: "#b#lon-2", Groups: []string{"g", "h"}, Service: client.Safe, Type: -7, Data: []byte{0xff, 0}},
	&client.Message{Sender: "#b#lon-2", Groups: []string{"g"}, Service: client.FIFO},
	&client.Transition{Group: "g", ID: client.ViewID{1, 2, 3}},
	&client.View{Group: "g", ID: client.ViewID{4, 5, 6}, Cause: client.ByNetwork, Members: []string{"#a#lon-1", "#b#lon-2"}},
	&client.Left{Group: "g"},
}

func printed(asJSON, views bool) string {
	var b bytes.Buffer
	w := newEventWriter(&b, asJSON, views)
	for _, e := range events {
		w.write(e)
	}
	return b.String()
}

func TestJSONFormat(t *testing.T) {
	messages := []string{
		`{"type":"message","seq":1,"sender":"#a#lon-1","groups":["g"],"service":"agreed","mess_type":0,"data":"<hello> & wörld"}`,
		`{"type":"message","seq":2,"sender":"#b#lon-2","groups":["g","h"],"service":"safe","mess_type":-7,"data_base64":"/wA="}`,
		`{"type":"message","seq":3,"sender":"#b#lon-2","groups":["g"],"service":"fifo","mess_type":0,"data":""}`,
	}
	if got, want := printed(true, false), strings.Join(messages, "\n")+"\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	all := append([]string{`{"type":"view","group":"g","id":"` + (client.ViewID{1, 2, 3}).String() + `","cause":"join","members":["#a#lon-1"],"moved_together":["#a#lon-1"]}`}, messages...)
	all = append(all, `{"type":"transition","group":"g"}`,
		`{"type":"view","group":"g","id":"`+(client.ViewID{4, 5, 6}).String()+`","cause":"network","members":["#a#lon-1","#b#lon-2"],"moved_together":[]}`)
	if got, want := printed(true, true), strings.Join(all, "\n")+"\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTextFormat(t *testing.T) {
	want := `-- g: 1 member after join of #a#lon-1: #a#lon-1
#a#lon-1 g: <hello> & wörld
#b#lon-2 g,h: "\xff\x00"
#b#lon-2 g: 
-- g: transition
-- g: 2 members after network: #a#lon-1 #b#lon-2
`
	if got := printed(false, true); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNamesDoNotControlATerminal: a client that knows no better may call a group anything.
func TestNamesDoNotControlATerminal(t *testing.T) {
	var b bytes.Buffer
	w := newEventWriter(&b, false, true)
	const evil = "\x1b[2Jg"
	for _, e := range []client.Event{
		&client.Message{Sender: evil, Groups: []string{evil, "g"}, Data: []byte("x")},
		&client.View{Group: evil, Cause: client.ByJoin, Members: []string{evil}, MovedTogether: []string{evil}},
		&client.Transition{Group: evil},
	} {
		w.write(e)
	}
	if err := printGroups(&b, []client.GroupInfo{{Name: evil}}, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || strings.Count(b.String(), `\x1b[2Jg`) != 7 {
		t.Errorf("printed %q", b.String())
	}
}

func TestReadable(t *testing.T) {
	for data, want := range map[string]string{
		"plain text\twith tab": "plain text\twith tab",
		"déjà vu ✓":            "déjà vu ✓",
		"\x1b[2Jgone":          `"\x1b[2Jgone"`,
		"two\nlines":           `"two\nlines"`,
		"\xff":                 `"\xff"`,
	} {
		if got := readable([]byte(data)); got != want {
			t.Errorf("%q: got %s", data, got)
		}
	}
}

// A source is a receiveBatcher that ends with an error.
type source struct{ batches [][]client.Event }

func (s *source) Name() string { return "#a#lon-1" }

func (s *source) ReceiveBatch(_ context.Context, into []client.Event) (int, error) {
	if len(s.batches) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(into, s.batches[0])
	s.batches = s.batches[1:]
	return n, nil
}

func TestSubscriberStopsAtItsCount(t *testing.T) {
	for _, test := range []struct {
		limit int
		want  int // messages
		err   error
	}{{0, 6, io.ErrUnexpectedEOF}, {2, 2, nil}, {3, 3, nil}, {5, 5, nil}} {
		var b bytes.Buffer
		out := bufio.NewWriter(&b)
		var joined []string
		s := &subscriber{out: newEventWriter(out, true, false), limit: test.limit, joined: func(g string) { joined = append(joined, g) }}
		err := s.run(t.Context(), &source{[][]client.Event{events, events}}, out)
		if got := strings.Count(b.String(), `"type":"message"`); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("limit %d: %d messages, error %v", test.limit, got, err)
		}
		if len(joined) == 0 || joined[0] != "g" {
			t.Errorf("limit %d: joined %q", test.limit, joined)
		}
	}
}

// TestSubscriberJoinsByAnyView: a join that meets a change of the network is told as one. Views
// after the first are no joins.
func TestSubscriberJoinsByAnyView(t *testing.T) {
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	var joined []string
	s := &subscriber{out: newEventWriter(out, true, false), joined: func(g string) { joined = append(joined, g) }}
	view := func(group string, cause client.Cause) client.Event {
		return &client.View{Group: group, Cause: cause, Members: []string{"#a#lon-1"}, MovedTogether: []string{"#a#lon-1"}}
	}
	_ = s.run(t.Context(), &source{[][]client.Event{{view("g", client.ByNetwork), view("g", client.ByNetwork), view("h", client.ByJoin)}}}, out)
	if !slices.Equal(joined, []string{"g", "h"}) {
		t.Errorf("joined %q", joined)
	}
}

// A sink is a sendBatcher that keeps what it is given.
type sink struct {
	batches [][]string
	limit   int
}

func (s *sink) MaxMessage() int { return s.limit }

func (s *sink) SendBatch(_ context.Context, messages []client.Message) error {
	var batch []string
	for _, m := range messages {
		batch = append(batch, string(m.Data))
	}
	s.batches = append(s.batches, batch)
	return nil
}

func (s *sink) sent() string {
	var all []string
	for _, b := range s.batches {
		all = append(all, b...)
	}
	return strings.Join(all, "|")
}

func TestPublishedLines(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"one":                "one",
		"one\ntwo\r\n\nfour": "one|two||four",
		"\n":                 "",
	} {
		s := &sink{limit: 10}
		p := &publisher{conn: s, message: client.Message{Groups: []string{"g"}}}
		if err := p.lines(t.Context(), strings.NewReader(in)); err != nil || s.sent() != want {
			t.Errorf("%q: got %q (%v), want %q", in, s.sent(), err, want)
		}
	}
	s := &sink{limit: 10}
	p := &publisher{conn: s}
	err := p.lines(t.Context(), strings.NewReader("fine\n"+strings.Repeat("x", 11)+"\nnever"))
	if err == nil || !strings.Contains(err.Error(), "line 2: longer than 10 bytes") || s.sent() != "fine" || p.sent != 1 {
		t.Errorf("got %q, error %v", s.sent(), err)
	}
}

func TestLinesThatWaitGoOutTogether(t *testing.T) {
	s := &sink{limit: 100}
	p := &publisher{conn: s}
	if err := p.lines(t.Context(), strings.NewReader(strings.Repeat("line\n", 2*pubBatch))); err != nil {
		t.Fatal(err)
	}
	if len(s.batches) != 2 || p.sent != 2*pubBatch {
		t.Errorf("%d lines in %d writes", p.sent, len(s.batches))
	}
}

func TestGeneratedMessages(t *testing.T) {
	s := &sink{limit: 100}
	p := &publisher{conn: s}
	if err := p.generate(t.Context(), 5, 3, 0); err != nil || s.sent() != "0 ...|1 ...|2 ..." {
		t.Errorf("got %q (%v)", s.sent(), err)
	}
	if err := p.generate(t.Context(), 101, 1, 0); !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	one := &sink{limit: 100}
	p = &publisher{conn: one}
	if err := p.generate(t.Context(), 1, 4, 10_000); err != nil || len(one.batches) != 4 {
		t.Errorf("at a rate: %d writes (%v)", len(one.batches), err)
	}
}
