package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/examples/internal/app"
	"ringway/internal/lockedbuf"
	"ringway/internal/testnode"
)

func TestMain(m *testing.M) { testnode.Main(m) }

const patience = 30 * time.Second

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// lines reads a source from a place on.
func lines(t *testing.T, s *source, offset int64, rest bool) (got []string, end int64) {
	t.Helper()
	for {
		events, err := s.read(offset, rest)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return got, offset
		}
		for _, e := range events {
			got = append(got, string(e.line))
		}
		offset = events[len(events)-1].end
	}
}

func TestSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendTo(t, path, "one\ntwo\r\n\nhal")
	var state writerState
	s, err := openSource(path, &state, time.UnixMilli(1000))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	got, end := lines(t, s, 0, false)
	if !slices.Equal(got, []string{"one", "two", ""}) || end != 10 || s.epoch != 1000 {
		t.Fatalf("%q up to %d in %d", got, end, s.epoch)
	}
	if got, end := lines(t, s, end, true); !slices.Equal(got, []string{"hal"}) || end != 13 {
		t.Errorf("the rest is %q up to %d", got, end)
	}
	state.Offset = end
	if state.Print, err = s.print(end); err != nil {
		t.Fatal(err)
	}

	// It is the same file at the next start, though longer; one that begins otherwise or
	// is shorter is another one.
	appendTo(t, path, "f\n")
	for _, c := range []struct {
		content string
		epoch   int64
	}{{"", 1000}, {"ONE\ntwo\r\n\nhalf\n", 2000}, {"one\n", 2000}} {
		if c.content != "" {
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again := state
		next, err := openSource(path, &again, time.UnixMilli(2000))
		if err != nil {
			t.Fatal(err)
		}
		if next.epoch != c.epoch || again.Epoch != c.epoch || c.epoch == 2000 && again.Offset != 0 {
			t.Errorf("%q: epoch %d, state %+v", c.content, next.epoch, again)
		}
		next.close()
	}
}

func TestLongLinesAreCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendTo(t, path, strings.Repeat("x", 2*maxLine+3)+"\n"+strings.Repeat("y", maxLine)+"\n")
	s, err := openSource(path, &writerState{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	got, _ := lines(t, s, 0, false)
	var sizes []int
	for _, l := range got {
		sizes = append(sizes, len(l))
	}
	if !slices.Equal(sizes, []int{maxLine, maxLine, 3, maxLine, 0}) {
		t.Errorf("sizes %v", sizes)
	}
}

// TestAccept: what a reader makes of lines that repeat, skip and come from another file.
func TestAccept(t *testing.T) {
	r := reader{places: map[string]place{}}
	for i, c := range []struct {
		epoch, start, end int64
		takes, lacks      bool
	}{
		{1, 50, 60, true, false}, // the first of this writer
		{1, 60, 70, true, false},
		{1, 50, 60, false, false}, // again
		{1, 80, 90, false, true},  // one is missing
		{1, 70, 80, true, false},
		{1, 80, 90, true, false},
		{2, 10, 20, false, true}, // of another file, and not its first
		{2, 0, 10, true, false},
		{1, 90, 95, false, false}, // the old one is over
		{2, 10, 20, true, false},
	} {
		r.lacks = false
		if takes := r.accept("w", &event{epoch: c.epoch, start: c.start, end: c.end}); takes != c.takes || r.lacks != c.lacks {
			t.Errorf("line %d: takes %v, lacks %v", i, takes, r.lacks)
		}
	}
	r = reader{places: map[string]place{}, fromStart: true}
	if r.accept("w", &event{epoch: 1, start: 50, end: 60}) || !r.lacks || !r.accept("w", &event{epoch: 1, end: 50}) {
		t.Error("not from the start")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&event{1, 2, 9, []byte("a line")}).encode())
	f.Add([]byte(`{"places":{"w":{"epoch":1,"offset":2}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decode(b); err == nil && !bytes.Equal(e.encode(), b) {
			t.Errorf("%x is encoded as %x", b, e.encode())
		}
		_, _ = decodeAsk(b)
	})
}

// start runs the program, and returns what ends it.
func start(t *testing.T, out io.Writer, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, args, nil, out, io.Discard) }()
	stop = func() {
		if cancel(); done == nil {
			return
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", args, err)
		}
		done = nil
	}
	t.Cleanup(stop)
	return stop
}

// TestEachLineOnce: two writers and two readers. A node dies under them, a writer and a
// reader stop and come back, a log is rotated; all that time lines are written. Each
// reader has each line once, and each writer's in their order.
func TestEachLineOnce(t *testing.T) {
	f := testnode.Start(t, testnode.Site{Name: "lan", Nodes: 3})
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	first, second := f.Address("lan-1")+","+f.Address("lan-2"), f.Address("lan-2")+","+f.Address("lan-3")
	appendTo(t, at("a.log"), "")
	appendTo(t, at("b.log"), "")
	a := []string{"-connect", first, "-name", "a", "-state", at("a.state"), at("a.log")}
	b := []string{"-connect", second, "-name", "b", "-state", at("b.state"), at("b.log")}
	c := []string{"-connect", first, "-name", "c", "-state", at("c.state"), "-from-start"}
	d := []string{"-connect", second, "-name", "d", "-state", at("d.state"), "-from-start"}
	outs := map[string]*lockedbuf.Buffer{"c": {}, "d": {}}
	start(t, io.Discard, a...)
	stopB := start(t, io.Discard, b...)
	start(t, outs["c"], c...)
	stopD := start(t, outs["d"], d...)

	written := map[string]int{}
	write := func(n int) {
		t.Helper()
		for range n {
			for _, w := range []string{"a", "b"} {
				appendTo(t, at(w+".log"), fmt.Sprintf("%s line %d\n", w, written[w]))
				written[w]++
			}
		}
	}
	// has waits until a reader has printed all of a writer, and checks it.
	has := func(reader, writer string) {
		t.Helper()
		var next int
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			next = 0
			text := outs[reader].String()
			for _, line := range strings.SplitAfter(text, "\n") {
				name, rest, _ := strings.Cut(line, " ")
				_, rest, whole := strings.Cut(rest, " ")
				if name != writer || !whole || !strings.HasSuffix(rest, "\n") {
					continue
				}
				if want := fmt.Sprintf("%s line %d\n", writer, next); rest != want {
					t.Fatalf("%s has %q for line %d of %s", reader, rest, next, writer)
				}
				next++
			}
			if next == written[writer] {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s has %d of %d lines of %s", reader, next, written[writer], writer)
			}
		}
	}
	all := func() {
		t.Helper()
		for _, r := range []string{"c", "d"} {
			has(r, "a")
			has(r, "b")
		}
	}

	write(300)
	all()
	stopB() // lines of b wait for it, and d misses what a sends
	stopD()
	write(300)
	f.Kill("lan-1") // a and c go to another node
	write(300)
	has("c", "a")
	stopB = start(t, io.Discard, b...)
	stopD = start(t, outs["d"], d...)
	all()

	stopB()
	write(1)
	start(t, io.Discard, b...)
	all()
	appendTo(t, at("b.log"), "b line "+fmt.Sprint(written["b"])) // without an end
	written["b"]++
	if err := os.Rename(at("b.log"), at("b.log.1")); err != nil {
		t.Fatal(err)
	}
	appendTo(t, at("b.log"), "")
	write(300)
	all()
	stopD()
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"-name", "x"}, {"-name", "x", "-state", "s", "a", "b"}, {"-nonsense"}, {"-name", "x", "-state", "s", "file"}} {
		t.Setenv("RINGWAY_CONNECT", "")
		if err := run(t.Context(), args, nil, io.Discard, io.Discard); !errors.Is(err, app.ErrUsage) {
			t.Errorf("%q: got %v", args, err)
		}
	}
}
