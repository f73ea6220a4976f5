//go:build linux

package scenario

import (
	"strings"
	"testing"
	"time"

	"ringway/client"
)

// TestHeard: a side delivers again when it has a message that was sent after the cut, in a view
// of just the side; what came in other views, or was sent before, does not count.
func TestHeard(t *testing.T) {
	cut := time.Now()
	at := func(n int) time.Time { return cut.Add(time.Duration(n) * time.Millisecond) }
	view := func(n int, members ...string) Record {
		return Record{At: at(n), View: &client.View{Group: GroupAll, Members: members}}
	}
	message := func(n int, tag uint32, seq uint64) Record {
		return Record{At: at(n), Message: MessageID{tag, seq}}
	}
	a, b := &Session{Name: "a", Tag: 1}, &Session{Name: "b", Tag: 2}
	for _, s := range []*Session{a, b} {
		s.sent = []Sent{{Seq: 1, At: at(-1)}, {Seq: 2, At: at(1)}, {Seq: 3, At: at(2)}}
	}
	two := &side{sites: []string{"s"}, sessions: []*Session{a, b}, names: []string{"a", "b"}}
	for _, test := range []struct {
		name string
		log  []Record
		want [3]int // milliseconds; zero: not yet
	}{
		{"at once", []Record{view(5, "a", "b"), message(6, 2, 2), message(7, 1, 2)}, [3]int{5, 6, 7}},
		{"sent before", []Record{view(5, "a", "b"), message(6, 1, 1), message(7, 2, 2), message(8, 2, 3), message(9, 1, 3)}, [3]int{5, 7, 9}},
		{"in the old view", []Record{message(3, 1, 2), message(4, 2, 2), view(5, "a", "b")}, [3]int{}},
		{"the view of all does not count", []Record{view(5, "a", "b", "c"), message(6, 1, 2), message(7, 2, 2)}, [3]int{}},
		{"another view between", []Record{view(5, "a", "b"), message(6, 1, 2), view(7, "a"), message(8, 1, 3), view(9, "b", "a"), message(10, 1, 3), message(11, 2, 3)}, [3]int{9, 10, 11}},
		{"one is not heard", []Record{view(5, "a", "b"), message(6, 1, 2), message(7, 1, 3)}, [3]int{}},
		{"a stranger", []Record{view(5, "a", "b"), message(6, 9, 1), message(7, 1, 4)}, [3]int{}},
	} {
		a.log = append([]Record{view(-2, "a", "b")}, test.log...)
		got, err := two.heard(a, cut)
		if test.want == [3]int{} {
			if err == nil || !strings.Contains(err.Error(), "of 2, in view") {
				t.Errorf("%s: %v, %v", test.name, got, err)
			}
			continue
		}
		for i, ms := range test.want {
			if err != nil || !got[i].Equal(at(ms)) {
				t.Errorf("%s: %v after the cut, %v; want %v ms", test.name, got[i].Sub(cut), err, test.want)
			}
		}
	}
}
