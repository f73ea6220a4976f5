//go:build linux

package scenario

import (
	"strings"
	"testing"

	"ringway/client"
)

// A script is what two sessions saw, in a notation of one word an event:
//
//	1.3      message 3 of session 1; its service is the third, FIFO
//	v2:ab    view 2, of somebody else's join; its members are a and b
//	n2:a|b   view 2 by the network: a came from elsewhere than b
//	~        a signal
//	left     the answer to a leave
type script struct {
	a, b string
	want string // part of the verdict; empty: none
	edit func(a, b *transcript)
}

func parseScript(t *testing.T, name string, tag uint32, words string) *transcript {
	t.Helper()
	tr := &transcript{Name: name, Tag: tag}
	for service := client.Unreliable; service <= client.Safe; service++ {
		tr.Sent = append(tr.Sent, Sent{Seq: uint64(service), Service: service, Groups: []string{GroupSome}})
	}
	for _, word := range strings.Fields(words) {
		tr.Log = append(tr.Log, parseWord(t, name, word))
	}
	return tr
}

func parseWord(t *testing.T, name, word string) Record {
	t.Helper()
	switch {
	case word == "~":
		return Record{Signal: GroupSome}
	case word == "left":
		return Record{Left: GroupSome}
	case word[0] == 'v' || word[0] == 'n':
		id, members, _ := strings.Cut(word[1:], ":")
		v := &client.View{Group: GroupSome, ID: client.ViewID{0, 0, uint32(id[0] - '0')}, Cause: client.ByJoin}
		for set := range strings.SplitSeq(members, "|") {
			one := strings.Split(set, "")
			v.Members = append(v.Members, one...)
			v.Sets = append(v.Sets, one)
			if strings.Contains(set, name) && word[0] == 'n' {
				v.Cause, v.MovedTogether = client.ByNetwork, one
			}
		}
		return Record{View: v}
	case len(word) == 3 && word[1] == '.':
		seq := uint64(word[2] - '0')
		return Record{Message: MessageID{uint32(word[0] - '0'), seq}, Service: client.Service(seq), Groups: []string{GroupSome}}
	}
	t.Fatalf("word %q", word)
	return Record{}
}

