package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestFramesOfTop: each line ends what stood there before, and a node that is away is told.
func TestFramesOfTop(t *testing.T) {
	p := pager{lines: statusLines([]byte(`{"node":"n1","ring":{"state":"operational"}}`), nil), columns: 80, rows: 24}
	good := string(p.frame("h:1"))
	if !strings.HasPrefix(good, homeCursor+"h:1") || !strings.Contains(good, "n1 in site") || !strings.HasSuffix(good, clearLine+clearBelow) {
		t.Errorf("%q", good)
	}
	p.lines = statusLines(nil, errors.New("no answer"))
	if away := string(p.frame("h:1")); !strings.Contains(away, "no status: no answer; asking again") {
		t.Errorf("%q", away)
	}
	if bad := statusLines([]byte("no JSON"), nil); !strings.Contains(bad[0], "not a node's status") {
		t.Errorf("%q", bad)
	}
}

// TestPager: what is seen after each key, of 100 lines on a screen of 12, and what is
// seen when the text becomes short or the screen tiny.
func TestPager(t *testing.T) {
	p := pager{columns: 20, rows: 12}
	for i := range 100 {
		p.lines = append(p.lines, fmt.Sprintf("line %d %s", i, strings.Repeat("é", 50)))
	}
	seen := func(first, last int) {
		t.Helper()
		rows := strings.Split(strings.TrimPrefix(string(p.frame("")), homeCursor), clearLine+"\r\n")
		if len(rows) != 2+last-first+1 || !strings.HasPrefix(rows[2], fmt.Sprintf("line %d ", first)) || !strings.HasPrefix(rows[len(rows)-1], fmt.Sprintf("line %d ", last)) {
			t.Fatalf("want lines %d to %d: %q", first, last, rows)
		}
		for _, row := range rows[:len(rows)-1] {
			if len([]rune(row)) > 20 {
				t.Fatalf("%q is wider than the screen", row)
			}
		}
	}
	seen(0, 9)
	for _, move := range []struct {
		k     key
		first int
	}{
		{keyUp, 0}, {keyDown, 1}, {keyPageDown, 11}, {keyPageUp, 1}, {keyOther, 1}, {keyEnd, 90}, {keyDown, 90}, {keyPageDown, 90}, {keyUp, 89}, {keyHome, 0}, {keyEnd, 90},
	} {
		if !p.press(move.k) {
			t.Fatalf("key %d ends it", move.k)
		}
		seen(move.first, move.first+9)
	}
	p.lines = p.lines[:30]
	seen(20, 29)
	p.rows = 1
	seen(20, 20)
	p.rows = 100
	seen(0, 29)
	if p.press(keyQuit) {
		t.Error("q does not end it")
	}
}

func TestKeySequences(t *testing.T) {
	got := parseKeys("j\x1b[A\x1b[6~\x1bOF\x1b[1;5Cx\x03\x1b[")
	if want := []key{keyDown, keyUp, keyPageDown, keyEnd, keyOther, keyOther, keyQuit, keyOther}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
