package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringway/client"
	"ringway/examples/internal/app"
	"ringway/internal/testnode"
)

func TestMain(m *testing.M) { testnode.Main(m) }

// A person is somebody who chats.
type person struct {
	t    *testing.T
	keys *io.PipeWriter
	done chan error

	mu   sync.Mutex
	seen []string
	grew chan struct{}
}

// Write takes what is shown to the person.
func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	select {
	case p.grew <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (p *person) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *person) says(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.keys, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until a line is shown that contains the text.
func (p *person) sees(text string) { p.t.Helper(); p.seesTimes(1, text) }

// seesTimes waits for so many of them.
func (p *person) seesTimes(n int, text string) {
	p.t.Helper()
	for timeout := time.After(30 * time.Second); ; {
		if strings.Count(strings.Join(p.lines(), "\n"), text) >= n {
			return
		}
		select {
		case <-p.grew:
		case err := <-p.done:
			p.t.Fatalf("the program ended with %v while waiting for %q:\n%s", err, text, strings.Join(p.lines(), "\n"))
		case <-timeout:
			p.t.Fatalf("waited in vain for %q:\n%s", text, strings.Join(p.lines(), "\n"))
		}
	}
}

// chat starts the program.
func chat(t *testing.T, args ...string) *person {
	t.Helper()
	in, typed := io.Pipe()
	p := &person{t: t, keys: typed, done: make(chan error, 1), grew: make(chan struct{}, 1)}
	go func() { p.done <- run(t.Context(), args, in, p, io.Discard) }()
	return p
}

func (p *person) hangsUp() {
	p.t.Helper()
	p.keys.Close()
	if err := <-p.done; err != nil {
		p.t.Error(err)
	}
}

// TestARoomInTwoSites has three people in two sites talk at once. All see the same room.
func TestARoomInTwoSites(t *testing.T) {
	f := testnode.Start(t, testnode.Site{Name: "lon", Nodes: 2}, testnode.Site{Name: "fra", Nodes: 1})
	ann := chat(t, "-connect", f.Address("lon-1"), "-name", "ann", "tea")
	ann.sees("* you are in tea with ann (lon-1)")
	bob := chat(t, "-connect", f.Address("lon-2"), "-name", "bob", "tea")
	ann.sees("* bob came in")
	cyd := chat(t, "-connect", f.Address("fra-1"), "-name", "cyd", "tea")
	ann.sees("* cyd came in")
	bob.sees("* cyd came in")
	cyd.sees("* you are in tea with")

	people := map[string]*person{"ann": ann, "bob": bob, "cyd": cyd}
	var talking sync.WaitGroup
	for name, p := range people {
		talking.Go(func() {
			for i := range 20 {
				p.says("%s's line %d", name, i)
			}
		})
	}
	talking.Wait()
	for name := range people {
		for _, p := range people {
			p.sees(name + "'s line 19")
		}
	}
	talk := func(p *person) []string {
		return slices.DeleteFunc(p.lines(), func(l string) bool { return !strings.Contains(l, "'s line") })
	}
	if a, b, c := talk(ann), talk(bob), talk(cyd); len(a) != 60 || !slices.Equal(a, b) || !slices.Equal(b, c) {
		t.Errorf("not the same talk:\n%q\n%q\n%q", a, b, c)
	}

	ann.says("/to cyd between us")
	cyd.sees("ann, to you: between us")
	cyd.says("/who")
	cyd.sees("* here: ann (lon-1), bob (lon-2), cyd (fra-1)")
	bob.hangsUp()
	ann.sees("* bob hung up")
	if slices.ContainsFunc(bob.lines(), func(l string) bool { return strings.Contains(l, "between us") }) {
		t.Error("a third one hears what is between two")
	}

	// The node of a participant dies: she is back at another one.
	dora := chat(t, "-connect", f.Address("lon-2")+","+f.Address("lon-1"), "-name", "dora", "tea")
	dora.sees("* you are in tea")
	f.Kill("lon-2")
	dora.sees("now at lon-1")
	dora.seesTimes(2, "* you are in tea")
	ann.says("welcome back")
	dora.sees("ann: welcome back")
	ann.hangsUp()
	cyd.says("/quit")
	if err := <-cyd.done; err != nil {
		t.Error(err)
	}
	dora.hangsUp()
}

func TestWhatIsTyped(t *testing.T) {
	r := &room{name: "tea", view: &client.View{Members: []string{"#ann#n1", "#ann#n2", "#bob#n1"}}}
	for line, want := range map[string]string{
		"hello /to":     "[tea] hello /to",
		"/to ann hi  x": "[#ann#n1 #ann#n2] hi  x",
		"/to #bob#n1 y": "[#bob#n1] y",
		"/to eve x":     "* nobody is",
		"/to":           "* nobody is",
		"/dance":        "* there are",
		"":              "[] ",
	} {
		q := r.parse(line)
		got := fmt.Sprint(q.groups, " ", q.text)
		if q.say != "" {
			got = q.say
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	if lines := r.show(&client.Message{Sender: "#eve#n1", Groups: []string{"tea"}, Data: []byte("\x1b[2Jboo")}); lines[0] != "eve: ?[2Jboo" {
		t.Errorf("got %q", lines)
	}
}

func TestUsage(t *testing.T) {
	t.Setenv("RINGWAY_CONNECT", "")
	for _, args := range [][]string{nil, {"room"}, {"-name", "x", "room"}, {"-connect", "h:1", "-name", "x"}, {"-nonsense"}, {"-connect", "h:1", "-ca", "/no/such/file", "-name", "x", "r"}} {
		if err := run(context.Background(), args, strings.NewReader(""), io.Discard, io.Discard); !errors.Is(err, app.ErrUsage) {
			t.Errorf("%q: got %v", args, err)
		}
	}
}