// TestJudge shows the judge what must not be, and what may.
func TestJudge(t *testing.T) {
	for name, s := range map[string]script{
		"all well":                               {a: "v1:ab 1.4 2.5 2.6 v2:ab 1.6", b: "v1:ab 1.4 2.5 2.6 v2:ab 1.6"},
		"reliable in any order":                  {a: "v1:ab 1.2 1.5", b: "v1:ab 1.5 1.2"},
		"FIFO across sites":                      {a: "v1:ab 1.3 v2:ab", b: "v1:ab v2:ab 1.3", edit: func(a, _ *transcript) { a.Site = "far" }},
		"FIFO within a site":                     {a: "v1:ab 1.3 v2:ab", b: "v1:ab v2:ab 1.3", want: "did not"},
		"apart":                                  {a: "v1:ab 1.4 ~ n2:a 1.5", b: "v1:ab ~ n3:b 2.4"},
		"apart and together":                     {a: "v1:ab ~ n2:a 1.4 n4:a|b 1.5", b: "v1:ab ~ n3:b 2.4 n4:a|b 1.5"},
		"nobody sent it":                         {a: "v1:ab 3.5", b: "v1:ab", want: "nobody sent"},
		"sent as something else":                 {a: "v1:ab 1.5", b: "v1:ab 1.5", want: "was sent as", edit: func(a, _ *transcript) { a.Sent[4].Service = client.Safe }},
		"twice":                                  {a: "v1:ab 1.5 1.5", b: "v1:ab 1.5", want: "came twice"},
		"sender's order":                         {a: "v1:ab 1.4 1.3", b: "v1:ab 1.4 1.3", want: "came after 4"},
		"no member":                              {a: "1.5 v1:ab", b: "v1:ab", want: "no member"},
		"no member any more":                     {a: "v1:ab left 1.5", b: "v1:ab", want: "no member"},
		"left twice":                             {a: "v1:ab left left", b: "v1:ab", want: "no member"},
		"signal to a stranger":                   {a: "~ v1:ab", b: "v1:ab", want: "no member"},
		"another's view":                         {a: "v1:b", b: "v1:b", want: "not its own"},
		"a view again":                           {a: "v1:ab v1:ab", b: "v1:ab", want: "came twice"},
		"other members":                          {a: "v1:ab", b: "v1:abc", want: "by join"},
		"other sets":                             {a: "n1:a|b", b: "n1:ab", want: "does not see so"},
		"a loss that one knows":                  {a: "v1:abc 1.4 ~ n2:ab|c n3:ab", b: "v1:abc 1.4 v2:abc ~ n3:ab"},
		"along with one only":                    {a: "v1:ab ~ n2:a|b", b: "v1:ab ~ n2:ab", want: "does not see so"},
		"a view that one closes":                 {a: "v1:ab 1.4 n2:ab 1.5", b: "v1:ab 1.4 ~ n2:a|b ~ n3:b"},
		"a view that one closes, and goes on":    {a: "v1:ab 1.4 n2:ab ~ n3:ab", b: "v1:ab 1.4 ~ n2:a|b ~ n3:ab", want: "does not see so"},
		"a view that one denies, without an end": {a: "v1:ab 1.4 n2:ab 1.5", b: "v1:ab 1.4 ~ n2:a|b 1.5", want: "does not see so"},
		"a view that one closes with less":       {a: "v1:ab 1.4 n2:ab", b: "v1:ab ~ n2:a|b ~ n3:b", want: "before it"},
		"sets that overlap": {a: "n1:a|ab", b: "n1:a|ab", want: "own set", edit: func(a, b *transcript) {
			a.Log[0].View.Members, b.Log[0].View.Members = []string{"a", "b"}, []string{"a", "b"}
		}},
		"two orders":                                           {a: "v1:ab 1.4 2.5", b: "v1:ab 2.5 1.4", want: "no order"},
		"two orders over a view":                               {a: "v1:ab 1.4 n2:ab", b: "v1:ab n2:ab 1.4", want: "before it"},
		"together without a message":                           {a: "v1:ab 1.5 ~ n2:ab", b: "v1:ab ~ n2:ab", want: "before it"},
		"together from elsewhere":                              {a: "v1:ab v2:ab n3:ab", b: "v1:ab n3:ab", want: "together"},
		"safe for one":                                         {a: "v1:ab 1.6 ~ n2:a", b: "v1:ab ~ n3:b", want: "had that view and not the message"},
		"safe, the other crashes":                              {a: "v1:ab 1.6 ~ n2:a", b: "v1:ab ~", edit: func(_, b *transcript) { b.Crashed = true }},
		"safe after the signal":                                {a: "v1:ab ~ 1.6 n2:a", b: "v1:ab ~ n3:b"},
		"safe among those that stay":                           {a: "v1:abc ~ 1.6 n2:ab", b: "v1:abc ~ n2:ab", want: "after the signal: true"},
		"safe before a leave in the middle of a change":        {a: "v1:abc ~ 1.6 n2:ab ~ n3:a", b: "v1:abc ~ n4:b"},
		"safe before somebody comes in the middle of a change": {a: "v1:ab ~ 1.6 n2:a|bc ~ n3:ab", b: "v1:ab ~ n4:bc n2:a|bc n3:ab"},
		"own message lost": {a: "v1:ab", b: "v1:ab", want: "did not come back", edit: func(a, _ *transcript) {
			a.Sent = append(a.Sent, Sent{Seq: 7, Service: client.Agreed, Groups: []string{GroupAll}})
		}},
		"an answer before the question": {a: "v1:ab 2.5 1.4", b: "v1:ab 2.5 1.4", want: "no order", edit: func(_, b *transcript) {
			b.Sent[4].After = 2 // after it had got 1.4
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := parseScript(t, "a", 1, s.a), parseScript(t, "b", 2, s.b)
			if s.edit != nil {
				s.edit(a, b)
			}
			verdicts := strings.Join(judgeAll([]*transcript{a, b}), "\n")
			if s.want == "" && verdicts != "" || !strings.Contains(verdicts, s.want) {
				t.Errorf("verdicts, want %q:\n%s", s.want, verdicts)
			}
		})
	}
}
