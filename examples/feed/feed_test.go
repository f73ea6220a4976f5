package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/client"
)

func TestSplitter(t *testing.T) {
	var s splitter
	var got []string
	for _, part := range []string{"on", "e\ntwo\r\n\nth", "ree\n", "last"} {
		for _, line := range s.split([]byte(part)) {
			got = append(got, string(line))
		}
	}
	for _, line := range s.flush() {
		got = append(got, string(line))
	}
	if want := []string{"one", "two", "", "three", "last"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if more := s.flush(); more != nil {
		t.Errorf("a second flush gives %q", more)
	}
}

func TestLongLinesAreCut(t *testing.T) {
	var s splitter
	lines := s.split(bytes.Repeat([]byte("x"), 2*maxLine+3))
	if len(lines) != 2 || len(lines[0]) != maxLine || len(s.flush()[0]) != 3 {
		t.Errorf("got %d lines", len(lines))
	}
}

// follow tails a file and returns a function that waits for lines.
func follow(t *testing.T, path string, fromStart bool) func(want ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	lines, done := make(chan string, 100), make(chan error, 1)
	go func() {
		done <- tail(ctx, path, fromStart, true, func(batch [][]byte) error {
			for _, line := range batch {
				lines <- string(line)
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("tail ended with %v", err)
		}
	})
	return func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-lines:
				if got != w {
					t.Fatalf("got %q, want %q", got, w)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("waited in vain for %q", w)
			}
		}
	}
}

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

func TestTailFollowsGrowthRotationAndTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	appendTo(t, path, "a\nb\n")
	expect := follow(t, path, true)
	expect("a", "b")
	appendTo(t, path, "c\nhal")
	expect("c")
	appendTo(t, path, "f\n")
	expect("half")

	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "after rotation\n")
	expect("after rotation")

	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	// The truncation is seen as such only while the file is shorter than what was read.
	appendTo(t, path, "again\n")
	expect("again")
}

func TestReadLines(t *testing.T) {
	var got []string
	err := readLines(t.Context(), strings.NewReader("x\ny"), func(lines [][]byte) error {
		for _, l := range lines {
			got = append(got, string(l))
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("got %q (%v)", got, err)
	}
}

// A recorder is a sender that keeps what it is given.
type recorder struct{ sent []client.Message }

func (r *recorder) SendBatch(_ context.Context, messages []client.Message) error {
	r.sent = append(r.sent, messages...)
	return nil
}

func TestPublish(t *testing.T) {
	o, err := parse([]string{"-connect", "h:1", "-group", "logs", "-service", "safe", "file"})
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := publish(t.Context(), &r, o, [][]byte{[]byte("one"), []byte("two")}); err != nil {
		t.Fatal(err)
	}
	if len(r.sent) != 2 || string(r.sent[1].Data) != "two" || r.sent[0].Service != client.Safe || !slices.Equal(r.sent[0].Groups, []string{"logs"}) {
		t.Errorf("sent %+v", r.sent)
	}
}

func TestUsage(t *testing.T) {
	t.Setenv("RINGWAY_CONNECT", "")
	for _, args := range [][]string{nil, {"file"}, {"-connect", "h:1", "a", "b"}, {"-connect", "h:1", "-service", "best"}, {"-nonsense"}} {
		if _, err := parse(args); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-connect", "127.0.0.1:1"}, strings.NewReader("")); err == nil || errors.Is(err, errUsage) {
		t.Errorf("nobody listens: got %v", err)
	}
}
