package lostpeer

import (
	"net"
	"testing"
	"time"
)

// TestJudgement plays looks, one each Interval.
func TestJudgement(t *testing.T) {
	begin := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		looks []state
		lost  int // the look that says so; -1: none
	}{
		"idle for an hour, then one packet lost": {[]state{{false, time.Hour}, {true, time.Hour}, {false, 4 * time.Second}}, -1},
		"gone":                                   {[]state{{true, time.Second}, {true, 6 * time.Second}, {true, 11 * time.Second}, {true, 16 * time.Second}}, 3},
		// A probe is on its way at each look, and the one before was answered.
		"stuck and alive":               {[]state{{true, time.Second}, {true, 4 * time.Second}, {true, 2 * time.Second}, {true, 3 * time.Second}, {true, time.Second}}, -1},
		"comes back at the last moment": {[]state{{true, 0}, {true, 5 * time.Second}, {true, 10 * time.Second}, {false, time.Second}, {false, 6 * time.Second}}, -1},
	} {
		var w Watch
		lost := -1
		for i, s := range c.looks {
			if w.judge(s, begin.Add(time.Duration(i)*Interval)) && lost < 0 {
				lost = i
			}
		}
		if lost != c.lost {
			t.Errorf("%s: lost at look %d, want %d", name, lost, c.lost)
		}
	}
}

// TestOthersHaveNoHost: pipes, and what is closed.
func TestOthersHaveNoHost(t *testing.T) {
	a, b := net.Pipe()
	a.Close()
	b.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	for _, c := range []net.Conn{a, conn} {
		var w Watch
		for i := range 10 {
			if w.Look(c, time.Now().Add(time.Duration(i)*time.Hour)) {
				t.Errorf("%T is lost", c)
			}
		}
	}
}
